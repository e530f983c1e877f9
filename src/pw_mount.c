/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_mount: matches as mod_alias does, and lets httpd walk the directories
 * above a script, so that <Directory> sections and their Require hold.
 */
#include "pw_mount.h"

#include <apr_strings.h>
#include <httpd.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>

#include "pw_module.h"
#include "pw_prefix.h"

pw_mounted_t *pw_mount_of(const request_rec *r)
{
    return ap_get_module_config(r->request_config, pw_module());
}

/* ---- URL to mount ------------------------------------------------------ */

/* The URI's own spelling of the prefix is SCRIPT_NAME, so that SCRIPT_NAME and
 * PATH_INFO together are the path that was asked for. */
static void split_uri(request_rec *r, pw_mounted_t *m, size_t covered)
{
    size_t name = pw_prefix_name(r->uri, covered);

    m->script_name = apr_pstrmemdup(r->pool, r->uri, name);
    m->path_info = r->uri + name;
}

/* How much of the URI the mount covers, 0 where it does not. A pattern covers
 * all up to the end of what it has matched, as with mod_wsgi. */
static size_t match_mount(const request_rec *r, const pw_mount_t *mount,
                          ap_regmatch_t *caught)
{
    if (!mount->pattern) {
        return pw_prefix_match(r->uri, mount->prefix);
    }
    if (ap_regexec(mount->pattern, r->uri, AP_MAX_REG_MATCH, caught, 0) != 0) {
        return 0;
    }
    return (size_t)caught[0].rm_eo;
}

/* Where the rest of the URI leads below the mount's directory, or below what
 * its path is with what the pattern has caught. */
static const char *found_file(const request_rec *r, const pw_mount_t *mount,
                              ap_regmatch_t *caught, size_t covered)
{
    const char *base = mount->script, *rest = r->uri + covered;

    if (mount->pattern) {
        base = ap_pregsub(r->pool, base, r->uri, AP_MAX_REG_MATCH, caught);
    }
    if (!base) {
        return "";
    }
    if (!mount->pattern && *rest && *rest != '/'
        && base[strlen(base) - 1] != '/') {
        return apr_pstrcat(r->pool, base, "/", rest, NULL);
    }
    return apr_pstrcat(r->pool, base, rest, NULL);
}

/* The file name that stands for a mount, in SCRIPT_FILENAME and for httpd. */
static const char *file_of(const request_rec *r, const pw_mount_t *mount,
                           ap_regmatch_t *caught, size_t covered)
{
    if (mount->found) {
        return found_file(r, mount, caught, covered);
    }
    return mount->script ? mount->script
                         : apr_pstrcat(r->pool, "wsgi:", mount->module, ":",
                                       mount->callable, NULL);
}

/* The first mount whose prefix the URI has, set as the request's, or NULL. */
static pw_mounted_t *find(request_rec *r)
{
    const pw_server_conf_t *conf = pw_config_server(r->server);

    for (int i = 0; i < conf->mounts->nelts; i++) {
        const pw_mount_t *mount = APR_ARRAY_IDX(conf->mounts, i, pw_mount_t *);
        ap_regmatch_t caught[AP_MAX_REG_MATCH];
        size_t covered = match_mount(r, mount, caught);
        pw_mounted_t *m;

        if (covered > 0) {
            m = apr_pcalloc(r->pool, sizeof(*m));
            m->mount = mount;
            m->app = APR_ARRAY_IDX(conf->defaults, i, pw_app_spec_t *);
            m->file = file_of(r, mount, caught, covered);
            split_uri(r, m, covered);
            ap_set_module_config(r->request_config, pw_module(), m);
            return m;
        }
    }
    return NULL;
}

pw_mounted_t *pw_mount_again(request_rec *r)
{
    pw_mounted_t *m = find(r);
    size_t len = m && m->mount->found ? strlen(r->filename) : APR_SIZE_MAX;

    /* Of a file that was found, httpd's walk has taken PATH_INFO off. */
    return m && !strncmp(m->file, r->filename, len) ? m : NULL;
}

/* ---- hooks ------------------------------------------------------------- */

static int translate_name(request_rec *r)
{
    const pw_mounted_t *m;

    if (r->uri[0] != '/' || r->proxyreq != PROXYREQ_NONE) {
        return DECLINED;
    }
    m = find(r);
    if (!m) {
        return DECLINED;
    }
    r->handler = PW_HANDLER;
    r->filename = apr_pstrdup(r->pool, m->file);
    return OK;
}

/* httpd answers 403 where it cannot look at the script; for us its state is
 * the application's: 503, and a record. */
static int closed_above(request_rec *r, const pw_mount_t *mount)
{
    apr_finfo_t info;

    return APR_STATUS_IS_EACCES(
        apr_stat(&info, mount->script, APR_FINFO_TYPE, r->pool));
}

static int answer_closed(request_rec *r, const pw_mounted_t *m)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  "PW0312 %s: a directory above the script %s may not be "
                  "entered by the user of httpd's children; %s answered 503. "
                  "Mend: chmod o+x it, or use another place",
                  m->mount->prefix, m->mount->script, r->uri);
    apr_table_setn(r->err_headers_out, "Retry-After", PW_RETRY_AFTER);
    return HTTP_SERVICE_UNAVAILABLE;
}

/* The walks apply <Directory>, .htaccess and <Files>. A missing script goes on
 * to the handler under its own name: it may have been loaded. */
static int map_to_storage(request_rec *r)
{
    pw_mounted_t *m = pw_mount_of(r);
    int rc;

    if (!m || m->mount->found) {
        return DECLINED; /* httpd's own walk finds the file */
    }
    if (!m->mount->script) {
        return OK; /* no file, no directory: only <Location> applies */
    }
    rc = ap_directory_walk(r);
    if (rc == OK) {
        rc = ap_file_walk(r);
    }
    if (rc == HTTP_FORBIDDEN && closed_above(r, m->mount)) {
        rc = answer_closed(r, m);
    }
    r->filename = apr_pstrdup(r->pool, m->mount->script);
    r->path_info = apr_pstrdup(r->pool, m->path_info);
    return rc;
}

void pw_mount_register_hooks(void)
{
    /* After mod_alias, as mod_wsgi: an Alias of /static/ stays above an
     * application mounted at the root. */
    static const char *const after[] = {"mod_alias.c", NULL};
    static const char *const before[] = {"mod_userdir.c", "mod_vhost_alias.c",
                                         NULL};
    static const char *const trace[] = {"http_core.c", NULL};

    ap_hook_translate_name(translate_name, after, before, APR_HOOK_MIDDLE);
    /* TRACE is httpd's own, and answered in http_core's hook. */
    ap_hook_map_to_storage(map_to_storage, trace, NULL, APR_HOOK_MIDDLE);
}
