/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_resolve: names become interpreters, mounts become applications, and what
 * contradicts itself becomes a message with its mend.
 */
#include "pw_resolve.h"

#include <apr_strings.h>
#include <httpd.h>
#include <http_core.h>

#include "pw_exchange_httpd.h"
#include "pw_module.h"
#include "pw_mount.h"
#include "pw_pyversion.h"

#define STARTUP_TIMEOUT (60 * APR_USEC_PER_SEC)
#define SHUTDOWN_TIMEOUT (5 * APR_USEC_PER_SEC)
#define CALLABLE "application"
#define FOUND_MAX 64 /* WSGIInterpreterLimit */
/* An interpreter that was unloaded for another costs a child 2 KB. */
#define FOUND_NAMES 4096

/* The work in hand: everything that the steps share. */
typedef struct resolving_t {
    apr_pool_t *pool;
    server_rec *main_server;
    pw_server_conf_t *conf; /* the main server's */
    pw_resolved_t *out;
    const char *home; /* the default virtual environment, or NULL */
    int errors;
} resolving_t;

static void complain(resolving_t *rs, const pw_place_t *place, const char *fmt,
                     ...) __attribute__((format(printf, 3, 4)));

static void complain(resolving_t *rs, const pw_place_t *place, const char *fmt,
                     ...)
{
    va_list args;
    const char *text;

    va_start(args, fmt);
    text = apr_pvsprintf(rs->pool, fmt, args);
    va_end(args);
    if (place && place->file) {
        text = apr_psprintf(rs->pool, "%s (%s line %d)", text, place->file,
                            place->line);
    }
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_CRIT, 0, rs->main_server,
                 "%s", text);
    rs->errors++;
}

/* ---- names ------------------------------------------------------------- */

apr_port_t pw_resolve_port(const server_rec *s)
{
    if (s->port == 0 && s->addrs && s->is_virtual) {
        return s->addrs->host_port;
    }
    return s->port;
}

/* The configured name, never that of a Host header; http and https share. */
static const char *server_key(apr_pool_t *pool, const server_rec *s)
{
    char *name = apr_pstrdup(pool, s->server_hostname ? s->server_hostname
                                                      : "localhost");
    apr_port_t port = pw_resolve_port(s);

    ap_str_tolower(name);
    if (port == 0 || port == 80 || port == 443) {
        return name;
    }
    return apr_psprintf(pool, "%s:%u", name, (unsigned)port);
}

/* What a mount is called in log lines, and its %{RESOURCE}: by the server where
 * it stands. A mount of the main server is one application, in whatever virtual
 * host a request finds it. */
static const char *mount_key(apr_pool_t *pool, const pw_mount_t *mount,
                             const char *between)
{
    return apr_pstrcat(pool, server_key(pool, mount->server), between,
                       mount->prefix, NULL);
}

/* Of any group but %{RESOURCE}. */
static const char *named_group(const pw_resolved_t *out, const server_rec *s,
                               const char *group, apr_pool_t *pool)
{
    if (!strcmp(group, "%{SERVER}")) {
        return server_key(pool, s);
    }
    return strcmp(group, "%{GLOBAL}") ? group : out->main_name;
}

static int is_resource(const char *group)
{
    return !strcmp(group, "%{RESOURCE}");
}

static const char *group_name(const pw_resolved_t *out, const pw_mount_t *mount,
                              const char *group, apr_pool_t *pool)
{
    return is_resource(group) ? mount_key(pool, mount, "|")
                              : named_group(out, mount->server, group, pool);
}

static const char *app_key(apr_pool_t *pool, const char *interp,
                           const pw_mount_t *mount, const char *callable)
{
    return apr_pstrcat(pool, interp, "\n", mount->script ? "s:" : "m:",
                       mount->script ? mount->script : mount->module, "\n",
                       callable ? callable : "", NULL);
}

/* ---- interpreters ------------------------------------------------------ */

