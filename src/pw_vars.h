/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_vars: what an interpreter remembers of the environ of earlier requests, so
 * that the next one costs little: the keys as str, values that come again, a
 * dictionary that has the steady ones and is copied for each request, and the
 * keys of headers. A header that some requests repeated is steady too, until
 * one has another value or none.
 *
 * BOUNDS. Values of variables that change are not kept, nor those of headers
 * that may hold secrets. The keys of headers have a table of fixed size, and a
 * long name or value no place in it; none is interned, for a client chose it.
 *
 * Part of the state of the `polywsgi` module: one for each interpreter. All
 * functions: attached.
 */
#ifndef PW_VARS_H
#define PW_VARS_H

#include "pw_exchange.h"
#include "pw_python.h"

#define PW_HEADER_KEYS 512    /* places of the table */
#define PW_HEADER_NAME_MAX 40 /* bytes of a name that is kept */
#define PW_HEADER_VALUE_MAX 256
#define PW_REPEATS 8        /* of a header's value, then it is steady */
#define PW_REPEATED_MAX 32  /* steady headers */
#define PW_STEADY_FULL 43   /* one more than a dict of 64 places takes */
#define PW_CONSTANTS_MAX 12 /* wsgi.* keys whose values seldom change */

typedef struct pw_header_key_t {
    char name[PW_HEADER_NAME_MAX]; /* as it came; "": an empty place */
    PyObject *key;                 /* owned: "HTTP_..." */
    PyObject *value;               /* owned, or NULL: of the last request, for
                                    * a header that browsers repeat */
    int again;                     /* it is such a header */
    int times;                     /* in a row that value came again; 0 while
                                    * there is a slot */
    int slot;                      /* in vars->repeated, from 1; 0: none */
} pw_header_key_t;

typedef struct pw_vars_t {
    PyObject *keys[PW_VAR_COUNT];    /* owned: interned */
    PyObject *values[PW_VAR_COUNT];  /* owned, or NULL: of the last request that
                                     * had the variable; not of FRESH ones */
    const char *bytes[PW_VAR_COUNT]; /* of values, where that is ASCII */
    PyObject *steady;                /* owned: dict, the STEADY ones of these,
                                     * the constants, and repeated headers */
    pw_header_key_t *repeated[PW_REPEATED_MAX]; /* into headers */
    apr_uint64_t slots;                         /* which of these are in use */
    unsigned changes;                           /* of steady */
    PyObject *constants[PW_CONSTANTS_MAX];      /* borrowed from steady */
    int wide; /* steady has room for headers */
    pw_header_key_t headers[PW_HEADER_KEYS];
} pw_vars_t;

/* 0, or -1 with an exception. */
int pw_vars_init(pw_vars_t *vars);

/* Drops every reference; pw_vars_t may be used no more. */
void pw_vars_clear(pw_vars_t *vars);

/* For m_traverse. */
int pw_vars_traverse(pw_vars_t *vars, visitproc visit, void *arg);

/* environ of one request while it is filled. */
typedef struct pw_filling_t {
    pw_emit_t emit; /* first: the exchange calls it */
    pw_vars_t *vars;
    PyObject *env;        /* owned: a dict */
    apr_uint64_t seen;    /* STEADY variables that this request has */
    apr_uint64_t repeats; /* slots of headers that it has */
    int settled;          /* what it has not is out of env */
    int failed;           /* an exception is pending */
} pw_filling_t;

/* Begins with a copy of what is steady. 0, or -1 with an exception. */
int pw_vars_begin(pw_filling_t *filling, pw_vars_t *vars);

/* Sets a key whose value is one and the same object for most requests; `place`
 * is its number, below PW_CONSTANTS_MAX. */
void pw_vars_constant(pw_filling_t *filling, int place, PyObject *key,
                      PyObject *value);

/* Removes what is steady but not of this request. New reference to the dict,
 * or NULL with an exception; the filling is over. */
PyObject *pw_vars_end(pw_filling_t *filling);

#endif
