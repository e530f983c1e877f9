/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_gate: the story of one request, in pw_gate_run. On the request's own
 * thread; it attaches and detaches here, and Python's failures become HTTP
 * statuses here.
 */
#include "pw_gate.h"

#include "pw_environ.h"
#include "pw_exc.h"
#include "pw_output.h"
#include "pw_request.h"
#include "pw_response.h"
#include "pw_runtime.h"

apr_status_t pw_gate_start(apr_pool_t *cpool, const pw_map_t *map,
                           pw_counted_t *counted, pw_runtime_t **rt)
{
    const pw_runtime_setup_t setup = {
        .map = map,
        .module_name = "polywsgi",
        .module_init = pw_pymod_init,
        .counted = counted,
    };

    return pw_runtime_start(cpool, &setup, rt);
}

/* ---- before Python ----------------------------------------------------- */

/* What a client gets whose request body could not be read. */
static int unread_status(apr_status_t rv)
{
    if (rv == APR_ENOSPC) {
        return 413;
    }
    return APR_STATUS_IS_TIMEUP(rv) ? 408 : 400;
}

/* 0, or the HTTP status to answer, logged. A failed load was an error record
 * of its own when it happened: not again for each request. */
static int lease_instance(pw_runtime_t *rt, const pw_app_spec_t *app,
                          pw_exchange_t *x, pw_lease_t *lease, pw_call_t *call)
{
    static const struct {
        const char *code;
        pw_log_level_e level;
        int status;
        pw_refused_e why;
    } refusals[] = {
        [PW_LEASE_FAILED] = {"PW0301", PW_LOG_INFO, 500, PW_REFUSED_FAILED},
        [PW_LEASE_CLOSED] = {"PW0302", PW_LOG_INFO, 503, PW_REFUSED_CLOSED},
        [PW_LEASE_TIMEOUT] = {"PW0303", PW_LOG_ERR, 503, PW_REFUSED_STARTUP},
        [PW_LEASE_STOPPING] = {"PW0304", PW_LOG_INFO, 503, PW_REFUSED_STOPPING},
        [PW_LEASE_FULL] = {"PW0306", PW_LOG_INFO, 503, PW_REFUSED_FULL},
        [PW_LEASE_STUCK] = {"PW0308", PW_LOG_INFO, 503, PW_REFUSED_BUSY},
        [PW_LEASE_LATE] = {"PW0309", PW_LOG_INFO, 503, PW_REFUSED_LATE},
        [PW_LEASE_NONE] = {"PW0307", PW_LOG_INFO, 503, PW_REFUSED_MEMORY},
        [PW_LEASE_LIMIT] = {"PW0323", PW_LOG_WARN, 503, PW_REFUSED_FULL},
    };
    const char *why = NULL;
    pw_lease_e rc;

    lease->call.method = x->method;
    lease->call.path = x->uri;
    lease->call.now = call->since;
    rc = pw_runtime_lease(rt, app, lease, &why);
    if (rc == PW_LEASE_OK) {
        pw_stats_leased(call, lease->stats, lease->call.leased);
        return 0;
    }
    pw_stats_refused(call, refusals[rc].why);
    pw_log(&x->log, refusals[rc].level, "%s %s: %s; %s answered %d",
           refusals[rc].code, app->label, why ? why : "no instance to run it",
           x->uri, refusals[rc].status);
    return refusals[rc].status;
}

/* A body that fits is there before the request takes a place: a slow client
 * holds none. 0, or the HTTP status to answer. */
static int read_ahead(const pw_app_spec_t *app, pw_exchange_t *x,
                      pw_call_t *call)
{
    apr_status_t rv;
    int status;

    if (!x->may_buffer || app->interp->request_buffer == 0) {
        return 0;
    }
    pw_stats_body(call);
    rv = x->ops->read_ahead(x, (apr_size_t)app->interp->request_buffer);
    if (rv == APR_SUCCESS) {
        pw_stats_queue(call);
        return 0;
    }
    status = unread_status(rv);
    pw_stats_served(call, status);
    pw_log(&x->log, PW_LOG_INFO,
           "PW0322 %s: the request body could not be read (status %d), and the "
           "application is not called; %s answered %d",
           app->label, (int)rv, x->uri, status);
    return status;
}

/* The client went away while its request waited. */
static int is_dropped(pw_runtime_t *rt, const pw_app_spec_t *app,
                      pw_exchange_t *x, pw_lease_t *lease, pw_call_t *call)
{
    if (lease->call.leased == lease->call.asked || !x->ops->gone(x)) {
        return 0;
    }
    pw_stats_dropped(call);
    pw_runtime_drop(rt, lease);
    pw_log(&x->log, PW_LOG_INFO,
           "PW0311 %s: the client went away while %s waited for a place; it "
           "is dropped",
           app->label, x->uri);
    return 1;
}

static int no_thread_state(const pw_app_spec_t *app, pw_exchange_t *x)
{
    pw_log(&x->log, PW_LOG_ERR,
           "PW0305 %s: no memory for a thread state; %s answered 503",
           app->label, x->uri);
    return 503;
}

/* ---- failures ---------------------------------------------------------- */

/* The application could not read the request body, and let it pass. */
static void refuse_body(pw_request_t *rq)
{
    int status = unread_status(rq->unread);

    PyErr_Clear();
    rq->answer = status;
    if (rq->begun) {
        pw_log(&rq->x->log, PW_LOG_INFO,
               "PW0409 %s: the request body could not be read (status %d), "
               "and the application gave up; the response is aborted",
               rq->app->label, (int)rq->unread);
    }
    else {
        pw_log(&rq->x->log, PW_LOG_INFO,
               "PW0408 %s: the request body could not be read (status %d), "
               "and the application gave up; answered %d",
               rq->app->label, (int)rq->unread, status);
    }
}

