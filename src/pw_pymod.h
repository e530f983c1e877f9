/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_pymod: the built-in Python module `polywsgi`, and its state: one for each
 * interpreter, with the GATEWAY's heap types and the strings it needs for
 * every request. Nothing of Python's stands in C globals.
 *
 * What an application sees: __version__, interpreter (its name in the
 * configuration), instance (its number in this child), isolation ("own-gil",
 * "shared-gil" or "main"), and what src/py/hooks.py adds.
 */
#ifndef PW_PYMOD_H
#define PW_PYMOD_H

#include "pw_python.h"
#include "pw_vars.h"

/* Strings of the GATEWAY, interned once in each interpreter. */
#define PW_NAMES(X)                                                            \
    X(wsgi_version, "wsgi.version")                                            \
    X(wsgi_url_scheme, "wsgi.url_scheme")                                      \
    X(wsgi_input, "wsgi.input")                                                \
    X(wsgi_input_terminated, "wsgi.input_terminated")                          \
    X(wsgi_errors, "wsgi.errors")                                              \
    X(wsgi_multithread, "wsgi.multithread")                                    \
    X(wsgi_multiprocess, "wsgi.multiprocess")                                  \
    X(wsgi_run_once, "wsgi.run_once")                                          \
    X(wsgi_file_wrapper, "wsgi.file_wrapper")                                  \
    X(polywsgi_interpreter, "polywsgi.interpreter")                            \
    X(polywsgi_isolation, "polywsgi.isolation")                                \
    X(http, "http")                                                            \
    X(https, "https")                                                          \
    X(read, "read")                                                            \
    X(write, "write")                                                          \
    X(close, "close")                                                          \
    X(tell, "tell")                                                            \
    X(flush, "flush")                                                          \
    X(fileno, "fileno")                                                        \
    X(raw, "raw")                                                              \
    X(exc_info, "exc_info")

/* The objects that are not strings of the list above. */
#define PW_OBJECTS(X)                                                          \
    X(input_type)     /* wsgi.input */                                         \
    X(response_type)  /* start_response */                                     \
    X(stream_type)    /* wsgi.errors, sys.stdout, sys.stderr */                \
    X(wrapper_type)   /* wsgi.file_wrapper */                                  \
    X(version)        /* (1, 0) */                                             \
    X(interpreter)    /* its name, or None */                                  \
    X(isolation)      /* its name, or None */                                  \
    X(file_type)      /* io.FileIO */                                          \
    X(reader_type)    /* io.BufferedReader */                                  \
    X(random_type)    /* io.BufferedRandom */                                  \
    X(spare_input)    /* of a request that has ended, which nobody holds; */   \
    X(spare_response) /* the next one takes it. Or NULL */                     \
    X(spare_errors)

/* All owned by the module; a request borrows the whole. */
typedef struct pw_pymod_t {
#define PW_NAMES_FIELD(field, text) PyObject *field;
#define PW_OBJECTS_FIELD(field) PyObject *field;
    PW_NAMES(PW_NAMES_FIELD)
    PW_OBJECTS(PW_OBJECTS_FIELD)
#undef PW_NAMES_FIELD
#undef PW_OBJECTS_FIELD
    pw_vars_t vars; /* what earlier requests have left for environ */
    int partial;    /* streams that hold an unfinished line */
} pw_pymod_t;

/* For PyImport_AppendInittab, before Python starts: returns PyObject *. */
void *pw_pymod_init(void);

/*
 * No request comes any more: drops what was kept for the next one. The objects
 * of a request are not seen by the cycle collector, and each has a reference to
 * its type, and thereby to the module that keeps it: nothing would ever free
 * them, and CPython frees no memory of an interpreter in which one block is
 * left. module: PyObject *. Attached.
 */
void pw_pymod_end(void *module);

/* The state of a `polywsgi` module object. Attached; borrowed. */
pw_pymod_t *pw_pymod_state(PyObject *module);

/* The same from a type that the module made. */
pw_pymod_t *pw_pymod_state_of(PyTypeObject *type);

#endif
