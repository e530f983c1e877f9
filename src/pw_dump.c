/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_dump: the resolved map as JSON.
 */
#include "pw_dump.h"

#include <apr_strings.h>
#include <http_core.h>

#include "config.h"
#include "pw_access.h"
#include "pw_console.h"
#include "pw_pyversion.h"
#include "pw_resolve.h"

/* The length of the UTF-8 sequence at text; 1 for a byte that begins none. */
static int utf8_length(const char *text)
{
    const unsigned char *u = (const unsigned char *)text;
    int len = *u < 0xc2 ? 1 : *u < 0xe0 ? 2 : *u < 0xf0 ? 3 : *u < 0xf5 ? 4 : 1;

    for (int i = 1; i < len; i++) {
        if ((u[i] & 0xc0) != 0x80) {
            return 1;
        }
    }
    return len;
}

/* A JSON string, or null. A byte that is no UTF-8 is shown as the latin-1
 * character that it may be. */
static const char *quote(apr_pool_t *pool, const char *text)
{
    char *quoted, *to;
    int len;

    if (!text) {
        return "null";
    }
    to = quoted = apr_palloc(pool, strlen(text) * 6 + 3);
    *to++ = '"';
    for (; *text; text += len) {
        len = utf8_length(text);
        if (len == 1 && ((unsigned char)*text < 0x20 || *text & 0x80)) {
            to += apr_snprintf(to, 7, "\\u%04x", (unsigned char)*text);
            continue;
        }
        if (*text == '"' || *text == '\\') {
            *to++ = '\\';
        }
        memcpy(to, text, (size_t)len);
        to += len;
    }
    *to++ = '"';
    *to = '\0';
    return quoted;
}

static void dump_mounts(const pw_resolved_t *out, const pw_app_spec_t *app,
                        apr_pool_t *pool, apr_file_t *to)
{
    const char *comma = "";

    for (int i = 0; i < out->uses->nelts; i++) {
        const pw_use_t *use = &APR_ARRAY_IDX(out->uses, i, pw_use_t);

        if (use->app == app) {
            apr_file_printf(
                to,
                "%s{\"server\": %s, \"port\": %u, \"prefix\": %s, \"file\": "
                "%s, \"line\": %d}",
                comma, quote(pool, use->server->server_hostname),
                (unsigned)pw_resolve_port(use->server),
                quote(pool, use->mount->prefix),
                quote(pool, use->mount->place.file), use->mount->place.line);
            comma = ", ";
        }
    }
}

static void dump_apps(const pw_resolved_t *out, const pw_interp_spec_t *spec,
                      apr_pool_t *pool, apr_file_t *to)
{
    for (int i = 0; i < spec->apps->nelts; i++) {
        const pw_app_spec_t *app =
            APR_ARRAY_IDX(spec->apps, i, const pw_app_spec_t *);

        apr_file_printf(to,
                        "%s\n      {\"label\": %s, \"script\": %s, \"module\": "
                        "%s, \"callable\": %s, \"lazy\": %s, \"mounts\": [",
                        i ? "," : "", quote(pool, app->label),
                        quote(pool, app->script), quote(pool, app->module),
                        quote(pool, app->callable),
                        app->lazy ? "true" : "false");
        dump_mounts(out, app, pool, to);
        apr_file_printf(to, "]}");
    }
}

/* The values may be secrets: only for who asks for them by a second define. */
static void dump_env_values(const apr_table_t *env, apr_pool_t *pool,
                            apr_file_t *to)
{
    const apr_array_header_t *pairs = apr_table_elts(env);

    apr_file_puts(", \"env_values\": {", to);
    for (int i = 0; i < pairs->nelts; i++) {
        const apr_table_entry_t *e =
            &APR_ARRAY_IDX(pairs, i, apr_table_entry_t);

        apr_file_printf(to, "%s%s: %s", i ? ", " : "", quote(pool, e->key),
                        quote(pool, e->val));
    }
    apr_file_puts("}", to);
}

/* The names only. */
static void dump_env(const apr_table_t *env, apr_pool_t *pool, apr_file_t *to)
{
    const apr_array_header_t *pairs = apr_table_elts(env);

    for (int i = 0; i < pairs->nelts; i++) {
        apr_file_printf(
            to, "%s%s", i ? ", " : "",
            quote(pool, APR_ARRAY_IDX(pairs, i, apr_table_entry_t).key));
    }
}

/* A bound; null where there is none, which is anything below `least`. */
static void dump_bound(const char *name, int value, int least, apr_file_t *to)
{
    if (value >= least) {
        apr_file_printf(to, "\"%s\": %d, ", name, value);
    }
    else {
        apr_file_printf(to, "\"%s\": null, ", name);
    }
}

static void dump_limits(const pw_interp_spec_t *spec, apr_file_t *to)
{
    apr_file_printf(to,
                    "\"instances\": [%d, %d], \"max_requests\": %d, "
                    "\"idle_timeout\": %.3f, \"queue_timeout\": %.3f, "
                    "\"request_buffer\": %d, \"park_limit\": %d, ",
                    spec->instances_min, spec->instances_max,
                    spec->max_requests,
                    (double)spec->idle_timeout / APR_USEC_PER_SEC,
                    (double)spec->queue_timeout / APR_USEC_PER_SEC,
                    spec->request_buffer, spec->park_limit);
    dump_bound("concurrency", spec->concurrency, 1, to);
    dump_bound("queue_limit", spec->queue_limit, 0, to);
    dump_bound("thread_states", spec->thread_states, 1, to);
}

