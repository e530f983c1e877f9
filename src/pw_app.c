/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_app: loads one application through src/py/load.py and writes the records
 * that an administrator reads when it does not load.
 */
#include "pw_app.h"

#include <errno.h>
#include <sys/stat.h>

#include "pw_changes.h"
#include "pw_exc.h"
#include "pw_hooks.h"
#include "pw_py.h"

/* A number that changes when the file does, or when it comes or goes. Never
 * 0. ctime is in it: a chmod mends an unreadable script. */
static apr_uint64_t file_stamp(const char *path)
{
    struct stat st;
    apr_uint64_t h = 1469598103934665603u; /* FNV-1a over words */

    if (stat(path, &st) != 0) {
        return (apr_uint64_t)errno + 1;
    }
    h = (h ^ (apr_uint64_t)st.st_ino) * 1099511628211u;
    h = (h ^ (apr_uint64_t)st.st_size) * 1099511628211u;
    h = (h ^ (apr_uint64_t)st.st_mtim.tv_sec) * 1099511628211u;
    h = (h ^ (apr_uint64_t)st.st_mtim.tv_nsec) * 1099511628211u;
    h = (h ^ (apr_uint64_t)st.st_ctim.tv_sec) * 1099511628211u;
    h = (h ^ (apr_uint64_t)st.st_ctim.tv_nsec) * 1099511628211u;
    return h | ((apr_uint64_t)1 << 63);
}

static apr_uint64_t *tried_of(pw_runtime_t *rt, const pw_app_spec_t *app)
{
    return &rt->tried[app->interp->index][app->slot];
}

int pw_app_changed(pw_runtime_t *rt, const pw_app_spec_t *app)
{
    apr_uint64_t last;

    if (!app->script) {
        return 0;
    }
    last = __atomic_load_n(tried_of(rt, app), __ATOMIC_ACQUIRE);
    return last != file_stamp(app->script);
}

/* Names each extension module that refused this interpreter, once a load.
 * names may be NULL. An exception of the calls in here is cleared. Attached. */
static void log_refused(const pw_app_spec_t *app, PyObject *names, int failed)
{
    for (Py_ssize_t i = 0; names && i < PyList_Size(names); i++) {
        const char *name = PyUnicode_AsUTF8(PyList_GetItem(names, i));

        if (name && failed) {
            pw_log(&app->log, PW_LOG_ERR,
                   "PW0203 %s: the extension module %s does not load in an "
                   "interpreter of this kind (%s). Mend: run the application "
                   "in the main interpreter, application-group=%%{GLOBAL}",
                   app->label, name, pw_isolation_name(app->interp->isolation));
        }
        else if (name) {
            pw_log(&app->log, PW_LOG_INFO,
                   "PW0204 %s: loaded without the extension module %s, which "
                   "refuses an interpreter of this kind (%s); its package "
                   "went on without it, perhaps slower",
                   app->label, name, pw_isolation_name(app->interp->isolation));
        }
    }
    PyErr_Clear();
}

/* What src/py/cause.py makes of the exception, where it has something to say.
 * An exception of the calls in here is cleared. Attached. */
static void log_cause(pw_attached_t *at, const pw_app_spec_t *app,
                      PyObject *exception, PyObject *refused)
{
    const char *cause, *mend, *details;
    PyObject *found = NULL; /* new: a tuple, or None */

    if (pw_interp_add_part(at, "explain", "<polywsgi cause>", pw_py_cause)
        == 0) {
        found = pw_interp_call(at, "explain", "(OzO)", exception, app->script,
                               refused);
    }
    if (found && PyTuple_Check(found)
        && PyArg_ParseTuple(found, "sss", &cause, &mend, &details)) {
        pw_log(&app->log, PW_LOG_ERR, "PW0205 %s: %s. Mend: %s", app->label,
               cause, mend);
        if (*details) {
            pw_log(&app->log, PW_LOG_ERR, "PW0206 %s: %s", app->label, details);
        }
    }
    Py_XDECREF(found);
    PyErr_Clear();
}

/* The records that say why, ahead of those that say what. The pending
 * exception is there afterwards as before. */
