/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_python: the only file that includes Python.h, and the only one (besides
 * pw_lock.h) with #if on a version: every difference between CPython 3.11 and
 * 3.15 that the module knows is a named shim here.
 */
#ifndef PW_PYTHON_H
#define PW_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#if PY_VERSION_HEX < 0x030B0000 || PY_VERSION_HEX >= 0x03100000
#error "mod_polywsgi needs CPython 3.11 to 3.15"
#endif
#ifdef Py_GIL_DISABLED
#error "mod_polywsgi does not work with a free-threaded CPython"
#endif

/* An interpreter may own its GIL: not before 3.13 (3.12's crashes). */
#if PY_VERSION_HEX >= 0x030D0000
#define PW_HAVE_OWN_GIL 1
#else
#define PW_HAVE_OWN_GIL 0
#endif

/*
 * How many failed loads of an interpreter may be tried again in a fresh one,
 * the failed one ended: as often as needed where nothing is left of it; on
 * 3.13 each leaves 2 to 19 MB (cpython 110411); before, ending is not sound.
 */
#if PY_VERSION_HEX >= 0x030E0000
#define PW_FRESH_RETRIES INT_MAX
#elif PW_HAVE_OWN_GIL
#define PW_FRESH_RETRIES 32
#else
#define PW_FRESH_RETRIES 0
#endif

/* Likewise, how many instances of an interpreter may be ended for
 * WSGIMaxRequests and WSGIIdleTimeout; -1: any number. */
#if PY_VERSION_HEX >= 0x030E0000
#define PW_RENEWALS (-1)
#else
#define PW_RENEWALS PW_FRESH_RETRIES
#endif

/* 3.13 shares freed tuples of _datetime between interpreters unless MAIN has
 * imported it first (cpython 136421); harmless elsewhere. */
#define PW_PRIME_DATETIME (PY_VERSION_HEX < 0x030E0000)

/*
 * Before 3.13 a thread that waits for a shared GIL asks its own interpreter's
 * threads to drop it (ceval_gil.c: take_gil sets gil_drop_request of the
 * waiter's interpreter), so one that computes in another interpreter keeps it
 * for as long as it computes. See pw_runtime.c, keeper_watch.
 */
#define PW_GIL_STARVES (PY_VERSION_HEX < 0x030D0000)

/* In which CPython an OS thread remembers the state that it attached last;
 * before 3.12 it remembers its first one, for ever. */
#define PW_GILSTATE_FOLLOWS (PY_VERSION_HEX >= 0x030C0000)

/*
 * Before PyThreadState_Delete from another thread than the state's: CPython
 * would make the calling thread forget its own state instead, so that
 * PyGILState_Ensure took a finalizer into the main interpreter (pystate.c:
 * unbind_gilstate_tstate asserts that the two are the same).
 */
static inline void pw_py_unbind(PyThreadState *ts)
{
#if PY_VERSION_HEX >= 0x030C0000
    ts->_status.bound_gilstate = 0;
#else
    (void)ts;
#endif
}

/* Slots of a module that knows subinterpreters. */
#if PY_VERSION_HEX >= 0x030C0000
#define PW_MOD_SLOT_SUBINTERPRETERS                                            \
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#else
#define PW_MOD_SLOT_SUBINTERPRETERS
#endif

/*
 * Creates a subinterpreter. On return its first thread state is attached to
 * the calling thread, which is not attached before. NULL: *why says why. The
 * flags are the only sound ones (docs/internals.md): own GIL, own allocator
 * and the extensions' check belong together, and fork kills the child.
 */