static const pw_block_t *block_named(const pw_server_conf_t *conf,
                                     const char *name)
{
    for (int i = 0; i < conf->blocks->nelts; i++) {
        const pw_block_t *block = APR_ARRAY_IDX(conf->blocks, i, pw_block_t *);

        if (!strcmp(block->name, name)) {
            return block;
        }
    }
    return NULL;
}

static pw_isolation_e isolation_of(resolving_t *rs, const char *name,
                                   const pw_tuning_t *own)
{
    const pw_tuning_t *server = &rs->conf->tuning;
    const pw_tuning_t *said = own && own->isolation ? own : server;

    if (!strcmp(name, rs->out->main_name)) {
        return PW_ISOLATION_MAIN;
    }
    if (said->isolation != PW_ISOLATION_UNSET) {
        return said->isolation;
    }
    return pw_pyversion_own_gil() ? PW_ISOLATION_OWN_GIL
                                  : PW_ISOLATION_SHARED_GIL;
}

static apr_table_t *env_of(resolving_t *rs, const pw_tuning_t *own)
{
    apr_table_t *env = apr_table_make(rs->pool, 4);

    if (rs->conf->tuning.env) {
        apr_table_overlap(env, rs->conf->tuning.env, APR_OVERLAP_TABLES_SET);
    }
    if (own && own->env) {
        apr_table_overlap(env, own->env, APR_OVERLAP_TABLES_SET);
    }
    return env;
}

/* Is it a virtual environment? Then its Python's version in *version. */
static int read_venv(apr_pool_t *pool, const char *home, const char **version)
{
    ap_configfile_t *file;
    char line[1024];
    int venv = 0;

    *version = NULL;
    if (ap_pcfg_openfile(&file, pool,
                         apr_pstrcat(pool, home, "/pyvenv.cfg", NULL))
        != APR_SUCCESS) {
        return 0;
    }
    venv = 1;
    while (ap_cfg_getline(line, sizeof(line), file) == APR_SUCCESS) {
        const char *at = line + strspn(line, " \t");

        if (!strncmp(at, "version", 7) && ap_strchr_c(at, '=')) {
            at = ap_strchr_c(at, '=') + 1;
            *version = apr_pstrdup(pool, at + strspn(at, " \t"));
        }
    }
    ap_cfg_closefile(file);
    return venv;
}

static int same_minor(const char *version)
{
    const char *linked = pw_pyversion_minor();
    size_t len = strlen(linked);

    return !strncmp(version, linked, len)
           && (version[len] == '.' || version[len] == '\0');
}

/* 1 where the home is a virtual environment; one of another Python is an
 * error. */
static int check_venv(resolving_t *rs, const pw_tuning_t *t)
{
    const char *version;

    if (!read_venv(rs->pool, t->home, &version)) {
        return 0;
    }
    if (version && !same_minor(version)) {
        complain(rs, &t->home_place,
                 "PW0004 WSGIPythonHome %s: a virtual environment of Python "
                 "%s, but the module is linked with %s. Mend: make one with "
                 "python%s -m venv, or build the module for the other Python",
                 t->home, version, pw_pyversion(rs->pool),
                 pw_pyversion_minor());
    }
    return 1;
}

static int is_missing(const char *path, apr_pool_t *ptemp)
{
    apr_finfo_t info;

    return APR_STATUS_IS_ENOENT(apr_stat(&info, path, APR_FINFO_TYPE, ptemp));
}

/* Is this directory there, without the standard library of our Python? */
static int is_foreign_prefix(resolving_t *rs, const char *home)
{
    const char *minor = pw_pyversion_minor();

    return ap_is_directory(rs->pool, home)
           && is_missing(
               apr_pstrcat(rs->pool, home, "/lib/python", minor, NULL),
               rs->pool)
           && is_missing(
               apr_pstrcat(rs->pool, home, "/lib64/python", minor, NULL),
               rs->pool);
}

/* At server level: every interpreter's virtual environment, or the prefix of
 * Python itself. */
