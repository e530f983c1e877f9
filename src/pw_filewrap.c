/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_filewrap: the type of wsgi.file_wrapper, and its file bucket. Attached
 * throughout: passing the bucket on is left to pw_output.
 */
#include "pw_filewrap.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <apr_portable.h>

#include "pw_output.h"
#include "pw_response.h"

#define BLOCK_SIZE 65536

typedef struct wrapper_t {
    PyObject_HEAD
    PyObject *file; /* owned: the file-like object */
    Py_ssize_t blksize;
} wrapper_t;

/* ---- the file as a bucket ---------------------------------------------- */

typedef struct part_t {
    int fd;           /* the application's own */
    apr_off_t offset; /* its position */
    apr_off_t length; /* from there to the end */
} part_t;

static int is_plain(pw_request_t *rq, PyObject *file)
{
    PyObject *type = (PyObject *)Py_TYPE(file);
    PyObject *raw = NULL; /* new */
    int plain;

    if (type == rq->mod->file_type) {
        return 1;
    }
    if (type != rq->mod->reader_type && type != rq->mod->random_type) {
        return 0;
    }
    plain = pw_py_optional_attr(file, rq->mod->raw, &raw) > 0
            && (PyObject *)Py_TYPE(raw) == rq->mod->file_type;
    Py_XDECREF(raw);
    return plain;
}

/* The result of a method as a number, -1 where there is none. */
static long long ask(PyObject *file, PyObject *method)
{
    PyObject *answer = PyObject_CallMethodNoArgs(file, method); /* new */
    long long number = -1;

    if (answer && PyLong_Check(answer)) {
        number = PyLong_AsLongLong(answer);
    }
    Py_XDECREF(answer);
    return number;
}

