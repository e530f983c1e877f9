/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_request: one request while its application runs, on the stack of the
 * request's own thread.
 *
 * TETHERS. Every object that the application is given (wsgi.input, and
 * start_response with its write) points here, and pw_request_close cuts that
 * pointer: later use raises RuntimeError.
 *
 * BUSY. An application may read or write from a thread of its own while the
 * request's thread waits for it. The exchange and its pool serve one thread at
 * a time, so whoever uses them claims the request first: a method that the
 * application calls raises RuntimeError where another thread is inside, the
 * request's own thread waits for it. The flag is a plain int: the GIL of the
 * instance guards it, and everything else here.
 */
#ifndef PW_REQUEST_H
#define PW_REQUEST_H

#include "pw_exchange.h"
#include "pw_interp.h"
#include "pw_pymod.h"
#include "pw_spec.h"

typedef struct pw_request_t {
    pw_exchange_t *x;         /* const: */
    const pw_app_spec_t *app; /* const: */
    pw_attached_t *at;        /* const: witness of the request's own thread */
    pw_pymod_t *mod;          /* const: borrowed from the instance */
    apr_bucket_brigade *bb;   /* busy: what is not passed on yet */

    PyObject *input;    /* owned, NULL until environ is made; tethered */
    PyObject *response; /* owned, likewise: start_response */
    PyObject *errors;   /* owned, likewise: wsgi.errors */

    int busy;                /* GIL: a thread uses the exchange */
    struct waiter_t *waiter; /* GIL: the own thread waits until it is idle */

    PyObject *status;      /* owned: str, NULL before start_response */
    PyObject *headers;     /* owned: tuple of (name, value) tuples */
    int code;              /* of status */
    apr_off_t length;      /* Content-Length, declared or computed; -1 none */
    apr_off_t sent;        /* body bytes given to the exchange */
    apr_status_t unread;   /* why read_body failed; APR_SUCCESS */
    unsigned raised : 1;   /* the application raised; logged */
    unsigned started : 1;  /* start_response was called, perhaps in vain */
    unsigned begun : 1;    /* the headers are sent, or as good as */
    unsigned gone : 1;     /* passing on failed: the client went away */
    unsigned spoiled : 1;  /* the response must be visibly incomplete */
    unsigned failed : 1;   /* answer `answer` where nothing has begun */
    unsigned overlong : 1; /* more body than Content-Length; logged */
    int answer;            /* HTTP status of a failure, 0 */
    int held;              /* holds (pw_hold.h) made, less those dropped */
} pw_request_t;

/* The request that the calling OS thread is running, or NULL. */
pw_request_t *pw_request_current(void);

/* Begins: makes it the thread's current request. Returns the request that was
 * current (a subrequest nests), for pw_request_leave. */
pw_request_t *pw_request_enter(pw_request_t *rq);
void pw_request_leave(pw_request_t *outer);

/* Claims the exchange for a method that the application called. 0, or -1 with
 * RuntimeError where another thread is inside. Attached. */
int pw_request_claim(pw_request_t *rq);

/* Claims it for the request's own thread, detached while it waits for another
 * thread's read or write to end. */
void pw_request_claim_own(pw_request_t *rq);

/* Ends either claim. Attached. */
void pw_request_release(pw_request_t *rq);

/*
 * The application is done: cuts the tethers, waits for a thread that is still
 * inside a read or write, writes out unfinished log lines, drops references.
 * Own thread, attached, no exception pending.
 */
void pw_request_close(pw_request_t *rq);

/* The application broke the protocol: one error record, and the request is
 * marked failed. Returns -1, with no exception set. */
int pw_request_fault(pw_request_t *rq, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
