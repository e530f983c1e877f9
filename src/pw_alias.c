/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_alias: one function a directive, and one for each of their options.
 */
#include "pw_alias.h"

#include <apr_strings.h>
#include <http_core.h>

static pw_mount_t *new_mount(apr_pool_t *pool)
{
    pw_mount_t *mount = apr_pcalloc(pool, sizeof(*mount));

    mount->pass_authorization = -1;
    return mount;
}

static const char *strip_quotes(apr_pool_t *pool, const char *value)
{
    size_t len = strlen(value);

    if (len >= 2 && (*value == '"' || *value == '\'')
        && value[len - 1] == *value) {
        return apr_pstrmemdup(pool, value + 1, len - 2);
    }
    return value;
}

static const char *set_group_option(cmd_parms *cmd, pw_mount_t *mount,
                                    const char *value, int demand)
{
    if (mount->group) {
        return apr_psprintf(cmd->pool,
                            "%s: application-group= and interpreter= are "
                            "given more than once. Mend: keep one",
                            cmd->cmd->name);
    }
    mount->demand = demand;
    return pw_config_group(cmd, value, &mount->group);
}

static const char *set_pass_option(cmd_parms *cmd, pw_mount_t *mount,
                                   const char *value)
{
    mount->pass_authorization = !strcasecmp(value, "on");
    if (mount->pass_authorization || !strcasecmp(value, "off")) {
        return NULL;
    }
    return apr_psprintf(cmd->pool,
                        "%s: pass-authorization=%s is neither On nor Off. "
                        "Mend: use one of these",
                        cmd->cmd->name, value);
}

/* mod_wsgi's %{GLOBAL} means httpd's own children, which is where applications
 * run here. */
static const char *check_process_group(cmd_parms *cmd, const char *value)
{
    if (!*value || !strcmp(value, "%{GLOBAL}")) {
        return NULL;
    }
    return apr_psprintf(cmd->pool,
                        "%s: process-group=%s needs daemon processes, which "
                        "this version does not have; without them the "
                        "application would run as httpd's user, beside others. "
                        "Mend: leave it out if that is meant, and say "
                        "interpreter=%s with a <WSGIInterpreter %s> block",
                        cmd->cmd->name, value, value, value);
}

static const char *parse_option(cmd_parms *cmd, pw_mount_t *mount,
                                const char *word)
{
    const char *equals = ap_strchr_c(word, '=');
    const char *name, *value;

    if (!equals) {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is no option: NAME=VALUE is expected. "
                            "Mend: quote a path that contains spaces",
                            cmd->cmd->name, word);
    }
    name = apr_pstrmemdup(cmd->pool, word, (apr_size_t)(equals - word));
    value = strip_quotes(cmd->pool, equals + 1);
    if (!strcmp(name, "application-group")) {
        return set_group_option(cmd, mount, value, 0);
    }
    if (!strcmp(name, "interpreter")) {
        return set_group_option(cmd, mount, value, 1);
    }
    if (!strcmp(name, "callable-object") && *value) {
        mount->callable = apr_pstrdup(cmd->pool, value);
        return NULL;
    }
    if (!strcmp(name, "pass-authorization")) {
        return set_pass_option(cmd, mount, value);
    }
    if (!strcmp(name, "process-group")) {
        return check_process_group(cmd, value);
    }
    return apr_psprintf(cmd->pool,
                        "%s: unknown or empty option %s. Mend: "
                        "application-group=, interpreter=, callable-object= or "
                        "pass-authorization= with a value",
                        cmd->cmd->name, name);
}

static const char *parse_options(cmd_parms *cmd, pw_mount_t *mount,
                                 const char *options)
{
    const char *error = NULL, *word;

    while (!error && *options) {
        word = ap_getword_conf(cmd->pool, &options);
        if (*word) {
            error = parse_option(cmd, mount, word);
        }
    }
    return error;
}

static const char *add_mount(cmd_parms *cmd, pw_mount_t *mount,
                             const char *prefix, const char *options)
{
    const char *error = ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT);

    if (!error && !mount->pattern && *prefix != '/') {
        error = apr_psprintf(cmd->pool,
                             "%s: the URL prefix '%s' does not begin with a "
                             "slash. Mend: write /%s",
                             cmd->cmd->name, prefix, prefix);
    }
    if (!error) {
        error = parse_options(cmd, mount, options);
    }
    if (error) {
        return error;
    }
    mount->prefix = prefix;
    mount->place = pw_config_place(cmd);
    mount->server = cmd->server;
    APR_ARRAY_PUSH(pw_config_server(cmd->server)->mounts, pw_mount_t *) = mount;
    return NULL;
}

/* Does the path go on behind a file ("/srv/app.wsgi/more")? httpd's walk then
 * takes the rest off, as PATH_INFO. */
static int goes_on(apr_pool_t *ptemp, const char *path)
{
    apr_finfo_t info;

    return APR_STATUS_IS_ENOTDIR(apr_stat(&info, path, APR_FINFO_TYPE, ptemp));
}

