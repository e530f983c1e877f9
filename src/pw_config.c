/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_config: one function a directive. They check what a single line can be
 * checked for; what needs the whole configuration is pw_resolve's.
 */
#include "pw_config.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include "pw_alias.h"
#include "pw_console.h"
#include "pw_foreign.h"
#include "pw_module.h"
#include "pw_options.h"

#define NOT_SET ((apr_interval_time_t)-1)
/* Room is kept for so many scripts in each interpreter. */
#define LIMIT_MAX 4096

/* Of two settings the inner one, where it was made. */
#define MERGE(conf, base, add, field, unset)                                   \
    ((conf)->field = (add)->field != (unset) ? (add)->field : (base)->field)

/* ---- creating and merging ---------------------------------------------- */

void *pw_config_create_server(apr_pool_t *pool, server_rec *s)
{
    pw_server_conf_t *conf = apr_pcalloc(pool, sizeof(*conf));

    (void)s;
    conf->mounts = apr_array_make(pool, 2, sizeof(pw_mount_t *));
    conf->blocks = apr_array_make(pool, 2, sizeof(pw_block_t *));
    conf->sections = apr_array_make(pool, 2, sizeof(pw_section_t *));
    conf->tuning.startup_timeout = NOT_SET;
    pw_limits_init(&conf->tuning.limits);
    conf->shutdown_timeout = NOT_SET;
    conf->interpreter_limit = -1;
    conf->imports = apr_array_make(pool, 1, sizeof(pw_mount_t *));
    conf->control_users = apr_array_make(pool, 1, sizeof(uid_t));
    conf->notes = apr_array_make(pool, 1, sizeof(pw_note_t));
    conf->python.restrict_signal = 1;
    conf->python.warnings = apr_array_make(pool, 1, sizeof(const char *));
    conf->python.env = apr_table_make(pool, 1);
    return conf;
}

void *pw_config_merge_server(apr_pool_t *pool, void *base, void *add)
{
    pw_server_conf_t *b = base, *a = add;
    pw_server_conf_t *conf = apr_pmemdup(pool, b, sizeof(*conf));

    conf->mounts = apr_array_append(pool, a->mounts, b->mounts);
    conf->sections = a->sections; /* its own; pw_resolve gathers them */
    conf->imports = a->imports;   /* likewise */
    conf->notes = a->notes;
    conf->reloading_place = a->reloading_place;
    MERGE(conf, b, a, group, NULL);
    MERGE(conf, b, a, callable, NULL);
    if (a->group) {
        conf->group_place = a->group_place;
    }
    return conf;
}

void *pw_config_create_dir(apr_pool_t *pool, char *path)
{
    pw_dir_conf_t *conf = apr_pcalloc(pool, sizeof(*conf));

    (void)path;
    conf->allow_override = -1;
    conf->pass_authorization = -1;
    conf->chunked_request = -1;
    conf->error_override = -1;
    conf->enable_sendfile = -1;
    conf->log_query = -1;
    conf->map_head = PW_HEAD_UNSET;
    return conf;
}

void *pw_config_merge_dir(apr_pool_t *pool, void *base, void *add)
{
    pw_dir_conf_t *b = base, *a = add;
    pw_dir_conf_t *conf = apr_pcalloc(pool, sizeof(*conf));

    MERGE(conf, b, a, group, NULL);
    MERGE(conf, b, a, callable, NULL);
    MERGE(conf, b, a, allow_override, -1);
    MERGE(conf, b, a, pass_authorization, -1);
    MERGE(conf, b, a, chunked_request, -1);
    MERGE(conf, b, a, error_override, -1);
    MERGE(conf, b, a, enable_sendfile, -1);
    MERGE(conf, b, a, log_query, -1);
    MERGE(conf, b, a, map_head, PW_HEAD_UNSET);
    return conf;
}

pw_server_conf_t *pw_config_server(const server_rec *s)
{
    return ap_get_module_config(s->module_config, pw_module());
}

pw_dir_conf_t *pw_config_dir(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, pw_module());
}

/* ---- parts of lines ---------------------------------------------------- */

pw_place_t pw_config_place(const cmd_parms *cmd)
{
    pw_place_t place = {cmd->directive->filename, cmd->directive->line_num};

    return place;
}

