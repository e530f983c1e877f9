/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_input: the type of wsgi.input. Attached, but around read_body; the
 * request stays claimed from a method's begin to its end, so no second thread
 * sees the block half used.
 */
#include "pw_input.h"

#include <string.h>

/* Read ahead for readline; a read() takes what is left of it first. */
#define BLOCK_SIZE 8192
/* A bytes object of a size that a client chose grows up to it, from here. */
#define FIRST_SIZE 65536

typedef struct input_t {
    PyObject_HEAD
    pw_request_t *rq; /* tether: NULL after the end of the request */
    char *block;      /* PyMem, BLOCK_SIZE; NULL until readline */
    apr_size_t pos;   /* next byte of block */
    apr_size_t len;   /* bytes in block */
    int ended;        /* the end of the body was seen */
} input_t;

/* ---- reading ----------------------------------------------------------- */

static void raise_unread(pw_request_t *rq)
{
    const char *why = "the client went away before the end of the request "
                      "body, or sent a bad one";

    if (rq->unread == APR_ENOSPC) {
        why = "the request body is larger than LimitRequestBody allows";
    }
    else if (APR_STATUS_IS_TIMEUP(rq->unread)) {
        why = "the client sent no more of the request body in time";
    }
    PyErr_SetString(PyExc_OSError, why);
}

/* One read of at most `size` bytes. The number of bytes, 0 at the end, or -1
 * with OSError. Detaches. */
static Py_ssize_t fetch(input_t *in, pw_request_t *rq, char *buf,
                        apr_size_t size)
{
    apr_size_t got = size;
    apr_status_t rv;
    PyThreadState *ts;

    if (in->ended || size == 0) {
        return 0;
    }
    if (rq->unread != APR_SUCCESS) {
        raise_unread(rq);
        return -1;
    }
    ts = PyEval_SaveThread();
    rv = rq->x->ops->read_body(rq->x, buf, &got);
    PyEval_RestoreThread(ts);
    if (rv != APR_SUCCESS) {
        rq->unread = rv;
        raise_unread(rq);
        return -1;
    }
    in->ended = got == 0;
    return (Py_ssize_t)got;
}

static Py_ssize_t take_block(input_t *in, char *buf, Py_ssize_t size)
{
    Py_ssize_t left = (Py_ssize_t)(in->len - in->pos);
    Py_ssize_t take = left < size ? left : size;

    if (take > 0) {
        memcpy(buf, in->block + in->pos, (size_t)take);
        in->pos += (apr_size_t)take;
    }
    return take;
}

/* Gives *bytes room for more, up to size (-1: no bound). 0, or -1 with an
 * exception and *bytes NULL. */
static int grow(PyObject **bytes, Py_ssize_t size)
{
    Py_ssize_t room = PyBytes_GET_SIZE(*bytes);
    Py_ssize_t more = room <= PY_SSIZE_T_MAX / 4 ? 2 * room : PY_SSIZE_T_MAX;

    if (size >= 0 && more > size) {
        more = size;
    }
    return _PyBytes_Resize(bytes, more);
}

static Py_ssize_t first_room(Py_ssize_t size)
{
    return size >= 0 && size < FIRST_SIZE ? size : FIRST_SIZE;
}

/* Exactly size bytes, fewer only at the end of the body; -1: all. New. */
static PyObject *read_bytes(input_t *in, pw_request_t *rq, Py_ssize_t size)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, first_room(size));
    Py_ssize_t used = 0, got;

    while (bytes && (size < 0 || used < size)) {
        if (used == PyBytes_GET_SIZE(bytes) && grow(&bytes, size) < 0) {
            return NULL;
        }
        got = take_block(in, PyBytes_AS_STRING(bytes) + used,
                         PyBytes_GET_SIZE(bytes) - used);
        if (got == 0) {
            got = fetch(in, rq, PyBytes_AS_STRING(bytes) + used,
                        (apr_size_t)(PyBytes_GET_SIZE(bytes) - used));
        }
        if (got < 0) {
            Py_CLEAR(bytes);
        }
        else if (got == 0) {
            break;
        }
        else {
            used += got;
        }
    }
    if (bytes && used < PyBytes_GET_SIZE(bytes)) {
        _PyBytes_Resize(&bytes, used);
    }
    return bytes;
}

/* Bytes in the block, read if it is empty: 0 at the end, -1 with an exception.
 */
static Py_ssize_t fill_block(input_t *in, pw_request_t *rq)
{
    Py_ssize_t got;

    if (in->pos < in->len) {
        return (Py_ssize_t)(in->len - in->pos);
    }
    if (!in->block) {
        in->block = PyMem_Malloc(BLOCK_SIZE);
        if (!in->block) {
            PyErr_NoMemory();
            return -1;
        }
    }
    in->pos = in->len = 0;
    got = fetch(in, rq, in->block, BLOCK_SIZE);
    if (got > 0) {
        in->len = (apr_size_t)got;
    }
    return got;
}

/*
 * Appends to *line (NULL: nothing yet). 0, or -1 with *line NULL. A bytes
 * object of one byte that is made with its content is shared, and cannot grow:
 * hence without.
 */
static int append(PyObject **line, const char *text, Py_ssize_t len)
{
    Py_ssize_t used = *line ? PyBytes_GET_SIZE(*line) : 0;

    if (!*line) {
        *line = PyBytes_FromStringAndSize(NULL, len);
    }
    else {
        _PyBytes_Resize(line, used + len);
    }
    if (!*line) {
        return -1;
    }
    memcpy(PyBytes_AS_STRING(*line) + used, text, (size_t)len);
    return 0;
}

