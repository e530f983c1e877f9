/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_response: the type of start_response. Attached throughout. What breaks
 * PEP 3333 raises in the application, naming the header: nothing of it has
 * changed the response then.
 */
#include "pw_response.h"

#include <string.h>

#include "pw_header.h"
#include "pw_output.h"

typedef struct response_t {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    pw_request_t *rq; /* tether: NULL after the end of the request */
} response_t;

/* A checked call of start_response. */
typedef struct start_t {
    PyObject *status;   /* borrowed from the caller */
    PyObject *headers;  /* borrowed from the caller */
    PyObject *exc_info; /* borrowed from the caller; NULL or None: none */
    PyObject *fixed;    /* owned: headers as a tuple */
    int code;
    apr_off_t length;
} start_t;

/* ---- checks ------------------------------------------------------------ */

static int check_status(start_t *s)
{
    Py_ssize_t len = 0;
    const char *text = pw_py_latin1(s->status, &len);
    const char *bad;

    if (!text) {
        PyErr_Format(PyExc_TypeError,
                     "start_response: the status must be a str of latin-1 "
                     "characters like '200 OK', not %R",
                     s->status);
        return -1;
    }
    bad = pw_header_bad_status(text, (apr_size_t)len);
    if (bad) {
        PyErr_Format(PyExc_ValueError, "start_response: the status %R %s",
                     s->status, bad);
        return -1;
    }
    s->code = (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
    return 0;
}

static int note_length(start_t *s, PyObject *value, const char *text,
                       Py_ssize_t len)
{
    apr_off_t length = pw_header_length(text, (apr_size_t)len);

    if (length < 0) {
        PyErr_Format(PyExc_ValueError,
                     "start_response: Content-Length %R is not a number of "
                     "bytes",
                     value);
        return -1;
    }
    if (s->length >= 0) {
        PyErr_SetString(PyExc_ValueError,
                        "start_response: Content-Length is given twice");
        return -1;
    }
    s->length = length;
    return 0;
}

static int check_header(start_t *s, PyObject *name, PyObject *value)
{
    Py_ssize_t nlen = 0, vlen = 0;
    const char *ntext = pw_py_latin1(name, &nlen);
    const char *vtext = pw_py_latin1(value, &vlen);
    const char *bad;

    if (!ntext || !vtext) {
        PyErr_Format(PyExc_TypeError,
                     "start_response: header %R: name and value must be str "
                     "of latin-1 characters, and the value is %R",
                     name, value);
        return -1;
    }
    bad = pw_header_bad_name(ntext, (apr_size_t)nlen);
    if (bad) {
        PyErr_Format(PyExc_ValueError, "start_response: the header name %R %s",
                     name, bad);
        return -1;
    }
    bad = pw_header_bad_value(vtext, (apr_size_t)vlen);
    if (bad) {
        PyErr_Format(PyExc_ValueError,
                     "start_response: header %R: its value %R %s", name, value,
                     bad);
        return -1;
    }
    if (pw_header_is(ntext, (apr_size_t)nlen, "content-length")) {
        return note_length(s, value, vtext, vlen);
    }
    return 0;
}

/* The application may change its list later: a tuple of it is kept. */
static int check_headers(start_t *s)
{
    if (!PyList_Check(s->headers)) {
        PyErr_Format(PyExc_TypeError,
                     "start_response: the headers must be a list of (name, "
                     "value) tuples, not %s",
                     Py_TYPE(s->headers)->tp_name);
        return -1;
    }
    s->fixed = PyList_AsTuple(s->headers);
    for (Py_ssize_t i = 0; s->fixed && i < PyTuple_GET_SIZE(s->fixed); i++) {
        PyObject *pair = PyTuple_GET_ITEM(s->fixed, i); /* borrowed */

        if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
            PyErr_Format(PyExc_TypeError,
                         "start_response: a header must be a (name, value) "
                         "tuple, not %R",
                         pair);
            return -1;
        }
        if (check_header(s, PyTuple_GET_ITEM(pair, 0),
                         PyTuple_GET_ITEM(pair, 1))
            < 0) {
            return -1;
        }
    }
    return s->fixed ? 0 : -1;
}

/* ---- start_response ---------------------------------------------------- */

static int raise_ended(void)
{
    PyErr_SetString(PyExc_RuntimeError,
                    "start_response was called after the end of its request");
    return -1;
}

/* PEP 3333: after the headers are sent, exc_info is raised again. -1. */
static int raise_again(PyObject *exc_info)
{
    PyObject *value = PyTuple_GET_ITEM(exc_info, 1);     /* borrowed */
    PyObject *traceback = PyTuple_GET_ITEM(exc_info, 2); /* borrowed */

    if (!PyExceptionInstance_Check(value)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "start_response: the headers are sent already");
        return -1;
    }
    if (PyTraceBack_Check(traceback)) {
        PyException_SetTraceback(value, traceback);
    }
    pw_py_raise(Py_NewRef(value));
    return -1;
}

