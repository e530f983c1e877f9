/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_errors: the stream type. Attached throughout; the GIL guards the part of
 * a line that a stream holds. Writing to a log never runs Python.
 */
#include "pw_errors.h"

#include <stdio.h>
#include <string.h>

#include "pw_interp.h"
#include "pw_log.h"
#include "pw_request.h"

/* A longer line becomes several records: httpd cuts at about 8,000. */
#define LINE_MAX_BYTES 4000

typedef struct stream_t {
    PyObject_HEAD
    PyObject *name; /* owned: str, read-only */
    char *part;     /* PyMem, LINE_MAX_BYTES; NULL until needed */
    size_t held;    /* bytes in part */
    int out;        /* 1: stdout */
    PyObject *of;   /* owned: the stream whose `buffer` this is, or NULL */
} stream_t;

/* ---- lines ------------------------------------------------------------- */

/* A NUL would end the record, and hide what follows it. */
static const char *without_nul(char *copy, size_t size, const char *line,
                               size_t len)
{
    size_t n = len < size ? len : size - 1;

    for (size_t i = 0; i < n; i++) {
        copy[i] = line[i];
        if (!line[i]) {
            copy[i] = '?';
        }
    }
    copy[n] = '\0';
    return copy;
}

static void emit(const stream_t *s, const char *line, size_t len)
{
    static const struct {
        const char *code;
        pw_log_level_e level;
    } kinds[] = {{"PW0501", PW_LOG_ERR}, {"PW0502", PW_LOG_WARN}};
    const pw_request_t *rq = pw_request_current();
    const pw_instance_t *instance = rq ? NULL : pw_interp_current();
    const char *code = kinds[s->out].code;
    pw_log_level_e level = kinds[s->out].level;
    char copy[LINE_MAX_BYTES + 1];

    line = without_nul(copy, sizeof(copy), line, len);
    if (rq) {
        pw_log(&rq->x->log, level, "%s %s: %s", code, rq->app->label, line);
    }
    else if (instance) {
        const pw_interp_spec_t *spec = pw_interp_spec(instance);

        pw_log(&spec->log, level, "%s %s: %s", code, spec->name, line);
    }
    else {
        fprintf(stderr, "%s polywsgi: %s\n", code, line);
    }
}

/* Where to cut a line that is too long: not inside a UTF-8 character. */
static size_t cut(const char *text, size_t len)
{
    size_t at = len;

    while (at > len - 4 && ((unsigned char)text[at - 1] & 0xc0) == 0x80) {
        at--;
    }
    if (at > len - 4 && (unsigned char)text[at - 1] >= 0xc0) {
        at--;
    }
    return at > len - 4 ? at : len;
}

/* NULL where the collector takes the stream's type apart before the stream: at
 * the end of an interpreter. No exception. */
static pw_pymod_t *state_of(const stream_t *s)
{
    PyTypeObject *type = Py_TYPE(s);

    return ((PyHeapTypeObject *)type)->ht_module ? pw_pymod_state_of(type)
                                                 : NULL;
}

static void flush_part(stream_t *s)
{
    if (s->held > 0) {
        pw_pymod_t *mod = state_of(s);
        size_t held = s->held;

        s->held = 0;
        if (mod) {
            mod->partial--;
        }
        emit(s, s->part, held);
    }
}

static int keep(stream_t *s, const char *text, size_t len)
{
    pw_pymod_t *mod = state_of(s);

    if (len == 0) {
        return 0;
    }
    if (!mod) {
        emit(s, text, len);
        return 0;
    }
    if (!s->part) {
        s->part = PyMem_Malloc(LINE_MAX_BYTES);
        if (!s->part) {
            PyErr_NoMemory();
            return -1;
        }
    }
    if (s->held == 0) {
        mod->partial++;
    }
    memcpy(s->part + s->held, text, len);
    s->held += len;
    return 0;
}

