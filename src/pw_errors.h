/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_errors: `polywsgi._Stream(name)`, a text stream whose lines become log
 * records: wsgi.errors of each request, and sys.stdout and sys.stderr of each
 * interpreter.
 *
 * A line goes to the log of the request that the calling OS thread is running,
 * with its application's label; elsewhere (while loading, in a thread of the
 * application) to the interpreter's log with the interpreter's name. A part of
 * a line is kept until its end comes, or the end of the request.
 */
#ifndef PW_ERRORS_H
#define PW_ERRORS_H

#include "pw_pymod.h"

extern PyType_Spec pw_errors_spec;

/* A new stream for wsgi.errors. New reference. */
PyObject *pw_errors_new(pw_pymod_t *mod);

/* Logs the unfinished line of this stream, if any. */
void pw_errors_flush(PyObject *stream);

/* The same for sys.stdout and sys.stderr, where they are still ours. */
void pw_errors_flush_std(pw_pymod_t *mod);

#endif
