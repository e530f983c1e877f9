/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_show_html: one page without scripts, readable on a phone: there each row
 * of a table is a card, and the cells say by themselves what they are.
 */
#include "pw_show.h"

#include <stdlib.h>

#define CALLS_MAX 50 /* rows of requests in flight */

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1d2733;--soft:#5d6b7a;--line:#dde3ea;"
    "--page:#f5f7fa;--card:#fff;--good:#1a7f4b;--warn:#a86a00;"
    "--bad:#c1303a;"
    "--calm:#5d6b7a;--bar:#3b82c4}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e3e9f0;--soft:#94a3b3;"
    "--line:#2c3846;--page:#121820;--card:#1a222c;--good:#4cc38a;"
    "--warn:#e0a94a;"
    "--bad:#f07178;--calm:#94a3b3;--bar:#5aa2e0}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;padding:1.25rem;background:var(--page);color:var(--ink);"
    "font:15px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\n"
    "main{max-width:92rem;margin:0 auto}\n"
    "h1{font-size:1.35rem;margin:0}\n"
    "h2{font-size:1.05rem;margin:1.8rem 0 .6rem}\n"
    "p{margin:.25rem 0;color:var(--soft)}\n"
    ".tiles{display:grid;gap:.7rem;margin-top:1rem;"
    "grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr))}\n"
    ".tiles div{background:var(--card);border:1px solid var(--line);"
    "border-radius:.6rem;padding:.6rem .8rem}\n"
    ".tiles b{display:block;font-size:1.45rem}"
    "\n.tiles span{color:var(--soft);font-size:.85rem}\n"
    ".wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);"
    "border-radius:.6rem}\n"
    "table{border-collapse:collapse;width:100%}\n"
    "th,td{padding:.45rem .55rem;text-align:right;vertical-align:top;"
    "border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums;"
    "white-space:nowrap}\n"
    "tr:last-child>td{border-bottom:0}\n"
    "th{color:var(--soft);font-size:.8rem;font-weight:600}\n"
    ".text{text-align:left}\n"
    "td.name{white-space:normal;overflow-wrap:anywhere;min-width:15rem}\n"
    "small{color:var(--soft);font-weight:400}\n"
    ".s{border:1px solid currentColor;border-radius:1rem;padding:0 .5rem;"
    "font-size:.8rem;color:var(--calm)}\n"
    ".ready{color:var(--good)}.loading{color:var(--warn)}"
    ".failing,.broken{color:var(--bad)}\n"
    ".bad{color:var(--bad);font-weight:600}.zero{color:var(--soft)}\n"
    "meter{width:3rem;vertical-align:middle}\n"
    ".none{padding:.7rem;color:var(--soft);margin:0}\n"
    "details>summary{cursor:pointer;font-weight:600;margin:1.8rem 0 .6rem}\n"
    "@media(max-width:46rem){body{padding:.8rem}thead{display:none}"
    "tr{display:grid;grid-template-columns:repeat(3,1fr);padding:.5rem .3rem;"
    "border-bottom:1px solid var(--line)}tr:last-child{border-bottom:0}"
    "td{border:0;text-align:left;padding:.2rem .5rem}"
    "td[data-l]::before{content:attr(data-l);display:block;color:var(--soft);"
    "font-size:.72rem;font-weight:400}td.zero{display:none}"
    "td.name{grid-column:1/-1;min-width:0}}\n";

/* ---- pieces ------------------------------------------------------------ */

static void add_ms(pw_text_t *to, apr_int64_t time)
{
    if (time < 0) {
        pw_text_add(to, "&ndash;");
    }
    else if (time < 1000) {
        pw_text_addf(to, "%.2f ms", (double)time / 1000);
    }
    else if (time < 1000000) {
        pw_text_addf(to, "%.*f ms", time < 10000, (double)time / 1000);
    }
    else {
        pw_text_addf(to, "%.1f s", (double)time / 1000000);
    }
}

