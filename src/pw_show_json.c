/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_show_json: docs/metrics.md tells every name in here.
 */
#include "pw_show.h"

/* A comma between the elements of a list. */
static void comma(pw_text_t *to, int index)
{
    pw_text_add(to, index > 0 ? "," : "");
}

static void add_number(pw_text_t *to, const char *name, apr_uint64_t value)
{
    pw_text_addf(to, "\"%s\":%" APR_UINT64_T_FMT ",", name, value);
}

static void add_string(pw_text_t *to, const char *name, const char *value)
{
    pw_text_addf(to, "\"%s\":", name);
    pw_text_json(to, value);
    pw_text_add(to, ",");
}

static void add_seconds(pw_text_t *to, const char *name, apr_int64_t time)
{
    pw_text_addf(to, "\"%s\":", name);
    if (time < 0) {
        pw_text_add(to, "null");
    }
    else {
        pw_text_seconds(to, (apr_uint64_t)time);
    }
    pw_text_add(to, ",");
}

/* ---- interpreters ------------------------------------------------------ */

static void add_classes(pw_text_t *to, const char *name,
                        const apr_uint64_t *classes)
{
    pw_text_addf(to, "\"%s\":{", name);
    for (int i = 0; i < 5; i++) {
        comma(to, i);
        pw_text_addf(to, "\"%dxx\":%" APR_UINT64_T_FMT, i + 1, classes[i]);
    }
    pw_text_add(to, "},");
}

static void add_refused(pw_text_t *to, const pw_sums_t *sums)
{
    pw_text_add(to, "\"refused\":{");
    for (int i = 0; i < PW_REFUSED_COUNT; i++) {
        comma(to, i);
        pw_text_addf(to, "\"%s\":%" APR_UINT64_T_FMT, pw_show_reason(i),
                     sums->counts[PW_COUNT_REFUSED + i]);
    }
    pw_text_add(to, "},");
}

static void add_times(pw_text_t *to, const pw_times_t *times, int which)
{
    comma(to, which);
    pw_text_addf(to, "\"%s\":{", pw_show_time(which));
    add_number(to, "count", pw_show_observed(times));
    add_seconds(to, "sum", (apr_int64_t)times->sum);
    add_seconds(to, "p50", pw_show_quantile(times, 50));
    add_seconds(to, "p99", pw_show_quantile(times, 99));
    pw_text_add(to, "\"buckets\":{");
    for (int i = 0; i < PW_BUCKETS; i++) {
        comma(to, i);
        pw_text_addf(to, "\"%s\":%" APR_UINT64_T_FMT, pw_show_bound(i),
                     times->buckets[i]);
    }
    pw_text_add(to, "}}");
}

static void add_instance(pw_text_t *to, const pw_census_instance_t *instance)
{
    const pw_work_t *work = &instance->work;

    pw_text_addf(to,
                 "{\"pid\":%ld,\"number\":%d,\"state\":\"%s\","
                 "\"generation\":%u,\"in_flight\":%u,\"thread_states\":%u,",
                 (long)instance->pid, instance->number,
                 pw_state_name(instance->state), instance->generation,
                 instance->in_flight, instance->tstates);
    add_classes(to, "answers", work->classes);
    add_number(to, "exceptions", work->exceptions);
    add_seconds(to, "load_seconds", (apr_int64_t)work->load);
    add_seconds(to, "attach_seconds", (apr_int64_t)work->attach);
    add_seconds(to, "application_seconds", (apr_int64_t)work->application);
    add_seconds(to, "cpu_seconds", (apr_int64_t)work->cpu);
    pw_text_addf(to, "\"served\":%" APR_UINT64_T_FMT "}", work->served);
}

static void add_levels(const pw_show_t *show, pw_text_t *to,
                       const pw_census_interp_t *interp)
{
    add_number(to, "children", (apr_uint64_t)interp->children);
    add_number(to, "in_flight", interp->in_flight);
    add_number(to, "queued", interp->queued);
    add_number(to, "running", interp->running);
    add_number(to, "slots", interp->slots);
    add_number(to, "concurrency_limit", pw_show_limit(show, interp));
    add_number(to, "thread_states", interp->tstates);
    add_seconds(to, "load_seconds", (apr_int64_t)interp->load_time);
    pw_text_addf(to, "\"last_load_failed\":%s,",
                 interp->failing ? "true" : "false");
    pw_text_addf(to, "\"replacement_due\":%s,", interp->due ? "true" : "false");
    add_string(to, "last_error", interp->error);
}