pw_tuning_t *pw_config_tuning(cmd_parms *cmd, void *mconfig, const char **error)
{
    pw_dir_conf_t *dir = mconfig;

    if (dir && dir->block) {
        return &dir->block->tuning;
    }
    *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    if (*error) {
        *error = apr_psprintf(
            cmd->pool,
            "%s stands in the main server (for all interpreters) or in a "
            "<WSGIInterpreter> block (for one). Mend: move it there",
            cmd->cmd->name);
        return NULL;
    }
    return &pw_config_server(cmd->server)->tuning;
}

const char *pw_config_group(cmd_parms *cmd, const char *word, const char **name)
{
    if (!*word || !strcmp(word, "%{GLOBAL}")) {
        *name = "%{GLOBAL}";
        return NULL;
    }
    for (const char *c = word; *c; c++) {
        if (apr_iscntrl(*c)) {
            return apr_psprintf(cmd->pool,
                                "%s: a control character in the name of an "
                                "interpreter. Mend: use printable characters",
                                cmd->cmd->name);
        }
    }
    if (!strncmp(word, "%{", 2) && strcmp(word, "%{RESOURCE}") != 0
        && strcmp(word, "%{SERVER}") != 0) {
        return apr_psprintf(
            cmd->pool,
            "%s: %s is not supported: an interpreter's name comes from the "
            "configuration, never from a request. Mend: use %%{RESOURCE}, "
            "%%{SERVER}, %%{GLOBAL} or a name of your own",
            cmd->cmd->name, word);
    }
    *name = apr_pstrdup(cmd->pool, word);
    return NULL;
}

int pw_config_is_dotted(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int dot = name[i] == '.';

        if (dot && (i == 0 || i == len - 1 || name[i - 1] == '.')) {
            return 0;
        }
        if (!dot && !apr_isalnum(name[i]) && name[i] != '_'
            && (unsigned char)name[i] < 0x80) {
            return 0;
        }
    }
    return len > 0;
}

const char *pw_config_seconds(cmd_parms *cmd, const char *arg,
                              apr_interval_time_t *value)
{
    if (ap_timeout_parameter_parse(arg, value, "s") != APR_SUCCESS
        || *value <= 0) {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is no time. Mend: give a number of "
                            "seconds above 0, or a number with a unit (500ms, "
                            "30s, 2min)",
                            cmd->cmd->name, arg);
    }
    return NULL;
}

/* ---- server, virtual host, section ------------------------------------- */

static int is_pattern(const char *directive, const char *path)
{
    return ap_strstr_c(directive, "Match") || ap_strchr_c(path, '*')
           || ap_strchr_c(path, '?') || ap_strchr_c(path, '[') || *path == '~';
}

/* Remembers what a section says, but not what .htaccess says: that is read
 * by requests. */
static void note_section(cmd_parms *cmd, const char *group,
                         const char *callable)
{
    const ap_directive_t *parent = cmd->directive->parent;
    const char *directive = parent ? parent->directive : "";
    pw_section_t *section;

    if (ap_check_cmd_context(cmd, NOT_IN_HTACCESS)) {
        return;
    }
    section = apr_pcalloc(cmd->pool, sizeof(*section));
    section->server = cmd->server;
    section->path = apr_pstrdup(cmd->pool, cmd->path);
    section->location = !strncasecmp(directive, "<Location", 9);
    section->pattern = is_pattern(directive, cmd->path)
                       || (!section->location
                           && strncasecmp(directive, "<Directory", 10) != 0);
    section->group = group;
    section->callable = callable;
    section->place = pw_config_place(cmd);
    APR_ARRAY_PUSH(pw_config_server(cmd->server)->sections, pw_section_t *) =
        section;
}

static const char *set_group(cmd_parms *cmd, void *mconfig, const char *arg)
{
    pw_dir_conf_t *dir = mconfig;
    pw_server_conf_t *conf = pw_config_server(cmd->server);
    const char *group;
    const char *error = pw_config_group(cmd, arg, &group);

    if (error) {
        return error;
    }
    if (cmd->path) {
        dir->group = group;
        note_section(cmd, group, NULL);
    }
    else {
        conf->group = group;
        conf->group_place = pw_config_place(cmd);
    }
    return NULL;
}

