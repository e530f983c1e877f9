/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_interp: one instance (a CPython interpreter of a name in this child), the
 * thread states it keeps for httpd's threads, and the only door into it.
 *
 * THE WITNESS. pw_interp_enter attaches the calling thread and fills a
 * pw_attached_t on the caller's stack. A function that takes `pw_attached_t *`
 * may use the C API; nothing else makes one, so holding one proves that the
 * thread is attached.
 *
 *     pw_attached_t at;
 *     if (pw_interp_enter(instance, &at) == 0) {
 *         ... Python ...
 *         pw_interp_leave(&at);
 *     }
 *
 * THREAD STATES. Each OS thread has at most one cached PyThreadState for an
 * instance, made at its first entry and kept (threading.local values live in
 * it) until the thread ends, the instance ends, or the table is over its bound
 * and this one was idle longest. It is never used by another OS thread. A
 * thread that ends only marks its entries; the instance's own thread clears
 * and deletes them, because that runs Python.
 */
#ifndef PW_INTERP_H
#define PW_INTERP_H

#include "pw_pool.h"
#include "pw_python.h"
#include "pw_spec.h"
#include "pw_stats.h"

typedef struct pw_instance_t pw_instance_t;
typedef struct pw_tstate_t pw_tstate_t; /* an entry of the cache */

typedef struct pw_attached_t {
    pw_instance_t *instance;
    PyThreadState *ts;
    pw_tstate_t *entry; /* NULL on the instance's own thread */
} pw_attached_t;

/*
 * Attaches the calling httpd worker to the instance, which it has leased.
 * Blocks for the GIL. 0; -1 where there is no memory for a thread state. May
 * nest on one thread (a subrequest below a filter) while the outer level is
 * detached.
 */
int pw_interp_enter(pw_instance_t *instance, pw_attached_t *at);

/* Detaches. No Python exception may be pending. */
void pw_interp_leave(pw_attached_t *at);

/* The specification that the instance was made from. Any thread. */
const pw_interp_spec_t *pw_interp_spec(const pw_instance_t *instance);

/* What pw_stats keeps of its interpreter. Any thread. */
pw_stat_interp_t *pw_interp_stats(const pw_instance_t *instance);

/* Its number: counted from 1 in this child for its interpreter. Any thread. */
int pw_interp_number(const pw_instance_t *instance);

/* Borrowed from the instance: the loaded callable of a slot, NULL if none. */
PyObject *pw_interp_callable(pw_attached_t *at, int slot);

/* Borrowed from the instance: its `polywsgi` module object, whose module state
 * holds the GATEWAY's heap types and interned names. */
PyObject *pw_interp_module(pw_attached_t *at);

/* A reference that outlives its lease (pw_hold.h). */
typedef struct pw_held_t pw_held_t;

/* A new one; attached. NULL: no memory. */
pw_held_t *pw_interp_hold(PyObject *object);

/* Any thread, attached or not: it is needed no more. Whoever attaches next
 * drops the reference. */
void pw_interp_unhold(pw_instance_t *instance, pw_held_t *held);

/* Drops the references that are needed no more. Returns how many: so many
 * holds fewer, to be said to the pool (pw_turn_t.held, pw_pool_unhold). */
int pw_interp_drop(pw_attached_t *at);

/* The instance of the current (attached) interpreter, NULL if it is not ours.
 * For callbacks from Python, where no witness can be passed. */
pw_instance_t *pw_interp_current(void);

#endif
