/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_environ: builds environ. Attached; the exchange's variables function
 * never blocks.
 */
#include "pw_environ.h"

#include <string.h>

#include "pw_errors.h"
#include "pw_input.h"

/* A client chose some of the names: none is interned, which would keep it for
 * ever. Bytes become characters one by one (PEP 3333, "native strings"). */
static int add_variable(void *baton, const char *name, const char *value)
{
    PyObject *key =
        PyUnicode_DecodeLatin1(name, (Py_ssize_t)strlen(name), NULL); /* new */
    PyObject *text = PyUnicode_DecodeLatin1(value, (Py_ssize_t)strlen(value),
                                            NULL); /* new */
    int rc = -1;

    if (key && text) {
        rc = PyDict_SetItem(baton, key, text);
    }
    Py_XDECREF(key);
    Py_XDECREF(text);
    return rc;
}

static int make_streams(pw_request_t *rq)
{
    rq->input = pw_input_new(rq);
    rq->errors = pw_errors_new(rq->mod);
    return rq->input && rq->errors ? 0 : -1;
}

static PyObject *scheme(pw_request_t *rq) /* new */
{
    if (strcmp(rq->x->scheme, "https") == 0) {
        return Py_NewRef(rq->mod->https);
    }
    return Py_NewRef(rq->mod->http);
}

static int add_constants(pw_request_t *rq, PyObject *env)
{
    const pw_exchange_t *x = rq->x;
    const pw_pymod_t *m = rq->mod;
    PyObject *url_scheme = scheme(rq); /* new */
    const struct {
        PyObject *key;
        PyObject *value;
    } items[] = {
        {m->wsgi_version, m->version},
        {m->wsgi_url_scheme, url_scheme},
        {m->wsgi_input, rq->input},
        {m->wsgi_errors, rq->errors},
        {m->wsgi_multithread, x->multithread ? Py_True : Py_False},
        {m->wsgi_multiprocess, x->multiprocess ? Py_True : Py_False},
        {m->wsgi_run_once, Py_False},
        {m->wsgi_file_wrapper, m->wrapper_type},
        {m->wsgi_input_terminated, x->input_terminated ? Py_True : Py_False},
        {m->polywsgi_interpreter, m->interpreter},
        {m->polywsgi_isolation, m->isolation},
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(items) / sizeof(items[0]); i++) {
        rc = PyDict_SetItem(env, items[i].key, items[i].value);
    }
    Py_DECREF(url_scheme);
    return rc;
}

PyObject *pw_environ_new(pw_request_t *rq)
{
    PyObject *env = PyDict_New(); /* new */

    if (!env || make_streams(rq) < 0
        || rq->x->ops->variables(rq->x, add_variable, env) < 0
        || add_constants(rq, env) < 0) {
        Py_CLEAR(env);
    }
    return env;
}
