/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_shared: parent, but for pw_shared_join. What is read here was written by
 * a child that may have gone wrong: pw_census copies it with care.
 */
#include "pw_shared.h"

#include <ap_mpm.h>
#include <mpm_common.h>

#include "pw_census.h"
#include "pw_module.h"
#include "pw_pyversion.h"
#include "pw_resolve.h"

#define KEY "polywsgi_stats/" PW_STATS_LAYOUT
/* Threads that run requests: httpd's, and one and a half times as many of
 * mod_http2. */
#define RECORDS_PER_THREAD 3
/* A child that ends slowly leaves its place to a new one before it is gone. */
#define SLOTS_PER_CHILD 2
#define CALLS_MAX 100 /* records for one child that died */

static int ask_mpm(int query, int otherwise)
{
    int value = 0;

    return ap_mpm_query(query, &value) == APR_SUCCESS && value > 0 ? value
                                                                   : otherwise;
}

/* ServerLimit and ThreadLimit do not change while httpd runs. */
void pw_shared_open(server_rec *s)
{
    pw_resolved_t *resolved = pw_config_server(s)->resolved;
    apr_pool_t *ppool = s->process->pool;
    pw_stats_size_t need = {
        .children = SLOTS_PER_CHILD * ask_mpm(AP_MPMQ_HARD_LIMIT_DAEMONS, 1),
        .interps = resolved->map.interps->nelts + resolved->map.found_max,
        .records = RECORDS_PER_THREAD * ask_mpm(AP_MPMQ_HARD_LIMIT_THREADS, 1),
    };
    void *have = NULL;

    if (need.interps == 0) {
        return;
    }
    apr_pool_userdata_get(&have, KEY, ppool);
    resolved->stats = pw_stats_open(ppool, have, &need);
    if (!resolved->stats) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "PW0133 polywsgi: no shared memory for what is counted; "
                     "requests are served, wsgi-status shows nothing. Mend: "
                     "leave httpd more memory");
        return;
    }
    /* Not _setn: KEY is gone when httpd has unloaded this module. */
    apr_pool_userdata_set(resolved->stats, KEY, apr_pool_cleanup_null, ppool);
    pw_stats_sweep(resolved->stats);
}

/* ---- child ------------------------------------------------------------- */

static apr_status_t leave(void *counted)
{
    pw_stats_leave(counted);
    return APR_SUCCESS;
}

pw_counted_t *pw_shared_join(server_rec *s, apr_pool_t *pchild)
{
    pw_stats_t *stats = pw_config_server(s)->resolved->stats;
    int shared;
    pw_counted_t *counted =
        pw_stats_join(stats, pchild, ask_mpm(AP_MPMQ_GENERATION, 0),
                      pw_pyversion(pchild), &shared);

    if (stats && !shared) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "PW0134 polywsgi: more children than have a place in "
                     "shared memory; wsgi-status does not show this one. Mend: "
                     "none is needed, old children are still ending");
    }
    apr_pool_cleanup_register(pchild, counted, leave, apr_pool_cleanup_null);
    return counted;
}

/* ---- a child that has ended -------------------------------------------- */

static void log_call(server_rec *s, const pw_census_child_t *child,
                     const pw_census_call_t *call)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                 "PW0131 %s: in flight when child %ld died: %s %s, for %d ms, "
                 "in the phase %s",
                 call->label, (long)child->pid, call->method, call->path,
                 (int)(call->age / 1000), pw_phase_name(call->phase));
}

static void log_death(server_rec *s, const pw_census_child_t *child)
{
    int count = child->calls->nelts;

    if (count == 0) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, s,
                     "PW0132 polywsgi: child %ld did not end in order; no "
                     "request was in flight in it",
                     (long)child->pid);
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                 "PW0130 polywsgi: child %ld died with %d requests in flight, "
                 "which are lost; each follows. Mend: one of them, or a thread "
                 "of its application, may have ended the process: look for a "
                 "faulty extension module, ctypes or os._exit",
                 (long)child->pid, count);
    for (int i = 0; i < count && i < CALLS_MAX; i++) {
        log_call(s, child, &APR_ARRAY_IDX(child->calls, i, pw_census_call_t));
    }
}

/* LOST_SLOT needs nothing: it lives on, and its end comes as EXITED. */
static void child_status(server_rec *s, pid_t pid, ap_generation_t generation,
                         int slot, mpm_child_status status)
{
    const pw_resolved_t *resolved = pw_config_server(s)->resolved;
    pw_census_child_t *child;
    apr_pool_t *pool;

    (void)generation;
    (void)slot;
    if (status != MPM_CHILD_EXITED || !resolved || !resolved->stats) {
        return;
    }
    apr_pool_create(&pool, s->process->pool);
    apr_pool_tag(pool, "polywsgi_child_status");
    child = pw_census_child(resolved->stats, pid, pool);
    if (child && !child->ended) {
        log_death(s, child);
    }
    apr_pool_destroy(pool);
    pw_stats_fold(resolved->stats, pid);
}

void pw_shared_register_hooks(void)
{
    ap_hook_child_status(child_status, NULL, NULL, APR_HOOK_MIDDLE);
}
