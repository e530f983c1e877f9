/* SPDX-License-Identifier: Apache-2.0
 *
 * test_gate: the GATEWAY on real interpreters and a request in memory. Most
 * tests are rows of a table: a path of t/unit/apps/gate.py, and what the
 * server must have seen afterwards.
 */
#include <apr_general.h>
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange_mem.h"
#include "pw_gate.h"
#include "pw_header.h"
#include "pw_python.h"
#include "pw_runtime.h"
#include "tap.h"

#ifndef PW_TEST_SRCDIR
#define PW_TEST_SRCDIR "." /* lint reads this file without the Makefile */
#endif

static apr_pool_t *apool;
static pw_runtime_t *rt;
static char child_log[1 << 16]; /* what is of no request */
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;

/* ---- the configuration ------------------------------------------------- */

static void log_write(void *where, pw_log_level_e level, const char *line)
{
    size_t used;

    (void)where;
    pthread_mutex_lock(&log_mutex);
    used = strlen(child_log);
    snprintf(child_log + used, sizeof(child_log) - used, "<%d> %s\n",
             (int)level, line);
    pthread_mutex_unlock(&log_mutex);
}

static const pw_log_t test_log = {.write = log_write};

static pw_app_spec_t *add_app(pw_map_t *map, const char *name,
                              pw_isolation_e isolation, const char *script)
{
    pw_interp_spec_t *spec = apr_pcalloc(apool, sizeof(*spec));
    pw_app_spec_t *app = apr_pcalloc(apool, sizeof(*app));

    spec->name = app->label = name;
    spec->index = map->interps->nelts;
    spec->isolation = isolation;
    spec->env = apr_table_make(apool, 1);
    spec->startup_timeout = 20 * APR_USEC_PER_SEC;
    spec->apps = apr_array_make(apool, 1, sizeof(app));
    spec->log = app->log = test_log;
    app->script =
        apr_pstrcat(apool, PW_TEST_SRCDIR "/t/unit/apps/", script, NULL);
    app->callable = "application";
    app->interp = spec;
    APR_ARRAY_PUSH(spec->apps, pw_app_spec_t *) = app;
    APR_ARRAY_PUSH(map->interps, pw_interp_spec_t *) = spec;
    return app;
}

static pw_map_t *new_map(void)
{
    pw_map_t *map = apr_pcalloc(apool, sizeof(*map));

    map->interps = apr_array_make(apool, 4, sizeof(pw_interp_spec_t *));
    map->shutdown_timeout = 5 * APR_USEC_PER_SEC;
    map->threads = 16;
    map->log = test_log;
    return map;
}

/* ---- one request ------------------------------------------------------- */

/* Its body as a string; the caller compares and destroys. */
static const char *text(const pw_mem_t *mem)
{
    return mem->out ? mem->out : "";
}

static pw_mem_t *get(const pw_app_spec_t *app, const char *path)
{
    pw_mem_t *mem = pw_mem_create("GET", path);

    pw_gate_run(rt, app, &mem->x);
    return mem;
}

static int says(const pw_app_spec_t *app, const char *path, const char *want)
{
    pw_mem_t *mem = get(app, path);
    int same = strcmp(text(mem), want) == 0;

    if (!same) {
        printf("# %s says %s\n# %s\n", path, text(mem), mem->log_text);
    }
    pw_mem_destroy(mem);
    return same;
}

/* ---- the table --------------------------------------------------------- */

enum { WHOLE = 0, ABORTED = 1, FLUSHED = 2, FILES = 4, CLOSES = 8, BARE = 16 };

typedef struct row_t {
    const char *path;
    int answer;       /* of pw_gate_run */
    int status;       /* of begin, 0: not called */
    const char *want; /* the body */
    apr_off_t length; /* Content-Length */
    int flags;        /* ABORTED, FLUSHED, ... */
    const char *logs; /* once; NULL: nothing at info or worse */
} row_t;