static const char *set_callable(cmd_parms *cmd, void *mconfig, const char *arg)
{
    pw_dir_conf_t *dir = mconfig;

    if (!pw_config_is_dotted(arg, strlen(arg))) {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is no name of a Python object. Mend: "
                            "for example application",
                            cmd->cmd->name, arg);
    }
    if (cmd->path) {
        dir->callable = apr_pstrdup(cmd->pool, arg);
        note_section(cmd, NULL, dir->callable);
    }
    else {
        pw_config_server(cmd->server)->callable = apr_pstrdup(cmd->pool, arg);
    }
    return NULL;
}

/* ---- one interpreter, or all ------------------------------------------- */

static const char *set_home(cmd_parms *cmd, void *mconfig, const char *arg)
{
    const char *error = NULL;
    pw_tuning_t *tuning = pw_config_tuning(cmd, mconfig, &error);

    if (tuning) {
        tuning->home = ap_server_root_relative(cmd->pool, arg);
        tuning->home_place = pw_config_place(cmd);
        if (!tuning->home) {
            error = apr_psprintf(cmd->pool, "%s: %s is no path", cmd->cmd->name,
                                 arg);
        }
    }
    return error;
}

static const char *set_path(cmd_parms *cmd, void *mconfig, const char *arg)
{
    const char *error = NULL;
    pw_tuning_t *tuning = pw_config_tuning(cmd, mconfig, &error);

    if (tuning) {
        tuning->path = apr_pstrdup(cmd->pool, arg);
    }
    return error;
}

static const char *set_env(cmd_parms *cmd, void *mconfig, const char *name,
                           const char *value)
{
    const char *error = NULL;
    pw_tuning_t *tuning = pw_config_tuning(cmd, mconfig, &error);

    if (tuning && (!*name || ap_strchr_c(name, '='))) {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is no name of a variable. Mend: %s NAME "
                            "VALUE",
                            cmd->cmd->name, name, cmd->cmd->name);
    }
    if (tuning) {
        if (!tuning->env) {
            tuning->env = apr_table_make(cmd->pool, 4);
        }
        apr_table_set(tuning->env, name, value);
    }
    return error;
}

static const char *set_isolation(cmd_parms *cmd, void *mconfig, const char *arg)
{
    const char *error = NULL;
    pw_tuning_t *tuning = pw_config_tuning(cmd, mconfig, &error);
    pw_dir_conf_t *dir = mconfig;

    if (!tuning) {
        return error;
    }
    tuning->isolation = pw_isolation_parse(arg);
    tuning->isolation_place = pw_config_place(cmd);
    if (tuning->isolation == PW_ISOLATION_UNSET) {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is none of own-gil, shared-gil and "
                            "main. Mend: use one of these",
                            cmd->cmd->name, arg);
    }
    if (tuning->isolation == PW_ISOLATION_MAIN && !(dir && dir->block)) {
        return apr_psprintf(cmd->pool,
                            "%s main is for one interpreter, not for all. "
                            "Mend: say it in one <WSGIInterpreter> block, or "
                            "use WSGIApplicationGroup %%{GLOBAL}",
                            cmd->cmd->name);
    }
    return NULL;
}

static const char *set_startup_timeout(cmd_parms *cmd, void *mconfig,
                                       const char *arg)
{
    const char *error = NULL;
    pw_tuning_t *tuning = pw_config_tuning(cmd, mconfig, &error);

    return tuning ? pw_config_seconds(cmd, arg, &tuning->startup_timeout)
                  : error;
}

static const char *set_preload(cmd_parms *cmd, void *mconfig, const char *arg)
{
    const char *error = NULL;
    pw_tuning_t *tuning = pw_config_tuning(cmd, mconfig, &error);

    if (!tuning) {
        return error;
    }
    tuning->preload = pw_preload_parse(arg);
    if (tuning->preload == PW_PRELOAD_UNSET) {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is none of on, off and wait. Mend: use "
                            "one of these",
                            cmd->cmd->name, arg);
    }
    return NULL;
}

static const char *set_shutdown_timeout(cmd_parms *cmd, void *mconfig,
                                        const char *arg)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)mconfig;
    return error
               ? error
               : pw_config_seconds(
                   cmd, arg, &pw_config_server(cmd->server)->shutdown_timeout);
}

static const char *set_strict(cmd_parms *cmd, void *mconfig, int flag)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)mconfig;
    pw_config_server(cmd->server)->strict = flag;
    return error;
}

