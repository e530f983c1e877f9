/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_limits: parses, derives and warns. Parent process only.
 */
#include "pw_limits.h"

#include <stdlib.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_log.h>

#include "pw_config.h"
#include "pw_cores.h"
#include "pw_module.h"
#include "pw_pyversion.h"

#define UNSAID (-1)
#define INSTANCES_MAX 64
#define NUMBER_MAX 1000000
#define QUEUE_TIMEOUT (5 * APR_USEC_PER_SEC)
#define PARK_LIMIT 8
#define REQUEST_BUFFER 65536

void pw_limits_init(pw_limits_t *limits)
{
    const pw_limits_t unsaid = {UNSAID, UNSAID, UNSAID, UNSAID, UNSAID,
                                UNSAID, UNSAID, UNSAID, UNSAID, UNSAID};

    *limits = unsaid;
}

/* ---- lines ------------------------------------------------------------- */

/* What a line is about; NULL with *error. */
static pw_limits_t *limits_of(cmd_parms *cmd, void *mconfig, const char **error)
{
    pw_tuning_t *tuning = pw_config_tuning(cmd, mconfig, error);

    return tuning ? &tuning->limits : NULL;
}

/* A number from `least` on, and what follows it; -1: there is none. */
static long parse_number(const char *text, long least, long most, char **end)
{
    long value = apr_isdigit(*text) ? strtol(text, end, 10) : UNSAID;

    return value >= least && value <= most ? value : UNSAID;
}

static int parse_range(const char *arg, pw_limits_t *limits)
{
    char *end = NULL;
    long least = parse_number(arg, 1, INSTANCES_MAX, &end);
    long most = least;

    if (least < 0) {
        return -1;
    }
    if (!strcasecmp(end, "-auto")) {
        most = PW_LIMITS_AUTO;
    }
    else if (*end == '-') {
        most = parse_number(end + 1, least, INSTANCES_MAX, &end);
    }
    if (most == UNSAID || (most != PW_LIMITS_AUTO && *end)) {
        return -1;
    }
    limits->instances_min = (int)least;
    limits->instances_max = (int)most;
    return 0;
}

const char *pw_limits_instances(cmd_parms *cmd, void *mconfig, const char *arg)
{
    const char *error = NULL;
    pw_limits_t *limits = limits_of(cmd, mconfig, &error);

    if (limits && parse_range(arg, limits) < 0) {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is no number of instances. Mend: give a "
                            "number from 1 to %d, or a range (1-4, 1-auto: up "
                            "to the processors)",
                            cmd->cmd->name, arg, INSTANCES_MAX);
    }
    return error;
}

/* Nothing runs in no place at all; and whether an instance would have to be
 * parked is known when it ends, so that 0 of them would let none end. */
static int least_of(const cmd_parms *cmd)
{
    apr_size_t field = (apr_size_t)cmd->info;

    return field == APR_OFFSETOF(pw_limits_t, concurrency)
           || field == APR_OFFSETOF(pw_limits_t, thread_states)
           || field == APR_OFFSETOF(pw_limits_t, park_limit);
}

const char *pw_limits_number(cmd_parms *cmd, void *mconfig, const char *arg)
{
    const char *error = NULL;
    pw_limits_t *limits = limits_of(cmd, mconfig, &error);
    int least = least_of(cmd);
    char *end = NULL;
    long value = parse_number(arg, least, NUMBER_MAX, &end);

    if (limits && (value < 0 || *end)) {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is no number from %d on. Mend: for "
                            "example %s 10",
                            cmd->cmd->name, arg, least, cmd->cmd->name);
    }
    if (limits) {
        *(int *)((char *)limits + (apr_size_t)cmd->info) = (int)value;
    }
    return error;
}

const char *pw_limits_time(cmd_parms *cmd, void *mconfig, const char *arg)
{
    const char *error = NULL;
    pw_limits_t *limits = limits_of(cmd, mconfig, &error);
    void *field;

    if (!limits) {
        return error;
    }
    field = (char *)limits + (apr_size_t)cmd->info;
    if (!strcmp(arg, "0")) {
        *(apr_interval_time_t *)field = 0;
        return NULL;
    }
    return pw_config_seconds(cmd, arg, field);
}

/* ---- deriving ---------------------------------------------------------- */

#define SAID(field) (own && own->field != UNSAID ? own->field : server->field)

static int or_else(int value, int other)
{
    return value != UNSAID ? value : other;
}

/* The main interpreter is one in a process, and does not end. */
static void tame_main(pw_interp_spec_t *spec)
{
    spec->instances_min = spec->instances_max = 1;
    spec->max_requests = 0;
    spec->idle_timeout = 0;
}

void pw_limits_apply(pw_interp_spec_t *spec, const pw_limits_t *own,
                     const pw_limits_t *server)
{
    apr_interval_time_t wait = SAID(queue_timeout), idle = SAID(idle_timeout);

    spec->instances_min = or_else(SAID(instances_min), 1);
    spec->instances_max = or_else(SAID(instances_max), 1);
    if (spec->instances_max == PW_LIMITS_AUTO) {
        spec->instances_max = pw_cores();
    }
    if (spec->instances_max < spec->instances_min) {
        spec->instances_max = spec->instances_min;
    }
    spec->said_instances = spec->instances_max;
    spec->said_concurrency = SAID(concurrency);
    spec->said_queue_limit = SAID(queue_limit);
    spec->thread_states = or_else(SAID(thread_states), 0);
    spec->queue_timeout = wait >= 0 ? wait : QUEUE_TIMEOUT;
    spec->max_requests = or_else(SAID(max_requests), 0);
    spec->idle_timeout = idle >= 0 ? idle : 0;
    spec->said_ends = spec->max_requests > 0 || spec->idle_timeout > 0;
    spec->request_buffer = or_else(SAID(request_buffer), REQUEST_BUFFER);
    spec->park_limit = or_else(SAID(park_limit), PARK_LIMIT);
    if (spec->isolation == PW_ISOLATION_MAIN) {
        tame_main(spec);
    }
}