static void add_span(pw_text_t *to, apr_int64_t seconds)
{
    if (seconds < 120) {
        pw_text_addf(to, "%d s", (int)seconds);
    }
    else if (seconds < 7200) {
        pw_text_addf(to, "%d min", (int)(seconds / 60));
    }
    else if (seconds < 172800) {
        pw_text_addf(to, "%d h", (int)(seconds / 3600));
    }
    else {
        pw_text_addf(to, "%d days", (int)(seconds / 86400));
    }
}

/* Thousands apart, by a space that does not break. */
static void add_count(pw_text_t *to, apr_uint64_t value)
{
    if (value >= 1000) {
        add_count(to, value / 1000);
        pw_text_addf(to, "&#8239;%03u", (unsigned)(value % 1000));
    }
    else {
        pw_text_addf(to, "%u", (unsigned)value);
    }
}

static void open_cell(pw_text_t *to, const char *label)
{
    pw_text_addf(to, "<td data-l=\"%s\">", label);
}

/* A number; zero is quiet, and left out on a phone. kind: "", or "bad" for what
 * should be zero. */
static void add_number(pw_text_t *to, const char *label, apr_uint64_t value,
                       const char *kind)
{
    pw_text_addf(to, "<td data-l=\"%s\" class=\"%s\">", label,
                 value > 0 ? kind : "zero");
    add_count(to, value);
    pw_text_add(to, "</td>");
}

static void add_cell(pw_text_t *to, const char *label, apr_uint64_t value)
{
    add_number(to, label, value, "");
}

static void add_bad(pw_text_t *to, const char *label, apr_uint64_t value)
{
    add_number(to, label, value, "bad");
}

/* Of many requests together. */
static void add_sum(pw_text_t *to, const char *label, apr_uint64_t time)
{
    open_cell(to, label);
    pw_text_addf(to, "%.1f s</td>", (double)time / APR_USEC_PER_SEC);
}

static void add_time_cell(pw_text_t *to, const char *label, apr_int64_t time)
{
    open_cell(to, label);
    add_ms(to, time);
    pw_text_add(to, "</td>");
}

static void add_text_cell(pw_text_t *to, const char *label, const char *value)
{
    pw_text_addf(to, "<td data-l=\"%s\" class=\"text\">", label);
    pw_text_html(to, value);
    pw_text_add(to, "</td>");
}

static void add_tile(pw_text_t *to, apr_uint64_t value, const char *words,
                     int bad)
{
    pw_text_addf(to, "<div><b%s>", bad && value > 0 ? " class=\"bad\"" : "");
    add_count(to, value);
    pw_text_addf(to, "</b><span>%s</span></div>\n", words);
}

static void open_table(pw_text_t *to, const char *const *heads)
{
    pw_text_add(to, "<div class=\"wide\"><table><thead><tr>");
    for (; *heads; heads++) {
        int is_text = **heads == '<'; /* "<Name": its cells are text */

        pw_text_addf(to, "<th%s>%s</th>", is_text ? " class=\"text\"" : "",
                     *heads + is_text);
    }
    pw_text_add(to, "</tr></thead><tbody>\n");
}

static void close_table(pw_text_t *to)
{
    pw_text_add(to, "</tbody></table></div>\n");
}

/* ---- the top ----------------------------------------------------------- */

static void add_tiles(pw_text_t *to, const pw_show_t *show)
{
    const apr_array_header_t *all = show->census->interps;
    apr_uint64_t served = 0, running = 0, queued = 0, errors = 0, away = 0;

    for (int i = 0; i < all->nelts; i++) {
        const pw_census_interp_t *interp =
            &APR_ARRAY_IDX(all, i, pw_census_interp_t);

        served += pw_show_served(&interp->sums);
        running += interp->running;
        queued += interp->queued;
        errors += interp->sums.counts[PW_COUNT_SERVED + 4];
        away += pw_show_refused(&interp->sums)
                + interp->sums.counts[PW_COUNT_DROPPED]
                + interp->sums.counts[PW_COUNT_LOST];
    }
    pw_text_add(to, "<div class=\"tiles\">\n");
    add_tile(to, served, "requests answered", 0);
    add_tile(to, running, "running now", 0);
    add_tile(to, queued, "waiting now", 0);
    add_tile(to, errors, "answered 5xx", 1);
    add_tile(to, away, "refused, dropped or lost", 1);
    add_tile(to, (apr_uint64_t)show->census->children->nelts, "child processes",
             0);
    pw_text_add(to, "</div>\n");
}

