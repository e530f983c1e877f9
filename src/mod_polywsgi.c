/* SPDX-License-Identifier: Apache-2.0
 *
 * mod_polywsgi: the module's record, its hooks, and the handler. The table of
 * contents: each room registers what is its own, and the story of a request
 * goes on in pw_gate_run.
 *
 *   parent   pre_config -> check_config (pw_resolve) -> post_config
 *   child    child_init -> requests -> child_stopping -> end of pchild
 *   request  pw_mount -> handler -> pw_gate_run
 */
#include <httpd.h>
#include <ap_mpm.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_request.h>
#include <mpm_common.h>

#include "config.h"
#include "pw_access.h"
#include "pw_advice.h"
#include "pw_config.h"
#include "pw_console.h"
#include "pw_dump.h"
#include "pw_exchange_httpd.h"
#include "pw_foreign.h"
#include "pw_found.h"
#include "pw_gate.h"
#include "pw_htaccess.h"
#include "pw_limits.h"
#include "pw_module.h"
#include "pw_mount.h"
#include "pw_preload.h"
#include "pw_pyversion.h"
#include "pw_resolve.h"
#include "pw_runtime.h"
#include "pw_shared.h"
#include "pw_status.h"

/* child: set by child_init, before any request. NULL: Python did not start. */
static pw_runtime_t *child_runtime;
static pw_control_t *child_control; /* likewise; NULL: no control socket */

/* ---- parent ------------------------------------------------------------ */

/* The configuration is read twice at a start; what is said, is said once. */
static int is_first_pass(void)
{
    return ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG;
}

static int is_config_test(void)
{
    return ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST;
}

static int ask_mpm(int query)
{
    int value = 0;

    return ap_mpm_query(query, &value) == APR_SUCCESS ? value : 0;
}

static int pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)pconf;
    (void)plog;
    (void)ptemp;
    pw_pyversion_pin(NULL);
    return OK;
}

/* In httpd -t; and before the first start where WSGIStrict may prevent it. The
 * dump is made in any case: the command polywsgi explains what it shows. */
static int check_files(const server_rec *s, apr_pool_t *ptemp)
{
    if (ap_exists_config_define("DUMP_POLYWSGI")
        || !(is_config_test()
             || (is_first_pass() && pw_config_server(s)->strict))) {
        return OK;
    }
    return pw_access_check(s, ptemp);
}

/* What is not said of interpreters follows from the MPM. */
static void settle(pw_resolved_t *resolved)
{
    pw_map_t *map = &resolved->map;
    int threads = ask_mpm(AP_MPMQ_MAX_THREADS);

    map->threads = threads > 0 ? threads : 1;
    pw_limits_settle(map, map->threads,
                     map->interps->nelts + resolved->may_find > 1);
}

static int check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                        server_rec *s)
{
    int rc = pw_resolve(pconf, s);

    (void)plog;
    settle(pw_config_server(s)->resolved);
    return rc == OK ? check_files(s, ptemp) : rc;
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                       server_rec *s)
{
    pw_resolved_t *resolved = pw_config_server(s)->resolved;
    int processes = ask_mpm(AP_MPMQ_MAX_DAEMONS);

    (void)plog;
    settle(resolved);
    resolved->multithread =
        ask_mpm(AP_MPMQ_IS_THREADED) != AP_MPMQ_NOT_SUPPORTED;
    resolved->map.processes = processes > 0 ? processes : 1;
    resolved->multiprocess = processes > 1;
    if (!is_first_pass()) {
        pw_shared_open(s);
        pw_console_open(s);
        ap_add_version_component(pconf, "mod_polywsgi/" PW_VERSION);
        pw_access_warn(s, ptemp);
        pw_advice_at_start(s, resolved, ptemp);
        pw_limits_warn(s, &resolved->map, ptemp);
        pw_foreign_say(s);
    }
    return OK;
}

static void test_config(apr_pool_t *pconf, server_rec *s)
{
    apr_file_t *out;

    if (ap_exists_config_define("DUMP_POLYWSGI")
        && apr_file_open_stdout(&out, pconf) == APR_SUCCESS) {
        pw_dump_map(s, pconf, out);
    }
}

/* ---- child ------------------------------------------------------------- */

static apr_status_t end_child(void *unused)
{
    (void)unused;
    if (child_runtime) {
        pw_runtime_stopping(child_runtime, 0); /* its deadline runs from now */
    }
    pw_control_stop(child_control);
    if (child_runtime) {
        pw_runtime_stop(child_runtime);
        child_runtime = NULL;
    }
    return APR_SUCCESS;
}

/* Without an application no child starts a Python. First of all modules, so
 * that the last cleanup of the child is the runtime's. */
