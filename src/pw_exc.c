/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_exc: takes the pending exception, has src/py/report.py turn it into
 * text, and logs it. Attached; the log never runs Python.
 */
#include "pw_exc.h"

#include <stdio.h>

#include "pw_instance.h"

/* (summary, traceback) from report.py. New, or NULL without an exception. */
static PyObject *report(pw_attached_t *at, PyObject *exception)
{
    PyObject *pair = NULL;

    if (at->instance->functions) {
        pair = pw_interp_call(at, "report", "(O)", exception);
    }
    if (pair
        && (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2
            || !PyUnicode_Check(PyTuple_GET_ITEM(pair, 0))
            || !PyUnicode_Check(PyTuple_GET_ITEM(pair, 1)))) {
        Py_CLEAR(pair);
    }
    PyErr_Clear();
    return pair;
}

/* Borrowed from pair; "?" where a surrogate keeps it from being UTF-8. */
static const char *text(PyObject *pair, Py_ssize_t i)
{
    const char *utf8 = PyUnicode_AsUTF8(PyTuple_GET_ITEM(pair, i));

    if (!utf8) {
        PyErr_Clear();
        return "?";
    }
    return utf8;
}

void pw_exc_log(pw_attached_t *at, const pw_log_t *log, pw_log_level_e level,
                const char *code, const char *label, const char *fmt, ...)
{
    PyObject *exception = pw_py_take_exception();              /* new */
    PyObject *pair = exception ? report(at, exception) : NULL; /* new */
    const char *type = exception ? Py_TYPE(exception)->tp_name : "no exception";
    char what[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    pw_log(log, level, "%s %s: %s: %s", code, label, what,
           pair ? text(pair, 0) : type);
    if (level == PW_LOG_ERR) {
        pw_stats_set_error(pw_interp_stats(at->instance), code,
                           exception ? type : NULL);
    }
    if (pair) {
        pw_log_lines(log, level, code, label, text(pair, 1));
    }
    Py_XDECREF(pair);
    Py_XDECREF(exception);
}