static const row_t rows[] = {
    {"/valid/hello", 0, 200, "hello", -1, FLUSHED, NULL},
    {"/valid/two", 0, 200, "hello", -1, FLUSHED, NULL},
    {"/valid/empty", 0, 200, "", -1, WHOLE, NULL},
    {"/valid/gen", 0, 200, "ab", -1, FLUSHED | CLOSES, NULL},
    {"/hello", 0, 200, "hello", 5, WHOLE, NULL},
    {"/nocontent", 0, 204, "", -1, WHOLE, NULL},
    {"/notmodified", 0, 304, "", -1, WHOLE, NULL},
    {"/gen", 0, 200, "ab", -1, FLUSHED | CLOSES, NULL},
    {"/late", 0, 200, "late", 4, FLUSHED, NULL},
    {"/later", 0, 200, "later", -1, FLUSHED, NULL},
    {"/nostart", 500, 0, "", 0, WHOLE, "PW0403 one"},
    {"/nostart_gen", 500, 0, "", 0, WHOLE, "PW0403 one"},
    {"/nostart_empty", 500, 0, "", 0, WHOLE, "PW0403 one"},
    {"/twice", 0, 200,
     "start_response was called already; a second call needs exc_info", 63,
     WHOLE, NULL},
    {"/replace", 0, 500, "replaced", 8, WHOLE, NULL},
    {"/again", 0, 200, "a", -1, ABORTED | FLUSHED, "ValueError: raised again"},
    {"/raises", 500, 0, "", 0, WHOLE,
     "PW0401 one: GET /raises failed, answered 500: ValueError: before the "
     "headers"},
    {"/raises_late", 0, 200, "some", -1, ABORTED | FLUSHED | CLOSES,
     "PW0402 one: GET /raises_late failed after its headers were sent"},
    {"/exits", 500, 0, "", 0, WHOLE, "SystemExit: 3"},
    {"/exits_late", 0, 200, "some", -1, ABORTED | FLUSHED,
     "PW0402 one: GET /exits_late failed"},
    {"/notiterable", 500, 0, "", 0, WHOLE, "PW0401 one: GET /notiterable"},
    {"/short", 0, 200, "short", 10, ABORTED, "PW0406 one"},
    {"/short_gen", 0, 200, "short", 10, ABORTED | FLUSHED, "PW0406 one"},
    {"/short_none", 0, 200, "", 10, ABORTED, "PW0406 one"},
    {"/long", 0, 200, "lon", 3, WHOLE, "PW0407 one"},
    {"/long_gen", 0, 200, "lol", 3, FLUSHED | CLOSES, "PW0407 one"},
    {"/notbytes", 500, 0, "", 0, WHOLE, "PW0401 one: GET /notbytes"},
    {"/notbytes_gen", 0, 200, "bytes", -1, ABORTED | FLUSHED,
     "PW0402 one: GET /notbytes_gen"},
    {"/writes", 0, 200, "abc", -1, FLUSHED, NULL},
    {"/write_text", 500, 0, "", 0, WHOLE, "PW0401 one: GET /write_text"},
    {"/close_raises", 0, 200, "fine", -1, FLUSHED | CLOSES,
     "PW0405 one: GET /close_raises: close() failed"},
    {"/bad", 0, 200, "", 0, WHOLE, NULL},
    {"/environ_check?a=b", 0, 200, "", 0, WHOLE, NULL},
    {"/file", 0, 200, "0123456789", 10, FILES, NULL},
    {"/file_tail", 0, 200, "3456789", 7, FILES, NULL},
    {"/file_part", 0, 200, "0123", 4, FILES, NULL},
    {"/file_short", 0, 200, "0123456789", 20, ABORTED | FILES, "PW0406 one"},
    {"/file_empty", 0, 200, "", 0, WHOLE, NULL},
    {"/file_memory", 0, 200, "0123456789", -1, FLUSHED, NULL},
    {"/file_gzip", 0, 200, "unpacked", -1, FLUSHED, NULL},
    {"/file_written", 0, 200, "first 0123456789", -1, FLUSHED, NULL},
    {"/file_text", 500, 0, "", 0, WHOLE, "PW0401 one: GET /file_text"},
};