#if PY_VERSION_HEX >= 0x030C0000
static inline PyThreadState *pw_py_new_interpreter(int own_gil,
                                                   const char **why)
{
    PyInterpreterConfig config = {
        .use_main_obmalloc = !own_gil,
        .allow_fork = 0,
        .allow_exec = 1,
        .allow_threads = 1,
        .allow_daemon_threads = 1,
        .check_multi_interp_extensions = own_gil,
        .gil = own_gil ? PyInterpreterConfig_OWN_GIL
                       : PyInterpreterConfig_SHARED_GIL,
    };
    PyThreadState *ts = NULL;
    PyStatus status = Py_NewInterpreterFromConfig(&ts, &config);

    if (PyStatus_Exception(status)) {
        *why = status.err_msg ? status.err_msg : "no reason given";
        return NULL;
    }
    return ts;
}
#else
static inline PyThreadState *pw_py_new_interpreter(int own_gil,
                                                   const char **why)
{
    PyThreadState *main_ts = PyThreadState_New(PyInterpreterState_Main());
    PyThreadState *ts;

    (void)own_gil; /* 3.11 has one GIL */
    if (!main_ts) {
        *why = "out of memory";
        return NULL;
    }
    PyEval_RestoreThread(main_ts);
    ts = Py_NewInterpreter();
    PyThreadState_Swap(main_ts);
    PyThreadState_Clear(main_ts);
    if (!ts) {
        *why = "Py_NewInterpreter failed";
        PyThreadState_DeleteCurrent();
        return NULL;
    }
    PyThreadState_Swap(ts);
    PyThreadState_Delete(main_ts);
    return ts;
}
#endif

/* Does the thread state have the GIL of its interpreter now? For whoever has
 * it not: a moment later it may be another. */
static inline int pw_py_holds_gil(PyThreadState *ts)
{
#if PY_VERSION_HEX >= 0x030E0000
    return ts->holds_gil;
#elif PY_VERSION_HEX >= 0x030D0000
    return (int)ts->_status.holds_gil;
#elif PY_VERSION_HEX >= 0x030C0000
    return (int)ts->_status.active;
#else
    return _PyThreadState_UncheckedGet() == ts;
#endif
}

/* Takes the current exception as one normalised object, or NULL. New. */
static inline PyObject *pw_py_take_exception(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *tb;

    PyErr_Fetch(&type, &value, &tb);
    if (!type) {
        return NULL;
    }
    PyErr_NormalizeException(&type, &value, &tb);
    if (tb) {
        PyException_SetTraceback(value, tb);
    }
    Py_DECREF(type);
    Py_XDECREF(tb);
    return value;
#endif
}

/* Raises an exception object again. Steals it. */
static inline void pw_py_raise(PyObject *exception)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(exception);
#else
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_DECREF(exception);
#endif
}

/*
 * The bytes of a str that has only latin-1 characters, NUL-terminated and
 * borrowed from it; NULL, without an exception, for any other object.
 */
static inline const char *pw_py_latin1(PyObject *text, Py_ssize_t *len)
{
    if (!PyUnicode_Check(text)) {
        return NULL;
    }
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_READY(text) < 0) {
        PyErr_Clear();
        return NULL;
    }
#endif
    if (PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND) {
        return NULL;
    }
    *len = PyUnicode_GET_LENGTH(text);
    return (const char *)PyUnicode_1BYTE_DATA(text);
}

/* An attribute that may be missing: 1 and *value (new), 0 and NULL, or -1. */
static inline int pw_py_optional_attr(PyObject *object, PyObject *name,
                                      PyObject **value)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyObject_GetOptionalAttr(object, name, value);
#else
    return _PyObject_LookupAttr(object, name, value);
#endif
}

/*
 * tp_traverse of objects that refer to nothing but their type. Without it the
 * cycle collector does not see that reference, and a cycle from the type over
 * its module to such an object is never freed; CPython frees no memory of an
 * interpreter in which one block is left.
 */
static inline int pw_py_traverse_type(PyObject *self, visitproc visit,
                                      void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

/* The object at *spare, which is NULL then, or a new one of the type. New
 * reference, or NULL with an exception. */
static inline PyObject *pw_py_take(PyObject **spare, PyObject *type)
{
    PyObject *object = *spare;

    *spare = NULL;
    return object ? object
                  : ((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0);
}

#endif
