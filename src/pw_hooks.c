/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_hooks: one hook at a time, so that each failure is a record when it
 * happens. Attached throughout, on the instance's own thread.
 */
#include "pw_hooks.h"

#include "pw_exc.h"
#include "pw_instance.h"

/* Logs the pending exception: no hook of this kind is called any more. */
static void log_unable(pw_attached_t *at, const pw_log_t *log,
                       const char *label)
{
    pw_exc_log(at, log, PW_LOG_ERR, "PW0153", label,
               "its hooks cannot be called; it goes on without them");
}

/* outcome: a tuple of run_start. */
static void log_started(pw_attached_t *at, const pw_app_spec_t *app,
                        PyObject *outcome)
{
    const char *name;
    PyObject *raised; /* borrowed from outcome */

    if (!PyArg_ParseTuple(outcome, "sO", &name, &raised)) {
        log_unable(at, &app->log, app->label);
    }
    else if (raised != Py_None) {
        pw_py_raise(Py_NewRef(raised));
        pw_exc_log(at, &app->log, PW_LOG_ERR, "PW0150", app->label,
                   "the hook %s of polywsgi.on_start failed; the application "
                   "serves all the same",
                   name);
    }
}

void pw_hooks_start(pw_attached_t *at, const pw_app_spec_t *app)
{
    PyObject *outcome = pw_interp_call(at, "run_start", "()"); /* new */

    while (outcome && outcome != Py_None) {
        log_started(at, app, outcome);
        Py_DECREF(outcome);
        outcome = pw_interp_call(at, "run_start", "()");
    }
    if (!outcome) {
        log_unable(at, &app->log, app->label);
    }
    Py_XDECREF(outcome);
}

/* outcome: a tuple of run_stop. */
static void log_stopped(pw_attached_t *at, PyObject *outcome)
{
    const pw_interp_spec_t *spec = at->instance->spec;
    const char *name;
    PyObject *raised; /* borrowed from outcome */
    int done, share;

    if (!PyArg_ParseTuple(outcome, "sOpi", &name, &raised, &done, &share)) {
        log_unable(at, &spec->log, spec->name);
    }
    else if (!done) {
        pw_log(&spec->log, PW_LOG_WARN,
               "PW0152 %s: the hook %s of its end has not returned within %d "
               "ms; the rest of its end goes on",
               spec->name, name, share);
    }
    else if (raised != Py_None) {
        pw_py_raise(Py_NewRef(raised));
        pw_exc_log(at, &spec->log, PW_LOG_ERR, "PW0151", spec->name,
                   "the hook %s of its end failed; the rest of its end goes on",
                   name);
    }
}

/* New: a tuple; None where no hook is left; NULL with an exception. */
static PyObject *run_next(pw_attached_t *at, pw_instant_t deadline,
                          const char *reason)
{
    pw_instant_t now = pw_now();
    double left =
        deadline > now ? (double)(deadline - now) / APR_USEC_PER_SEC : 0;

    return pw_interp_call(at, "run_stop", "(ds)", left, reason);
}

void pw_hooks_stop(pw_attached_t *at, double seconds, const char *reason)
{
    const pw_interp_spec_t *spec = at->instance->spec;
    pw_instant_t deadline =
        pw_now() + (pw_instant_t)(seconds * APR_USEC_PER_SEC);
    PyObject *outcome = run_next(at, deadline, reason); /* new */

    while (outcome && outcome != Py_None) {
        log_stopped(at, outcome);
        Py_DECREF(outcome);
        outcome = run_next(at, deadline, reason);
    }
    if (!outcome) {
        log_unable(at, &spec->log, spec->name);
    }
    Py_XDECREF(outcome);
}
