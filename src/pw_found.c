/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_found: checks, each with its record, then pw_demand.
 */
#include "pw_found.h"

#include <unistd.h>
#include <apr_strings.h>
#include <httpd.h>
#include <http_core.h>
#include <http_log.h>
#include <util_script.h>

#include "pw_demand.h"
#include "pw_exchange_httpd.h"
#include "pw_htaccess.h"
#include "pw_module.h"
#include "pw_resolve.h"

/* ---- the file ---------------------------------------------------------- */

/* Clients ask for what is not there all day: no error. */
static int refuse_missing(request_rec *r)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "PW0313 %s: there is no such script; %s answered 404",
                  r->filename, r->uri);
    return HTTP_NOT_FOUND;
}

static int refuse_kind(request_rec *r)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  "PW0314 %s: no file that can be read by the user of httpd's "
                  "children; %s answered 403. Mend: chmod o+r, or name the "
                  "script itself where this is its directory",
                  r->filename, r->uri);
    return HTTP_FORBIDDEN;
}

static int check_file(request_rec *r)
{
    if (r->finfo.filetype == APR_NOFILE) {
        return refuse_missing(r);
    }
    if (r->finfo.filetype != APR_REG || access(r->filename, R_OK) != 0) {
        return refuse_kind(r);
    }
    if (r->used_path_info == AP_REQ_REJECT_PATH_INFO && r->path_info
        && *r->path_info) {
        return refuse_missing(r); /* AcceptPathInfo Off */
    }
    return OK;
}

/* ---- the handler ------------------------------------------------------- */

static int refuse_options(request_rec *r)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  "PW0315 %s has the handler " PW_HANDLER ", but Options "
                  "ExecCGI is off in its directory; %s answered 403. Mend: "
                  "Options +ExecCGI in its <Directory>, or a WSGIScriptAlias",
                  r->filename, r->uri);
    return HTTP_FORBIDDEN;
}

static int refuse_htaccess(request_rec *r)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  "PW0316 %s has the handler " PW_HANDLER ", and .htaccess may "
                  "have set it; %s answered 403. Mend: set the handler in a "
                  "<Directory> section and only harmless things in .htaccess, "
                  "or say WSGIAllowOverride On there",
                  r->filename, r->uri);
    return HTTP_FORBIDDEN;
}

static int check_handler(request_rec *r)
{
    if (!(ap_allow_options(r) & OPT_EXECCGI)) {
        return refuse_options(r);
    }
    if (pw_config_dir(r)->allow_override <= 0
        && pw_htaccess_may_set_handler(r)) {
        return refuse_htaccess(r);
    }
    return OK;
}

/* ---- the application --------------------------------------------------- */

static int refuse_group(request_rec *r)
{
    const pw_dir_conf_t *dir = pw_config_dir(r);

    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  "PW0317 %s: .htaccess asks for WSGIApplicationGroup %s, "
                  "which the configuration does not name; %s answered 500. "
                  "Mend: say it in a <Directory> section",
                  r->filename, dir->group ? dir->group : "(unset)", r->uri);
    return HTTP_INTERNAL_SERVER_ERROR;
}

static int answer_unavailable(request_rec *r)
{
    apr_table_setn(r->err_headers_out, "Retry-After", PW_RETRY_AFTER);
    return HTTP_SERVICE_UNAVAILABLE;
}

static int refuse_more(request_rec *r, apr_status_t rv)
{
    if (rv == APR_ENOSPC) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "PW0318 %s: this child knows as many scripts as "
                      "WSGIInterpreterLimit %d lets it; %s answered 503. Mend: "
                      "raise it, or fewer scripts in one interpreter",
                      r->filename,
                      pw_config_server(r->server)->resolved->map.found_max,
                      r->uri);
    }
    else {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "PW0319 %s: this child is ending; %s answered 503",
                      r->filename, r->uri);
    }
    return answer_unavailable(r);
}

/* SCRIPT_NAME is the URI without what httpd's walk left over. */
static void split(const request_rec *r, pw_mounted_t *m)
{
    const char *rest = r->path_info ? r->path_info : "";

    m->script_name = apr_pstrmemdup(
        r->pool, r->uri, (apr_size_t)ap_find_path_info(r->uri, rest));
    m->path_info = rest;
}

int pw_found_script(request_rec *r, pw_runtime_t *rt, const pw_mount_t *mount,
                    pw_mounted_t *m)
{
    const pw_dir_conf_t *dir = pw_config_dir(r);
    pw_found_t found = {.script = r->filename, .rpool = r->pool};
    int status = check_file(r);
    apr_status_t rv;

    if (status == OK && !mount) {
        status = check_handler(r);
    }
    if (status != OK) {
        return status;
    }
    if (!rt) {
        return answer_unavailable(r);
    }
    if (pw_resolve_found(r->server, mount, dir->group, dir->callable, &found)
        < 0) {
        return refuse_group(r);
    }
    found.log = pw_exchange_httpd_server_log(r->server);
    rv = pw_demand_app(rt, &found, &m->app);
    if (rv != APR_SUCCESS) {
        return refuse_more(r, rv);
    }
    split(r, m);
    return OK;
}