/* One line, or the last part of the text where it does not end: len bytes. */
static int feed(stream_t *s, const char *text, size_t len, int ends)
{
    while (s->held + len > LINE_MAX_BYTES) {
        size_t room = LINE_MAX_BYTES - s->held;
        size_t take = room < 8 ? 0 : cut(text, room);

        if (keep(s, text, take) < 0) {
            return -1;
        }
        flush_part(s);
        text += take;
        len -= take;
    }
    if (ends && s->held == 0) {
        if (len > 0) {
            emit(s, text, len);
        }
        return 0;
    }
    if (keep(s, text, len) < 0) {
        return -1;
    }
    if (ends) {
        flush_part(s);
    }
    return 0;
}

static int feed_lines(stream_t *s, const char *text, size_t len)
{
    const char *end = text + len;

    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t part = (size_t)((newline ? newline : end) - text);

        if (feed(s, text, part, newline != NULL) < 0) {
            return -1;
        }
        text += part + (newline != NULL);
    }
    return 0;
}

/* Lone surrogates (a file name that is not UTF-8) must not lose the line. */
static int feed_escaped(stream_t *s, PyObject *text)
{
    PyObject *bytes; /* new */
    int rc;

    PyErr_Clear();
    bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    if (!bytes) {
        return -1;
    }
    rc = feed_lines(s, PyBytes_AS_STRING(bytes),
                    (size_t)PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return rc;
}

/* ---- methods ----------------------------------------------------------- */

static int write_text(stream_t *s, PyObject *text)
{
    const char *utf8;
    Py_ssize_t len;

    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "%U: write() takes str, not %s", s->name,
                     Py_TYPE(text)->tp_name);
        return -1;
    }
    utf8 = PyUnicode_AsUTF8AndSize(text, &len);
    if (!utf8) {
        return feed_escaped(s, text);
    }
    return feed_lines(s, utf8, (size_t)len);
}