static void add_counts(pw_text_t *to, const pw_sums_t *sums)
{
    add_number(to, "accepted", sums->counts[PW_COUNT_ACCEPTED]);
    add_classes(to, "served", &sums->counts[PW_COUNT_SERVED]);
    add_refused(to, sums);
    add_number(to, "dropped", sums->counts[PW_COUNT_DROPPED]);
    add_number(to, "lost", sums->counts[PW_COUNT_LOST]);
    add_number(to, "exceptions", sums->counts[PW_COUNT_EXCEPTIONS]);
    add_number(to, "loads", sums->counts[PW_COUNT_LOADS]);
    add_number(to, "load_failures", sums->counts[PW_COUNT_LOAD_FAILURES]);
    add_number(to, "reloads", sums->counts[PW_COUNT_RELOADS]);
    add_seconds(to, "cpu_seconds", (apr_int64_t)sums->counts[PW_COUNT_CPU]);
}

static void add_interp(const pw_show_t *show, pw_text_t *to,
                       const pw_census_interp_t *interp)
{
    pw_text_add(to, "{");
    add_string(to, "name", interp->name);
    add_string(to, "isolation", pw_isolation_name(interp->isolation));
    add_string(to, "python", show->python);
    add_string(to, "state", pw_show_state(interp));
    add_levels(show, to, interp);
    add_counts(to, &interp->sums);
    pw_text_add(to, "\"seconds\":{");
    for (int i = 0; i < PW_TIME_COUNT; i++) {
        add_times(to, &interp->sums.times[i], i);
    }
    pw_text_add(to, "},\"instances\":[");
    for (int i = 0; i < interp->instances->nelts; i++) {
        comma(to, i);
        add_instance(
            to, &APR_ARRAY_IDX(interp->instances, i, pw_census_instance_t));
    }
    pw_text_add(to, "]}");
}

/* ---- children ---------------------------------------------------------- */

void pw_show_call(pw_text_t *to, const pw_census_call_t *call)
{
    add_string(to, "phase", pw_phase_name(call->phase));
    add_string(to, "interpreter", call->interp);
    add_string(to, "application", call->label);
    add_string(to, "method", call->method);
    add_string(to, "path", call->path);
    add_seconds(to, "phase_seconds", call->since);
    add_seconds(to, "queue_seconds", call->queue);
    add_seconds(to, "attach_seconds", call->attach);
    pw_text_add(to, "\"seconds\":");
    pw_text_seconds(to, (apr_uint64_t)call->age);
}

static void add_child(pw_text_t *to, const pw_census_child_t *child)
{
    pw_text_addf(to,
                 "{\"pid\":%ld,\"generation\":%" APR_INT64_T_FMT
                 ",\"started\":%" APR_INT64_T_FMT ",\"ending\":%s,",
                 (long)child->pid, child->generation,
                 (apr_int64_t)apr_time_sec(child->started),
                 child->ended ? "true" : "false");
    add_string(to, "python", child->python);
    pw_text_add(to, "\"calls\":[");
    for (int i = 0; i < child->calls->nelts; i++) {
        comma(to, i);
        pw_text_add(to, "{");
        pw_show_call(to, &APR_ARRAY_IDX(child->calls, i, pw_census_call_t));
        pw_text_add(to, "}");
    }
    pw_text_add(to, "]}");
}

void pw_show_json(const pw_show_t *show, pw_text_t *to)
{
    const pw_census_t *census = show->census;

    pw_text_add(to, "{");
    add_string(to, "server", show->server);
    add_string(to, "version", show->version);
    add_string(to, "python", show->python);
    add_number(to, "time", (apr_uint64_t)apr_time_sec(show->now));
    add_number(to, "started", (apr_uint64_t)apr_time_sec(show->started));
    add_number(to, "most_children", (apr_uint64_t)show->most_children);
    pw_text_add(to, "\"interpreters\":[");
    for (int i = 0; i < census->interps->nelts; i++) {
        comma(to, i);
        add_interp(show, to,
                   &APR_ARRAY_IDX(census->interps, i, pw_census_interp_t));
    }
    pw_text_add(to, "],\"children\":[");
    for (int i = 0; i < census->children->nelts; i++) {
        comma(to, i);
        add_child(to, &APR_ARRAY_IDX(census->children, i, pw_census_child_t));
    }
    pw_text_add(to, "]}\n");
}
