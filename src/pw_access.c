/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_access: the state of the files that the configuration names.
 */
#include "pw_access.h"

#include "pw_resolve.h"

static int is_missing(const char *path, apr_pool_t *ptemp)
{
    apr_finfo_t info;

    return APR_STATUS_IS_ENOENT(apr_stat(&info, path, APR_FINFO_TYPE, ptemp));
}

static void warn_app(const pw_app_spec_t *app, apr_pool_t *ptemp)
{
    if (app->script && is_missing(app->script, ptemp)) {
        pw_log(&app->log, PW_LOG_WARN,
               "PW0008 %s: the script %s is not there; requests to it are "
               "answered 503 until it is",
               app->label, app->script);
    }
    if (app->script && ap_is_directory(ptemp, app->script)) {
        pw_log(&app->log, PW_LOG_WARN,
               "PW0016 %s: %s is a directory, not a script; requests to it "
               "are answered with an error. Mend: name each script file",
               app->label, app->script);
    }
}

void pw_access_warn(const server_rec *main_server, apr_pool_t *ptemp)
{
    const pw_map_t *map = &pw_config_server(main_server)->resolved->map;

    if (map->python_home && is_missing(map->python_home, ptemp)) {
        pw_log(&map->log, PW_LOG_WARN,
               "PW0017 WSGIPythonHome %s is not there; Python may not start, "
               "and every application is then answered 503",
               map->python_home);
    }
    for (int i = 0; i < map->interps->nelts; i++) {
        const pw_interp_spec_t *spec =
            APR_ARRAY_IDX(map->interps, i, const pw_interp_spec_t *);

        if (spec->home && is_missing(spec->home, ptemp)) {
            pw_log(&map->log, PW_LOG_WARN,
                   "PW0009 %s: WSGIPythonHome %s is not there; its "
                   "applications will not find their packages",
                   spec->name, spec->home);
        }
        for (int a = 0; a < spec->apps->nelts; a++) {
            warn_app(APR_ARRAY_IDX(spec->apps, a, const pw_app_spec_t *),
                     ptemp);
        }
    }
}
