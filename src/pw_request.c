/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_request: the tethers and the claim on the exchange. Attached throughout,
 * but where a wait says that it detaches.
 */
#include "pw_request.h"

#include <stdio.h>

#include "pw_errors.h"
#include "pw_input.h"
#include "pw_lock.h"
#include "pw_response.h"
#include "pw_runtime.h"

/* On the stack of the request's own thread while it waits. The other thread
 * touches it only under the GIL, which the waiter must have again before it
 * can take it apart. */
typedef struct waiter_t {
    pw_lock_t lock;
    pw_cond_t idle;
    int done; /* lock: */
} waiter_t;

pw_request_t *pw_request_current(void)
{
    return *pw_runtime_current_request();
}

pw_request_t *pw_request_enter(pw_request_t *rq)
{
    void **place = pw_runtime_current_request();
    pw_request_t *outer = *place;

    *place = rq;
    return outer;
}

void pw_request_leave(pw_request_t *outer)
{
    *pw_runtime_current_request() = outer;
}

int pw_request_claim(pw_request_t *rq)
{
    if (rq->busy) {
        PyErr_SetString(PyExc_RuntimeError,
                        "another thread is reading or writing in this request");
        return -1;
    }
    rq->busy = 1;
    return 0;
}

/* Detached: until the other thread has released the request. */
static void wait_done(waiter_t *w)
{
    PyThreadState *ts = PyEval_SaveThread();

    pw_lock_take(&w->lock);
    while (!w->done) {
        pw_cond_wait(&w->idle, &w->lock, PW_NEVER);
    }
    pw_lock_release(&w->lock);
    PyEval_RestoreThread(ts);
}

static void wait_idle(pw_request_t *rq)
{
    waiter_t w = {.done = 0};

    pw_lock_init(&w.lock);
    pw_cond_init(&w.idle);
    rq->waiter = &w;
    wait_done(&w);
    rq->waiter = NULL;
    pw_cond_destroy(&w.idle);
    pw_lock_destroy(&w.lock);
}

void pw_request_claim_own(pw_request_t *rq)
{
    while (rq->busy) {
        wait_idle(rq);
    }
    rq->busy = 1;
}

void pw_request_release(pw_request_t *rq)
{
    waiter_t *w = rq->waiter;

    rq->busy = 0;
    if (w) {
        pw_lock_take(&w->lock);
        w->done = 1;
        pw_cond_broadcast(&w->idle);
        pw_lock_release(&w->lock);
    }
}

/* An object that the application has not kept serves the next request. */
static void put_back(PyObject **object, PyObject **spare)
{
    if (*object && Py_REFCNT(*object) == 1 && !*spare) {
        *spare = *object;
        *object = NULL;
    }
    Py_CLEAR(*object);
}

void pw_request_close(pw_request_t *rq)
{
    if (rq->input) {
        pw_input_cut(rq->input);
    }
    if (rq->response) {
        pw_response_cut(rq->response);
    }
    pw_request_claim_own(rq);
    if (rq->input) {
        pw_input_reset(rq->input);
    }
    if (rq->errors) {
        pw_errors_flush(rq->errors);
    }
    if (rq->mod->partial > 0) {
        pw_errors_flush_std(rq->mod);
    }
    put_back(&rq->input, &rq->mod->spare_input);
    put_back(&rq->response, &rq->mod->spare_response);
    put_back(&rq->errors, &rq->mod->spare_errors);
    Py_CLEAR(rq->status);
    Py_CLEAR(rq->headers);
}

int pw_request_fault(pw_request_t *rq, const char *code, const char *fmt, ...)
{
    char what[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    pw_log(&rq->x->log, PW_LOG_ERR, "%s %s: %s", code, rq->app->label, what);
    rq->failed = 1;
    return -1;
}
