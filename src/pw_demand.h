/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_demand: the applications of a child that the configuration does not name
 * one by one: scripts that requests find on disk, by a directory, a pattern or
 * a handler. Each has an interpreter of its own, named by its file, or joins
 * one of the configuration.
 *
 * BOUND. At most map->found_max interpreters that were made so live at a time:
 * the one that is idle longest is unloaded for the next, and its name stays, so
 * that it can come again; map->found_names are known at most. Each interpreter
 * of the configuration takes at most found_max scripts that were found. Pools
 * and instances have room for that from the start, so nothing is moved when one
 * more comes.
 *
 * What was found stays until the child ends. A look-up takes no lock.
 */
#ifndef PW_DEMAND_H
#define PW_DEMAND_H

#include <apr_pools.h>

#include "pw_spec.h"

typedef struct pw_runtime_t pw_runtime_t;

typedef struct pw_found_t {
    const pw_interp_spec_t *interp; /* of the map; NULL: one of its own */
    const char *name;               /* of its own: never a client's words */
    const char *script;             /* absolute path of a file that is there */
    const char *identity;           /* the script, as one file has it */
    const char *callable;
    pw_log_t log;      /* the ErrorLog of its virtual host */
    apr_pool_t *rpool; /* the request's, of the calling thread */
} pw_found_t;

/*
 * Worker, not attached. The application of a script, the same one for the same
 * interpreter, identity and callable. Nothing is started or loaded: the lease
 * asks for that. It lives as long as the child. APR_ENOSPC: the bound is
 * reached. APR_EGENERAL: the child is ending.
 */
apr_status_t pw_demand_app(pw_runtime_t *rt, const pw_found_t *found,
                           const pw_app_spec_t **app);

#endif