static int count_closed(const pw_app_spec_t *app)
{
    pw_mem_t *mem = get(app, "/count_closed");
    int count = atoi(text(mem));

    pw_mem_destroy(mem);
    return count;
}

/* Records at info or worse; a traceback's lines are not counted. */
static int count_records(pw_mem_t *mem)
{
    int lines = pw_mem_logged(mem, "\n");
    int quiet = pw_mem_logged(mem, "<7>") + pw_mem_logged(mem, ": | ");

    return lines - quiet;
}

static int response_is(const row_t *row, const pw_mem_t *mem, int answer)
{
    int aborted = row->flags & ABORTED ? 1 : 0;

    return answer == row->answer && mem->status == row->status
           && (row->status == 0 || mem->length == row->length)
           && strcmp(text(mem), row->want) == 0 && mem->aborted == aborted
           && mem->ended == (row->status != 0 && !aborted)
           && !mem->flushes == !(row->flags & FLUSHED)
           && mem->files == (row->flags & FILES ? 1 : 0) && !mem->overlaps;
}

static void test_row(const pw_app_spec_t *app, const row_t *row)
{
    int before = count_closed(app);
    pw_mem_t *mem = pw_mem_create("GET", row->path);
    int answer = pw_gate_run(rt, app, &mem->x);
    int after = count_closed(app);
    int passed;

    passed = response_is(row, mem, answer)
             && after - before == (row->flags & CLOSES ? 1 : 0)
             && count_records(mem) == (row->logs ? 1 : 0)
             && (!row->logs || pw_mem_logged(mem, row->logs) >= 1);
    ok(passed, "GET %s", row->path);
    if (!passed) {
        printf("# answer %d status %d length %d aborted %d ended %d flushes %d "
               "files %d closed %d\n# body: %s\n# log: %s\n",
               answer, mem->status, (int)mem->length, mem->aborted, mem->ended,
               mem->flushes, mem->files, after - before, text(mem),
               mem->log_text);
    }
    pw_mem_destroy(mem);
}

/* ---- HEAD -------------------------------------------------------------- */

