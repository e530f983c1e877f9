/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_status: checks, chooses a format, writes it.
 */
#include "pw_status.h"

#include <stdlib.h>
#include <ap_expr.h>
#include <apr_strings.h>
#include <httpd.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <scoreboard.h>

#include "config.h"
#include "pw_htaccess.h"
#include "pw_module.h"
#include "pw_pyversion.h"
#include "pw_resolve.h"
#include "pw_show.h"

#define HANDLER "wsgi-status"

typedef struct format_t {
    const char *name; /* of ?format= */
    const char *type; /* of Accept */
    const char *sent; /* Content-Type */
    void (*show)(const pw_show_t *show, pw_text_t *to);
} format_t;

/* The first is for who has no wish. */
static const format_t formats[] = {
    {"html", "text/html", "text/html; charset=utf-8", pw_show_html},
    {"json", "application/json", "application/json", pw_show_json},
    {"prometheus", "text/plain", "text/plain; version=0.0.4; charset=utf-8",
     pw_show_prom},
};

#define FORMATS (sizeof(formats) / sizeof(formats[0]))

/* ---- who may ----------------------------------------------------------- */

/* SetHandler leaves an expression, and merging keeps its place in memory: where
 * it is that of a <Location>, .htaccess has not said it. */
static int set_by_location(request_rec *r)
{
    const core_server_config *core =
        ap_get_core_module_config(r->server->module_config);
    const core_dir_config *merged =
        ap_get_core_module_config(r->per_dir_config);
    const apr_array_header_t *sections = core->sec_url;
    const char *word, *error = NULL;

    for (int i = 0; i < sections->nelts && merged->expr_handler; i++) {
        const core_dir_config *section = ap_get_core_module_config(
            APR_ARRAY_IDX(sections, i, ap_conf_vector_t *));

        if (section->expr_handler == merged->expr_handler) {
            word = ap_expr_str_exec(r, merged->expr_handler, &error);
            return !error && ap_cstr_casecmp(word, HANDLER) == 0;
        }
    }
    return 0;
}

static int refuse_htaccess(request_rec *r)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  "PW0135 %s has the handler " HANDLER ", and .htaccess may "
                  "have set it; answered 403. Mend: set the handler in a "
                  "<Location> section",
                  r->uri);
    return HTTP_FORBIDDEN;
}

/* ---- which format ------------------------------------------------------ */

/* ?format=NAME: 1, and the format, NULL for a name that is none. */
static int asked_for(const request_rec *r, const format_t **format)
{
    static const char key[] = "format=";
    const char *at = r->args;

    while (at && strncmp(at, key, sizeof(key) - 1) != 0) {
        at = ap_strchr_c(at, '&');
        at += at != NULL;
    }
    *format = NULL;
    if (!at) {
        return 0;
    }
    at += sizeof(key) - 1;
    for (unsigned i = 0; i < FORMATS; i++) {
        size_t len = strlen(formats[i].name);

        if (!strncmp(at, formats[i].name, len)
            && (at[len] == '\0' || at[len] == '&')) {
            *format = &formats[i];
        }
    }
    return 1;
}

/* How much a media range of Accept wants the format: 0 not at all, else its q
 * in thousandths. Wildcards want the first. */
static int wanted(const format_t *format, char *range)
{
    char *last = NULL;
    const char *type = apr_strtok(range, "; \t", &last);
    const char *parameter;
    double q = 1;

    if (!type
        || (ap_cstr_casecmp(type, format->type) != 0
            && !(format == formats
                 && (!strcmp(type, "*/*") || !strcmp(type, "text/*"))))) {
        return 0;
    }
    while ((parameter = apr_strtok(NULL, "; \t", &last)) != NULL) {
        if (!strncasecmp(parameter, "q=", 2)) {
            q = strtod(parameter + 2, NULL);
        }
    }
    return q > 0 && q <= 1 ? (int)(q * 1000) : 0;
}

static const format_t *accepted(request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");
    const format_t *best = formats;
    int most = 0;

    while (accept && *accept) {
        const char *range = ap_getword(r->pool, &accept, ',');

        for (unsigned i = 0; i < FORMATS; i++) {
            int want = wanted(&formats[i], apr_pstrdup(r->pool, range));

            if (want > most) {
                most = want;
                best = &formats[i];
            }
        }
    }
    apr_table_mergen(r->headers_out, "Vary", "Accept");
    return best;
}

/* ---- the answer -------------------------------------------------------- */

static void set_headers(request_rec *r)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "Content-Security-Policy",
                   "default-src 'none'; style-src 'unsafe-inline'");
}

static int answer(request_rec *r, const format_t *format)
{
    const pw_resolved_t *resolved = pw_config_server(r->server)->resolved;
    const pw_show_t show = {
        .census = pw_census_take(resolved->stats, r->pool),
        .server = pw_census_clean(r->pool, r->server->server_hostname
                                               ? r->server->server_hostname
                                               : ""),
        .version = PW_VERSION,
        .python = pw_pyversion(r->pool),
        .now = apr_time_now(),
        .started = ap_scoreboard_image->global->restart_time,
        .most_children = resolved->map.processes,
    };
    pw_text_t text;

    pw_text_init(&text, r->pool);
    format->show(&show, &text);
    ap_set_content_type(r, format->sent);
    ap_set_content_length(r, (apr_off_t)text.len);
    ap_rwrite(text.bytes, (int)text.len, r);
    return OK;
}

static int handler(request_rec *r)
{
    const format_t *format;

    if (!r->handler || strcmp(r->handler, HANDLER) != 0) {
        return DECLINED;
    }
    if (pw_htaccess_may_set_handler(r) && !set_by_location(r)) {
        return refuse_htaccess(r);
    }
    if (r->method_number != M_GET) {
        r->allowed = AP_METHOD_BIT << M_GET;
        return HTTP_METHOD_NOT_ALLOWED;
    }
    if (!asked_for(r, &format)) {
        format = accepted(r);
    }
    if (!format) {
        return HTTP_BAD_REQUEST;
    }
    set_headers(r);
    return answer(r, format);
}

void pw_status_register_hooks(void)
{
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
}