static void check_server_home(resolving_t *rs)
{
    const pw_tuning_t *t = &rs->conf->tuning;

    if (!t->home) {
        return;
    }
    if (check_venv(rs, t)) {
        rs->home = t->home;
        return;
    }
    rs->out->map.python_home = t->home;
    if (is_foreign_prefix(rs, t->home)) {
        complain(rs, &t->home_place,
                 "PW0015 WSGIPythonHome %s: neither a virtual environment nor "
                 "a prefix of Python %s (it has no lib/python%s). Mend: leave "
                 "it out, or name a virtual environment of python%s",
                 t->home, pw_pyversion_minor(), pw_pyversion_minor(),
                 pw_pyversion_minor());
    }
}

static void check_isolation(resolving_t *rs, const pw_tuning_t *t)
{
    if (t->isolation == PW_ISOLATION_OWN_GIL && !pw_pyversion_own_gil()) {
        complain(rs, &t->isolation_place,
                 "PW0003 WSGIIsolation own-gil: Python %s cannot give an "
                 "interpreter its own GIL. Mend: shared-gil, or a Python from "
                 "3.13 (better 3.14)",
                 pw_pyversion(rs->pool));
    }
}

/* A block is checked whether a mount uses it or not. */
static void check_blocks(resolving_t *rs)
{
    for (int i = 0; i < rs->conf->blocks->nelts; i++) {
        const pw_block_t *b = APR_ARRAY_IDX(rs->conf->blocks, i, pw_block_t *);
        const pw_tuning_t *t = &b->tuning;

        check_isolation(rs, t);
        if (t->home && !check_venv(rs, t)
            && ap_is_directory(rs->pool, t->home)) {
            complain(rs, &t->home_place,
                     "PW0005 WSGIPythonHome %s: no virtual environment (it has "
                     "no pyvenv.cfg). Mend: python%s -m venv %s; a prefix can "
                     "only be said at server level",
                     t->home, pw_pyversion_minor(), t->home);
        }
    }
}

static pw_preload_e preload_of(const pw_tuning_t *server,
                               const pw_tuning_t *own)
{
    if (own && own->preload != PW_PRELOAD_UNSET) {
        return own->preload;
    }
    return server->preload != PW_PRELOAD_UNSET ? server->preload
                                               : PW_PRELOAD_ON;
}

static pw_interp_spec_t *make_interp(resolving_t *rs, const char *name)
{
    const pw_block_t *block = block_named(rs->conf, name);
    const pw_tuning_t *own = block ? &block->tuning : NULL;
    const pw_tuning_t *server = &rs->conf->tuning;
    pw_interp_spec_t *spec = apr_pcalloc(rs->pool, sizeof(*spec));
    apr_interval_time_t timeout = server->startup_timeout;

    if (own && own->startup_timeout >= 0) {
        timeout = own->startup_timeout;
    }
    spec->name = name;
    spec->index = rs->out->map.interps->nelts;
    spec->isolation = isolation_of(rs, name, own);
    spec->home = own && own->home ? own->home : rs->home;
    spec->path = own && own->path ? own->path : server->path;
    spec->env = env_of(rs, own);
    spec->startup_timeout = timeout >= 0 ? timeout : STARTUP_TIMEOUT;
    pw_limits_apply(spec, own ? &own->limits : NULL, &server->limits);
    spec->preload = preload_of(server, own);
    spec->apps = apr_array_make(rs->pool, 2, sizeof(pw_app_spec_t *));
    spec->log = rs->out->map.log;
    spec->later = 1;
    return spec;
}

static pw_interp_spec_t *new_interp(resolving_t *rs, const char *name)
{
    pw_interp_spec_t *spec = make_interp(rs, name);

    APR_ARRAY_PUSH(rs->out->map.interps, pw_interp_spec_t *) = spec;
    apr_hash_set(rs->out->interps, name, APR_HASH_KEY_STRING, spec);
    return spec;
}