/* What is written to `buffer` are bytes of the same lines. */
static PyObject *write_bytes(stream_t *s, PyObject *data)
{
    Py_buffer view;
    int rc;

    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    rc = feed_lines((stream_t *)s->of, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return rc < 0 ? NULL : PyLong_FromSsize_t(view.len);
}

static PyObject *stream_write(PyObject *self, PyObject *text)
{
    if (((stream_t *)self)->of) {
        return write_bytes((stream_t *)self, text);
    }
    if (write_text((stream_t *)self, text) < 0) {
        return NULL;
    }
    return PyLong_FromSsize_t(PyUnicode_GET_LENGTH(text));
}

static PyObject *stream_writelines(PyObject *self, PyObject *lines)
{
    PyObject *iterator = PyObject_GetIter(lines); /* new */
    PyObject *line;                               /* new */

    if (!iterator) {
        return NULL;
    }
    for (line = PyIter_Next(iterator); line; line = PyIter_Next(iterator)) {
        PyObject *written = stream_write(self, line); /* new */

        Py_DECREF(line);
        if (!written) {
            break;
        }
        Py_DECREF(written);
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *stream_flush(PyObject *self, PyObject *unused)
{
    stream_t *s = (stream_t *)self;

    (void)unused;
    flush_part(s->of ? (stream_t *)s->of : s);
    Py_RETURN_NONE;
}

static PyObject *stream_false(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_FALSE;
}

static PyObject *stream_true(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_TRUE;
}

/* As io's own streams without a descriptor: callers catch exactly this. */
static PyObject *stream_fileno(PyObject *self, PyObject *unused)
{
    PyObject *io = PyImport_ImportModule("io"); /* new */
    PyObject *type = NULL;                      /* new */

    (void)unused;
    if (io) {
        type = PyObject_GetAttrString(io, "UnsupportedOperation");
        Py_DECREF(io);
    }
    if (type) {
        PyErr_Format(type, "%U goes to the log of httpd and has no descriptor",
                     ((stream_t *)self)->name);
        Py_DECREF(type);
    }
    return NULL;
}

static PyMethodDef methods[] = {
    {"write", stream_write, METH_O, "Logs every complete line of the text."},
    {"writelines", stream_writelines, METH_O, "Writes each str in turn."},
    {"flush", stream_flush, METH_NOARGS, "Logs an unfinished line as it is."},
    {"isatty", stream_false, METH_NOARGS, "False."},
    {"readable", stream_false, METH_NOARGS, "False."},
    {"seekable", stream_false, METH_NOARGS, "False."},
    {"writable", stream_true, METH_NOARGS, "True."},
    {"fileno", stream_fileno, METH_NOARGS, "Raises UnsupportedOperation."},
    {NULL, NULL, 0, NULL},
};

static PyObject *get_name(PyObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(((stream_t *)self)->name);
}

static PyObject *get_text(PyObject *self, void *text)
{
    (void)self;
    return PyUnicode_FromString(text);
}

static PyObject *get_closed(PyObject *self, void *unused)
{
    (void)unused;
    return stream_false(self, NULL);
}

static PyObject *get_line_buffering(PyObject *self, void *unused)
{
    (void)unused;
    return stream_true(self, NULL);
}

static PyObject *make(PyTypeObject *type, PyObject *name);

/* For programs that write bytes: sys.stdout.buffer. */
static PyObject *get_buffer(PyObject *self, void *unused)
{
    stream_t *s = (stream_t *)self, *buffer;

    (void)unused;
    if (s->of) {
        PyErr_SetString(PyExc_AttributeError, "a buffer has no buffer");
        return NULL;
    }
    buffer = (stream_t *)make(Py_TYPE(self), s->name);
    if (buffer) {
        buffer->of = Py_NewRef(self);
    }
    return (PyObject *)buffer;
}

static PyGetSetDef getters[] = {
    {"buffer", get_buffer, NULL, NULL, NULL},
    {"name", get_name, NULL, NULL, NULL},
    {"mode", get_text, NULL, NULL, "w"},
    {"encoding", get_text, NULL, NULL, "utf-8"},
    {"errors", get_text, NULL, NULL, "backslashreplace"},
    {"closed", get_closed, NULL, NULL, NULL},
    {"line_buffering", get_line_buffering, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* ---- the type ---------------------------------------------------------- */

static PyObject *make(PyTypeObject *type, PyObject *name)
{
    stream_t *s = (stream_t *)type->tp_alloc(type, 0); /* new */

    if (s) {
        s->name = Py_NewRef(name);
        s->out = PyUnicode_CompareWithASCIIString(name, "stdout") == 0;
    }
    return (PyObject *)s;
}

static PyObject *stream_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    PyObject *name; /* borrowed from args */

    if (kwds && PyDict_GET_SIZE(kwds) > 0) {
        PyErr_SetString(PyExc_TypeError, "_Stream() takes no keywords");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "U:_Stream", &name)) {
        return NULL;
    }
    return make(type, name);
}

static void stream_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    stream_t *s = (stream_t *)self;

    PyObject_GC_UnTrack(self);
    flush_part(s);
    PyMem_Free(s->part);
    Py_XDECREF(s->name);
    Py_XDECREF(s->of);
    type->tp_free(self);
    Py_DECREF(type);
}

/* `of` is never part of a cycle: that stream does not know this one. */
static int stream_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((stream_t *)self)->of);
    return 0;
}

static PyType_Slot slots[] = {
    {Py_tp_doc, "A text stream whose lines become records of httpd's log."},
    {Py_tp_new, (void *)stream_new},
    {Py_tp_dealloc, (void *)stream_dealloc},
    {Py_tp_traverse, (void *)stream_traverse},
    {Py_tp_methods, methods},
    {Py_tp_getset, getters},
    {0, NULL},
};

PyType_Spec pw_errors_spec = {
    .name = "polywsgi._Stream",
    .basicsize = sizeof(stream_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

PyObject *pw_errors_new(pw_pymod_t *mod)
{
    PyObject *spare = mod->spare_errors;

    mod->spare_errors = NULL;
    return spare ? spare
                 : make((PyTypeObject *)mod->stream_type, mod->wsgi_errors);
}

void pw_errors_flush(PyObject *stream)
{
    flush_part((stream_t *)stream);
}

void pw_errors_flush_std(pw_pymod_t *mod)
{
    static const char *const names[] = {"stdout", "stderr"};

    for (int i = 0; i < 2 && mod->partial > 0; i++) {
        PyObject *stream = PySys_GetObject(names[i]); /* borrowed from sys */

        if (stream && (PyObject *)Py_TYPE(stream) == mod->stream_type) {
            pw_errors_flush(stream);
        }
    }
}
