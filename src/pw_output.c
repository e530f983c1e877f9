/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_output: the body of a response. Attached, but around pass; whoever is
 * here has claimed the request (pw_request.h).
 */
#include "pw_output.h"

#include "pw_filewrap.h"
#include "pw_header.h"
#include "pw_hold.h"
#include "pw_response.h"

#include <apr_strings.h>

/* A chunk below this size is copied together with its neighbours. */
#define HOLD_MIN 16384

/* ---- the head ---------------------------------------------------------- */

/* rpool: the exchange's. */
static const char *copy_text(apr_pool_t *rpool, PyObject *text)
{
    Py_ssize_t len = 0;
    const char *bytes = pw_py_latin1(text, &len);

    return apr_pstrmemdup(rpool, bytes ? bytes : "", (apr_size_t)len);
}

/* All but Content-Length, which goes beside the headers. */
static apr_array_header_t *copy_headers(pw_request_t *rq)
{
    apr_pool_t *rpool = rq->x->pool;
    Py_ssize_t count = PyTuple_GET_SIZE(rq->headers);
    apr_array_header_t *headers;

    headers = apr_array_make(rpool, (int)count + 1, sizeof(pw_header_t));
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *pair = PyTuple_GET_ITEM(rq->headers, i); /* borrowed */
        Py_ssize_t len = 0;
        const char *name = pw_py_latin1(PyTuple_GET_ITEM(pair, 0), &len);
        pw_header_t *header;

        if (!name || pw_header_is(name, (apr_size_t)len, "content-length")) {
            continue;
        }
        header = apr_array_push(headers);
        header->name = apr_pstrmemdup(rpool, name, (apr_size_t)len);
        header->value = copy_text(rpool, PyTuple_GET_ITEM(pair, 1));
    }
    return headers;
}

int pw_output_begin(pw_request_t *rq)
{
    pw_exchange_t *x = rq->x;

    if (rq->begun) {
        return 0;
    }
    if (!rq->status) {
        return pw_request_fault(
            rq, "PW0403",
            "the application did not call start_response before the first "
            "byte of its response; answered 500");
    }
    /* RFC 9110 section 8.6: none in a 204, not even 0. */
    if (x->ops->begin(x, rq->code, copy_text(x->pool, rq->status),
                      copy_headers(rq), rq->code == 204 ? -1 : rq->length)
        < 0) {
        return pw_request_fault(
            rq, "PW0404",
            "the server did not take the headers of the response");
    }
    rq->begun = 1;
    return 0;
}

/* ---- the body ---------------------------------------------------------- */

/* How much of len the Content-Length still allows. */
static apr_size_t clip(pw_request_t *rq, apr_size_t len)
{
    apr_off_t room = rq->length - rq->sent;

    if (rq->length < 0 || (apr_off_t)len <= room) {
        return len;
    }
    if (!rq->overlong) {
        rq->overlong = 1;
        pw_log(&rq->x->log, PW_LOG_ERR,
               "PW0407 %s: the body is longer than its Content-Length of "
               "%" APR_OFF_T_FMT "; the rest is not sent",
               rq->app->label, rq->length);
    }
    return (apr_size_t)room;
}

/* Passes rq->bb and leaves it empty. 0, or -1 where the client is gone. */
static int pass(pw_request_t *rq)
{
    PyThreadState *ts = PyEval_SaveThread();
    apr_status_t rv = rq->x->ops->pass(rq->x, rq->bb);

    apr_brigade_cleanup(rq->bb);
    PyEval_RestoreThread(ts);
    if (rv != APR_SUCCESS) {
        rq->gone = 1;
        pw_log(&rq->x->log, PW_LOG_DEBUG,
               "%s: the response was not taken (status %d): the client is "
               "gone",
               rq->app->label, (int)rv);
        return -1;
    }
    return 0;
}

static void add_transient(pw_request_t *rq, const char *data, apr_size_t len)
{
    APR_BRIGADE_INSERT_TAIL(
        rq->bb, apr_bucket_transient_create(data, len, rq->x->buckets));
}

static int check_bytes(PyObject *chunk)
{
    if (PyBytes_Check(chunk)) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError,
                 "the body of a response must be bytes, and this is %s",
                 Py_TYPE(chunk)->tp_name);
    return -1;
}

/* One chunk, at once: it is with the client before the next is made. */
static int send_now(pw_request_t *rq, PyObject *chunk)
{
    apr_size_t len;

    if (check_bytes(chunk) < 0) {
        return -1;
    }
    if (PyBytes_GET_SIZE(chunk) == 0) {
        return 0;
    }
    if (pw_output_begin(rq) < 0) {
        return -1;
    }
    len = pw_response_bodyless(rq)
              ? 0
              : clip(rq, (apr_size_t)PyBytes_GET_SIZE(chunk));
    if (len == 0) {
        return 0;
    }
    add_transient(rq, PyBytes_AS_STRING(chunk), len);
    APR_BRIGADE_INSERT_TAIL(rq->bb, apr_bucket_flush_create(rq->x->buckets));
    rq->sent += (apr_off_t)len;
    return pass(rq);
}

int pw_output_write(pw_request_t *rq, PyObject *data)
{
    int rc = -1;

    if (!rq->gone) {
        rc = send_now(rq, data);
    }
    if (rc == 0 && rq->overlong) {
        PyErr_SetString(PyExc_ValueError,
                        "write: the body is longer than its Content-Length");
        rc = -1;
    }
    if (rc < 0 && !PyErr_Occurred()) {
        PyErr_SetString(rq->gone ? PyExc_BrokenPipeError : PyExc_RuntimeError,
                        rq->gone ? "the client is gone"
                                 : "write: the response cannot begin");
    }
    return rc;
}

