/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_show_prom: Prometheus's text format 0.0.4. All samples of a name stand
 * together, so each name walks over all interpreters. docs/metrics.md tells
 * every name; t/81-status.t compares.
 */
#include "pw_show.h"

typedef struct prom_t {
    const pw_show_t *show;
    pw_text_t *to;
    const char *name; /* of the samples that follow */
} prom_t;

/* ---- pieces ------------------------------------------------------------ */

static void begin(prom_t *p, const char *name, const char *type,
                  const char *help)
{
    p->name = name;
    pw_text_addf(p->to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* The name, its suffix and its first label; the brace stays open. */
static void open_sample(prom_t *p, const char *suffix,
                        const pw_census_interp_t *interp)
{
    pw_text_addf(p->to, "%s%s{interpreter=", p->name, suffix);
    pw_text_label(p->to, interp->name);
}

static void add_label(prom_t *p, const char *name, const char *value)
{
    pw_text_addf(p->to, ",%s=", name);
    pw_text_label(p->to, value);
}

static void close_number(prom_t *p, apr_uint64_t value)
{
    pw_text_addf(p->to, "} %" APR_UINT64_T_FMT "\n", value);
}

static void close_seconds(prom_t *p, apr_uint64_t microseconds)
{
    pw_text_add(p->to, "} ");
    pw_text_seconds(p->to, microseconds);
    pw_text_add(p->to, "\n");
}

static int count_interps(const prom_t *p)
{
    return p->show->census->interps->nelts;
}

static const pw_census_interp_t *interp_at(const prom_t *p, int i)
{
    return &APR_ARRAY_IDX(p->show->census->interps, i, pw_census_interp_t);
}

/* ---- one number for each interpreter ----------------------------------- */

static void add_counts(prom_t *p)
{
    static const struct {
        int count;
        const char *name, *help;
    } rows[] = {
        {PW_COUNT_ACCEPTED, "polywsgi_requests_accepted_total",
         "Requests for an application of the interpreter."},
        {PW_COUNT_DROPPED, "polywsgi_requests_dropped_total",
         "Requests whose client went away while they waited."},
        {PW_COUNT_LOST, "polywsgi_requests_lost_total",
         "Requests in flight when their child process died."},
        {PW_COUNT_EXCEPTIONS, "polywsgi_exceptions_total",
         "Exceptions that an application did not catch."},
        {PW_COUNT_LOADS, "polywsgi_loads_total", "Applications loaded."},
        {PW_COUNT_LOAD_FAILURES, "polywsgi_load_failures_total",
         "Loads that failed, the tries again included."},
        {PW_COUNT_RELOADS, "polywsgi_reloads_total",
         "Applications loaded in an instance that took another's place."},
    };

    for (unsigned row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        begin(p, rows[row].name, "counter", rows[row].help);
        for (int i = 0; i < count_interps(p); i++) {
            const pw_census_interp_t *interp = interp_at(p, i);

            open_sample(p, "", interp);
            close_number(p, interp->sums.counts[rows[row].count]);
        }
    }
}

/* Of a living interpreter; row is the number of the gauge. */
static apr_uint64_t gauge(const prom_t *p, const pw_census_interp_t *interp,
                          unsigned row)
{
    const apr_uint64_t values[] = {
        interp->in_flight, interp->queued,
        interp->running,   pw_show_limit(p->show, interp),
        interp->tstates,   interp->failing != 0,
        interp->due != 0,
    };

    return values[row];
}

static void add_gauges(prom_t *p)
{
    static const char *const rows[][2] = {
        {"polywsgi_requests_in_flight",
         "Requests accepted and not at their end."},
        {"polywsgi_requests_queued", "Of these, waiting for an instance."},
        {"polywsgi_requests_running", "Of these, holding an instance."},
        {"polywsgi_concurrency_limit",
         "The most calls that can run at once in all children."},
        {"polywsgi_thread_states", "Thread states kept in all instances."},
        {"polywsgi_last_load_failed", "1 where the last load failed."},
        {"polywsgi_replacement_due",
         "1 where a child has as many parked instances as it may."},
    };

    for (unsigned row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        begin(p, rows[row][0], "gauge", rows[row][1]);
        for (int i = 0; i < count_interps(p); i++) {
            const pw_census_interp_t *interp = interp_at(p, i);

            open_sample(p, "", interp);
            close_number(p, gauge(p, interp, row));
        }
    }
}

/* ---- several ----------------------------------------------------------- */

static void add_served(prom_t *p)
{
    static const char *const classes[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
    begin(p, "polywsgi_requests_total", "counter",
          "Requests answered, by class of the status.");
    for (int i = 0; i < count_interps(p); i++) {
        const pw_census_interp_t *interp = interp_at(p, i);

        for (int c = 0; c < 5; c++) {
            open_sample(p, "", interp);
            add_label(p, "code", classes[c]);
            close_number(p, interp->sums.counts[PW_COUNT_SERVED + c]);
        }
    }
}

static void add_refused(prom_t *p)
{
    begin(p, "polywsgi_requests_refused_total", "counter",
          "Requests answered without the application, by reason.");
    for (int i = 0; i < count_interps(p); i++) {
        const pw_census_interp_t *interp = interp_at(p, i);

        for (int why = 0; why < PW_REFUSED_COUNT; why++) {
            open_sample(p, "", interp);
            add_label(p, "reason", pw_show_reason(why));
            close_number(p, interp->sums.counts[PW_COUNT_REFUSED + why]);
        }
    }
}

static void add_states(prom_t *p)
{
    begin(p, "polywsgi_instances", "gauge",
          "Instances in all children, by state.");
    for (int i = 0; i < count_interps(p); i++) {
        const pw_census_interp_t *interp = interp_at(p, i);

        for (int state = 0; state < PW_STATE_COUNT; state++) {
            open_sample(p, "", interp);
            add_label(p, "state", pw_state_name((pw_state_e)state));
            close_number(p, interp->states[state]);
        }
    }
}

static void add_buckets(prom_t *p, const pw_census_interp_t *interp, int which)
{
    const pw_times_t *times = &interp->sums.times[which];
    apr_uint64_t below = 0;

    for (int b = 0; b < PW_BUCKETS; b++) {
        below += times->buckets[b];
        open_sample(p, "_bucket", interp);
        add_label(p, "le", pw_show_bound(b));
        close_number(p, below);
    }
    open_sample(p, "_sum", interp);
    close_seconds(p, times->sum);
    open_sample(p, "_count", interp);
    close_number(p, below);
}

static void add_times(prom_t *p)
{
    static const char *const rows[PW_TIME_COUNT][2] = {
        {"polywsgi_queue_seconds", "Time that a request waited for an "
                                   "instance."},
        {"polywsgi_attach_seconds", "Time that it waited for the GIL, at its "
                                    "begin."},
        {"polywsgi_application_seconds", "Time in the application, with what "
                                         "it sends meanwhile."},
    };

    for (int which = 0; which < PW_TIME_COUNT; which++) {
        begin(p, rows[which][0], "histogram", rows[which][1]);
        for (int i = 0; i < count_interps(p); i++) {
            const pw_census_interp_t *interp = interp_at(p, i);

            add_buckets(p, interp, which);
        }
    }
}

static void add_seconds(prom_t *p)
{
    begin(p, "polywsgi_cpu_seconds_total", "counter",
          "CPU time of requests, from a sample of them.");
    for (int i = 0; i < count_interps(p); i++) {
        const pw_census_interp_t *interp = interp_at(p, i);

        open_sample(p, "", interp);
        close_seconds(p, interp->sums.counts[PW_COUNT_CPU]);
    }
    begin(p, "polywsgi_load_seconds", "gauge",
          "How long the last load took, in the slowest child.");
    for (int i = 0; i < count_interps(p); i++) {
        const pw_census_interp_t *interp = interp_at(p, i);

        open_sample(p, "", interp);
        close_seconds(p, interp->load_time);
    }
}

/* ---- the server -------------------------------------------------------- */

static void add_server(prom_t *p)
{
    const apr_array_header_t *children = p->show->census->children;
    int ending = 0;

    begin(p, "polywsgi_info", "gauge", "Versions.");
    pw_text_add(p->to, "polywsgi_info{version=");
    pw_text_label(p->to, p->show->version);
    add_label(p, "python", p->show->python);
    close_number(p, 1);
    for (int i = 0; i < children->nelts; i++) {
        ending += APR_ARRAY_IDX(children, i, pw_census_child_t).ended;
    }
    begin(p, "polywsgi_children", "gauge", "Child processes, by state.");
    pw_text_addf(p->to,
                 "polywsgi_children{state=\"serving\"} %d\n"
                 "polywsgi_children{state=\"ended\"} %d\n",
                 children->nelts - ending, ending);
}

static void add_interp_info(prom_t *p)
{
    begin(p, "polywsgi_interpreter_info", "gauge",
          "What the interpreter is, and how it is.");
    for (int i = 0; i < count_interps(p); i++) {
        const pw_census_interp_t *interp = interp_at(p, i);

        open_sample(p, "", interp);
        add_label(p, "isolation", pw_isolation_name(interp->isolation));
        add_label(p, "python", p->show->python);
        add_label(p, "state", pw_show_state(interp));
        close_number(p, 1);
    }
}

void pw_show_prom(const pw_show_t *show, pw_text_t *to)
{
    prom_t p = {.show = show, .to = to};

    add_server(&p);
    add_interp_info(&p);
    add_counts(&p);
    add_served(&p);
    add_refused(&p);
    add_gauges(&p);
    add_states(&p);
    add_times(&p);
    add_seconds(&p);
}
