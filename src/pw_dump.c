/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_dump: the resolved map as JSON.
 */
#include "pw_dump.h"

#include <apr_strings.h>
#include <http_core.h>

#include "config.h"
#include "pw_access.h"
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
static void dump_env_values(const pw_interp_spec_t *spec, apr_pool_t *pool,
                            apr_file_t *to)
{
    const apr_array_header_t *pairs = apr_table_elts(spec->env);

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
static void dump_env(const pw_interp_spec_t *spec, apr_pool_t *pool,
                     apr_file_t *to)
{
    const apr_array_header_t *pairs = apr_table_elts(spec->env);

    for (int i = 0; i < pairs->nelts; i++) {
        apr_file_printf(
            to, "%s%s", i ? ", " : "",
            quote(pool, APR_ARRAY_IDX(pairs, i, apr_table_entry_t).key));
    }
}

static void dump_interp(const pw_resolved_t *out, const pw_interp_spec_t *spec,
                        apr_pool_t *pool, apr_file_t *to)
{
    apr_file_printf(to,
                    "\n    {\"name\": %s, \"isolation\": %s, \"home\": %s, "
                    "\"path\": %s, \"startup_timeout\": %.3f, \"env\": [",
                    quote(pool, spec->name),
                    quote(pool, pw_isolation_name(spec->isolation)),
                    quote(pool, spec->home), quote(pool, spec->path),
                    (double)spec->startup_timeout / APR_USEC_PER_SEC);
    dump_env(spec, pool, to);
    apr_file_puts("]", to);
    if (ap_exists_config_define("DUMP_POLYWSGI_ENV")) {
        dump_env_values(spec, pool, to);
    }
    apr_file_puts(", \"applications\": [", to);
    dump_apps(out, spec, pool, to);
    apr_file_puts("]}", to);
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
        "\"group\": %s,\n  \"shutdown_timeout\": %.3f,\n  "
        "\"interpreters\": [",
        quote(ptemp, pw_pyversion(ptemp)), quote(ptemp, PW_PYTHON_EXECUTABLE),
        quote(ptemp, map->python_home), quote(ptemp, pw_access_user(ptemp)),
        quote(ptemp, pw_access_group(ptemp)),
        (double)map->shutdown_timeout / APR_USEC_PER_SEC);
    for (int i = 0; i < map->interps->nelts; i++) {
        if (i) {
            apr_file_puts(",", to);
        }
        dump_interp(out,
                    APR_ARRAY_IDX(map->interps, i, const pw_interp_spec_t *),
                    ptemp, to);
    }
    apr_file_puts("]}\n", to);
}
