/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_input: wsgi.input beside io.BytesIO. The first byte says how much the
 * server gives at a time (of it or of 200 times it), the second how many calls
 * follow, of two bytes each (which method, which size); the rest is the request
 * body. The application (fuzz_input.py) makes the same calls on both and
 * compares.
 */
#include <apr_general.h>
#include <apr_strings.h>
#include <string.h>

#include "exchange_mem.h"
#include "fuzz.h"
#include "pw_gate.h"

#ifndef PW_TEST_SRCDIR
#define PW_TEST_SRCDIR "." /* lint reads this file without the Makefile */
#endif

static pw_runtime_t *rt;
static pw_app_spec_t app = {.label = "fuzz", .callable = "application"};
static pw_interp_spec_t interp = {.name = "fuzz",
                                  .isolation = PW_ISOLATION_MAIN,
                                  .startup_timeout = 60 * APR_USEC_PER_SEC};
static pw_map_t map = {.shutdown_timeout = 5 * APR_USEC_PER_SEC, .threads = 1};

static void log_write(void *where, pw_log_level_e level, const char *line)
{
    (void)where;
    if (level <= PW_LOG_WARN) {
        fprintf(stderr, "%s\n", line);
    }
}

static void start(void)
{
    apr_pool_t *pool;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    map.log.write = interp.log.write = app.log.write = log_write;
    map.interps = apr_array_make(pool, 1, sizeof(pw_interp_spec_t *));
    APR_ARRAY_PUSH(map.interps, pw_interp_spec_t *) = &interp;
    interp.env = apr_table_make(pool, 1);
    interp.apps = apr_array_make(pool, 1, sizeof(pw_app_spec_t *));
    APR_ARRAY_PUSH(interp.apps, pw_app_spec_t *) = &app;
    app.script = PW_TEST_SRCDIR "/t/fuzz/fuzz_input.py";
    app.interp = &interp;
    MUST(pw_gate_start(pool, &map, NULL, &rt) == APR_SUCCESS);
}

/* Bytes as two letters each, for environ. */
static const char *hex(apr_pool_t *pool, const uint8_t *data, size_t size)
{
    char *text = apr_palloc(pool, 2 * size + 1);

    for (size_t i = 0; i < size; i++) {
        apr_snprintf(text + 2 * i, 3, "%02x", data[i]);
    }
    text[2 * size] = '\0';
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pw_mem_t *mem;
    size_t calls;

    if (size < 2 || size < 2 + 2 * (size_t)data[1]) {
        return 0;
    }
    if (!rt) {
        start();
    }
    calls = 2 * (size_t)data[1];
    mem = pw_mem_create("POST", "/");
    apr_table_setn(mem->variables, "PW_CALLS",
                   hex(mem->x.pool, data + 2, calls));
    apr_table_setn(mem->variables, "PW_BODY",
                   hex(mem->x.pool, data + 2 + calls, size - 2 - calls));
    pw_mem_set_body(mem, (const char *)data + 2 + calls, size - 2 - calls);
    mem->body_step = (apr_size_t)(data[0] & 0x7f) + 1;
    if (data[0] & 0x80) {
        mem->body_step *= 200; /* more than pw_input reads ahead */
    }
    MUST(pw_gate_run(rt, &app, &mem->x) == 0);
    MUST(mem->out && strcmp(mem->out, "the same") == 0);
    pw_mem_destroy(mem);
    return 0;
}