static void test_head(const pw_app_spec_t *app)
{
    static const struct {
        const char *path;
        apr_off_t length;
    } cases[] = {
        {"/valid/hello", -1}, {"/hello", 5},   {"/two", 5},   {"/empty", -1},
        {"/late", 4},         {"/later", -1},  {"/file", 10}, {"/endless", -1},
        {"/short", 10},       {"/writes", -1}, {"/gen", -1},  {"/long_gen", 3},
        {"/nocontent", -1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pw_mem_t *mem = pw_mem_create("HEAD", cases[i].path);
        int answer = pw_gate_run(rt, app, &mem->x);

        ok(answer == 0 && mem->length == cases[i].length && mem->out_len == 0
               && mem->ended == 1 && !mem->aborted && !count_records(mem),
           "HEAD %s has the headers of GET and no body", cases[i].path);
        if (strcmp(cases[i].path, "/later") == 0) {
            ok(pw_mem_header(mem, "X-Later") != NULL, "and all of them");
        }
        pw_mem_destroy(mem);
    }
}

/* ---- headers ----------------------------------------------------------- */

static void test_headers(const pw_app_spec_t *app)
{
    pw_mem_t *mem = get(app, "/bad");
    const char *tab = pw_mem_header(mem, "x-tab");

    ok(strcmp(mem->status_line, "200 Fine \xe9") == 0, "the reason is kept");
    ok(tab && strcmp(tab, "a\tb\xe9") == 0, "latin-1 and tab pass");
    ok(mem->headers->nelts == 3, "a header may come twice");
    pw_mem_destroy(mem);
    mem = get(app, "/late");
    ok(!pw_mem_header(mem, "Content-Length"),
       "Content-Length goes beside the headers");
    pw_mem_destroy(mem);
}

static void test_header_checks(void)
{
    ok(!pw_header_bad_status("200 ", 4) && !pw_header_bad_status("599 x", 5)
           && pw_header_bad_status("200 a\tb", 7),
       "status lines");
    ok(!pw_header_bad_name("X_a-b.c~", 8) && pw_header_bad_name("a\0", 2)
           && pw_header_bad_name("CONNECTION", 10),
       "header names");
    ok(pw_header_length("0123", 4) == 123 && pw_header_length("1a", 2) == -1
           && pw_header_length("999999999999999999", 18) > 0,
       "Content-Length");
}

/* ---- bodies ------------------------------------------------------------ */

static void test_large(const pw_app_spec_t *app)
{
    pw_mem_t *mem = get(app, "/large");

    ok(mem->out_len == 200100 && mem->length == 200100 && mem->ended == 1
           && mem->out[99999] == 'a' && mem->out[100000] == 'b'
           && mem->out[100100] == 'c',
       "a large list is sent whole");
    ok(mem->flushes == 0, "and never flushed");
    pw_mem_destroy(mem);
    mem = get(app, "/hello");
    ok(mem->passes == 1, "a small one is passed once, with its end");
    pw_mem_destroy(mem);
}

/* Bytes as a client sends them: by 1, by 1,000, at once. */
static void test_reading(const pw_app_spec_t *app)
{
    static const apr_size_t steps[] = {1, 7, 1000, 8192, 1000000};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        pw_mem_t *body = get(app, "/body?200000");
        pw_mem_t *mem = pw_mem_create("POST", "/reading?200000");

        pw_mem_set_body(mem, body->out, body->out_len);
        mem->body_step = steps[i];
        pw_gate_run(rt, app, &mem->x);
        ok(mem->status == 200 && mem->out_len == 0 && body->out_len == 200000,
           "wsgi.input reads as a file does, %d bytes at a time",
           (int)steps[i]);
        if (mem->out_len || mem->status != 200) {
            printf("# %s\n# %s\n", text(mem), mem->log_text);
        }
        pw_mem_destroy(mem);
        pw_mem_destroy(body);
    }
}

static void test_post(const pw_app_spec_t *app)
{
    pw_mem_t *mem = pw_mem_create("POST", "/valid/lines");

    pw_mem_set_body(mem, "a\n\nlong\nend", 11);
    pw_gate_run(rt, app, &mem->x);
    ok(strcmp(text(mem), "a\n|\n|long\n|end") == 0, "iterating gives lines");
    pw_mem_destroy(mem);
    mem = pw_mem_create("POST", "/thread_reads");
    pw_mem_set_body(mem, "from a thread", 13);
    pw_gate_run(rt, app, &mem->x);
    ok(strcmp(text(mem), "from a thread") == 0, "another thread may read");
    pw_mem_destroy(mem);
}

static void test_unread(const pw_app_spec_t *app)
{
    static const struct {
        const char *path;
        apr_status_t error;
        int answer;
        const char *want;
        const char *logs;
    } cases[] = {
        {"/echo", APR_ENOSPC, 413, "", "PW0408 one"},
        {"/echo", APR_TIMEUP, 408, "", "PW0408 one"},
        {"/echo", APR_ECONNABORTED, 400, "", "PW0408 one"},
        {"/unread_late", APR_TIMEUP, 0, "some", "PW0409 one"},
        {"/ignore_unread", APR_ENOSPC, 0,
         "the request body is larger than LimitRequestBody allows", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pw_mem_t *mem = pw_mem_create("POST", cases[i].path);
        int answer;

        pw_mem_set_body(mem, "abc", 3);
        mem->body_error = cases[i].error;
        answer = pw_gate_run(rt, app, &mem->x);
        ok(answer == cases[i].answer && strcmp(text(mem), cases[i].want) == 0
               && count_records(mem) == (cases[i].logs ? 1 : 0)
               && (!cases[i].logs || pw_mem_logged(mem, cases[i].logs) == 1),
           "%s with a body that ends by error %d: %d", cases[i].path,
           (int)cases[i].error, answer);
        pw_mem_destroy(mem);
    }
}

static void test_gone(const pw_app_spec_t *app)
{
    static const char *const paths[] = {"/endless", "/writes_gone", "/large"};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        int before = count_closed(app);
        pw_mem_t *mem = pw_mem_create("GET", paths[i]);
        int answer;

        mem->gone_at = 9;
        answer = pw_gate_run(rt, app, &mem->x);
        ok(answer == 0 && mem->ended == 0 && count_records(mem) == 0
               && count_closed(app) - before == (i == 0 ? 1 : 0),
           "%s ends when the client goes, without an error record", paths[i]);
        pw_mem_destroy(mem);
    }
}

