/* SPDX-License-Identifier: Apache-2.0
 *
 * test_show: pw_text's escapes, pw_show's figures, and names that are written
 * to break the formats.
 */
#include "pw_show.h"

#include <apr_general.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

static apr_pool_t *pool;

static const char *escaped(void (*escape)(pw_text_t *, const char *),
                           const char *string)
{
    pw_text_t text;

    pw_text_init(&text, pool);
    escape(&text, string);
    return text.bytes;
}

static void test_text(void)
{
    pw_text_t text;
    int whole = 1;

    ok(!strcmp(escaped(pw_text_json, "a\"\\\n\x1b"),
               "\"a\\\"\\\\\\u000a\\u001b\""),
       "a string of JSON");
    ok(!strcmp(escaped(pw_text_html, "<a b='\"&'>"),
               "&#60;a b=&#39;&#34;&#38;&#39;&#62;"),
       "a text of HTML");
    ok(!strcmp(escaped(pw_text_label, "a\"\\\nb"), "\"a\\\"\\\\\\nb\""),
       "a label of Prometheus");
    pw_text_init(&text, pool);
    pw_text_seconds(&text, 12000345);
    ok(!strcmp(text.bytes, "12.000345"), "seconds");
    pw_text_init(&text, pool);
    for (int i = 0; i < 10000; i++) {
        pw_text_addf(&text, "%04d ", i);
    }
    for (int i = 0; i < 10000; i++) {
        whole &= atoi(text.bytes + 5 * i) == i;
    }
    ok(whole && text.len == 50000 && strlen(text.bytes) == text.len,
       "a long text is whole");
}

static void test_quantile(void)
{
    pw_times_t times = {.sum = 0};

    ok(pw_show_quantile(&times, 50) == -1, "of nothing there is no median");
    times.buckets[3] = 100; /* 1 to 5 ms */
    ok(pw_show_quantile(&times, 50) == 3000, "half of a bucket");
    ok(pw_show_quantile(&times, 99) == 4960, "nearly all of it");
    times.buckets[0] = 100;
    ok(pw_show_quantile(&times, 50) == 100, "the end of the first of two");
    ok(pw_show_quantile(&times, 75) == 3000, "the middle of the second");
    times.buckets[PW_BUCKETS - 1] = 10000;
    ok(pw_show_quantile(&times, 99) == 30000000, "beyond the last bound");
    ok(pw_show_observed(&times) == 10200, "all are counted");
}

/* A server with one interpreter of this name, and a request of this path. */
static pw_show_t show_named(const char *name, const char *path)
{
    pw_census_t *census = apr_pcalloc(pool, sizeof(*census));
    pw_census_interp_t *interp;
    pw_census_child_t *child;
    pw_census_call_t *call;
    pw_census_instance_t *instance;
    pw_show_t show = {.census = census,
                      .server = name,
                      .version = "0",
                      .python = "3.14.0",
                      .now = apr_time_from_sec(1000),
                      .started = apr_time_from_sec(10),
                      .most_children = 3};

    census->interps = apr_array_make(pool, 1, sizeof(pw_census_interp_t));
    census->children = apr_array_make(pool, 1, sizeof(pw_census_child_t));
    interp = apr_array_push(census->interps);
    memset(interp, 0, sizeof(*interp));
    interp->name = name;
    interp->error = name;
    interp->children = 1;
    interp->slots = 8;
    interp->instances = apr_array_make(pool, 1, sizeof(pw_census_instance_t));
    instance = apr_array_push(interp->instances);
    memset(instance, 0, sizeof(*instance));
    child = apr_array_push(census->children);
    memset(child, 0, sizeof(*child));
    child->pid = 7;
    child->python = name;
    child->calls = apr_array_make(pool, 1, sizeof(pw_census_call_t));
    call = apr_array_push(child->calls);
    memset(call, 0, sizeof(*call));
    call->phase = PW_PHASE_QUEUE;
    call->interp = call->label = call->method = name;
    call->path = path;
    return show;
}

static const char *shown(void (*format)(const pw_show_t *, pw_text_t *),
                         const pw_show_t *show)
{
    pw_text_t text;

    pw_text_init(&text, pool);
    format(show, &text);
    return text.bytes;
}

static int count(const char *text, const char *what)
{
    int n = 0;

    for (; (text = strstr(text, what)) != NULL; text++) {
        n++;
    }
    return n;
}

static void test_names(void)
{
    pw_show_t plain = show_named("plain", "/");
    pw_show_t evil = show_named("\"}</td><script>\\", "/<script>\"");
    const char *html = shown(pw_show_html, &evil);
    const char *prom = shown(pw_show_prom, &evil);

    ok(!strstr(html, "<script") && count(html, "&#60;script") >= 4,
       "the page has no tag of a name");
    ok(count(html, "</td>") == count(shown(pw_show_html, &plain), "</td>"),
       "and as many cells as another");
    ok(count(prom, "\n") == count(shown(pw_show_prom, &plain), "\n")
           && !strstr(prom, "=\"\"}")
           && strstr(prom, "{interpreter=\"\\\"}</td><script>\\\\\"}"),
       "a label of Prometheus ends where it should");
    ok(strstr(shown(pw_show_json, &evil),
              "\"name\":\"\\\"}</td><script>\\\\\","),
       "so does a string of JSON");
}

static void test_figures(void)
{
    pw_show_t show = show_named("a", "/");
    pw_census_interp_t *interp =
        &APR_ARRAY_IDX(show.census->interps, 0, pw_census_interp_t);
    static const struct {
        int children, failing, state;
        const char *word;
    } rows[] = {
        {0, 0, PW_READY, "gone"},    {1, 1, PW_READY, "failing"},
        {1, 0, PW_READY, "ready"},   {1, 0, PW_LOADING, "loading"},
        {1, 0, PW_BROKEN, "broken"}, {1, 0, PW_NEW, "idle"},
        {1, 0, PW_DRAINING, "idle"},
    };

    ok(pw_show_limit(&show, interp) == 24, "most at once: slots x children");
    interp->children = 5; /* old ones are still there */
    ok(pw_show_limit(&show, interp) == 40, "of old children too");
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        memset(interp->states, 0, sizeof(interp->states));
        interp->states[rows[i].state] = 1;
        interp->children = rows[i].children;
        interp->failing = rows[i].failing;
        ok(!strcmp(pw_show_state(interp), rows[i].word), "state: %s",
           rows[i].word);
    }
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_text();
    test_quantile();
    test_names();
    test_figures();
    apr_terminate();
    return tap_done();
}