/* Up to and with the newline, at most size bytes (-1: no bound). New. */
static PyObject *read_line(input_t *in, pw_request_t *rq, Py_ssize_t size)
{
    PyObject *line = NULL; /* new */
    Py_ssize_t left = size < 0 ? PY_SSIZE_T_MAX : size;
    int ended = 0;

    while (left > 0 && !ended) {
        Py_ssize_t have = fill_block(in, rq);
        const char *text, *newline;

        if (have <= 0) {
            if (have < 0) {
                Py_CLEAR(line);
                return NULL;
            }
            break;
        }
        text = in->block + in->pos;
        have = have < left ? have : left;
        newline = memchr(text, '\n', (size_t)have);
        if (newline) {
            have = newline - text + 1;
            ended = 1;
        }
        if (append(&line, text, have) < 0) {
            return NULL;
        }
        in->pos += (apr_size_t)have;
        left -= have;
    }
    return line ? line : PyBytes_FromStringAndSize(NULL, 0);
}

/* ---- methods ----------------------------------------------------------- */

static pw_request_t *claim(input_t *in)
{
    if (!in->rq) {
        PyErr_SetString(PyExc_RuntimeError,
                        "wsgi.input was used after the end of its request");
        return NULL;
    }
    return pw_request_claim(in->rq) < 0 ? NULL : in->rq;
}

/* The one optional argument: a size, where None and nothing mean -1. */
static int parse_size(PyObject *const *args, Py_ssize_t nargs, Py_ssize_t *size)
{
    *size = -1;
    if (nargs > 1) {
        PyErr_SetString(PyExc_TypeError, "at most one argument is taken");
        return -1;
    }
    if (nargs == 1 && args[0] != Py_None) {
        *size = PyNumber_AsSsize_t(args[0], PyExc_OverflowError);
        if (*size == -1 && PyErr_Occurred()) {
            return -1;
        }
    }
    return 0;
}

static PyObject *input_read(PyObject *self, PyObject *const *args,
                            Py_ssize_t nargs)
{
    input_t *in = (input_t *)self;
    pw_request_t *rq;
    Py_ssize_t size;
    PyObject *bytes; /* new */

    if (parse_size(args, nargs, &size) < 0) {
        return NULL;
    }
    rq = claim(in);
    if (!rq) {
        return NULL;
    }
    bytes = read_bytes(in, rq, size);
    pw_request_release(rq);
    return bytes;
}

static PyObject *line(input_t *in, Py_ssize_t size) /* new */
{
    pw_request_t *rq = claim(in);
    PyObject *bytes;

    if (!rq) {
        return NULL;
    }
    bytes = read_line(in, rq, size);
    pw_request_release(rq);
    return bytes;
}

static PyObject *input_readline(PyObject *self, PyObject *const *args,
                                Py_ssize_t nargs)
{
    Py_ssize_t size;

    if (parse_size(args, nargs, &size) < 0) {
        return NULL;
    }
    return line((input_t *)self, size);
}

/* The next line, or NULL: at the end without an exception. */
static PyObject *input_next(PyObject *self)
{
    PyObject *bytes = line((input_t *)self, -1); /* new */

    if (bytes && PyBytes_GET_SIZE(bytes) == 0) {
        Py_CLEAR(bytes);
    }
    return bytes;
}

/* Lines until together they have the size of the hint, or all. */
static PyObject *input_readlines(PyObject *self, PyObject *const *args,
                                 Py_ssize_t nargs)
{
    PyObject *lines, *bytes; /* new */
    Py_ssize_t hint, total = 0;
    int rc = 0;

    if (parse_size(args, nargs, &hint) < 0) {
        return NULL;
    }
    lines = PyList_New(0);
    while (lines && rc == 0 && (hint <= 0 || total < hint)) {
        bytes = input_next(self);
        if (!bytes) {
            break;
        }
        total += PyBytes_GET_SIZE(bytes);
        rc = PyList_Append(lines, bytes);
        Py_DECREF(bytes);
    }
    if (PyErr_Occurred()) {
        Py_CLEAR(lines);
    }
    return lines;
}

static PyMethodDef methods[] = {
    {"read", (PyCFunction)(void (*)(void))input_read, METH_FASTCALL,
     "read([size]): that many bytes of the request body, or all that is left."},
    {"readline", (PyCFunction)(void (*)(void))input_readline, METH_FASTCALL,
     "readline([size]): bytes up to a newline, at most size."},
    {"readlines", (PyCFunction)(void (*)(void))input_readlines, METH_FASTCALL,
     "readlines([hint]): a list of lines."},
    {NULL, NULL, 0, NULL},
};

/* ---- the type ---------------------------------------------------------- */

static void input_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    PyMem_Free(((input_t *)self)->block);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot slots[] = {
    {Py_tp_doc, "The body of one request."},
    {Py_tp_dealloc, (void *)input_dealloc},
    {Py_tp_traverse, (void *)pw_py_traverse_type},
    {Py_tp_iter, (void *)PyObject_SelfIter},
    {Py_tp_iternext, (void *)input_next},
    {Py_tp_methods, methods},
    {0, NULL},
};

PyType_Spec pw_input_spec = {
    .name = "polywsgi._Input",
    .basicsize = sizeof(input_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

PyObject *pw_input_new(pw_request_t *rq)
{
    input_t *in = (input_t *)pw_py_take(&rq->mod->spare_input,
                                        rq->mod->input_type); /* new */

    if (in) {
        in->rq = rq;
        in->ended = !rq->x->has_body;
    }
    return (PyObject *)in;
}

void pw_input_cut(PyObject *input)
{
    ((input_t *)input)->rq = NULL;
}

void pw_input_reset(PyObject *input)
{
    input_t *in = (input_t *)input;

    PyMem_Free(in->block);
    in->block = NULL;
    in->pos = in->len = 0;
}
