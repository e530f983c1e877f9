/* SPDX-License-Identifier: Apache-2.0
 *
 * mod_bare: the least that an httpd handler can do, as the yardstick of
 * t/bench. By the end of the URL: .../upload reads the body and says its
 * length, .../bytes sends 1 MiB of memory, anything else says hello.
 */
#include <httpd.h>
#include <http_config.h>
#include <http_protocol.h>
#include <apr_strings.h>

#include <string.h>

#define BIG (1 << 20)

/* Never written: what the application's bytes object is to ours. */
static char big[BIG];

static int answer(request_rec *r, const char *body, apr_size_t len)
{
    ap_set_content_type(r, "text/plain");
    ap_set_content_length(r, (apr_off_t)len);
    ap_rwrite(body, (int)len, r);
    return OK;
}

/* The length of the request's body, -1 where it cannot be read. */
static long read_body(request_rec *r)
{
    char buffer[8192];
    long total = 0, got;

    if (ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK) != OK) {
        return -1;
    }
    if (!ap_should_client_block(r)) {
        return 0;
    }
    do {
        got = ap_get_client_block(r, buffer, sizeof(buffer));
        total += got;
    } while (got > 0);
    return got < 0 ? -1 : total;
}

static int answer_length(request_rec *r)
{
    long length = read_body(r);
    const char *text = apr_ltoa(r->pool, length);

    return length < 0 ? HTTP_BAD_REQUEST : answer(r, text, strlen(text));
}

/* The same from memory that stays: no copy on the way. */
static int answer_big(request_rec *r)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, alloc);

    ap_set_content_type(r, "text/plain");
    ap_set_content_length(r, BIG);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_immortal_create(big, BIG, alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    return ap_pass_brigade(r->output_filters, bb) == APR_SUCCESS ? OK : DONE;
}

static int bare_handler(request_rec *r)
{
    static const char hello[] = "Hello, world!\n";
    const char *end = strrchr(r->uri, '/');

    if (!r->handler || strcmp(r->handler, "bare") != 0) {
        return DECLINED;
    }
    if (end && strcmp(end, "/upload") == 0) {
        return answer_length(r);
    }
    if (end && strcmp(end, "/bytes") == 0) {
        return answer_big(r);
    }
    return answer(r, hello, sizeof(hello) - 1);
}

static void fill(apr_pool_t *pool, server_rec *s)
{
    (void)pool;
    (void)s;
    memset(big, 'x', BIG);
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_child_init(fill, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(bare_handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(bare) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks,
    AP_MODULE_FLAG_NONE};