/* ---- a list or tuple: all chunks are known ----------------------------- */

/* The sum of the sizes, -1 with an exception. */
static apr_off_t measure(PyObject *chunks)
{
    apr_off_t total = 0;

    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(chunks); i++) {
        PyObject *chunk = PyTuple_GET_ITEM(chunks, i); /* borrowed */

        if (check_bytes(chunk) < 0) {
            return -1;
        }
        total += PyBytes_GET_SIZE(chunk);
    }
    return total;
}

/* A large chunk is not copied. 0, or -1 with an exception. */
static int add_held(pw_request_t *rq, PyObject *chunk, apr_size_t len)
{
    apr_bucket *b =
        pw_hold_create(rq->at, chunk, len, rq->x->buckets, &rq->held);

    if (!b) {
        PyErr_NoMemory();
        return -1;
    }
    APR_BRIGADE_INSERT_TAIL(rq->bb, b);
    return 0;
}

/* Into rq->bb, which is passed when the lease is given back: what is there owns
 * its memory. */
static int send_chunks(pw_request_t *rq, PyObject *chunks)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(chunks) && !rq->overlong; i++) {
        PyObject *chunk = PyTuple_GET_ITEM(chunks, i); /* borrowed */
        apr_size_t len = clip(rq, (apr_size_t)PyBytes_GET_SIZE(chunk));

        if (len < HOLD_MIN) {
            apr_brigade_write(rq->bb, NULL, NULL, PyBytes_AS_STRING(chunk),
                              len);
        }
        else if (add_held(rq, chunk, len) < 0) {
            return -1;
        }
        rq->sent += (apr_off_t)len;
    }
    return 0;
}

/* A HEAD of no bytes says nothing of what a GET would have. */
static void compute_length(pw_request_t *rq, apr_off_t total)
{
    if (!rq->begun && rq->length < 0 && rq->code != 204 && rq->code != 304
        && !(rq->x->head && total == 0)) {
        rq->length = total;
    }
}

static int send_sequence(pw_request_t *rq, PyObject *chunks)
{
    apr_off_t total = measure(chunks);

    if (total < 0) {
        return -1;
    }
    if (rq->status) {
        compute_length(rq, total);
    }
    if (total == 0) {
        return 0;
    }
    if (pw_output_begin(rq) < 0) {
        return -1;
    }
    return pw_response_bodyless(rq) ? 0 : send_chunks(rq, chunks);
}

/* ---- anything else: one chunk after the other -------------------------- */

/* With HEAD and its like the first byte decides the headers, the rest is not
 * asked for. */
static int wants_more(const pw_request_t *rq)
{
    return !rq->overlong && !(rq->begun && pw_response_bodyless(rq));
}

static int send_iterator(pw_request_t *rq, PyObject *iterator)
{
    int rc = 0;

    while (rc == 0 && wants_more(rq)) {
        PyObject *chunk = PyIter_Next(iterator); /* new */

        if (!chunk) {
            return PyErr_Occurred() ? -1 : 0;
        }
        pw_request_claim_own(rq);
        rc = send_now(rq, chunk);
        pw_request_release(rq);
        Py_DECREF(chunk);
    }
    return rc;
}

static int send_iterable(pw_request_t *rq, PyObject *result)
{
    PyObject *iterator = PyObject_GetIter(result); /* new */
    int rc;

    if (!iterator) {
        return -1;
    }
    rc = send_iterator(rq, iterator);
    Py_DECREF(iterator);
    return rc;
}

int pw_output_send(pw_request_t *rq, PyObject *result)
{
    PyObject *chunks; /* new */
    int rc;

    if (PyList_CheckExact(result) || PyTuple_CheckExact(result)) {
        chunks = PySequence_Tuple(result);
        if (!chunks) {
            return -1;
        }
        pw_request_claim_own(rq);
        rc = send_sequence(rq, chunks);
        pw_request_release(rq);
        Py_DECREF(chunks);
        return rc;
    }
    if ((PyObject *)Py_TYPE(result) == rq->mod->wrapper_type) {
        rc = pw_filewrap_send(rq, result);
        if (rc != PW_FILEWRAP_ITERATE) {
            return rc;
        }
    }
    return send_iterable(rq, result);
}

/* ---- the end ----------------------------------------------------------- */

int pw_output_finish(pw_request_t *rq)
{
    int rc;

    pw_request_claim_own(rq);
    rc = pw_output_begin(rq);
    pw_request_release(rq);
    if (rc < 0) {
        return -1;
    }
    if (rq->length > rq->sent && !pw_response_bodyless(rq)) {
        pw_log(&rq->x->log, PW_LOG_ERR,
               "PW0406 %s: the body has %" APR_OFF_T_FMT " bytes, fewer than "
               "its Content-Length of %" APR_OFF_T_FMT "; the response is "
               "aborted",
               rq->app->label, rq->sent, rq->length);
        rq->spoiled = 1;
    }
    return 0;
}

void pw_output_end(pw_request_t *rq)
{
    pw_exchange_t *x = rq->x;

    if (!rq->spoiled && !rq->gone) {
        APR_BRIGADE_INSERT_TAIL(rq->bb, apr_bucket_eos_create(x->buckets));
    }
    if (!APR_BRIGADE_EMPTY(rq->bb) && !rq->gone) {
        x->ops->pass(x, rq->bb);
    }
    apr_brigade_cleanup(rq->bb);
    if (rq->spoiled || rq->gone) {
        x->ops->abort(x);
    }
}
