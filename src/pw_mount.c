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

pw_mounted_t *pw_mount_of(const request_rec *r)
{
    return ap_get_module_config(r->request_config, &polywsgi_module);
}

/* How much of the URI the prefix covers, 0 where it does not: whole segments,
 * and any run of slashes counts as one. */
static size_t match_prefix(const char *uri, const char *prefix)
{
    const char *u = uri, *p = prefix;

    while (*p) {
        if (*p == '/') {
            if (*u != '/') {
                return 0;
            }
            p += strspn(p, "/");
            u += strspn(u, "/");
        }
        else if (*u++ != *p++) {
            return 0;
        }
    }
    if (p[-1] != '/' && *u && *u != '/') {
        return 0;
    }
    return (size_t)(u - uri);
}

/* The URI's own spelling of the prefix is SCRIPT_NAME, so that SCRIPT_NAME and
 * PATH_INFO together are the path that was asked for. */
static void split_uri(request_rec *r, pw_mounted_t *m, size_t covered)
{
    while (covered > 0 && r->uri[covered - 1] == '/') {
        covered--;
    }
    m->script_name = apr_pstrmemdup(r->pool, r->uri, covered);
    m->path_info = r->uri + covered;
}

static void take(request_rec *r, const pw_mount_t *mount, size_t covered)
{
    pw_mounted_t *m = apr_pcalloc(r->pool, sizeof(*m));

    m->mount = mount;
    split_uri(r, m, covered);
    r->handler = PW_HANDLER;
    r->filename = mount->script
                      ? apr_pstrdup(r->pool, mount->script)
                      : apr_pstrcat(r->pool, "wsgi:", mount->module, ":",
                                    mount->callable, NULL);
    ap_set_module_config(r->request_config, &polywsgi_module, m);
}

static int translate_name(request_rec *r)
{
    const pw_server_conf_t *conf = pw_config_server(r->server);

    if (r->uri[0] != '/') {
        return DECLINED;
    }
    for (int i = 0; i < conf->mounts->nelts; i++) {
        const pw_mount_t *mount = APR_ARRAY_IDX(conf->mounts, i, pw_mount_t *);
        size_t covered = match_prefix(r->uri, mount->prefix);

        if (covered > 0) {
            take(r, mount, covered);
            return OK;
        }
    }
    return DECLINED;
}

/* httpd answers 403 where it cannot look at the script; for us its state is
 * the application's: 503, and a record. */
static int closed_above(request_rec *r, const pw_mount_t *mount)
{
    apr_finfo_t info;

    return APR_STATUS_IS_EACCES(
        apr_stat(&info, mount->script, APR_FINFO_TYPE, r->pool));
}

static int map_to_storage(request_rec *r)
{
    pw_mounted_t *m = pw_mount_of(r);
    int rc;

    if (!m) {
        return DECLINED;
    }
    if (!m->mount->script) {
        return OK; /* no file, no directory: only <Location> applies */
    }
    rc = ap_directory_walk(r);
    if (rc == OK) {
        rc = ap_file_walk(r);
    }
    if (rc == HTTP_FORBIDDEN && closed_above(r, m->mount)) {
        m->closed = 1;
        rc = HTTP_SERVICE_UNAVAILABLE;
    }
    r->path_info = apr_pstrdup(r->pool, m->path_info);
    return rc;
}

void pw_mount_register_hooks(void)
{
    static const char *const before[] = {"mod_alias.c", "mod_userdir.c",
                                         "mod_vhost_alias.c", NULL};

    ap_hook_translate_name(translate_name, NULL, before, APR_HOOK_MIDDLE);
    ap_hook_map_to_storage(map_to_storage, NULL, NULL, APR_HOOK_FIRST);
}
