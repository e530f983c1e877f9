/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_runtime: Python in one httpd child: the main interpreter, the pools of
 * instances, and what ends them. No Python type stands in this header.
 *
 * Life: pw_runtime_start (child start thread) -> leases from any worker ->
 * pw_runtime_stopping (hook, may be a signal handler) -> pw_runtime_stop
 * (pre-cleanup of the child's pool). Python is initialised here and nowhere
 * else, never in httpd's parent, and never finalised.
 */
#ifndef PW_RUNTIME_H
#define PW_RUNTIME_H

#include <apr_pools.h>

#include "pw_metrics.h"
#include "pw_pool.h"
#include "pw_spec.h"
#include "pw_stats.h"

typedef struct pw_runtime_t pw_runtime_t;

typedef struct pw_runtime_setup_t {
    const pw_map_t *map;
    const char *module_name;    /* built-in module, "polywsgi" */
    void *(*module_init)(void); /* its PyInit function: returns PyObject * */
    void (*module_end)(void *module); /* life, attached: no request comes any
                                       * more; or NULL */
    pw_counted_t *counted; /* the child's place in pw_stats, or NULL */
} pw_runtime_setup_t;

/* See pw_gate_start, which calls this with the GATEWAY's module. */
apr_status_t pw_runtime_start(apr_pool_t *cpool,
                              const pw_runtime_setup_t *setup,
                              pw_runtime_t **rt);

/* The right of one request to run one application in one instance. */
typedef struct pw_lease_t {
    pw_turn_t call; /* its place in the pool; call.method and call.path are set
                     * before, and live as long as the lease */
    struct pw_instance_t *instance;
    const pw_app_spec_t *app;
    pw_runtime_t *rt;
    pw_stat_instance_t *stats; /* the instance's */
} pw_lease_t;

/*
 * Any worker thread, not attached. Leases an instance in which `app` is
 * loaded; waits for a load up to its interpreter's startup_timeout, for a place
 * up to its queue_timeout, and has a failed load tried again where that is due.
 * Makes the first instance of an interpreter that has none (any more). Records
 * refusals for want of a place, in their rate. PW_LEASE_OK: *lease must be
 * returned. Anything else: nothing is held (see pw_pool.h for the values);
 * `*why` then holds words for the log, constant.
 */
pw_lease_e pw_runtime_lease(pw_runtime_t *rt, const pw_app_spec_t *app,
                            pw_lease_t *lease, const char **why);

/* Gives the lease back. Same thread, not attached. */
void pw_runtime_return(pw_lease_t *lease);

/* Gives the lease of a request back that is not run: its client has gone. */
void pw_runtime_drop(pw_runtime_t *rt, pw_lease_t *lease);

/* The request that the calling OS thread is running, for sys.stderr: set and
 * read by the GATEWAY only. Returns the place, never NULL. */
void **pw_runtime_current_request(void);

/* What pw_stats keeps of an interpreter, by its index; never NULL for one that
 * has a pool. Any thread. */
pw_stat_interp_t *pw_runtime_stats(pw_runtime_t *rt, int index);

/* The calling OS thread's place in pw_stats; NULL: there is no memory. */
pw_caller_t *pw_runtime_caller(pw_runtime_t *rt);

/* Counters of this child; any thread may add to them. */
pw_metrics_t *pw_runtime_metrics(pw_runtime_t *rt);

/*
 * The child is about to end. Async-signal-safe; wakes the keeper. graceful:
 * requests are still being served, and only background loads stop; else
 * every interpreter begins to stop at once and the shutdown timeout runs.
 */
void pw_runtime_stopping(pw_runtime_t *rt, int graceful);

/*
 * Ends every instance's threads and runs its atexit handlers, all within the
 * shutdown timeout; logs the counters. At the deadline the keeper logs what
 * remains and calls _exit. Child start thread; Python is unusable afterwards.
 */
void pw_runtime_stop(pw_runtime_t *rt);

#endif
