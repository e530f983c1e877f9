/* SPDX-License-Identifier: Apache-2.0
 *
 * mod_pwcgi: what httpd itself would give a CGI script: a handler that calls
 * ap_add_common_vars and ap_add_cgi_vars and answers with the table as JSON.
 * t/38-cgivars.t compares environ with it.
 */
#include <httpd.h>
#include <http_config.h>
#include <http_protocol.h>
#include <util_script.h>

#include <string.h>

/* Every byte as the character of its number, as environ has it. */
static void put(request_rec *r, const char *text)
{
    ap_rputc('"', r);
    for (; *text; text++) {
        if (*text >= ' ' && *text < 0x7f && *text != '"' && *text != '\\') {
            ap_rputc(*text, r);
        }
        else {
            ap_rprintf(r, "\\u%04x", (unsigned char)*text);
        }
    }
    ap_rputc('"', r);
}

static int answer(request_rec *r)
{
    const apr_array_header_t *list;
    const apr_table_entry_t *e;

    if (!r->handler || strcmp(r->handler, "pwcgi") != 0) {
        return DECLINED;
    }
    ap_add_common_vars(r);
    ap_add_cgi_vars(r);
    list = apr_table_elts(r->subprocess_env);
    e = (const apr_table_entry_t *)list->elts;
    ap_set_content_type(r, "application/json");
    ap_rputc('{', r);
    for (int i = 0; i < list->nelts; i++) {
        ap_rputs(i ? "," : "", r);
        put(r, e[i].key);
        ap_rputc(':', r);
        put(r, e[i].val ? e[i].val : "");
    }
    ap_rputc('}', r);
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_handler(answer, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(pwcgi) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks,
    AP_MODULE_FLAG_NONE};
