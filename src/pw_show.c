/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_show: words and figures that the formats share.
 */
#include "pw_show.h"

static const char *const reasons[] = {
    [PW_REFUSED_FAILED] = "load_failed",
    [PW_REFUSED_CLOSED] = "closed",
    [PW_REFUSED_STARTUP] = "startup_timeout",
    [PW_REFUSED_STOPPING] = "stopping",
    [PW_REFUSED_MEMORY] = "no_memory",
    [PW_REFUSED_FULL] = "queue_full",
    [PW_REFUSED_LATE] = "queue_timeout",
    [PW_REFUSED_BUSY] = "busy",
};

static const char *const times[] = {
    [PW_TIME_QUEUE] = "queue",
    [PW_TIME_ATTACH] = "attach",
    [PW_TIME_APPLICATION] = "application",
};

static const apr_uint64_t bounds[] = PW_BUCKET_BOUNDS;

static const char *const bound_words[PW_BUCKETS] = {
    "0.0001", "0.0005", "0.001", "0.005", "0.01", "0.05",
    "0.1",    "0.5",    "1",     "5",     "30",   "+Inf",
};

const char *pw_show_reason(int why)
{
    return reasons[why];
}

const char *pw_show_time(int which)
{
    return times[which];
}

const char *pw_show_bound(int bucket)
{
    return bound_words[bucket];
}

const char *pw_show_state(const pw_census_interp_t *interp)
{
    const unsigned *in = interp->states;

    if (interp->children == 0) {
        return "gone";
    }
    if (interp->failing) {
        return "failing";
    }
    if (in[PW_READY]) {
        return "ready";
    }
    if (in[PW_LOADING]) {
        return "loading";
    }
    return in[PW_BROKEN] ? "broken" : "idle";
}

static apr_uint64_t sum(const apr_uint64_t *values, int count)
{
    apr_uint64_t all = 0;

    for (int i = 0; i < count; i++) {
        all += values[i];
    }
    return all;
}

apr_uint64_t pw_show_served(const pw_sums_t *sums)
{
    return sum(sums->counts + PW_COUNT_SERVED, 5);
}

apr_uint64_t pw_show_refused(const pw_sums_t *sums)
{
    return sum(sums->counts + PW_COUNT_REFUSED, PW_REFUSED_COUNT);
}

apr_uint64_t pw_show_observed(const pw_times_t *observed)
{
    return sum(observed->buckets, PW_BUCKETS);
}

apr_uint64_t pw_show_limit(const pw_show_t *show,
                           const pw_census_interp_t *interp)
{
    int children = show->most_children > interp->children ? show->most_children
                                                          : interp->children;

    return (apr_uint64_t)interp->slots * (apr_uint64_t)children;
}

apr_int64_t pw_show_quantile(const pw_times_t *observed, int percent)
{
    apr_uint64_t all = pw_show_observed(observed);
    double rank = (double)all * percent / 100;
    double below = 0;

    if (all == 0) {
        return -1;
    }
    for (int i = 0; i < PW_BUCKETS - 1; i++) {
        double here = (double)observed->buckets[i];
        double low = i > 0 ? (double)bounds[i - 1] : 0;

        if (here > 0 && below + here >= rank) {
            return (apr_int64_t)(low
                                 + ((double)bounds[i] - low) * (rank - below)
                                       / here);
        }
        below += here;
    }
    return (apr_int64_t)bounds[PW_BUCKETS - 2];
}