static void child_init(apr_pool_t *pchild, server_rec *s)
{
    const pw_resolved_t *resolved = pw_config_server(s)->resolved;
    const pw_map_t *map = &resolved->map;

    if (map->interps->nelts == 0 && !resolved->may_find) {
        return;
    }
    if (pw_gate_start(pchild, map, pw_shared_join(s, pchild), &child_runtime)
        != APR_SUCCESS) {
        child_runtime = NULL;
    }
    apr_pool_pre_cleanup_register(pchild, NULL, end_child);
    child_control = pw_console_start(s, pchild, child_runtime);
    if (child_runtime) {
        pw_preload_wait(child_runtime);
    }
}

/* prefork calls this inside a signal handler: nothing but a semaphore. */
static void child_stopping(apr_pool_t *pchild, int graceful)
{
    (void)pchild;
    if (child_runtime) {
        pw_runtime_stopping(child_runtime, graceful);
    }
}

/* ---- request ----------------------------------------------------------- */

/* The application, or NULL after a record: only .htaccess can ask for what
 * check_config has not seen. */
static const pw_app_spec_t *find_app(request_rec *r, const pw_mounted_t *m)
{
    const pw_dir_conf_t *dir = pw_config_dir(r);
    const pw_app_spec_t *app;

    if (!dir->group && !dir->callable) {
        return m->app;
    }
    app =
        pw_resolve_app(r->server, m->mount, dir->group, dir->callable, r->pool);
    if (!app) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "PW0310 %s: .htaccess asks for WSGIApplicationGroup %s, "
                      "WSGICallableObject %s, which the configuration does "
                      "not give to this mount; %s answered 500. Mend: say it "
                      "in a <Directory> section",
                      m->mount->prefix, dir->group ? dir->group : "(unset)",
                      dir->callable ? dir->callable : "(unset)", r->uri);
    }
    return app;
}

static int answer_unavailable(request_rec *r)
{
    apr_table_setn(r->err_headers_out, "Retry-After", PW_RETRY_AFTER);
    return HTTP_SERVICE_UNAVAILABLE;
}

/* What answers the request: of a mount its application, else that of the file.
 * OK, or the status to answer. */
static int find_target(request_rec *r, pw_mounted_t *target)
{
    const pw_mounted_t *m = pw_mount_of(r);

    if (!m) {
        m = pw_mount_again(r);
    }
    if (!m || m->mount->found) {
        return pw_found_script(r, child_runtime, m ? m->mount : NULL, target);
    }
    *target = *m;
    target->app = find_app(r, m);
    if (!target->app) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return child_runtime ? OK : answer_unavailable(r);
}

/* WSGIChunkedRequest Off: a body of unknown length is not accepted. */
static int refuses_body(request_rec *r)
{
    if (pw_config_dir(r)->chunked_request != 0
        || !apr_table_get(r->headers_in, "Transfer-Encoding")) {
        return 0;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "PW0330 %s has a chunked body, and WSGIChunkedRequest is "
                  "Off; answered 411",
                  r->uri);
    return 1;
}

/* What the gate's status means for httpd. */
static int answer(request_rec *r, const pw_exchange_t *x, int status)
{
    if (r->eos_sent) {
        return OK; /* by us, or by a filter that refused the request body */
    }
    if (status == OK) {
        return pw_exchange_httpd_overridden(x);
    }
    return status == HTTP_SERVICE_UNAVAILABLE ? answer_unavailable(r) : status;
}

static int handler(request_rec *r)
{
    pw_mounted_t target = {.mount = NULL};
    pw_exchange_t *x;
    int status;

    if (!r->handler || strcmp(r->handler, PW_HANDLER) != 0) {
        return DECLINED;
    }
    pw_lock_take_memory();
    status = find_target(r, &target);
    if (status != OK) {
        return status;
    }
    if (refuses_body(r)) {
        return HTTP_LENGTH_REQUIRED;
    }
    x = pw_exchange_httpd_create(r, &target);
    status = answer(r, x, pw_gate_run(child_runtime, target.app, x));
    pw_lock_give_memory();
    return status;
}

void pw_module_register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_pre_config(pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_test_config(test_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_child_stopping(child_stopping, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
    pw_exchange_httpd_register_hooks();
    pw_htaccess_register_hooks();
    pw_mount_register_hooks();
    pw_shared_register_hooks();
    pw_console_register_hooks();
    pw_status_register_hooks();
}

module AP_MODULE_DECLARE_DATA polywsgi_module = {
    STANDARD20_MODULE_STUFF,  pw_config_create_dir,   pw_config_merge_dir,
    pw_config_create_server,  pw_config_merge_server, pw_config_commands,
    pw_module_register_hooks, AP_MODULE_FLAG_NONE};