/* The file or directory of a line, in mount->script; or an error. A directory
 * is one that ends in a slash, or is there: mod_wsgi needs no slash. */
static const char *set_target(cmd_parms *cmd, pw_mount_t *mount,
                              const char *file)
{
    size_t len = strlen(file);
    char *path = ap_server_root_relative(cmd->pool, file);

    if (!path) {
        return apr_psprintf(cmd->pool, "%s: %s is no path of a file",
                            cmd->cmd->name, file);
    }
    mount->script = path;
    mount->found = file[len - 1] == '/' || ap_is_directory(cmd->pool, path)
                   || goes_on(cmd->temp_pool, path);
    return NULL;
}

const char *pw_alias_script(cmd_parms *cmd, void *mconfig, const char *args)
{
    pw_mount_t *mount = new_mount(cmd->pool);
    const char *prefix = ap_getword_conf(cmd->pool, &args);
    const char *file = ap_getword_conf(cmd->pool, &args);
    const char *error;

    (void)mconfig;
    if (!*prefix || !*file) {
        return apr_psprintf(cmd->pool,
                            "%s needs a URL prefix and a script file. Mend: "
                            "%s /shop /srv/shop/wsgi.py",
                            cmd->cmd->name, cmd->cmd->name);
    }
    error = set_target(cmd, mount, file);
    return error ? error : add_mount(cmd, mount, prefix, args);
}

const char *pw_alias_match(cmd_parms *cmd, void *mconfig, const char *args)
{
    pw_mount_t *mount = new_mount(cmd->pool);
    const char *pattern = ap_getword_conf(cmd->pool, &args);
    const char *file = ap_getword_conf(cmd->pool, &args);
    const char *error;

    (void)mconfig;
    if (!*pattern || !*file) {
        return apr_psprintf(cmd->pool,
                            "%s needs a pattern and a script file. Mend: "
                            "%s ^/([a-z]+)/app /srv/$1/wsgi.py",
                            cmd->cmd->name, cmd->cmd->name);
    }
    mount->pattern = ap_pregcomp(cmd->pool, pattern, AP_REG_EXTENDED);
    if (!mount->pattern) {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is no regular expression. Mend: see the "
                            "documentation of PCRE; quote one with spaces",
                            cmd->cmd->name, pattern);
    }
    error = set_target(cmd, mount, file);
    mount->found |= ap_strchr_c(file, '$') != NULL;
    return error ? error : add_mount(cmd, mount, pattern, args);
}

const char *pw_alias_application(cmd_parms *cmd, void *mconfig,
                                 const char *args)
{
    pw_mount_t *mount = new_mount(cmd->pool);
    const char *prefix = ap_getword_conf(cmd->pool, &args);
    const char *target = ap_getword_conf(cmd->pool, &args);
    const char *colon = ap_strchr_c(target, ':');

    (void)mconfig;
    if (!*prefix || !colon
        || !pw_config_is_dotted(target, (size_t)(colon - target))
        || !pw_config_is_dotted(colon + 1, strlen(colon + 1))) {
        return apr_psprintf(cmd->pool,
                            "%s needs a URL prefix and MODULE:CALLABLE. Mend: "
                            "%s /shop shop.wsgi:application",
                            cmd->cmd->name, cmd->cmd->name);
    }
    mount->module =
        apr_pstrmemdup(cmd->pool, target, (apr_size_t)(colon - target));
    mount->callable = apr_pstrdup(cmd->pool, colon + 1);
    return add_mount(cmd, mount, prefix, args);
}

/* As mod_wsgi: the interpreter must be said, since there is no mount to name
 * it by. */
const char *pw_alias_import(cmd_parms *cmd, void *mconfig, const char *args)
{
    pw_mount_t *import = new_mount(cmd->pool);
    const char *file = ap_getword_conf(cmd->pool, &args);
    const char *error = ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT);

    (void)mconfig;
    if (!error) {
        error = parse_options(cmd, import, args);
    }
    if (error) {
        return error;
    }
    if (!*file || !import->group || !strcmp(import->group, "%{RESOURCE}")
        || import->callable) {
        return apr_psprintf(cmd->pool,
                            "%s needs a script file and the interpreter that "
                            "runs it. Mend: %s /srv/shop/warm.py "
                            "application-group=shop",
                            cmd->cmd->name, cmd->cmd->name);
    }
    import->script = ap_server_root_relative(cmd->pool, file);
    if (!import->script) {
        return apr_psprintf(cmd->pool, "%s: %s is no path of a file",
                            cmd->cmd->name, file);
    }
    import->import = 1;
    import->prefix = import->script;
    import->place = pw_config_place(cmd);
    import->server = cmd->server;
    APR_ARRAY_PUSH(pw_config_server(cmd->server)->imports, pw_mount_t *) =
        import;
    return NULL;
}
