/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_scale: what the keeper does with pools while the child lives: they grow
 * and shrink, are unloaded when nobody asks, and their refusals are recorded.
 * Declared in pw_instance.h. It never attaches.
 */
#include "pw_instance.h"

#include <apr_strings.h>

#include "pw_growth.h"

#define LOOK_IDLE APR_USEC_PER_SEC

typedef struct pw_scale_t {
    pw_growth_t growth;   /* keeper: */
    apr_uint64_t granted; /* keeper: leases at the last look */
    pw_instant_t used;    /* keeper: when that last changed */
} pw_scale_t;

/* ---- refusals ---------------------------------------------------------- */

void pw_scale_record(pw_runtime_t *rt, const pw_interp_spec_t *spec)
{
    pw_refusals_t r;
    char oldest[256] = "", busy[32];

    if (!pw_pool_refusals(rt->pools[spec->index], &r)) {
        return;
    }
    if (r.look.oldest) {
        apr_snprintf(oldest, sizeof(oldest), "; oldest call %d s: %s",
                     (int)((pw_now() - r.look.oldest) / APR_USEC_PER_SEC),
                     r.look.what);
    }
    apr_snprintf(busy, sizeof(busy),
                 r.look.capacity > 1 && r.look.running >= r.look.capacity
                     ? "all %d"
                     : "%d of %d",
                 r.look.running, r.look.capacity);
    pw_log(&spec->log, PW_LOG_WARN,
           "PW0120 %s: 503 for %d request%s in %d s: %s slots busy, "
           "queue %d of %d%s",
           spec->name, r.count, r.count == 1 ? "" : "s",
           (int)((r.span + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC), busy,
           r.look.waiting, r.queue_limit, oldest);
}

/* ---- growth ------------------------------------------------------------ */

/* What requests have waited for a GIL in this child, ever. */
static apr_uint64_t waited(pw_runtime_t *rt, const pw_interp_spec_t *spec)
{
    return __atomic_load_n(
        &rt->stats[spec->index]->sums.times[PW_TIME_ATTACH].sum,
        __ATOMIC_RELAXED);
}

static void resize(pw_pool_t *pool, const pw_interp_spec_t *spec, int from,
                   int to)
{
    pw_pool_resize(pool, to);
    if (to > from) {
        pw_log(&spec->log, PW_LOG_INFO,
               "PW0123 %s: requests wait for the GIL of %d instance%s; one "
               "more is added (up to %d)",
               spec->name, from, from == 1 ? "" : "s", spec->instances_max);
    }
    else {
        pw_log(&spec->log, PW_LOG_INFO,
               "PW0124 %s: no request has waited for a GIL in %d s; one of %d "
               "instances ends",
               spec->name, (int)(PW_GROWTH_QUIET / APR_USEC_PER_SEC), from);
    }
}

/* ---- unloading --------------------------------------------------------- */

/* A request must be able to bring it back: what only imports is left. */
static int may_unload(const pw_interp_spec_t *spec)
{
    for (int i = 0; i < spec->apps->nelts; i++) {
        if (APR_ARRAY_IDX(spec->apps, i, const pw_app_spec_t *)->callable) {
            return 1;
        }
    }
    return spec->apps->nelts == 0;
}

static void unload_if_idle(pw_scale_t *sc, pw_pool_t *pool,
                           const pw_interp_spec_t *spec,
                           const pw_pool_look_t *look, pw_instant_t now)
{
    if (look->granted != sc->granted || look->running > 0
        || look->waiting > 0) {
        sc->granted = look->granted;
        sc->used = now;
        return;
    }
    if (spec->idle_timeout > 0 && now - sc->used >= spec->idle_timeout
        && look->members > 0 && may_unload(spec) && pw_pool_unload(pool)) {
        pw_log(&spec->log, PW_LOG_INFO,
               "PW0121 %s: no request in %d s: it is unloaded, and the next "
               "request loads it again",
               spec->name, (int)((now - sc->used) / APR_USEC_PER_SEC));
    }
}

/* What no request has dropped since, the instance's own thread drops. */
static void drop_held(pw_runtime_t *rt)
{
    pw_lock_take(&rt->lock);
    for (pw_instance_t *i = rt->instances; i; i = i->next) {
        if (!i->finished && __atomic_load_n(&i->unheld, __ATOMIC_RELAXED)) {
            pw_pool_nudge(&i->member);
        }
    }
    pw_lock_release(&rt->lock);
}

/* ---- the keeper's tick ------------------------------------------------- */

/* 1 where it is to be looked at again soon. */
static int look_at(pw_runtime_t *rt, const pw_interp_spec_t *spec)
{
    pw_scale_t *sc = &rt->scales[spec->index];
    pw_pool_t *pool = rt->pools[spec->index];
    pw_instant_t now = pw_now();
    pw_pool_look_t look;
    int to;

    pw_pool_look(pool, &look);
    pw_scale_record(rt, spec);
    pw_stats_set_due(rt->stats[spec->index],
                     spec->park_limit > 0 && look.parked >= spec->park_limit);
    unload_if_idle(sc, pool, spec, &look, now);
    if (spec->instances_min == spec->instances_max) {
        return 0;
    }
    to = pw_growth_judge(&sc->growth, &look, waited(rt, spec),
                         spec->instances_min, spec->instances_max, now);
    if (to) {
        resize(pool, spec, look.target, to);
    }
    return look.running + look.waiting > 0;
}

apr_interval_time_t pw_scale_tick(pw_runtime_t *rt)
{
    int made = __atomic_load_n(&rt->demand.interps, __ATOMIC_ACQUIRE);
    int busy = 0;

    drop_held(rt);
    for (int i = 0; i < rt->map->interps->nelts; i++) {
        busy |= look_at(
            rt, APR_ARRAY_IDX(rt->map->interps, i, const pw_interp_spec_t *));
    }
    for (int i = 0; i < made; i++) {
        busy |= look_at(rt, rt->demand.own[i]);
    }
    return busy ? PW_GROWTH_LOOK : LOOK_IDLE;
}

void pw_scale_init(pw_runtime_t *rt, apr_pool_t *cpool)
{
    size_t all = (size_t)(rt->map->interps->nelts + rt->map->found_names) + 1;

    rt->scales = apr_pcalloc(cpool, sizeof(*rt->scales) * all);
    for (size_t i = 0; i < all; i++) {
        rt->scales[i].used = rt->scales[i].growth.pressed = pw_now();
    }
}