/* Of the half of the threads that one interpreter may hold. */
static int waiting_share(int half)
{
    return half / 4;
}

/* Half of the threads, or 0 where they are not shared out. */
static void settle_one(pw_interp_spec_t *spec, int half)
{
    int places = (half - waiting_share(half)) / spec->instances_max;

    if (half && places < 1) {
        places = 1;
    }
    spec->queue_limit =
        or_else(spec->said_queue_limit, half ? waiting_share(half) : UNSAID);
    spec->concurrency = or_else(spec->said_concurrency, places);
}

/* With HTTP/2 requests run on threads of mod_http2, of which there may be
 * fewer. */
static int h2_workers(const ap_directive_t *d, int workers)
{
    for (; d; d = d->next) {
        if (!strcasecmp(d->directive, "H2MaxWorkers")) {
            long said = strtol(d->args, NULL, 10);

            workers = said > 0 && said < workers ? (int)said : workers;
        }
        if (d->first_child) {
            workers = h2_workers(d->first_child, workers);
        }
    }
    return workers;
}

void pw_limits_settle(pw_map_t *map, int threads, int shared)
{
    int workers = h2_workers(ap_conftree, threads);
    int half = shared && workers >= PW_LIMITS_FEW ? workers / 2 : 0;

    for (int i = 0; i < map->interps->nelts; i++) {
        settle_one(APR_ARRAY_IDX(map->interps, i, pw_interp_spec_t *), half);
    }
    if (map->own) {
        settle_one(map->own, half);
    }
}

/* ---- warnings ---------------------------------------------------------- */

/* What is wrong with more than one instance; NULL: nothing. */
static const char *why_one(pw_isolation_e isolation)
{
    switch (isolation) {
    case PW_ISOLATION_OWN_GIL:
        return NULL;
    case PW_ISOLATION_MAIN:
        return "the main interpreter is one in each process: there is one";
    default:
        return "those of isolation shared-gil share one GIL: they take memory "
               "and run no faster";
    }
}

static void warn_parallel(server_rec *s, const pw_interp_spec_t *spec)
{
    const char *why = why_one(spec->isolation);

    if (spec->said_instances > 1 && why) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "PW0021 %s: WSGIInstances asks for %d instances, but %s. "
                     "Mend: WSGIInstances 1, or WSGIIsolation own-gil where "
                     "Python and the application can",
                     spec->name, spec->said_instances, why);
    }
}

static void warn_ends(server_rec *s, const pw_interp_spec_t *spec,
                      apr_pool_t *ptemp)
{
    const char *why = "the main interpreter ends with its process";
    const char *mend = "MaxConnectionsPerChild, WSGIIsolation own-gil where "
                       "Python and the application can";

    if (!spec->said_ends
        || (spec->isolation != PW_ISOLATION_MAIN && pw_pyversion_ends() != 0)) {
        return;
    }
    if (spec->isolation != PW_ISOLATION_MAIN) {
        why = apr_psprintf(ptemp,
                           "Python %s cannot end an interpreter in a process "
                           "that lives on",
                           pw_pyversion_minor());
        mend = "Python 3.14";
    }
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "PW0022 %s: WSGIMaxRequests and WSGIIdleTimeout have no "
                 "effect: %s. Mend: %s, or leave them out",
                 spec->name, why, mend);
}

/* How many threads an interpreter may hold by what the configuration says; 0:
 * by no more than would be derived, or there is no bound. A queue that is said
 * alone counts with the places that are derived. */
static long said_threads(const pw_interp_spec_t *spec, int workers)
{
    if (spec->concurrency <= 0
        || (spec->said_concurrency < 0
            && spec->said_queue_limit <= waiting_share(workers / 2))) {
        return 0;
    }
    return (long)spec->concurrency * spec->instances_max
           + (spec->queue_limit > 0 ? spec->queue_limit : 0);
}

static void warn_sum(server_rec *s, const pw_map_t *map)
{
    int workers = h2_workers(ap_conftree, map->threads);
    const char *word =
        workers < map->threads ? "H2MaxWorkers" : "ThreadsPerChild";
    long sum = 0;

    for (int i = 0; i < map->interps->nelts; i++) {
        sum += said_threads(APR_ARRAY_IDX(map->interps, i, pw_interp_spec_t *),
                            workers);
    }
    if (map->interps->nelts > 1 && map->threads >= PW_LIMITS_FEW
        && sum >= workers) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "PW0023 what WSGIConcurrency and WSGIQueueLimit allow "
                     "adds up to %ld threads of a child, which has %d (%s): "
                     "applications that hang can take them all. Mend: smaller "
                     "limits, or %s above %ld",
                     sum, workers, word, word, sum);
    }
}

void pw_limits_warn(server_rec *s, const pw_map_t *map, apr_pool_t *ptemp)
{
    for (int i = 0; i < map->interps->nelts; i++) {
        const pw_interp_spec_t *spec =
            APR_ARRAY_IDX(map->interps, i, const pw_interp_spec_t *);

        warn_parallel(s, spec);
        warn_ends(s, spec, ptemp);
    }
    if (map->found_max > 0) {
        pw_interp_spec_t found = *map->own;

        found.name = "scripts that requests find";
        warn_parallel(s, &found);
        warn_ends(s, &found, ptemp);
    }
    warn_sum(s, map);
}