static pw_interp_spec_t *interp_named(resolving_t *rs, const char *name)
{
    pw_interp_spec_t *spec;

    spec = apr_hash_get(rs->out->interps, name, APR_HASH_KEY_STRING);
    return spec ? spec : new_interp(rs, name);
}

/* The block that says WSGIIsolation main is %{GLOBAL}; a second is an error. */
static void find_main(resolving_t *rs)
{
    const pw_block_t *main_block = NULL;

    rs->out->main_name = "%{GLOBAL}";
    for (int i = 0; i < rs->conf->blocks->nelts; i++) {
        const pw_block_t *b = APR_ARRAY_IDX(rs->conf->blocks, i, pw_block_t *);

        if (b->tuning.isolation != PW_ISOLATION_MAIN) {
            continue;
        }
        if (main_block) {
            complain(rs, &b->tuning.isolation_place,
                     "PW0006 <WSGIInterpreter %s>: WSGIIsolation main, as in "
                     "<WSGIInterpreter %s>; a process has one main "
                     "interpreter. Mend: let both use one block",
                     b->name, main_block->name);
        }
        main_block = b;
        rs->out->main_name = b->name;
    }
}

/* ---- applications ------------------------------------------------------ */

/* The interpreter's name, and in parentheses which of its applications. */
static const char *label_of(resolving_t *rs, const pw_mount_t *mount,
                            const char *group, const char *name)
{
    if (is_resource(group)) {
        return name;
    }
    return apr_pstrcat(rs->pool, name, " (",
                       mount->import ? mount->script
                                     : mount_key(rs->pool, mount, ""),
                       ")", NULL);
}

/* No request comes for an import: it runs when the child starts. */
static int preload_off(const pw_interp_spec_t *interp, const char *callable)
{
    return interp->preload == PW_PRELOAD_OFF && callable;
}

static pw_app_spec_t *app_for(resolving_t *rs, const pw_mount_t *mount,
                              const char *group, const char *callable, int lazy)
{
    pw_resolved_t *out = rs->out;
    const char *name = group_name(out, mount, group, rs->pool);
    const char *key = app_key(rs->pool, name, mount, callable);
    pw_app_spec_t *app = apr_hash_get(out->apps, key, APR_HASH_KEY_STRING);
    pw_interp_spec_t *interp;

    if (app) {
        app->lazy &= lazy || preload_off(app->interp, callable);
        return app;
    }
    interp = interp_named(rs, name);
    interp->later = 0;
    app = apr_pcalloc(rs->pool, sizeof(*app));
    app->script = mount->script;
    app->module = mount->module;
    app->callable = callable;
    app->slot = interp->apps->nelts;
    app->lazy = lazy || preload_off(interp, callable);
    app->interp = interp;
    app->log = pw_exchange_httpd_server_log(mount->server);
    app->label = label_of(rs, mount, group, name);
    out->lazy |= app->lazy;
    APR_ARRAY_PUSH(interp->apps, pw_app_spec_t *) = app;
    apr_hash_set(out->apps, key, APR_HASH_KEY_STRING, app);
    return app;
}

static int begins_with(const char *text, const char *prefix)
{
    return !strncmp(text, prefix, strlen(prefix));
}

/* May a request for the mount get into the section? */
static int may_apply(const resolving_t *rs, const pw_section_t *section,
                     const server_rec *s, const pw_mount_t *mount)
{
    const char *where = section->location ? mount->prefix : mount->script;

    if (section->server != rs->main_server && section->server != s) {
        return 0;
    }
    if (section->pattern || (section->location && mount->pattern)) {
        return 1;
    }
    return where
           && (begins_with(where, section->path)
               || begins_with(section->path, where));
}

static void add_once(apr_array_header_t *words, const char *word)
{
    for (int i = 0; i < words->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(words, i, const char *), word)) {
            return;
        }
    }
    APR_ARRAY_PUSH(words, const char *) = word;
}

/* What sections may say beside the default, which comes first: every pairing
 * gets its application, which loads when it is first asked for. */