/* ---- scripts that requests find ---------------------------------------- */

static const char *set_limit(cmd_parms *cmd, void *mconfig, const char *arg)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    char *end;
    long limit = strtol(arg, &end, 10);

    (void)mconfig;
    if (error) {
        return error;
    }
    if (!apr_isdigit(*arg) || *end || limit > LIMIT_MAX) {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is no number from 0 to %d. Mend: give "
                            "one, for example %s 64",
                            cmd->cmd->name, arg, LIMIT_MAX, cmd->cmd->name);
    }
    pw_config_server(cmd->server)->interpreter_limit = (int)limit;
    return NULL;
}

/* At server level too: httpd merges that below every section. */
static const char *set_allow_override(cmd_parms *cmd, void *mconfig, int on)
{
    pw_dir_conf_t *dir = mconfig;

    (void)cmd;
    dir->allow_override = on;
    return NULL;
}

/* ---- <WSGIInterpreter NAME> -------------------------------------------- */

static const char *const block_takes[] = {
    "WSGIPythonHome",     "WSGIPythonPath",
    "WSGISetEnv",         "WSGIIsolation",
    "WSGIStartupTimeout", "WSGIInstances",
    "WSGIConcurrency",    "WSGIThreadStates",
    "WSGIQueueLimit",     "WSGIQueueTimeout",
    "WSGIMaxRequests",    "WSGIIdleTimeout",
    "WSGIParkLimit",      "WSGIRequestBuffer",
    "WSGIPreload",        NULL};

/* "A, B and C" */
static const char *list_words(apr_pool_t *pool, const char *const *words)
{
    const char *text = "";

    for (int i = 0; words[i]; i++) {
        const char *between = !i ? "" : words[i + 1] ? ", " : " and ";

        text = apr_pstrcat(pool, text, between, words[i], NULL);
    }
    return text;
}

static const char *check_children(cmd_parms *cmd, const char *name)
{
    for (const ap_directive_t *d = cmd->directive->first_child; d;
         d = d->next) {
        int i = 0;

        while (block_takes[i]
               && strcasecmp(block_takes[i], d->directive) != 0) {
            i++;
        }
        if (!block_takes[i]) {
            return apr_psprintf(cmd->pool,
                                "<WSGIInterpreter %s>: %s (line %d) does not "
                                "belong in this block. Mend: it takes %s",
                                name, d->directive, d->line_num,
                                list_words(cmd->pool, block_takes));
        }
    }
    return NULL;
}

static pw_block_t *find_block(const pw_server_conf_t *conf, const char *name)
{
    for (int i = 0; i < conf->blocks->nelts; i++) {
        pw_block_t *block = APR_ARRAY_IDX(conf->blocks, i, pw_block_t *);

        if (!strcmp(block->name, name)) {
            return block;
        }
    }
    return NULL;
}

/* "NAME>" -> the name in *name; or an error. */
static const char *parse_block_name(cmd_parms *cmd, const char *arg,
                                    const char **name)
{
    const char *end = ap_strrchr_c(arg, '>');
    const char *rest;

    *name = "";
    if (end) {
        rest = apr_pstrmemdup(cmd->pool, arg, (apr_size_t)(end - arg));
        *name = ap_getword_conf(cmd->pool, &rest);
        if (*rest) {
            *name = "";
        }
    }
    if (!**name || !strncmp(*name, "%{", 2)) {
        return "<WSGIInterpreter> needs one name of your own. Mend: "
               "<WSGIInterpreter blog>";
    }
    return pw_config_group(cmd, *name, name);
}

static const char *open_block(cmd_parms *cmd, void *mconfig, const char *arg)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    pw_server_conf_t *conf = pw_config_server(cmd->server);
    ap_conf_vector_t *vector;
    pw_dir_conf_t *dir;
    pw_block_t *block, *other;
    const char *name;

    (void)mconfig;
    if (error) {
        return "<WSGIInterpreter> stands in the main server only: virtual "
               "hosts refer to it by name. Mend: move it out";
    }
    error = parse_block_name(cmd, arg, &name);
    if (!error) {
        error = check_children(cmd, name);
    }
    if (error) {
        return error;
    }
    other = find_block(conf, name);
    if (other) {
        return apr_psprintf(cmd->pool,
                            "<WSGIInterpreter %s> is defined twice, first at "
                            "%s line %d. Mend: keep one, or rename one",
                            name, other->place.file, other->place.line);
    }
    block = apr_pcalloc(cmd->pool, sizeof(*block));
    block->name = name;
    block->place = pw_config_place(cmd);
    block->tuning.startup_timeout = NOT_SET;
    pw_limits_init(&block->tuning.limits);
    APR_ARRAY_PUSH(conf->blocks, pw_block_t *) = block;
    vector = ap_create_per_dir_config(cmd->pool);
    dir = pw_config_create_dir(cmd->pool, NULL);
    dir->block = block;
    ap_set_module_config(vector, pw_module(), dir);
    return ap_walk_config(cmd->directive->first_child, cmd, vector);
}