static void log_why(pw_attached_t *at, const pw_app_spec_t *app)
{
    PyObject *exception = pw_py_take_exception(); /* new */
    PyObject *names;                              /* new: list */

    if (!exception) {
        return;
    }
    names = pw_interp_call(at, "refused", "()");
    if (names && PyList_Check(names)) {
        log_refused(app, names, 1);
        log_cause(at, app, exception, names);
    }
    Py_XDECREF(names);
    PyErr_Clear();
    pw_py_raise(exception);
}

static void log_refused_quietly(pw_attached_t *at, const pw_app_spec_t *app)
{
    PyObject *names = pw_interp_call(at, "refused", "()"); /* new: list */

    log_refused(app, names, 0);
    Py_XDECREF(names);
}

/* Is the pending exception load.py's Closed? */
static int script_closed(pw_attached_t *at)
{
    PyObject *closed; /* borrowed from functions */

    closed = PyDict_GetItemString(at->instance->functions, "Closed");
    return closed && PyErr_ExceptionMatches(closed);
}

static void log_closed(const pw_app_spec_t *app)
{
    PyObject *exception = pw_py_take_exception();               /* new */
    PyObject *str = exception ? PyObject_Str(exception) : NULL; /* new */
    const char *words = str ? PyUnicode_AsUTF8(str) : NULL;

    pw_log(&app->log, PW_LOG_ERR,
           "PW0202 %s: %s; requests to it are answered 503 until it can be "
           "read",
           app->label, words ? words : app->script);
    Py_XDECREF(str);
    Py_XDECREF(exception);
    PyErr_Clear();
}

/* Of WSGIImportScript: no request waits for it, so none has it tried again. */
static pw_lease_e log_failed_import(pw_attached_t *at, const pw_app_spec_t *app)
{
    pw_exc_log(at, &app->log, PW_LOG_ERR, "PW0220", app->label,
               "WSGIImportScript %s failed; the interpreter goes on without "
               "it, and a new child runs it again",
               app->script);
    return PW_LEASE_FAILED;
}

static pw_lease_e log_failure(pw_attached_t *at, const pw_app_spec_t *app,
                              const char *retry)
{
    pw_metrics_add(&at->instance->rt->metrics, load_failures);
    log_why(at, app);
    if (!app->callable) {
        return log_failed_import(at, app);
    }
    if (script_closed(at)) {
        log_closed(app);
        return PW_LEASE_CLOSED;
    }
    pw_exc_log(at, &app->log, PW_LOG_ERR, "PW0201", app->label,
               "cannot load %s (%s)", app->script ? app->script : app->module,
               retry);
    return PW_LEASE_FAILED;
}

/* Before it is loaded. */
static void note_tried(pw_instance_t *inst, const pw_app_spec_t *app)
{
    apr_uint64_t now = app->script ? file_stamp(app->script) : 0;

    __atomic_store_n(tried_of(inst->rt, app), now, __ATOMIC_RELEASE);
}

pw_lease_e pw_app_load(pw_instance_t *inst, int slot, const char *retry)
{
    const pw_app_spec_t *app = pw_runtime_app(inst->rt, inst->spec, slot);
    pw_instant_t begin = pw_now();
    pw_attached_t at;
    pw_lease_e rc = PW_LEASE_OK;
    PyObject *callable;

    note_tried(inst, app);
    pw_interp_enter_own(inst, &at);
    callable = pw_interp_call(&at, "load", "(zzz)", app->script, app->module,
                              app->callable); /* new */
    if (callable) {
        Py_XSETREF(inst->callables[slot], callable);
        pw_metrics_add(&inst->rt->metrics, loads);
        log_refused_quietly(&at, app);
        pw_hooks_start(&at, app);
        pw_log(&app->log, PW_LOG_INFO, "PW0200 %s: loaded in %d ms (%s)",
               app->label, (int)((pw_now() - begin) / 1000),
               pw_isolation_name(inst->spec->isolation));
    }
    else {
        rc = log_failure(&at, app, retry);
    }
    pw_changes_watch(&at);
    pw_interp_leave(&at);
    pw_stats_loaded(pw_interp_stats(inst), inst->member.stats,
                    rc == PW_LEASE_OK, inst->generation > 1, pw_now() - begin);
    return rc;
}