/* The application, or sending for it, has failed: one record, unless there was
 * one, and what the client gets. An exception may be pending. */
static void fail(pw_request_t *rq)
{
    int os_error = PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_OSError);

    rq->failed = 1;
    rq->spoiled = 1;
    rq->answer = 500;
    if (rq->gone && os_error) {
        PyErr_Clear();
    }
    else if (rq->unread != APR_SUCCESS && os_error) {
        refuse_body(rq);
    }
    else if (PyErr_Occurred()) {
        rq->raised = 1;
        pw_exc_log(rq->at, &rq->x->log, PW_LOG_ERR,
                   rq->begun ? "PW0402" : "PW0401", rq->app->label,
                   rq->begun ? "%s %s failed after its headers were sent, the "
                               "response is aborted"
                             : "%s %s failed, answered 500",
                   rq->x->method, rq->x->uri);
    }
}

/* ---- the application --------------------------------------------------- */

static PyObject *call_application(pw_request_t *rq, PyObject *env) /* new */
{
    PyObject *callable = pw_interp_callable(rq->at, rq->app->slot);
    PyObject *args[3] = {NULL, env, NULL};
    PyObject *result;

    if (!callable) {
        PyErr_SetString(PyExc_RuntimeError, "the application is not loaded");
        return NULL;
    }
    rq->response = pw_response_new(rq);
    if (!rq->response) {
        return NULL;
    }
    Py_INCREF(callable); /* a reload may replace it meanwhile */
    args[2] = rq->response;
    result = PyObject_Vectorcall(callable, args + 1,
                                 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(callable);
    return result;
}

/* PEP 3333: once, however the request ended; what it raises cannot change the
 * response any more. */
static void close_result(pw_request_t *rq, PyObject *result)
{
    PyObject *close = NULL, *done = NULL; /* new */
    int found;

    if (PyList_CheckExact(result) || PyTuple_CheckExact(result)) {
        return;
    }
    found = pw_py_optional_attr(result, rq->mod->close, &close);
    if (found > 0) {
        done = PyObject_CallNoArgs(close);
    }
    if (found < 0 || (found > 0 && !done)) {
        pw_exc_log(rq->at, &rq->x->log, PW_LOG_ERR, "PW0405", rq->app->label,
                   "%s %s: close() failed, the response stays as it is",
                   rq->x->method, rq->x->uri);
    }
    Py_XDECREF(done);
    Py_XDECREF(close);
}

/* Everything that needs Python. Attached, no exception pending after it. */
static void run_application(pw_request_t *rq)
{
    PyObject *env = NULL, *result = NULL; /* new */
    int rc = -1;

    env = pw_environ_new(rq);
    if (!env) {
        goto done;
    }
    result = call_application(rq, env);
    if (!result) {
        goto done;
    }
    rc = pw_output_send(rq, result);
    if (rc == 0) {
        rc = pw_output_finish(rq);
    }

done:
    if (rc < 0) {
        fail(rq);
    }
    if (result) {
        close_result(rq, result);
    }
    Py_XDECREF(result);
    Py_XDECREF(env);
    pw_request_close(rq);
}

static int answered(const pw_request_t *rq)
{
    return rq->begun ? rq->code : rq->answer;
}

/* In the instance that was leased; gives it back. 0, or no thread state: -1. */
static int run_leased(pw_request_t *rq, pw_lease_t *lease, pw_call_t *call)
{
    pw_request_t *outer;
    pw_attached_t at;

    if (pw_interp_enter(lease->instance, &at) < 0) {
        pw_stats_refused(call, PW_REFUSED_MEMORY);
        pw_runtime_return(lease);
        return -1;
    }
    pw_stats_attached(call);
    rq->at = &at;
    rq->held = -pw_interp_drop(&at);
    rq->mod = pw_pymod_state(pw_interp_module(&at));
    outer = pw_request_enter(rq);
    run_application(rq);
    pw_request_leave(outer);
    pw_interp_leave(&at);
    if (rq->raised) {
        pw_stats_raised(call);
    }
    pw_stats_detached(call, answered(rq));
    lease->call.held = rq->held;
    pw_runtime_return(lease);
    return 0;
}

int pw_gate_run(pw_runtime_t *rt, const pw_app_spec_t *app, pw_exchange_t *x)
{
    pw_request_t rq = {.x = x, .app = app, .length = -1};
    pw_call_t call = {.interp = pw_runtime_stats(rt, app->interp->index),
                      .index = app->interp->index,
                      .label = app->label,
                      .method = x->method,
                      .path = x->uri};
    pw_caller_t *caller = pw_runtime_caller(rt);
    pw_lease_t lease = {.instance = NULL};
    int status;

    if (!caller) {
        return no_thread_state(app, x);
    }
    pw_stats_accept(caller, &call);
    status = read_ahead(app, x, &call);
    if (status == 0) {
        status = lease_instance(rt, app, x, &lease, &call);
    }
    if (status != 0) {
        return status;
    }
    if (is_dropped(rt, app, x, &lease, &call)) {
        return 503;
    }
    rq.bb = apr_brigade_create(x->pool, x->buckets);
    if (run_leased(&rq, &lease, &call) < 0) {
        return no_thread_state(app, x);
    }
    if (rq.begun) {
        pw_output_end(&rq);
    }
    pw_stats_served(&call, answered(&rq));
    return rq.begun ? 0 : rq.answer;
}
