/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_show: a census as text, in three formats: JSON, Prometheus's text format
 * 0.0.4, and a page of HTML. No httpd: the handler wsgi-status sends it, and a
 * unit test reads it. Any thread.
 */
#ifndef PW_SHOW_H
#define PW_SHOW_H

#include "pw_census.h"
#include "pw_spec.h"
#include "pw_text.h"

/* What is shown. Texts from elsewhere than the census are clean already. */
typedef struct pw_show_t {
    const pw_census_t *census;
    const char *server;  /* its name, or "" */
    const char *version; /* of the module */
    const char *python;  /* of the library: "3.14.8" */
    apr_time_t now;
    apr_time_t started; /* the last start or restart of the server */
    int most_children;  /* that serve at once, by the configuration */
} pw_show_t;

void pw_show_json(const pw_show_t *show, pw_text_t *to);
void pw_show_prom(const pw_show_t *show, pw_text_t *to);
void pw_show_html(const pw_show_t *show, pw_text_t *to);

/* The members of a call's object in JSON, without its braces. */
void pw_show_call(pw_text_t *to, const pw_census_call_t *call);

/* ---- what the formats have in common ----------------------------------- */

/* The words of an interpreter's state: ready, failing (ready, but a load
 * failed), loading, broken, idle (nothing is loaded yet), gone (only its past
 * is there). */
const char *pw_show_state(const pw_census_interp_t *interp);

/* "load_failed", "queue_full", ... */
const char *pw_show_reason(int why);

/* "queue", "attach", "application" */
const char *pw_show_time(int which);

/* The upper bound of a bucket in seconds: "0.0001", ..., "+Inf". */
const char *pw_show_bound(int bucket);

apr_uint64_t pw_show_served(const pw_sums_t *sums);
apr_uint64_t pw_show_refused(const pw_sums_t *sums);
apr_uint64_t pw_show_observed(const pw_times_t *times);

/* The most calls of it that can run at once, over all children. */
apr_uint64_t pw_show_limit(const pw_show_t *show,
                           const pw_census_interp_t *interp);

/*
 * The time in microseconds below which `percent` of all are: as Prometheus's
 * histogram_quantile takes it, in between the bounds of a bucket; the last
 * bound where it is beyond. -1 where nothing was observed.
 */
apr_int64_t pw_show_quantile(const pw_times_t *times, int percent);

#endif
