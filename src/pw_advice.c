/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_advice: asks the MPM. Parent process only.
 */
#include "pw_advice.h"

#include <apr_strings.h>
#include <httpd.h>
#include <ap_mpm.h>
#include <http_log.h>

#include "config.h"
#include "pw_module.h"
#include "pw_pyversion.h"

/* So many children are quietly accepted: each loads every application. */
#define FEW_CHILDREN 4

typedef struct mpm_t {
    int threaded;
    int shares_slots; /* a new child takes the place of one that ends */
    int children;     /* MaxRequestWorkers / ThreadsPerChild */
    int server_limit; /* ServerLimit */
    int threads;      /* ThreadsPerChild */
    int max_spare;    /* MaxSpareThreads */
    int requests;     /* MaxConnectionsPerChild */
} mpm_t;

static int ask(int query)
{
    int value = 0;

    return ap_mpm_query(query, &value) == APR_SUCCESS ? value : 0;
}

static mpm_t ask_mpm(void)
{
    mpm_t mpm = {
        .threaded = ask(AP_MPMQ_IS_THREADED) != AP_MPMQ_NOT_SUPPORTED,
        .shares_slots = ask(AP_MPMQ_IS_ASYNC) == AP_MPMQ_NOT_SUPPORTED,
        .children = ask(AP_MPMQ_MAX_DAEMONS),
        .server_limit = ask(AP_MPMQ_HARD_LIMIT_DAEMONS),
        .threads = ask(AP_MPMQ_MAX_THREADS),
        .max_spare = ask(AP_MPMQ_MAX_SPARE_THREADS),
        .requests = ask(AP_MPMQ_MAX_REQUESTS_DAEMON),
    };

    return mpm;
}

static int count(const pw_map_t *map, pw_isolation_e isolation)
{
    int n = 0;

    for (int i = 0; i < map->interps->nelts; i++) {
        const pw_interp_spec_t *spec =
            APR_ARRAY_IDX(map->interps, i, pw_interp_spec_t *);

        n += !spec->later && spec->isolation == isolation;
    }
    return n;
}

/* "8 own-gil, 1 main": those that there are. */
static const char *kinds(apr_pool_t *ptemp, const pw_map_t *map)
{
    static const pw_isolation_e all[] = {
        PW_ISOLATION_OWN_GIL, PW_ISOLATION_SHARED_GIL, PW_ISOLATION_MAIN};
    const char *text = "";

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        int n = count(map, all[i]);

        if (n > 0) {
            text = apr_psprintf(ptemp, "%s%s%d %s", text, *text ? ", " : "", n,
                                pw_isolation_name(all[i]));
        }
    }
    return text;
}

/* Those that have an application from the start. */
static int count_known(const pw_map_t *map)
{
    return count(map, PW_ISOLATION_OWN_GIL)
           + count(map, PW_ISOLATION_SHARED_GIL)
           + count(map, PW_ISOLATION_MAIN);
}

static void say_instances(server_rec *s, const pw_resolved_t *resolved,
                          const mpm_t *mpm, apr_pool_t *ptemp)
{
    const pw_map_t *map = &resolved->map;
    int n = count_known(map);
    int instances = n * mpm->children;
    const char *more = "";

    if (resolved->may_find) {
        more = apr_psprintf(ptemp,
                            ", and up to %d more in each child for scripts "
                            "that requests find",
                            map->found_max);
    }

    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                 "PW0001 mod_polywsgi/%s, Python %s: %d interpreter%s (%s) x "
                 "%s%d child%s = %s%d instance%s%s",
                 PW_VERSION, pw_pyversion(ptemp), n, n == 1 ? "" : "s",
                 kinds(ptemp, map), mpm->children > 1 ? "up to " : "",
                 mpm->children, mpm->children == 1 ? "" : "ren",
                 resolved->lazy || mpm->children > 1 ? "at most " : "",
                 instances, instances == 1 ? "" : "s", more);
}

static void warn_prefork(server_rec *s)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "PW0010 the prefork MPM runs one request in a process, and "
                 "every process loads every application. Mend: use the event "
                 "MPM (LoadModule mpm_event_module)");
}

static void warn_children(server_rec *s, const mpm_t *mpm)
{
    if (mpm->children > FEW_CHILDREN) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "PW0011 the MPM may start %d children, and each loads "
                     "every application. Mend: few children with many "
                     "threads, for example ThreadsPerChild %d and "
                     "MaxRequestWorkers %d (2 children)",
                     mpm->children, mpm->children * mpm->threads / 2,
                     mpm->children * mpm->threads);
    }
    if (!mpm->shares_slots && mpm->server_limit < 2 * mpm->children) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "PW0012 ServerLimit %d leaves no room for a graceful "
                     "restart: new children wait until old ones have "
                     "finished every request. Mend: ServerLimit %d",
                     mpm->server_limit, 2 * mpm->children);
    }
}

static void warn_respawns(server_rec *s, const mpm_t *mpm)
{
    int workers = mpm->children * mpm->threads;

    if (mpm->requests > 0) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "PW0013 MaxConnectionsPerChild %d ends children again "
                     "and again, and each new one loads every application. "
                     "Mend: MaxConnectionsPerChild 0",
                     mpm->requests);
    }
    if (mpm->children > 1 && mpm->max_spare > 0 && mpm->max_spare < workers) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "PW0014 MaxSpareThreads %d ends idle children, and "
                     "each new one loads every application. Mend: "
                     "MaxSpareThreads %d (= MaxRequestWorkers)",
                     mpm->max_spare, workers);
    }
}

/* mod_wsgi's default, and in many configurations. */
static void say_reloading(server_rec *main_server)
{
    for (server_rec *s = main_server; s; s = s->next) {
        const pw_place_t *place = &pw_config_server(s)->reloading_place;

        if (place->file) {
            ap_log_error(
                APLOG_MARK, APLOG_NOTICE, 0, s,
                "PW0018 WSGIScriptReloading On (%s line %d): a changed "
                "script takes effect with a graceful restart in this "
                "version; hot swap will do without",
                place->file, place->line);
            return;
        }
    }
}

void pw_advice_at_start(server_rec *s, const pw_resolved_t *resolved,
                        apr_pool_t *ptemp)
{
    mpm_t mpm = ask_mpm();

    if (resolved->map.interps->nelts == 0 && !resolved->may_find) {
        return;
    }
    say_instances(s, resolved, &mpm, ptemp);
    say_reloading(s);
    if (!mpm.threaded) {
        warn_prefork(s);
        return;
    }
    warn_children(s, &mpm);
    warn_respawns(s, &mpm);
}
