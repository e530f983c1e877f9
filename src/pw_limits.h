/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_limits: the directives that say how much an interpreter may take: its
 * instances, the calls that run and wait, and when an instance ends. All count
 * for one child.
 *
 * BULKHEAD. Where there is more than one interpreter, what is not said is
 * derived, so that none can take every thread of a child: running and waiting
 * calls of one take at most half of the threads, a quarter of that half in its
 * queue, the rest as places of its instances. With one interpreter, or fewer
 * than PW_LIMITS_FEW threads, there is no bound that is not said.
 */
#ifndef PW_LIMITS_H
#define PW_LIMITS_H

#include <httpd.h>
#include <http_config.h>

#include "pw_spec.h"

#define PW_LIMITS_FEW 12    /* threads: too few to be shared out */
#define PW_LIMITS_AUTO (-2) /* the most instances: the processors */

/* What is said of an interpreter, or of all; -1: nothing. */
typedef struct pw_limits_t {
    int instances_min;
    int instances_max; /* or PW_LIMITS_AUTO */
    int concurrency;
    int thread_states;
    int queue_limit;
    apr_interval_time_t queue_timeout; /* microseconds */
    int max_requests;
    apr_interval_time_t idle_timeout; /* microseconds */
    int park_limit;
    int request_buffer; /* bytes */
} pw_limits_t;

/* While the configuration is read: nothing is said. */
void pw_limits_init(pw_limits_t *limits);

/* check_config: what is said of the interpreter, else of all, into its
 * specification; what neither says stays -1 where pw_limits_settle derives
 * it. */
void pw_limits_apply(pw_interp_spec_t *spec, const pw_limits_t *own,
                     const pw_limits_t *server);

/* When the MPM is known: derives what is not said. May be called again. */
void pw_limits_settle(pw_map_t *map, int threads, int shared);

/* Post_config, at a start: warns of what can have no effect, or a bad one. */
void pw_limits_warn(server_rec *s, const pw_map_t *map, apr_pool_t *ptemp);

const char *pw_limits_instances(cmd_parms *cmd, void *mconfig, const char *arg);
/* cmd->info is the offset in pw_limits_t of an int, or of a time. */
const char *pw_limits_number(cmd_parms *cmd, void *mconfig, const char *arg);
const char *pw_limits_time(cmd_parms *cmd, void *mconfig, const char *arg);

#define PW_LIMITS_FIELD(field) ((void *)APR_OFFSETOF(pw_limits_t, field))

/* Rows of httpd's table of commands. */
#define PW_LIMITS_COMMANDS                                                     \
    AP_INIT_TAKE1("WSGIInstances", pw_limits_instances, NULL, RSRC_CONF,       \
                  "How many instances of an interpreter a child runs: N, "     \
                  "MIN-MAX or MIN-auto."),                                     \
        AP_INIT_TAKE1("WSGIConcurrency", pw_limits_number,                     \
                      PW_LIMITS_FIELD(concurrency), RSRC_CONF,                 \
                      "How many requests run in one instance at a time."),     \
        AP_INIT_TAKE1("WSGIThreadStates", pw_limits_number,                    \
                      PW_LIMITS_FIELD(thread_states), RSRC_CONF,               \
                      "For how many threads an instance keeps their state."),  \
        AP_INIT_TAKE1("WSGIQueueLimit", pw_limits_number,                      \
                      PW_LIMITS_FIELD(queue_limit), RSRC_CONF,                 \
                      "How many requests wait for a place."),                  \
        AP_INIT_TAKE1("WSGIQueueTimeout", pw_limits_time,                      \
                      PW_LIMITS_FIELD(queue_timeout), RSRC_CONF,               \
                      "How long a request waits for a place."),                \
        AP_INIT_TAKE1("WSGIMaxRequests", pw_limits_number,                     \
                      PW_LIMITS_FIELD(max_requests), RSRC_CONF,                \
                      "After how many requests an instance is replaced."),     \
        AP_INIT_TAKE1("WSGIIdleTimeout", pw_limits_time,                       \
                      PW_LIMITS_FIELD(idle_timeout), RSRC_CONF,                \
                      "After how long without a request an interpreter is "    \
                      "unloaded."),                                            \
        AP_INIT_TAKE1(                                                         \
            "WSGIRequestBuffer", pw_limits_number,                             \
            PW_LIMITS_FIELD(request_buffer), RSRC_CONF,                        \
            "Up to how many bytes of a request body are read before "          \
            "the request takes a place."),                                     \
        AP_INIT_TAKE1("WSGIParkLimit", pw_limits_number,                       \
                      PW_LIMITS_FIELD(park_limit), RSRC_CONF,                  \
                      "How many instances whose threads do not stop are left " \
                      "in a child before none is ended any more."),

#endif
