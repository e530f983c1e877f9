/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_gate: the story of one request, and the only header of the GATEWAY that
 * the FRONT includes. No Python type stands in it.
 *
 *   lease an instance -> attach -> environ -> application -> chunks ->
 *   close() -> detach, return the lease -> end of the response
 */
#ifndef PW_GATE_H
#define PW_GATE_H

#include <apr_pools.h>

#include "pw_exchange.h"
#include "pw_spec.h"
#include "pw_stats.h"

typedef struct pw_runtime_t pw_runtime_t;

/*
 * Starts Python in this process and one thread for each interpreter of the
 * map; they load their applications in the background. Call once, on the
 * child's start thread, not attached. The runtime lives as long as cpool, and
 * pw_runtime_stop (pw_runtime.h) ends it. counted: the child's place in
 * pw_stats; NULL counts for nobody. Returns APR_SUCCESS, or APR_EGENERAL after
 * a log record, with *rt NULL: every request will be answered 503.
 */
apr_status_t pw_gate_start(apr_pool_t *cpool, const pw_map_t *map,
                           pw_counted_t *counted, pw_runtime_t **rt);

/*
 * Runs one request on the calling thread (not attached) and returns when the
 * application has nothing more to do with it. Returns 0 where a response was
 * sent or aborted; else nothing was sent and the HTTP status to answer is
 * returned: 500 (failed application or failed load), 503 (not loaded in time,
 * script missing or closed, child is ending), or, where the application passed
 * on that the request body could not be read, 413 (over LimitRequestBody), 408
 * (timed out), 400 (bad, or the client went away). The reason is in the log.
 */
int pw_gate_run(pw_runtime_t *rt, const pw_app_spec_t *app, pw_exchange_t *x);

#endif
