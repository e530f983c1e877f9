/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_pyversion: what the FRONT has to know of the linked Python, without
 * Python.h and without starting it. Any thread, any process.
 */
#ifndef PW_PYVERSION_H
#define PW_PYVERSION_H

#include <apr_pools.h>

/* "3.14.8": of the library that is loaded. In the pool, never NULL. */
const char *pw_pyversion(apr_pool_t *pool);

/* "3.14": what the module was compiled for. */
const char *pw_pyversion_minor(void);

/* 1 where an interpreter may own its GIL. */
int pw_pyversion_own_gil(void);

/* How many instances of an interpreter may be ended in a child that lives on;
 * -1: any number, 0: none. */
int pw_pyversion_ends(void);

/* Keeps the library in memory that has this symbol, until the process ends.
 * NULL: libpython, for its extensions too, when httpd unloads its modules at a
 * restart: it cannot be initialised again after dlclose (mod_wsgi's issue
 * 936). */
void pw_pyversion_pin(const void *symbol);

#endif