static int check_turn(const pw_request_t *rq, const start_t *s)
{
    if (!s->exc_info || s->exc_info == Py_None) {
        if (rq->started) {
            PyErr_SetString(PyExc_AssertionError,
                            "start_response was called already; a second call "
                            "needs exc_info");
            return -1;
        }
        return 0;
    }
    if (!PyTuple_Check(s->exc_info) || PyTuple_GET_SIZE(s->exc_info) != 3) {
        PyErr_Format(PyExc_TypeError,
                     "start_response: exc_info must be the tuple of "
                     "sys.exc_info(), not %s",
                     Py_TYPE(s->exc_info)->tp_name);
        return -1;
    }
    return rq->begun ? raise_again(s->exc_info) : 0;
}

/*
 * PEP 3333: a call that is refused is a call, and the next needs exc_info.
 * Checking and dropping objects may run Python, and meanwhile the request may
 * end where this is a thread of the application: it is looked for again after
 * the checks, and what it held is dropped when it is not needed any more.
 */
static int start(response_t *response, start_t *s)
{
    pw_request_t *rq = response->rq;
    PyObject *status, *headers; /* owned: of an earlier call */

    if (check_turn(rq, s) < 0) {
        return -1;
    }
    rq->started = 1;
    if (check_status(s) < 0 || check_headers(s) < 0) {
        return -1;
    }
    if (!response->rq) {
        return raise_ended();
    }
    status = rq->status;
    headers = rq->headers;
    rq->status = Py_NewRef(s->status);
    rq->headers = Py_NewRef(s->fixed);
    rq->code = s->code;
    rq->length = s->length;
    Py_XDECREF(status);
    Py_XDECREF(headers);
    return 0;
}

/* PEP 3333 has all three by position; exc_info by name is common. */
static int parse_call(const pw_pymod_t *mod, PyObject *const *args,
                      size_t nargsf, PyObject *kwnames, start_t *s)
{
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    Py_ssize_t nkw = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;

    if (nargs < 2 || nargs + nkw > 3
        || (nkw == 1
            && PyUnicode_Compare(PyTuple_GET_ITEM(kwnames, 0), mod->exc_info)
                   != 0)) {
        PyErr_SetString(PyExc_TypeError, "start_response takes status, headers "
                                         "and optionally exc_info");
        return -1;
    }
    s->status = args[0];
    s->headers = args[1];
    s->exc_info = nargs + nkw == 3 ? args[2] : NULL;
    return 0;
}

static PyObject *response_call(PyObject *self, PyObject *const *args,
                               size_t nargsf, PyObject *kwnames)
{
    response_t *response = (response_t *)self;
    const pw_pymod_t *mod; /* outlives the request */
    start_t s = {.length = -1};
    int rc;

    if (!response->rq) {
        raise_ended();
        return NULL;
    }
    mod = response->rq->mod;
    if (parse_call(mod, args, nargsf, kwnames, &s) < 0) {
        return NULL;
    }
    rc = start(response, &s);
    Py_XDECREF(s.fixed);
    return rc < 0 ? NULL : PyObject_GetAttr(self, mod->write);
}

/* ---- write ------------------------------------------------------------- */

static PyObject *response_write(PyObject *self, PyObject *data)
{
    pw_request_t *rq = ((response_t *)self)->rq;
    int rc;

    if (!rq) {
        PyErr_SetString(PyExc_RuntimeError,
                        "write was called after the end of its request");
        return NULL;
    }
    if (pw_request_claim(rq) < 0) {
        return NULL;
    }
    rc = pw_output_write(rq, data);
    pw_request_release(rq);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

int pw_response_bodyless(const pw_request_t *rq)
{
    return rq->x->head || rq->code == 204 || rq->code == 304;
}

/* ---- the type ---------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"write", response_write, METH_O, "Sends bytes of the body at once."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(response_t, vectorcall),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static void response_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot slots[] = {
    {Py_tp_doc, "start_response(status, headers, exc_info=None) -> write"},
    {Py_tp_dealloc, (void *)response_dealloc},
    {Py_tp_traverse, (void *)pw_py_traverse_type},
    {Py_tp_call, (void *)PyVectorcall_Call},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {0, NULL},
};

PyType_Spec pw_response_spec = {
    .name = "polywsgi._StartResponse",
    .basicsize = sizeof(response_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = slots,
};

PyObject *pw_response_new(pw_request_t *rq)
{
    response_t *response = (response_t *)pw_py_take(
        &rq->mod->spare_response, rq->mod->response_type); /* new */

    if (response) {
        response->rq = rq;
        response->vectorcall = response_call;
    }
    return (PyObject *)response;
}

void pw_response_cut(PyObject *response)
{
    ((response_t *)response)->rq = NULL;
}
