/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_changes: asks src/py/files.py. What one instance has noted waits in the
 * runtime for the other; there is one at a time on trial.
 */
#include "pw_changes.h"

#include <stdlib.h>
#include <string.h>

int pw_changes_of_objects(pw_instance_t *inst, const char *what)
{
    PyObject *path; /* new */
    const char *text = NULL;
    pw_attached_t at;

    pw_interp_enter_own(inst, &at);
    path = pw_interp_call(&at, "changed_object", "()");
    if (path && path != Py_None) {
        text = PyUnicode_AsUTF8(path);
    }
    if (text) {
        pw_log(&inst->spec->log, PW_LOG_WARN,
               "PW0109 %s: %s: %s has changed on disk, and a process cannot "
               "load it twice; it serves on. Mend: restart httpd gracefully",
               inst->spec->name, what, text);
    }
    PyErr_Clear();
    Py_XDECREF(path);
    pw_interp_leave(&at);
    return text != NULL;
}

void pw_changes_watch(pw_attached_t *at)
{
    const pw_interp_spec_t *spec = at->instance->spec;
    PyObject *done = NULL; /* new */

    if (spec->instances_max > 1 || spec->max_requests > 0) {
        done = pw_interp_call(at, "note_sources", "()");
        PyErr_Clear();
    }
    Py_XDECREF(done);
}

/* Not what has its record. file: NULL: nothing has changed. */
static void keep(pw_instance_t *inst, const char *file, unsigned version)
{
    pw_version_t *noted = &inst->rt->versions[inst->spec->index];

    pw_lock_take(&inst->rt->lock);
    free(noted->file);
    noted->file = file && version != noted->said ? strdup(file) : NULL;
    noted->version = version;
    pw_lock_release(&inst->rt->lock);
}

void pw_changes_note(pw_instance_t *inst)
{
    PyObject *found; /* new: a tuple, or None */
    const char *file = NULL;
    unsigned version = 0;
    pw_attached_t at;

    pw_interp_enter_own(inst, &at);
    found = pw_interp_call(&at, "changed_sources", "()");
    if (!found || !PyTuple_Check(found)
        || !PyArg_ParseTuple(found, "sI", &file, &version)) {
        file = NULL;
    }
    keep(inst, file, version);
    PyErr_Clear();
    Py_XDECREF(found);
    pw_interp_leave(&at);
}

void pw_changes_say(pw_instance_t *inst)
{
    pw_version_t *noted = &inst->rt->versions[inst->spec->index];
    char *file;

    pw_lock_take(&inst->rt->lock);
    file = noted->file;
    noted->file = NULL;
    if (file) {
        noted->said = noted->version;
    }
    pw_lock_release(&inst->rt->lock);
    if (file) {
        pw_log(&inst->spec->log, PW_LOG_WARN,
               "PW0122 %s: %s has changed since the other instances loaded "
               "it: the pool runs two versions until all are replaced. Mend: "
               "restart httpd gracefully",
               inst->spec->name, file);
    }
    free(file);
}