static void test_file(const pw_app_spec_t *app)
{
    pw_mem_t *mem = get(app, "/file_opened");
    pw_mem_t *size = get(app, "/file_size");

    ok(mem->files > 0 && mem->out_len > 0
           && (long)mem->out_len == atol(text(size)),
       "an opened file is sent whole");
    pw_mem_destroy(mem);
    pw_mem_destroy(size);
    mem = get(app, "/file");
    pw_mem_destroy(mem);
    ok(says(app, "/file_closed", "True"), "and closed");
}

/* ---- the log ----------------------------------------------------------- */

static void test_errors(const pw_app_spec_t *app)
{
    static const char *const lines[] = {
        "<3> PW0501 one: one\n",
        "<3> PW0501 one: two\n",
        "<3> PW0501 one: three\n",
        "<3> PW0501 one: last of wsgi.errors\n",
        "<4> PW0502 one: to stdout caf\xc3\xa9 \\udcff\n",
        "<3> PW0501 one: to stderr\n",
        "<4> PW0502 one: text, bytes, more bytes\n",
        "<3> PW0501 one: last of stderr\n",
        "<4> PW0502 one: xxxx",
        "<4> PW0502 one: \xc3\xa9\xc3\xa9",
    };
    pw_mem_t *mem = get(app, "/errors");

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        ok(pw_mem_logged(mem, lines[i]) == 1, "%.*s is logged",
           (int)strcspn(lines[i], "\n"), lines[i]);
    }
    ok(mem->status == 200 && mem->out_len == 0, "the stream is a stream");
    pw_mem_destroy(mem);
    mem = get(app, "/raises");
    ok(pw_mem_logged(mem, "PW0401 one: |   File") >= 1
           && pw_mem_logged(mem, "PW0401 one: | ValueError: before") == 1,
       "a traceback is logged line by line");
    pw_mem_destroy(mem);
}

static void test_thread_errors(const pw_app_spec_t *app)
{
    pw_mem_t *mem = get(app, "/thread_errors");

    ok(mem->status == 200, "four threads print at once");
    ok(strstr(child_log, "<4> PW0502 one: thread line") != NULL,
       "and are logged with the interpreter's name");
    pw_mem_destroy(mem);
}

/* ---- tethers and threads ----------------------------------------------- */

static void test_tethers(const pw_app_spec_t *app)
{
    pw_mem_t *mem;

    ok(says(app, "/keep", "kept"), "an application keeps what it was given");
    mem = get(app, "/stale");
    ok(strcmp(text(mem), "5") == 0, "every later use raises RuntimeError");
    ok(pw_mem_logged(mem, "PW0501 one: late line") == 1,
       "but a kept wsgi.errors writes to the running request's log");
    pw_mem_destroy(mem);
}

static void test_busy(const pw_app_spec_t *app)
{
    pw_mem_t *mem = pw_mem_create("POST", "/thread_busy");

    pw_mem_set_body(mem, "abc", 3);
    mem->read_delay = 200000;
    pw_gate_run(rt, app, &mem->x);
    ok(strcmp(text(mem), "busy") == 0 && !mem->overlaps,
       "write raises while another thread reads");
    pw_mem_destroy(mem);
    mem = pw_mem_create("POST", "/thread_left");
    pw_mem_set_body(mem, "abc", 3);
    mem->read_delay = 100000;
    pw_gate_run(rt, app, &mem->x);
    ok(strcmp(text(mem), "left") == 0 && !mem->overlaps && mem->inside == 0
           && mem->ended == 1,
       "the end of a request waits for a thread that reads");
    pw_mem_destroy(mem);
    ok(says(app, "/thread_join", "joined"), "which then ends");
}