const command_rec pw_config_commands[] = {
    AP_INIT_RAW_ARGS("WSGIScriptAlias", pw_alias_script, NULL, RSRC_CONF,
                     "A URL prefix and the script file, or the directory of "
                     "scripts, that serves it."),
    AP_INIT_RAW_ARGS("WSGIScriptAliasMatch", pw_alias_match, NULL, RSRC_CONF,
                     "A pattern of URL paths and the script file that serves "
                     "them, in which $1 is what the pattern caught."),
    AP_INIT_RAW_ARGS("WSGIApplication", pw_alias_application, NULL, RSRC_CONF,
                     "A URL prefix and the MODULE:CALLABLE that serves it."),
    AP_INIT_RAW_ARGS("WSGIImportScript", pw_alias_import, NULL, RSRC_CONF,
                     "A script file that is run when a child starts."),
    AP_INIT_TAKE1("WSGIInterpreterLimit", set_limit, NULL, RSRC_CONF,
                  "How many interpreters requests may make, for the scripts "
                  "that they find."),
    AP_INIT_FLAG("WSGIAllowOverride", set_allow_override, NULL,
                 RSRC_CONF | ACCESS_CONF,
                 "Whether .htaccess may call files WSGI scripts."),
    AP_INIT_TAKE1("WSGIApplicationGroup", set_group, NULL,
                  RSRC_CONF | OR_FILEINFO,
                  "The interpreter that applications run in: %{RESOURCE}, "
                  "%{SERVER}, %{GLOBAL} or a name."),
    AP_INIT_TAKE1("WSGICallableObject", set_callable, NULL,
                  RSRC_CONF | OR_FILEINFO,
                  "The name of the callable in script files."),
    AP_INIT_TAKE1("WSGIPythonHome", set_home, NULL, RSRC_CONF,
                  "The virtual environment of an interpreter, or the prefix "
                  "or virtual environment of all."),
    AP_INIT_TAKE1("WSGIPythonPath", set_path, NULL, RSRC_CONF,
                  "Directories that come first in sys.path, with colons "
                  "between."),
    AP_INIT_TAKE2("WSGISetEnv", set_env, NULL, RSRC_CONF,
                  "A variable of os.environ and its value."),
    AP_INIT_TAKE1("WSGIIsolation", set_isolation, NULL, RSRC_CONF,
                  "How far an interpreter is apart from the others: own-gil, "
                  "shared-gil or main."),
    AP_INIT_TAKE1("WSGIStartupTimeout", set_startup_timeout, NULL, RSRC_CONF,
                  "How long a request waits for its application to load."),
    AP_INIT_TAKE1("WSGIPreload", set_preload, NULL, RSRC_CONF,
                  "When applications are loaded: on (in the background of a "
                  "new child), off (by their first request) or wait (before "
                  "the child takes requests)."),
    AP_INIT_TAKE1("WSGIShutdownTimeout", set_shutdown_timeout, NULL, RSRC_CONF,
                  "How long the applications of an ending child have."),
    AP_INIT_FLAG("WSGIStrict", set_strict, NULL, RSRC_CONF,
                 "Whether a missing or closed file of an application keeps "
                 "httpd from starting."),
    AP_INIT_RAW_ARGS("<WSGIInterpreter", open_block, NULL, RSRC_CONF,
                     "A named interpreter and what belongs to it."),
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): offsets, as httpd has them */
    PW_CONSOLE_COMMANDS PW_LIMITS_COMMANDS PW_OPTIONS_COMMANDS
        PW_FOREIGN_COMMANDS{.name = NULL},
};