static void add_head(pw_text_t *to, const pw_show_t *show)
{
    pw_text_add(to, "<!DOCTYPE html>\n<html lang=\"en\"><head>"
                    "<meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" content=\"width=device-width\">\n"
                    "<meta name=\"robots\" content=\"noindex\">\n"
                    "<title>Applications of ");
    pw_text_html(to, show->server);
    pw_text_add(to, "</title>\n<style>\n");
    pw_text_add(to, style);
    pw_text_add(to, "</style></head>\n<body><main>\n<h1>Applications of ");
    pw_text_html(to, show->server);
    pw_text_addf(to,
                 "</h1>\n<p>mod_polywsgi %s, Python %s, "
                 "last started or restarted ",
                 show->version, show->python);
    add_span(to, apr_time_sec(show->now - show->started));
    pw_text_add(to, " ago. Counts are of all child processes, those that have "
                    "ended included, and go on over graceful restarts; times "
                    "are estimates.</p>\n");
    add_tiles(to, show);
}

/* ---- interpreters ------------------------------------------------------ */

static void add_name(pw_text_t *to, const pw_census_interp_t *interp)
{
    const char *state = pw_show_state(interp);

    pw_text_add(to, "<tr><td class=\"text name\"><b>");
    pw_text_html(to, interp->name);
    pw_text_addf(to, "</b><br><span class=\"s %s\">%s</span>", state, state);
    if (interp->children > 0) {
        pw_text_addf(to, " <small>%s, %d instance%s</small>",
                     pw_isolation_name(interp->isolation),
                     interp->instances->nelts,
                     interp->instances->nelts == 1 ? "" : "s");
    }
    if (interp->load_time > 0) {
        pw_text_add(to, "<br><small>load took ");
        add_ms(to, (apr_int64_t)interp->load_time);
        pw_text_add(to, "</small>");
    }
    if (interp->due) {
        pw_text_add(to, "<br><small class=\"broken\">parked instances: due for "
                        "a graceful restart</small>");
    }
    if (*interp->error) {
        pw_text_add(to, "<br><small>last error: ");
        pw_text_html(to, interp->error);
        pw_text_add(to, "</small>");
    }
    pw_text_add(to, "</td>");
}

/* Against what the children of now can run. */
static void add_running(pw_text_t *to, const pw_census_interp_t *interp)
{
    unsigned most = interp->slots * (unsigned)interp->children;

    open_cell(to, "running");
    pw_text_addf(to, "%u of %u", interp->running, most);
    if (most > 0) {
        pw_text_addf(to,
                     " <meter max=\"%u\" value=\"%u\" high=\"%u\" "
                     "optimum=\"0\"></meter>",
                     most, interp->running, most - most / 10);
    }
    pw_text_add(to, "</td>");
}

/* How many, and why. */
static void add_refused(pw_text_t *to, const pw_sums_t *sums)
{
    apr_uint64_t all = pw_show_refused(sums);

    pw_text_addf(to, "<td data-l=\"refused\" class=\"%s\">",
                 all > 0 ? "bad" : "zero");
    add_count(to, all);
    for (int why = 0; why < PW_REFUSED_COUNT; why++) {
        apr_uint64_t value = sums->counts[PW_COUNT_REFUSED + why];

        if (value > 0) {
            pw_text_addf(to, "<br><small>%s ", pw_show_reason(why));
            add_count(to, value);
            pw_text_add(to, "</small>");
        }
    }
    pw_text_add(to, "</td>");
}