typedef struct load_t {
    pw_app_spec_t *const *apps; /* three */
    int seed;
    int wrong;
} load_t;

static void *run_load(void *arg)
{
    static const char *const paths[] = {"/hello", "/gen",    "/two", "/raises",
                                        "/file",  "/writes", "/bad", "/long"};
    load_t *load = arg;

    for (int i = 0; i < 150; i++) {
        const char *path = paths[(i + load->seed) % 8];
        pw_mem_t *mem = pw_mem_create("GET", path);
        int answer = pw_gate_run(rt, load->apps[i % 3], &mem->x);

        load->wrong += answer != (strcmp(path, "/raises") == 0 ? 500 : 0);
        load->wrong += mem->overlaps + (answer == 0 && mem->ended != 1);
        pw_mem_destroy(mem);
    }
    return NULL;
}

static void test_load(pw_app_spec_t *const *apps)
{
    pthread_t ids[8];
    load_t loads[8];
    int wrong = 0;

    for (int i = 0; i < 8; i++) {
        loads[i] = (load_t){.apps = apps, .seed = i};
        pthread_create(&ids[i], NULL, run_load, &loads[i]);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(ids[i], NULL);
        wrong += loads[i].wrong;
    }
    ok(wrong == 0, "8 threads, 3 interpreters, 1,200 requests: %d wrong",
       wrong);
}

static void test_refusals(const pw_app_spec_t *broken,
                          const pw_app_spec_t *missing)
{
    pw_mem_t *mem = pw_mem_create("GET", "/");
    int answer = pw_gate_run(rt, broken, &mem->x);

    ok(answer == 500 && mem->begun == 0
           && pw_mem_logged(mem, "<6> PW0301 broken: ") == 1,
       "an application that does not load: 500");
    pw_mem_destroy(mem);
    mem = pw_mem_create("GET", "/");
    answer = pw_gate_run(rt, missing, &mem->x);
    ok(answer == 503 && pw_mem_logged(mem, "<6> PW0302 missing: ") == 1,
       "a missing script: 503");
    pw_mem_destroy(mem);
}

int main(void)
{
    pw_isolation_e sub =
        PW_HAVE_OWN_GIL ? PW_ISOLATION_OWN_GIL : PW_ISOLATION_SHARED_GIL;
    pw_app_spec_t *apps[3], *broken, *missing;
    pw_map_t *map;

    apr_initialize();
    apr_pool_create(&apool, NULL);
    map = new_map();
    apps[0] = add_app(map, "one", sub, "gate.py");
    apps[1] = add_app(map, "two", PW_ISOLATION_SHARED_GIL, "gate.py");
    apps[2] = add_app(map, "%{GLOBAL}", PW_ISOLATION_MAIN, "gate.py");
    broken = add_app(map, "broken", sub, "broken.py");
    missing = add_app(map, "missing", sub, "missing.py");
    test_header_checks();
    ok(pw_gate_start(apool, map, NULL, &rt) == APR_SUCCESS, "Python starts");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        test_row(apps[0], &rows[i]);
    }
    ok(says(apps[1], "/identity", "two shared-gil"), "a second interpreter");
    ok(says(apps[2], "/identity", "%{GLOBAL} main"), "and the main one");
    test_head(apps[0]);
    test_headers(apps[0]);
    test_large(apps[0]);
    test_reading(apps[0]);
    test_post(apps[0]);
    test_unread(apps[0]);
    test_gone(apps[0]);
    test_file(apps[0]);
    test_errors(apps[0]);
    test_thread_errors(apps[0]);
    test_tethers(apps[0]);
    test_busy(apps[0]);
    test_load(apps);
    test_refusals(broken, missing);
    pw_runtime_stop(rt);
    if (tap_failed) {
        printf("# child's log: %s\n", child_log);
    }
    apr_terminate();
    return tap_done();
}