/* What was written to the file and is still in its buffer belongs to it. */
static int flush_random(pw_request_t *rq, PyObject *file)
{
    PyObject *done; /* new */

    if ((PyObject *)Py_TYPE(file) != rq->mod->random_type) {
        return 0;
    }
    done = PyObject_CallMethodNoArgs(file, rq->mod->flush);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* tell(), not the descriptor's offset: the buffer has read ahead. */
static int find_part(pw_request_t *rq, PyObject *file, part_t *part)
{
    struct stat st;

    if (!is_plain(rq, file) || flush_random(rq, file) < 0) {
        return -1;
    }
    part->offset = ask(file, rq->mod->tell);
    part->fd = part->offset < 0 ? -1 : (int)ask(file, rq->mod->fileno);
    if (part->fd < 0 || fstat(part->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        return -1;
    }
    part->length = st.st_size > part->offset ? st.st_size - part->offset : 0;
    return 0;
}

/*
 * A file that is cut while it is mapped ends the child by SIGBUS. What is
 * opened for reading is like a document of httpd's; what the application
 * writes, a temporary file for example, it may also cut.
 */
static int is_read_only(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && (flags & O_ACCMODE) == O_RDONLY;
}

/*
 * apr_os_file_put marks the file as one that nobody closes, and the mark would
 * stay when a filter sets the bucket aside; apr_file_dup takes it off and
 * registers the closing.
 */
static apr_status_t add_file(pw_request_t *rq, const part_t *part,
                             apr_off_t length)
{
    apr_pool_t *rpool = rq->x->pool;
    apr_int32_t flags = APR_FOPEN_READ | APR_FOPEN_BINARY
                        | (rq->x->sendfile ? APR_FOPEN_SENDFILE_ENABLED : 0);
    apr_file_t *borrowed = NULL, *own = NULL;
    apr_os_file_t fd = part->fd;
    apr_bucket *bucket;
    apr_status_t rv;

    rv = apr_os_file_put(&borrowed, &fd, flags, rpool);
    if (rv == APR_SUCCESS) {
        rv = apr_file_dup(&own, borrowed, rpool);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    bucket = apr_brigade_insert_file(rq->bb, own, part->offset, length, rpool);
    apr_bucket_file_enable_mmap(bucket,
                                rq->x->map_files && is_read_only(part->fd));
    apr_bucket_file_set_buf_size(bucket, BLOCK_SIZE);
    return APR_SUCCESS;
}

/* Claimed. */
static int send_part(pw_request_t *rq, const part_t *part)
{
    apr_off_t length = part->length;

    if (rq->length < 0 && rq->code != 204 && rq->code != 304) {
        rq->length = length;
    }
    if (pw_response_bodyless(rq)) {
        return pw_output_begin(rq);
    }
    if (length > rq->length) {
        length = rq->length; /* a part of the file is asked for: no fault */
    }
    if (length > 0 && add_file(rq, part, length) != APR_SUCCESS) {
        return PW_FILEWRAP_ITERATE;
    }
    rq->sent += length;
    return pw_output_begin(rq);
}

int pw_filewrap_send(pw_request_t *rq, PyObject *wrapper)
{
    part_t part = {.fd = -1};
    int rc;

    if (!rq->status || rq->begun
        || find_part(rq, ((wrapper_t *)wrapper)->file, &part) < 0) {
        PyErr_Clear(); /* the iteration meets the same, and reports it */
        return PW_FILEWRAP_ITERATE;
    }
    pw_request_claim_own(rq);
    rc = send_part(rq, &part);
    pw_request_release(rq);
    return rc;
}

/* ---- the type ---------------------------------------------------------- */

static PyObject *wrapper_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    PyObject *file; /* borrowed from args */
    Py_ssize_t blksize = 8192;
    wrapper_t *w; /* new */

    if (kwds && PyDict_GET_SIZE(kwds) > 0) {
        PyErr_SetString(PyExc_TypeError,
                        "wsgi.file_wrapper takes its arguments by position");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "O|n:file_wrapper", &file, &blksize)) {
        return NULL;
    }
    w = (wrapper_t *)type->tp_alloc(type, 0);
    if (w) {
        w->file = Py_NewRef(file);
        w->blksize = blksize > 0 ? blksize : 8192;
    }
    return (PyObject *)w;
}

static PyObject *wrapper_next(PyObject *self)
{
    wrapper_t *w = (wrapper_t *)self;
    pw_pymod_t *mod = pw_pymod_state_of(Py_TYPE(self));
    PyObject *size = PyLong_FromSsize_t(w->blksize); /* new */
    PyObject *data = NULL;                           /* new */
    int more = 0;

    if (size) {
        data = PyObject_CallMethodOneArg(w->file, mod->read, size);
        Py_DECREF(size);
    }
    if (data) {
        more = PyObject_IsTrue(data);
    }
    if (more <= 0) {
        Py_CLEAR(data);
    }
    return data;
}

/* Closes the file-like object, where it has a close(). */
static PyObject *wrapper_close(PyObject *self, PyObject *unused)
{
    pw_pymod_t *mod = pw_pymod_state_of(Py_TYPE(self));
    PyObject *close = NULL, *done; /* new */
    int rc = pw_py_optional_attr(((wrapper_t *)self)->file, mod->close, &close);

    (void)unused;
    if (rc <= 0) {
        return rc < 0 ? NULL : Py_NewRef(Py_None);
    }
    done = PyObject_CallNoArgs(close);
    Py_DECREF(close);
    return done;
}

static int wrapper_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((wrapper_t *)self)->file);
    return 0;
}

static int wrapper_clear(PyObject *self)
{
    Py_XSETREF(((wrapper_t *)self)->file, Py_NewRef(Py_None));
    return 0;
}

static void wrapper_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    Py_CLEAR(((wrapper_t *)self)->file);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"close", wrapper_close, METH_NOARGS, "Closes the file."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"filelike", T_OBJECT_EX, offsetof(wrapper_t, file), READONLY,
     "The file-like object."},
    {"blksize", T_PYSSIZET, offsetof(wrapper_t, blksize), READONLY,
     "Bytes asked for at a time where the file is read."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "file_wrapper(file, block_size=8192): a file as a response."},
    {Py_tp_new, (void *)wrapper_new},
    {Py_tp_dealloc, (void *)wrapper_dealloc},
    {Py_tp_traverse, (void *)wrapper_traverse},
    {Py_tp_clear, (void *)wrapper_clear},
    {Py_tp_iter, (void *)PyObject_SelfIter},
    {Py_tp_iternext, (void *)wrapper_next},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {0, NULL},
};

PyType_Spec pw_filewrap_spec = {
    .name = "polywsgi.FileWrapper",
    .basicsize = sizeof(wrapper_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