static void dump_interp(const pw_resolved_t *out, const pw_interp_spec_t *spec,
                        apr_pool_t *pool, apr_file_t *to)
{
    apr_file_printf(to,
                    "\n    {\"name\": %s, \"isolation\": %s, \"home\": %s, "
                    "\"path\": %s, \"startup_timeout\": %.3f, "
                    "\"preload\": \"%s\", ",
                    quote(pool, spec->name),
                    quote(pool, pw_isolation_name(spec->isolation)),
                    quote(pool, spec->home), quote(pool, spec->path),
                    (double)spec->startup_timeout / APR_USEC_PER_SEC,
                    pw_preload_name(spec->preload));
    dump_limits(spec, to);
    apr_file_puts("\"env\": [", to);
    dump_env(spec->env, pool, to);
    apr_file_puts("]", to);
    if (ap_exists_config_define("DUMP_POLYWSGI_ENV")) {
        dump_env_values(spec->env, pool, to);
    }
    apr_file_puts(", \"applications\": [", to);
    dump_apps(out, spec, pool, to);
    apr_file_puts("]}", to);
}

/* What is said of Python as a whole; of its variables the names only. */
static void dump_options(const pw_python_conf_t *python, apr_pool_t *pool,
                         apr_file_t *to)
{
    apr_file_printf(to,
                    "{\"optimize\": %d, \"dont_write_bytecode\": %d, "
                    "\"switch_interval\": %f, \"restrict_stdin\": %d, "
                    "\"restrict_stdout\": %d, \"restrict_signal\": %d, "
                    "\"warnings\": [",
                    python->optimize, python->dont_write_bytecode,
                    python->switch_interval, python->restrict_stdin,
                    python->restrict_stdout, python->restrict_signal);
    for (int i = 0; i < python->warnings->nelts; i++) {
        apr_file_printf(
            to, "%s%s", i ? ", " : "",
            quote(pool, APR_ARRAY_IDX(python->warnings, i, const char *)));
    }
    apr_file_puts("], \"env\": [", to);
    dump_env(python->env, pool, to);
    apr_file_puts("]", to);
    if (ap_exists_config_define("DUMP_POLYWSGI_ENV")) {
        dump_env_values(python->env, pool, to);
    }
    apr_file_puts("}", to);
}

/* A mount whose scripts are found by requests, as a server has it. */
static void dump_finder(const server_rec *s, const pw_mount_t *mount,
                        apr_pool_t *pool, apr_file_t *to)
{
    apr_file_printf(to,
                    "{\"server\": %s, \"port\": %u, \"prefix\": %s, "
                    "\"path\": %s, \"group\": %s, \"file\": %s, "
                    "\"line\": %d}",
                    quote(pool, s->server_hostname),
                    (unsigned)pw_resolve_port(s), quote(pool, mount->prefix),
                    quote(pool, mount->script), quote(pool, mount->group),
                    quote(pool, mount->place.file), mount->place.line);
}

static void dump_finders(const server_rec *main_server, apr_pool_t *pool,
                         apr_file_t *to)
{
    const char *comma = "";

    for (const server_rec *s = main_server; s; s = s->next) {
        const apr_array_header_t *mounts = pw_config_server(s)->mounts;

        for (int i = 0; i < mounts->nelts; i++) {
            const pw_mount_t *mount = APR_ARRAY_IDX(mounts, i, pw_mount_t *);

            if (mount->found && (mount->server == s || s->is_virtual)) {
                apr_file_puts(comma, to);
                dump_finder(s, mount, pool, to);
                comma = ", ";
            }
        }
    }
}

void pw_dump_map(const server_rec *main_server, apr_pool_t *ptemp,
                 apr_file_t *to)
{
    const pw_resolved_t *out = pw_config_server(main_server)->resolved;
    const pw_map_t *map = &out->map;

    apr_file_printf(
        to,
        "{\"python\": %s,\n  \"executable\": %s,\n  "
        "\"python_home\": %s,\n  \"user\": %s,\n  "
        "\"group\": %s,\n  \"control_dir\": %s,\n  "
        "\"shutdown_timeout\": %.3f,\n  "
        "\"interpreters\": [",
        quote(ptemp, pw_pyversion(ptemp)), quote(ptemp, PW_PYTHON_EXECUTABLE),
        quote(ptemp, map->python_home), quote(ptemp, pw_access_user(ptemp)),
        quote(ptemp, pw_access_group(ptemp)),
        quote(ptemp, pw_console_dir(ptemp)),
        (double)map->shutdown_timeout / APR_USEC_PER_SEC);
    for (int i = 0; i < map->interps->nelts; i++) {
        if (i) {
            apr_file_puts(",", to);
        }
        dump_interp(out,
                    APR_ARRAY_IDX(map->interps, i, const pw_interp_spec_t *),
                    ptemp, to);
    }
    apr_file_puts("],\n  \"options\": ", to);
    dump_options(&map->python, ptemp, to);
    apr_file_printf(to,
                    ",\n  \"may_find\": %s,\n  \"interpreter_limit\": %d,\n  "
                    "\"finders\": [",
                    out->may_find ? "true" : "false", map->found_max);
    dump_finders(main_server, ptemp, to);
    apr_file_puts("]}\n", to);
}