static void add_interp(pw_text_t *to, const pw_show_t *show,
                       const pw_census_interp_t *interp)
{
    const pw_sums_t *sums = &interp->sums;
    const pw_times_t *times = sums->times;

    add_name(to, interp);
    add_running(to, interp);
    add_cell(to, "waiting", interp->queued);
    add_cell(to, "answered", pw_show_served(sums));
    add_time_cell(to, "p50", pw_show_quantile(&times[PW_TIME_APPLICATION], 50));
    add_time_cell(to, "p99", pw_show_quantile(&times[PW_TIME_APPLICATION], 99));
    add_time_cell(to, "queue p99", pw_show_quantile(&times[PW_TIME_QUEUE], 99));
    add_time_cell(to, "GIL p99", pw_show_quantile(&times[PW_TIME_ATTACH], 99));
    add_cell(to, "4xx", sums->counts[PW_COUNT_SERVED + 3]);
    add_bad(to, "5xx", sums->counts[PW_COUNT_SERVED + 4]);
    add_bad(to, "exceptions", sums->counts[PW_COUNT_EXCEPTIONS]);
    add_refused(to, sums);
    add_bad(to, "dropped",
            sums->counts[PW_COUNT_DROPPED] + sums->counts[PW_COUNT_LOST]);
    add_sum(to, "CPU", sums->counts[PW_COUNT_CPU]);
    add_cell(to, "most at once", pw_show_limit(show, interp));
    pw_text_add(to, "</tr>\n");
}

static void add_interps(pw_text_t *to, const pw_show_t *show)
{
    static const char *const heads[] = {
        "<Interpreter", "Running", "Waiting",      "Answered",
        "p50",          "p99",     "Queue p99",    "GIL p99",
        "4xx",          "5xx",     "Exceptions",   "Refused",
        "Dropped",      "CPU",     "Most at once", NULL};
    const apr_array_header_t *all = show->census->interps;

    pw_text_add(to, "<h2>Interpreters</h2>\n");
    if (all->nelts == 0) {
        pw_text_add(to, "<p>No application is configured, or Python has "
                        "started in no child: the error log says why.</p>\n");
        return;
    }
    open_table(to, heads);
    for (int i = 0; i < all->nelts; i++) {
        add_interp(to, show, &APR_ARRAY_IDX(all, i, pw_census_interp_t));
    }
    close_table(to);
}

/* ---- requests ---------------------------------------------------------- */

typedef struct row_t {
    const pw_census_child_t *child;
    const pw_census_call_t *call;
} row_t;

static int older(const void *one, const void *two)
{
    apr_int64_t a = ((const row_t *)one)->call->age;
    apr_int64_t b = ((const row_t *)two)->call->age;

    return a < b ? 1 : a > b ? -1 : 0;
}

/* Of all children, the oldest first. */
static apr_array_header_t *collect(const pw_show_t *show, apr_pool_t *pool)
{
    const apr_array_header_t *children = show->census->children;
    apr_array_header_t *rows = apr_array_make(pool, 16, sizeof(row_t));

    for (int i = 0; i < children->nelts; i++) {
        const pw_census_child_t *child =
            &APR_ARRAY_IDX(children, i, pw_census_child_t);

        for (int c = 0; c < child->calls->nelts; c++) {
            row_t *row = apr_array_push(rows);

            row->child = child;
            row->call = &APR_ARRAY_IDX(child->calls, c, pw_census_call_t);
        }
    }
    qsort(rows->elts, (size_t)rows->nelts, sizeof(row_t), older);
    return rows;
}

static void add_call(pw_text_t *to, const row_t *row)
{
    const pw_census_call_t *call = row->call;

    pw_text_add(to, "<tr><td class=\"text name\">");
    pw_text_html(to, call->method);
    pw_text_add(to, " ");
    pw_text_html(to, call->path);
    pw_text_add(to, "<br><small>");
    pw_text_html(to, call->label);
    pw_text_add(to, "</small></td>");
    add_text_cell(to, "phase", pw_phase_name(call->phase));
    add_time_cell(to, "since", call->since);
    add_time_cell(to, "queue", call->queue);
    add_time_cell(to, "GIL", call->attach);
    add_time_cell(to, "in all", call->age);
    open_cell(to, "child");
    pw_text_addf(to, "%ld</td></tr>\n", (long)row->child->pid);
}

