/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_options: one function a directive that is more than a flag of a section.
 */
#include "pw_options.h"

#include <stdlib.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_core.h>

#include "pw_module.h"

/* ---- requests ---------------------------------------------------------- */

const char *pw_options_map_head(cmd_parms *cmd, void *mconfig, const char *arg)
{
    pw_dir_conf_t *dir = mconfig;

    if (!strcasecmp(arg, "auto")) {
        dir->map_head = PW_HEAD_AUTO;
    }
    else if (!strcasecmp(arg, "on")) {
        dir->map_head = PW_HEAD_TO_GET;
    }
    else if (!strcasecmp(arg, "off")) {
        dir->map_head = PW_HEAD_AS_IT_IS;
    }
    else {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is none of On, Off and Auto. Mend: use "
                            "one of these",
                            cmd->cmd->name, arg);
    }
    return NULL;
}

/* Off is what happens today. Said by .htaccess, it is nobody's news. */
const char *pw_options_reloading(cmd_parms *cmd, void *mconfig, int on)
{
    pw_server_conf_t *conf = pw_config_server(cmd->server);

    (void)mconfig;
    if (on && !ap_check_cmd_context(cmd, NOT_IN_HTACCESS)
        && !conf->reloading_place.file) {
        conf->reloading_place = pw_config_place(cmd);
    }
    return NULL;
}

const char *pw_options_case(cmd_parms *cmd, void *mconfig, int on)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)mconfig;
    if (!error) {
        pw_config_server(cmd->server)->case_insensitive = !on;
    }
    return error;
}

/* ---- Python as a whole ------------------------------------------------- */

/* NULL with *error: not in the main server. */
static pw_python_conf_t *python_of(cmd_parms *cmd, const char **error)
{
    *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    if (*error) {
        *error = apr_psprintf(cmd->pool,
                              "%s is for Python in all of httpd. Mend: move it "
                              "to the main server",
                              cmd->cmd->name);
        return NULL;
    }
    return &pw_config_server(cmd->server)->python;
}

const char *pw_options_python_flag(cmd_parms *cmd, void *mconfig, int on)
{
    const char *error;
    pw_python_conf_t *python = python_of(cmd, &error);

    (void)mconfig;
    return python ? ap_set_flag_slot(cmd, python, on) : error;
}

const char *pw_options_optimize(cmd_parms *cmd, void *mconfig, const char *arg)
{
    const char *error;
    pw_python_conf_t *python = python_of(cmd, &error);

    (void)mconfig;
    if (python && (*arg < '0' || *arg > '2' || arg[1])) {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is none of 0, 1 and 2. Mend: use one of "
                            "these",
                            cmd->cmd->name, arg);
    }
    if (python) {
        python->optimize = *arg - '0';
    }
    return error;
}

const char *pw_options_warnings(cmd_parms *cmd, void *mconfig, const char *arg)
{
    const char *error;
    pw_python_conf_t *python = python_of(cmd, &error);

    (void)mconfig;
    if (python) {
        APR_ARRAY_PUSH(python->warnings, const char *) =
            apr_pstrdup(cmd->pool, arg);
    }
    return error;
}

const char *pw_options_hash_seed(cmd_parms *cmd, void *mconfig, const char *arg)
{
    const char *error;
    pw_python_conf_t *python = python_of(cmd, &error);
    char *end;
    apr_int64_t seed;

    (void)mconfig;
    if (!python) {
        return error;
    }
    python->fixed_hash = strcasecmp(arg, "random") != 0;
    if (!python->fixed_hash) {
        return NULL;
    }
    seed = apr_strtoi64(arg, &end, 10);
    if (!apr_isdigit(*arg) || *end || seed > APR_UINT32_MAX) {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is neither random nor a number from 0 to "
                            "4294967295. Mend: use one of these",
                            cmd->cmd->name, arg);
    }
    python->hash_seed = (unsigned long)seed;
    return NULL;
}

const char *pw_options_interval(cmd_parms *cmd, void *mconfig, const char *arg)
{
    const char *error;
    pw_python_conf_t *python = python_of(cmd, &error);
    char *end;
    double seconds = strtod(arg, &end);

    (void)mconfig;
    if (python && (end == arg || *end || !(seconds > 0) || seconds > 60)) {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is no number of seconds above 0 and up "
                            "to 60. Mend: for example %s 0.005",
                            cmd->cmd->name, arg, cmd->cmd->name);
    }
    if (python) {
        python->switch_interval = seconds;
    }
    return error;
}

const char *pw_options_env(cmd_parms *cmd, void *mconfig, const char *name,
                           const char *value)
{
    const char *error;
    pw_python_conf_t *python = python_of(cmd, &error);

    (void)mconfig;
    if (python && (!*name || ap_strchr_c(name, '='))) {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is no name of a variable. Mend: %s NAME "
                            "VALUE",
                            cmd->cmd->name, name, cmd->cmd->name);
    }
    if (python) {
        apr_table_set(python->env, name, value);
    }
    return error;
}