static void pair(resolving_t *rs, const server_rec *s, const pw_mount_t *mount,
                 const apr_array_header_t *groups,
                 const apr_array_header_t *callables)
{
    int lazy = groups->nelts > 1 || callables->nelts > 1;

    rs->out->lazy |= lazy;
    for (int g = 0; g < groups->nelts; g++) {
        for (int c = 0; c < callables->nelts; c++) {
            pw_use_t *use = apr_array_push(rs->out->uses);

            use->server = s;
            use->mount = mount;
            use->app =
                app_for(rs, mount, APR_ARRAY_IDX(groups, g, const char *),
                        APR_ARRAY_IDX(callables, c, const char *), lazy);
        }
    }
}

static const char *default_group(const pw_server_conf_t *conf,
                                 const pw_mount_t *mount)
{
    if (mount && mount->group) {
        return mount->group;
    }
    return conf->group ? conf->group : "%{RESOURCE}";
}

static const char *default_callable(const pw_server_conf_t *conf,
                                    const pw_mount_t *mount)
{
    if (mount && mount->callable) {
        return mount->callable;
    }
    return conf->callable ? conf->callable : CALLABLE;
}

static void check_demand(resolving_t *rs, const pw_mount_t *mount)
{
    if (mount->demand && mount->group && *mount->group != '%'
        && !block_named(rs->conf, mount->group)) {
        complain(rs, &mount->place,
                 "PW0007 interpreter=%s: no <WSGIInterpreter %s> block "
                 "defines it. Mend: add the block, or use "
                 "application-group=%s, which needs none",
                 mount->group, mount->group, mount->group);
    }
}

/* No application yet: each request finds its own. */
static void resolve_finding(resolving_t *rs, const server_rec *s,
                            pw_server_conf_t *conf, const pw_mount_t *mount)
{
    if (s == mount->server) {
        check_demand(rs, mount);
    }
    APR_ARRAY_PUSH(conf->defaults, pw_app_spec_t *) = NULL;
}

/* A script that is run at the start of a child. */
static void resolve_import(resolving_t *rs, const pw_mount_t *import)
{
    pw_use_t *use = apr_array_push(rs->out->uses);

    check_demand(rs, import);
    use->server = import->server;
    use->mount = import;
    use->app = app_for(rs, import, import->group, NULL, 0);
}

/* A mount as server s has it: its own, or the main server's. */
static void resolve_mount(resolving_t *rs, const server_rec *s,
                          pw_server_conf_t *conf, const pw_mount_t *mount)
{
    apr_array_header_t *groups, *callables;
    int first = rs->out->uses->nelts;

    groups = apr_array_make(rs->pool, 2, sizeof(const char *));
    callables = apr_array_make(rs->pool, 2, sizeof(const char *));
    APR_ARRAY_PUSH(groups, const char *) = default_group(conf, mount);
    APR_ARRAY_PUSH(callables, const char *) = default_callable(conf, mount);
    for (int i = 0; i < rs->conf->sections->nelts; i++) {
        const pw_section_t *section =
            APR_ARRAY_IDX(rs->conf->sections, i, pw_section_t *);

        if (!may_apply(rs, section, s, mount)) {
            continue;
        }
        if (section->group && !mount->group) {
            add_once(groups, section->group);
        }
        if (section->callable && !mount->callable) {
            add_once(callables, section->callable);
        }
    }
    if (s == mount->server) {
        check_demand(rs, mount);
    }
    pair(rs, s, mount, groups, callables);
    APR_ARRAY_PUSH(conf->defaults, pw_app_spec_t *) =
        APR_ARRAY_IDX(rs->out->uses, first, pw_use_t).app;
}

/* ---- scripts that requests find ---------------------------------------- */

/* Has the text our handler as a word? Paths such as /srv/wsgi-scripts are no
 * such word. */
static int has_handler(const char *text)
{
    const char *at = ap_strcasestr(text, PW_HANDLER);

    while (at) {
        const char *end = at + strlen(PW_HANDLER);

        if ((at == text || ap_strchr_c(" \t\"'=:[,", at[-1]))
            && ap_strchr_c(" \t\"'],;", *end)) {
            return 1;
        }
        at = ap_strcasestr(end, PW_HANDLER);
    }
    return 0;
}