static void add_calls(pw_text_t *to, const pw_show_t *show)
{
    static const char *const heads[] = {"<Request", "<Phase", "Since", "Queue",
                                        "GIL",      "In all", "Child", NULL};
    apr_array_header_t *rows = collect(show, to->pool);

    pw_text_addf(to, "<h2>Requests in flight: %d</h2>\n", rows->nelts);
    if (rows->nelts == 0) {
        return;
    }
    open_table(to, heads);
    for (int i = 0; i < rows->nelts && i < CALLS_MAX; i++) {
        add_call(to, &APR_ARRAY_IDX(rows, i, row_t));
    }
    close_table(to);
    if (rows->nelts > CALLS_MAX) {
        pw_text_addf(to, "<p>The %d oldest.</p>\n", CALLS_MAX);
    }
}

/* ---- children ---------------------------------------------------------- */

static void add_children(pw_text_t *to, const pw_show_t *show)
{
    static const char *const heads[] = {"<Child",    "Restart", "Up for",
                                        "In flight", "<State",  NULL};
    const apr_array_header_t *all = show->census->children;

    pw_text_add(to, "<h2>Child processes</h2>\n");
    open_table(to, heads);
    for (int i = 0; i < all->nelts; i++) {
        const pw_census_child_t *child =
            &APR_ARRAY_IDX(all, i, pw_census_child_t);

        pw_text_addf(to, "<tr><td class=\"text\" data-l=\"child\">%ld</td>",
                     (long)child->pid);
        add_cell(to, "restart", (apr_uint64_t)child->generation);
        open_cell(to, "up for");
        add_span(to, child->started > 0 && child->started <= show->now
                         ? apr_time_sec(show->now - child->started)
                         : 0);
        pw_text_add(to, "</td>");
        add_cell(to, "in flight", (apr_uint64_t)child->calls->nelts);
        add_text_cell(to, "state", child->ended ? "ended" : "serving");
        pw_text_add(to, "</tr>\n");
    }
    close_table(to);
}

static void add_instance(pw_text_t *to, const pw_census_interp_t *interp,
                         const pw_census_instance_t *instance)
{
    const pw_work_t *work = &instance->work;

    pw_text_add(to, "<tr><td class=\"text name\">");
    pw_text_html(to, interp->name);
    pw_text_addf(to, " <small>#%d in child %ld</small></td>", instance->number,
                 (long)instance->pid);
    add_text_cell(to, "state", pw_state_name(instance->state));
    add_cell(to, "generation", instance->generation);
    add_cell(to, "running", instance->in_flight);
    add_cell(to, "answered", work->served);
    add_bad(to, "5xx", work->classes[4]);
    add_bad(to, "exceptions", work->exceptions);
    add_time_cell(to, "load", (apr_int64_t)work->load);
    add_sum(to, "in the application", work->application);
    add_sum(to, "CPU", work->cpu);
    add_cell(to, "thread states", instance->tstates);
    pw_text_add(to, "</tr>\n");
}

static void add_instances(pw_text_t *to, const pw_show_t *show)
{
    static const char *const heads[] = {
        "<Instance",          "<State", "Generation",    "Running",
        "Answered",           "5xx",    "Exceptions",    "Load",
        "In the application", "CPU",    "Thread states", NULL};
    const apr_array_header_t *all = show->census->interps;

    pw_text_add(to, "<details><summary>Instances</summary>\n");
    open_table(to, heads);
    for (int i = 0; i < all->nelts; i++) {
        const pw_census_interp_t *interp =
            &APR_ARRAY_IDX(all, i, pw_census_interp_t);

        for (int n = 0; n < interp->instances->nelts; n++) {
            add_instance(
                to, interp,
                &APR_ARRAY_IDX(interp->instances, n, pw_census_instance_t));
        }
    }
    close_table(to);
    pw_text_add(to, "</details>\n");
}

void pw_show_html(const pw_show_t *show, pw_text_t *to)
{
    add_head(to, show);
    add_interps(to, show);
    add_calls(to, show);
    add_children(to, show);
    add_instances(to, show);
    pw_text_add(to, "</main></body></html>\n");
}
