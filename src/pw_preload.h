/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_preload: WSGIPreload wait: a new child takes no request before its
 * applications are loaded. No Python type stands in this header.
 */
#ifndef PW_PRELOAD_H
#define PW_PRELOAD_H

typedef struct pw_runtime_t pw_runtime_t;

/*
 * Child start thread, in child_init: returns when the applications of every
 * interpreter with PW_PRELOAD_WAIT have loaded or failed, or their
 * startup_timeout is over (a record says which), or the child is told to end.
 * At once where no interpreter says so.
 */
void pw_preload_wait(pw_runtime_t *rt);

#endif
