/* SPDX-License-Identifier: Apache-2.0
 *
 * mod_bare: the least that an httpd handler can do, as the yardstick of
 * t/bench: "Hello" as text/plain with a Content-Length.
 */
#include <httpd.h>
#include <http_config.h>
#include <http_protocol.h>

#include <string.h>

static int bare_handler(request_rec *r)
{
    static const char body[] = "Hello, world!\n";

    if (!r->handler || strcmp(r->handler, "bare") != 0) {
        return DECLINED;
    }
    ap_set_content_type(r, "text/plain");
    ap_set_content_length(r, sizeof(body) - 1);
    ap_rputs(body, r);
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_handler(bare_handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(bare) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks,
    AP_MODULE_FLAG_NONE};
