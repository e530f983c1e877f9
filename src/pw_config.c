/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_config: one function a directive. They check what a single line can be
 * checked for; what needs the whole configuration is pw_resolve's.
 */
#include "pw_config.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include "pw_module.h"

#define NOT_SET ((apr_interval_time_t)-1)

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
    conf->shutdown_timeout = NOT_SET;
    return conf;
}

void *pw_config_merge_server(apr_pool_t *pool, void *base, void *add)
{
    pw_server_conf_t *b = base, *a = add;
    pw_server_conf_t *conf = apr_pmemdup(pool, b, sizeof(*conf));

    conf->mounts = apr_array_append(pool, a->mounts, b->mounts);
    conf->sections = a->sections; /* its own; pw_resolve gathers them */
    MERGE(conf, b, a, group, NULL);
    MERGE(conf, b, a, callable, NULL);
    if (a->group) {
        conf->group_place = a->group_place;
    }
    return conf;
}

void *pw_config_create_dir(apr_pool_t *pool, char *path)
{
    (void)path;
    return apr_pcalloc(pool, sizeof(pw_dir_conf_t));
}

void *pw_config_merge_dir(apr_pool_t *pool, void *base, void *add)
{
    pw_dir_conf_t *b = base, *a = add;
    pw_dir_conf_t *conf = apr_pcalloc(pool, sizeof(*conf));

    MERGE(conf, b, a, group, NULL);
    MERGE(conf, b, a, callable, NULL);
    return conf;
}

pw_server_conf_t *pw_config_server(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &polywsgi_module);
}

pw_dir_conf_t *pw_config_dir(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &polywsgi_module);
}

/* ---- parts of lines ---------------------------------------------------- */

static pw_place_t place_of(const cmd_parms *cmd)
{
    pw_place_t place = {cmd->directive->filename, cmd->directive->line_num};

    return place;
}

/* The tuning that a directive changes: its block's, or the server's default.
 * NULL with *error in a virtual host or a section. */
static pw_tuning_t *tuning_of(cmd_parms *cmd, void *mconfig, const char **error)
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

/* The checked name of an interpreter, in *name; or an error. */
static const char *check_group(cmd_parms *cmd, const char *word,
                               const char **name)
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

static const char *parse_seconds(cmd_parms *cmd, const char *arg,
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

/* ---- mounts ------------------------------------------------------------ */

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
    return check_group(cmd, value, &mount->group);
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
    if (!strcmp(name, "process-group")) {
        return apr_psprintf(cmd->pool,
                            "%s: process-group= needs daemon processes, which "
                            "this version does not have. Mend: leave it out "
                            "(the application then runs in httpd's processes)",
                            cmd->cmd->name);
    }
    return apr_psprintf(cmd->pool,
                        "%s: unknown or empty option %s. Mend: "
                        "application-group=, interpreter= or callable-object= "
                        "with a value",
                        cmd->cmd->name, name);
}

static const char *add_mount(cmd_parms *cmd, pw_mount_t *mount,
                             const char *prefix, const char *options)
{
    const char *error = ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT);
    const char *word;

    if (!error && *prefix != '/') {
        error = apr_psprintf(cmd->pool,
                             "%s: the URL prefix '%s' does not begin with a "
                             "slash. Mend: write /%s",
                             cmd->cmd->name, prefix, prefix);
    }
    while (!error && *options) {
        word = ap_getword_conf(cmd->pool, &options);
        if (*word) {
            error = parse_option(cmd, mount, word);
        }
    }
    if (error) {
        return error;
    }
    mount->prefix = prefix;
    mount->place = place_of(cmd);
    mount->server = cmd->server;
    APR_ARRAY_PUSH(pw_config_server(cmd->server)->mounts, pw_mount_t *) = mount;
    return NULL;
}

static const char *set_script_alias(cmd_parms *cmd, void *mconfig,
                                    const char *args)
{
    pw_mount_t *mount = apr_pcalloc(cmd->pool, sizeof(*mount));
    const char *prefix = ap_getword_conf(cmd->pool, &args);
    const char *file = ap_getword_conf(cmd->pool, &args);

    (void)mconfig;
    if (!*prefix || !*file) {
        return apr_psprintf(cmd->pool,
                            "%s needs a URL prefix and a script file. Mend: "
                            "%s /shop /srv/shop/wsgi.py",
                            cmd->cmd->name, cmd->cmd->name);
    }
    if (file[strlen(file) - 1] == '/') {
        return apr_psprintf(cmd->pool,
                            "%s: %s: an alias to a directory is not supported "
                            "by this version. Mend: name each script file",
                            cmd->cmd->name, file);
    }
    mount->script = ap_server_root_relative(cmd->pool, file);
    if (!mount->script) {
        return apr_psprintf(cmd->pool, "%s: %s is no path of a file",
                            cmd->cmd->name, file);
    }
    return add_mount(cmd, mount, prefix, args);
}

/* Letters, digits, underscores and bytes above ASCII, with dots between. */
static int is_dotted(const char *name, size_t len)
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

