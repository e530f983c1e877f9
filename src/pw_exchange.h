/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_exchange: the port between the GATEWAY and a server: one HTTP request and
 * its response, as seven functions. httpd's request_rec is one implementation
 * (pw_exchange_httpd), memory another (unit tests, fuzzing, benchmarks), and
 * the process runner will be a third.
 *
 * All functions are called on the request's own thread, or on a thread of the
 * application while the request's thread waits for it; never two at once.
 * read_body, read_ahead and pass may block and are called DETACHED from the
 * interpreter; the others never block and may be called attached.
 */
#ifndef PW_EXCHANGE_H
#define PW_EXCHANGE_H

#include <apr_buckets.h>
#include <apr_pools.h>
#include <apr_tables.h>

#include "pw_log.h"

typedef struct pw_exchange_t pw_exchange_t;

/*
 * The CGI/1.1 variables that the server itself sets, and what the GATEWAY may
 * expect of their values: STEADY, most requests of an interpreter have the one
 * of the request before; AGAIN, many have; FRESH, they change.
 */
#define PW_VARS(X)                                                             \
    X(GATEWAY_INTERFACE, STEADY)                                               \
    X(SERVER_SOFTWARE, STEADY)                                                 \
    X(SERVER_SIGNATURE, STEADY)                                                \
    X(SERVER_NAME, STEADY)                                                     \
    X(SERVER_ADDR, STEADY)                                                     \
    X(SERVER_PORT, STEADY)                                                     \
    X(SERVER_ADMIN, STEADY)                                                    \
    X(SERVER_PROTOCOL, STEADY)                                                 \
    X(DOCUMENT_ROOT, STEADY)                                                   \
    X(CONTEXT_PREFIX, STEADY)                                                  \
    X(CONTEXT_DOCUMENT_ROOT, STEADY)                                           \
    X(REQUEST_SCHEME, STEADY)                                                  \
    X(SCRIPT_FILENAME, STEADY)                                                 \
    X(SCRIPT_NAME, STEADY)                                                     \
    X(REQUEST_METHOD, STEADY)                                                  \
    X(REMOTE_ADDR, AGAIN)                                                      \
    X(REMOTE_HOST, AGAIN)                                                      \
    X(REMOTE_PORT, FRESH)                                                      \
    X(REMOTE_USER, FRESH)                                                      \
    X(AUTH_TYPE, FRESH)                                                        \
    X(CONTENT_TYPE, FRESH)                                                     \
    X(CONTENT_LENGTH, FRESH)                                                   \
    X(REQUEST_URI, FRESH)                                                      \
    X(QUERY_STRING, FRESH)                                                     \
    X(PATH_INFO, FRESH)                                                        \
    X(REDIRECT_URL, FRESH)                                                     \
    X(REDIRECT_QUERY_STRING, FRESH)

typedef enum {
#define PW_VAR_ENUM(name, kind) PW_VAR_##name,
    PW_VARS(PW_VAR_ENUM)
#undef PW_VAR_ENUM
        PW_VAR_COUNT
} pw_var_e;

/*
 * What `variables` calls: values are NUL-terminated bytes that live as long as
 * the request (latin-1 tunnelled into str by the GATEWAY). A failure is the
 * receiver's to remember: what comes after it is ignored.
 */
typedef struct pw_emit_t {
    /* One of the above; at most once each. NULL: this request has none. */
    void (*variable)(struct pw_emit_t *to, pw_var_e which, const char *value);
    /* A header of the request, by its name as it came; HTTP_* in environ. Of
     * several with one name the values are joined. */
    void (*header)(struct pw_emit_t *to, const char *name, const char *value);
    /* Any other; one that is there already stays as it is. */
    void (*other)(struct pw_emit_t *to, const char *name, const char *value);
} pw_emit_t;

typedef struct pw_exchange_ops_t {
    /* Emits every variable of the request, headers before others, but no
     * wsgi.* key. */
    void (*variables)(pw_exchange_t *x, pw_emit_t *to);

    /* DETACHED. Reads at most *len body bytes, de-chunked, into buf and sets
     * *len; 0 is the end of the body (also on later calls). Blocks until
     * there is at least one byte. Any other status than APR_SUCCESS: the
     * client went away, timed out (APR_TIMEUP) or sent a bad body; or
     * APR_ENOSPC: over LimitRequestBody. */
    apr_status_t (*read_body)(pw_exchange_t *x, char *buf, apr_size_t *len);

    /* DETACHED, before the first read_body. Reads a request body of at most
     * `limit` bytes to its end, of one of unknown length so many bytes, for
     * read_body to find; nothing where the client waits for "100 Continue",
     * nor of a body that is larger. Statuses as of read_body. */
    apr_status_t (*read_ahead)(pw_exchange_t *x, apr_size_t limit);

    /* Has the client gone away, as far as that can be seen without reading or
     * writing? One that will send no more counts as gone. */
    int (*gone)(pw_exchange_t *x);

    /* Starts the response: status 200 to 599, reason phrase as the application
     * gave it ("200 Fine"), headers in their order (name, value; already
     * validated, no hop-by-hop header). content_length -1: not known. Sends
     * nothing yet. 0, or -1 if the response has begun already. */
    int (*begin)(pw_exchange_t *x, int status, const char *status_line,
                 const apr_array_header_t *headers /* of pw_header_t */,
                 apr_off_t content_length);

    /* DETACHED. Passes buckets on and empties the brigade. Data in transient
     * buckets is only read or copied until it returns. Not APR_SUCCESS: the
     * client is gone, produce no more. */
    apr_status_t (*pass)(pw_exchange_t *x, apr_bucket_brigade *bb);

    /* DETACHED. Makes an already begun response visibly incomplete to the
     * client: DESIGN's error bucket, connection closed. Call once, instead of
     * the EOS bucket. */
    void (*abort)(pw_exchange_t *x);
} pw_exchange_ops_t;

typedef struct pw_header_t {
    const char *name;  /* latin-1 bytes, exchange->pool */
    const char *value; /* latin-1 bytes, exchange->pool */
} pw_header_t;

struct pw_exchange_t {
    const pw_exchange_ops_t *ops;
    apr_pool_t *pool; /* the request's; only its own thread allocates */
    apr_bucket_alloc_t *buckets;
    pw_log_t log;         /* the request's log, with its id */
    const char *method;   /* "GET" */
    const char *uri;      /* path without query, for log lines */
    const char *scheme;   /* "http" or "https": wsgi.url_scheme */
    int head;             /* 1: HEAD, no body is sent */
    int sendfile;         /* 1: a file may be sent by sendfile */
    int map_files;        /* 1: it may be mapped into memory */
    int has_body;         /* 0: read_body would give the end at once */
    int may_buffer;       /* 1: a body that may be waited for: read_ahead */
    int input_terminated; /* 1: read_body ends by itself (always, in httpd) */
    int multithread;      /* wsgi.multithread */
    int multiprocess;     /* wsgi.multiprocess */
    void *owner;          /* the implementation's own */
};

#endif