/* Anything in the configuration that could give a file our handler. */
static int names_handler(const ap_directive_t *d)
{
    for (; d; d = d->next) {
        if ((d->args && has_handler(d->args))
            || (!strcasecmp(d->directive, "WSGIAllowOverride") && d->args
                && !strcasecmp(d->args, "on"))
            || names_handler(d->first_child)) {
            return 1;
        }
    }
    return 0;
}

static int finds(const resolving_t *rs)
{
    for (server_rec *s = rs->main_server; s; s = s->next) {
        const apr_array_header_t *mounts = pw_config_server(s)->mounts;

        for (int i = 0; i < mounts->nelts; i++) {
            if (APR_ARRAY_IDX(mounts, i, pw_mount_t *)->found) {
                return 1;
            }
        }
    }
    return names_handler(ap_conftree);
}

static void name_group(resolving_t *rs, const server_rec *s, const char *group)
{
    if (group && !is_resource(group)) {
        interp_named(rs, named_group(rs->out, s, group, rs->pool));
    }
}

/* Which interpreters a script that is found may join: those that the
 * configuration names. They are made when the first one comes. */
static void name_groups(resolving_t *rs)
{
    for (int i = 0; i < rs->conf->blocks->nelts; i++) {
        interp_named(rs,
                     APR_ARRAY_IDX(rs->conf->blocks, i, pw_block_t *)->name);
    }
    for (server_rec *s = rs->main_server; s; s = s->next) {
        const pw_server_conf_t *conf = pw_config_server(s);

        name_group(rs, s, conf->group);
        for (int i = 0; i < conf->mounts->nelts; i++) {
            name_group(rs, s,
                       APR_ARRAY_IDX(conf->mounts, i, pw_mount_t *)->group);
        }
        for (int i = 0; i < rs->conf->sections->nelts; i++) {
            name_group(
                rs, s,
                APR_ARRAY_IDX(rs->conf->sections, i, pw_section_t *)->group);
        }
    }
}

static void prepare_finding(resolving_t *rs)
{
    pw_resolved_t *out = rs->out;
    int limit = rs->conf->interpreter_limit;

    out->map.own = make_interp(rs, "");
    out->may_find = finds(rs);
    if (out->may_find) {
        out->map.found_max = limit >= 0 ? limit : FOUND_MAX;
        out->map.found_names =
            out->map.found_max > 0 ? out->map.found_max + FOUND_NAMES : 0;
        name_groups(rs);
    }
}

/* Sections of virtual hosts are noted in their own configuration. */
static void gather_sections(resolving_t *rs)
{
    for (server_rec *s = rs->main_server->next; s; s = s->next) {
        const pw_server_conf_t *conf = pw_config_server(s);

        if (conf->sections != rs->conf->sections) {
            apr_array_cat(rs->conf->sections, conf->sections);
        }
    }
}

static void check_neighbours(resolving_t *rs)
{
    const module *named = ap_find_linked_module("mod_wsgi.c");

    if (named && named != &wsgi_module) {
        complain(rs, NULL,
                 "PW0002 mod_wsgi is loaded too, and one process has one "
                 "Python. Mend: remove one of the two LoadModule lines");
    }
    if (named == &wsgi_module && pw_module() != named) {
        complain(rs, NULL,
                 "PW0019 mod_polywsgi.so is loaded as polywsgi_module and as "
                 "wsgi_module. Mend: remove one of the two LoadModule lines");
    }
}

/* Before the mounts: an interpreter runs its scripts in this order. */
static void resolve_imports(resolving_t *rs)
{
    for (server_rec *s = rs->main_server; s; s = s->next) {
        const apr_array_header_t *imports = pw_config_server(s)->imports;

        for (int i = 0; i < imports->nelts; i++) {
            const pw_mount_t *import = APR_ARRAY_IDX(imports, i, pw_mount_t *);

            if (import->server == s) {
                resolve_import(rs, import);
            }
        }
    }
}

