/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_environ: builds environ. Attached; the exchange's variables function
 * never blocks.
 */
#include "pw_environ.h"

#include <string.h>

#include "pw_errors.h"
#include "pw_input.h"
#include "pw_vars.h"

static int make_streams(pw_request_t *rq)
{
    rq->input = pw_input_new(rq);
    rq->errors = pw_errors_new(rq->mod);
    return rq->input && rq->errors ? 0 : -1;
}

/* Values that are one object for most requests of an interpreter. */
static void add_constants(const pw_request_t *rq, pw_filling_t *f)
{
    const pw_exchange_t *x = rq->x;
    const pw_pymod_t *m = rq->mod;
    const struct {
        PyObject *key;
        PyObject *value;
    } items[] = {
        {m->wsgi_version, m->version},
        {m->wsgi_url_scheme,
         strcmp(x->scheme, "https") == 0 ? m->https : m->http},
        {m->wsgi_multithread, x->multithread ? Py_True : Py_False},
        {m->wsgi_multiprocess, x->multiprocess ? Py_True : Py_False},
        {m->wsgi_run_once, Py_False},
        {m->wsgi_file_wrapper, m->wrapper_type},
        {m->wsgi_input_terminated, x->input_terminated ? Py_True : Py_False},
        {m->polywsgi_interpreter, m->interpreter},
        {m->polywsgi_isolation, m->isolation},
    };
    int count = (int)(sizeof(items) / sizeof(items[0]));

    for (int i = 0; i < count; i++) {
        pw_vars_constant(f, i, items[i].key, items[i].value);
    }
}

/* Over a variable of that name, which SetEnv may have set. */
static int add_streams(const pw_request_t *rq, PyObject *env)
{
    const pw_pymod_t *m = rq->mod;

    return PyDict_SetItem(env, m->wsgi_input, rq->input) < 0
                   || PyDict_SetItem(env, m->wsgi_errors, rq->errors) < 0
               ? -1
               : 0;
}

PyObject *pw_environ_new(pw_request_t *rq)
{
    pw_filling_t f;
    PyObject *env; /* new */

    if (make_streams(rq) < 0 || pw_vars_begin(&f, &rq->mod->vars) < 0) {
        return NULL;
    }
    add_constants(rq, &f);
    rq->x->ops->variables(rq->x, &f.emit);
    env = pw_vars_end(&f);
    if (env && add_streams(rq, env) < 0) {
        Py_CLEAR(env);
    }
    return env;
}