static const char *set_application(cmd_parms *cmd, void *mconfig,
                                   const char *args)
{
    pw_mount_t *mount = apr_pcalloc(cmd->pool, sizeof(*mount));
    const char *prefix = ap_getword_conf(cmd->pool, &args);
    const char *target = ap_getword_conf(cmd->pool, &args);
    const char *colon = ap_strchr_c(target, ':');

    (void)mconfig;
    if (!*prefix || !colon || !is_dotted(target, (size_t)(colon - target))
        || !is_dotted(colon + 1, strlen(colon + 1))) {
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
    section->place = place_of(cmd);
    APR_ARRAY_PUSH(pw_config_server(cmd->server)->sections, pw_section_t *) =
        section;
}

static const char *set_group(cmd_parms *cmd, void *mconfig, const char *arg)
{
    pw_dir_conf_t *dir = mconfig;
    pw_server_conf_t *conf = pw_config_server(cmd->server);
    const char *group;
    const char *error = check_group(cmd, arg, &group);

    if (error) {
        return error;
    }
    if (cmd->path) {
        dir->group = group;
        note_section(cmd, group, NULL);
    }
    else {
        conf->group = group;
        conf->group_place = place_of(cmd);
    }
    return NULL;
}

static const char *set_callable(cmd_parms *cmd, void *mconfig, const char *arg)
{
    pw_dir_conf_t *dir = mconfig;

    if (!is_dotted(arg, strlen(arg))) {
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
    pw_tuning_t *tuning = tuning_of(cmd, mconfig, &error);

    if (tuning) {
        tuning->home = ap_server_root_relative(cmd->pool, arg);
        tuning->home_place = place_of(cmd);
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
    pw_tuning_t *tuning = tuning_of(cmd, mconfig, &error);

    if (tuning) {
        tuning->path = apr_pstrdup(cmd->pool, arg);
    }
    return error;
}

static const char *set_env(cmd_parms *cmd, void *mconfig, const char *name,
                           const char *value)
{
    const char *error = NULL;
    pw_tuning_t *tuning = tuning_of(cmd, mconfig, &error);

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
    pw_tuning_t *tuning = tuning_of(cmd, mconfig, &error);
    pw_dir_conf_t *dir = mconfig;

    if (!tuning) {
        return error;
    }
    tuning->isolation = pw_isolation_parse(arg);
    tuning->isolation_place = place_of(cmd);
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
    pw_tuning_t *tuning = tuning_of(cmd, mconfig, &error);

    return tuning ? parse_seconds(cmd, arg, &tuning->startup_timeout) : error;
}

static const char *set_shutdown_timeout(cmd_parms *cmd, void *mconfig,
                                        const char *arg)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)mconfig;
    return error
               ? error
               : parse_seconds(
                   cmd, arg, &pw_config_server(cmd->server)->shutdown_timeout);
}

static const char *set_strict(cmd_parms *cmd, void *mconfig, int flag)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)mconfig;
    pw_config_server(cmd->server)->strict = flag;
    return error;
}

/* ---- <WSGIInterpreter NAME> -------------------------------------------- */

static const char *check_children(cmd_parms *cmd, const char *name)
{
    static const char *const allowed[] = {
        "WSGIPythonHome", "WSGIPythonPath",     "WSGISetEnv",
        "WSGIIsolation",  "WSGIStartupTimeout", NULL};

    for (const ap_directive_t *d = cmd->directive->first_child; d;
         d = d->next) {
        int i = 0;

        while (allowed[i] && strcasecmp(allowed[i], d->directive) != 0) {
            i++;
        }
        if (!allowed[i]) {
            return apr_psprintf(cmd->pool,
                                "<WSGIInterpreter %s>: %s (line %d) does not "
                                "belong in this block. Mend: it takes "
                                "WSGIPythonHome, WSGIPythonPath, WSGISetEnv, "
                                "WSGIIsolation and WSGIStartupTimeout",
                                name, d->directive, d->line_num);
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
    return check_group(cmd, *name, name);
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
    block->place = place_of(cmd);
    block->tuning.startup_timeout = NOT_SET;
    APR_ARRAY_PUSH(conf->blocks, pw_block_t *) = block;
    vector = ap_create_per_dir_config(cmd->pool);
    dir = pw_config_create_dir(cmd->pool, NULL);
    dir->block = block;
    ap_set_module_config(vector, &polywsgi_module, dir);
    return ap_walk_config(cmd->directive->first_child, cmd, vector);
}

const command_rec pw_config_commands[] = {
    AP_INIT_RAW_ARGS("WSGIScriptAlias", set_script_alias, NULL, RSRC_CONF,
                     "A URL prefix and the script file that serves it."),
    AP_INIT_RAW_ARGS("WSGIApplication", set_application, NULL, RSRC_CONF,
                     "A URL prefix and the MODULE:CALLABLE that serves it."),
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
    AP_INIT_TAKE1("WSGIShutdownTimeout", set_shutdown_timeout, NULL, RSRC_CONF,
                  "How long the applications of an ending child have."),
    AP_INIT_FLAG("WSGIStrict", set_strict, NULL, RSRC_CONF,
                 "Whether a missing or closed file of an application keeps "
                 "httpd from starting."),
    AP_INIT_RAW_ARGS("<WSGIInterpreter", open_block, NULL, RSRC_CONF,
                     "A named interpreter and what belongs to it."),
    {.name = NULL},
};