static void resolve_mounts(resolving_t *rs)
{
    for (server_rec *s = rs->main_server; s; s = s->next) {
        pw_server_conf_t *conf = pw_config_server(s);

        conf->resolved = rs->out;
        conf->defaults = apr_array_make(rs->pool, conf->mounts->nelts + 1,
                                        sizeof(pw_app_spec_t *));
        for (int i = 0; i < conf->mounts->nelts; i++) {
            const pw_mount_t *mount =
                APR_ARRAY_IDX(conf->mounts, i, pw_mount_t *);

            if (mount->found) {
                resolve_finding(rs, s, conf, mount);
            }
            else {
                resolve_mount(rs, s, conf, mount);
            }
        }
    }
}

int pw_resolve(apr_pool_t *pconf, server_rec *main_server)
{
    resolving_t rs = {.pool = pconf,
                      .main_server = main_server,
                      .conf = pw_config_server(main_server)};
    pw_resolved_t *out = apr_pcalloc(pconf, sizeof(*out));

    rs.out = rs.conf->resolved = out;
    out->interps = apr_hash_make(pconf);
    out->apps = apr_hash_make(pconf);
    out->uses = apr_array_make(pconf, 4, sizeof(pw_use_t));
    out->map.interps = apr_array_make(pconf, 4, sizeof(pw_interp_spec_t *));
    out->map.log = pw_exchange_httpd_server_log(main_server);
    out->map.shutdown_timeout = rs.conf->shutdown_timeout >= 0
                                    ? rs.conf->shutdown_timeout
                                    : SHUTDOWN_TIMEOUT;
    out->map.python = rs.conf->python;
    out->case_insensitive = rs.conf->case_insensitive;
    check_neighbours(&rs);
    check_isolation(&rs, &rs.conf->tuning);
    check_server_home(&rs);
    check_blocks(&rs);
    find_main(&rs);
    gather_sections(&rs);
    resolve_imports(&rs);
    resolve_mounts(&rs);
    prepare_finding(&rs);
    return rs.errors ? HTTP_INTERNAL_SERVER_ERROR : OK;
}

pw_app_spec_t *pw_resolve_app(const server_rec *s, const pw_mount_t *mount,
                              const char *group, const char *callable,
                              apr_pool_t *rpool)
{
    const pw_server_conf_t *conf = pw_config_server(s);
    const pw_resolved_t *out = conf->resolved;
    const char *name;

    if (mount->group || !group) {
        group = default_group(conf, mount);
    }
    if (mount->callable || !callable) {
        callable = default_callable(conf, mount);
    }
    name = group_name(out, mount, group, rpool);
    return apr_hash_get(out->apps, app_key(rpool, name, mount, callable),
                        APR_HASH_KEY_STRING);
}

int pw_resolve_found(const server_rec *s, const pw_mount_t *mount,
                     const char *group, const char *callable, pw_found_t *found)
{
    const pw_server_conf_t *conf = pw_config_server(s);
    const server_rec *home = mount ? mount->server : s;

    if (!group || (mount && mount->group)) {
        group = default_group(conf, mount);
    }
    if (!callable || (mount && mount->callable)) {
        callable = default_callable(conf, mount);
    }
    found->callable = callable;
    found->identity = found->script;
    if (conf->resolved->case_insensitive) {
        char *lower = apr_pstrdup(found->rpool, found->script);

        ap_str_tolower(lower);
        found->identity = lower;
    }
    if (is_resource(group)) {
        found->name = apr_pstrcat(found->rpool, server_key(found->rpool, home),
                                  "|file:", found->identity, NULL);
        return 0;
    }
    found->interp =
        apr_hash_get(conf->resolved->interps,
                     named_group(conf->resolved, home, group, found->rpool),
                     APR_HASH_KEY_STRING);
    return found->interp ? 0 : -1;
}
