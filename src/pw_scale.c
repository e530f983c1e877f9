/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_scale: what the keeper does with pools while the child lives: they grow
 * and shrink, are unloaded when nobody asks, and their refusals are recorded.
 * Declared in pw_instance.h. It never attaches.
 *
 * THE RULE OF GROWTH, for a pool whose WSGIInstances is a range. While calls
 * run it is looked at every 50 ms, and what its requests have waited for a GIL
 * since the last look is added up, less half of the time that has passed, for
 * each instance that serves; never below 0. So the sum grows where on average
 * more than one request waits for every two instances. At half a second one
 * instance is added, if none is loading; at once where a request lacks a place
 * in ten looks in a row. After a minute in which the sum was 0 the newest one
 * ends. What an instance costs (its load, its memory) is thereby spent on a
 * load that stays, not on one burst.
 */
#include "pw_instance.h"

#include <apr_strings.h>

#define LOOK_BUSY 50000               /* microseconds */
#define LOOK_IDLE APR_USEC_PER_SEC    /* likewise */
#define WAITED (APR_USEC_PER_SEC / 2) /* of the sum, for one more instance */
#define CROWDED 10                    /* looks at a call without a place */
#define QUIET (60 * APR_USEC_PER_SEC) /* before the newest instance ends */

typedef struct pw_scale_t {
    apr_int64_t sum;      /* keeper: see above, microseconds */
    apr_uint64_t waited;  /* keeper: for a GIL, at the last look */
    pw_instant_t looked;  /* keeper: the last look */
    int crowded;          /* keeper: looks at a call without a place */
    pw_instant_t pressed; /* keeper: the sum was last above 0, or a change */
    apr_uint64_t granted; /* keeper: of the last look */
    pw_instant_t used;    /* keeper: when that last changed */
} pw_scale_t;

/* ---- refusals ---------------------------------------------------------- */

void pw_scale_record(pw_runtime_t *rt, const pw_interp_spec_t *spec)
{
    pw_refusals_t r;
    char oldest[256] = "";

    if (!pw_pool_refusals(rt->pools[spec->index], &r)) {
        return;
    }
    if (r.look.oldest) {
        apr_snprintf(oldest, sizeof(oldest), "; oldest call %d s: %s",
                     (int)((pw_now() - r.look.oldest) / APR_USEC_PER_SEC),
                     r.look.what);
    }
    pw_log(&spec->log, PW_LOG_WARN,
           "PW0120 %s: 503 for %d request%s in %d s: %d of %d slots busy, "
           "queue %d of %d%s",
           spec->name, r.count, r.count == 1 ? "" : "s",
           (int)((r.span + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC),
           r.look.running, r.look.capacity, r.look.waiting, r.queue_limit,
           oldest);
}

/* ---- growth ------------------------------------------------------------ */

/* What requests have waited for a GIL in this child, ever. */
static apr_uint64_t waited(pw_runtime_t *rt, const pw_interp_spec_t *spec)
{
    return __atomic_load_n(
        &rt->stats[spec->index]->sums.times[PW_TIME_ATTACH].sum,
        __ATOMIC_RELAXED);
}

/* Adds up what is new since the last look. */
static void sum_up(pw_scale_t *sc, apr_uint64_t total,
                   const pw_pool_look_t *look, pw_instant_t now)
{
    sc->sum += (apr_int64_t)(total - sc->waited)
               - (now - sc->looked) * look->serving / 2;
    sc->waited = total;
    sc->looked = now;
    sc->crowded = look->starving > 0 ? sc->crowded + 1 : 0;
    if (sc->sum < 0) {
        sc->sum = 0;
    }
    if (sc->sum > 0 || sc->crowded > 0) {
        sc->pressed = now;
    }
}

static void grow(pw_pool_t *pool, const pw_interp_spec_t *spec,
                 const pw_pool_look_t *look)
{
    if (look->target >= spec->instances_max || look->members != look->serving
        || look->members < look->target) {
        return;
    }
    pw_pool_resize(pool, look->target + 1);
    pw_log(&spec->log, PW_LOG_INFO,
           "PW0123 %s: requests wait for the GIL of %d instance%s; one more is "
           "added (up to %d)",
           spec->name, look->target, look->target == 1 ? "" : "s",
           spec->instances_max);
}

static void shrink(pw_pool_t *pool, const pw_interp_spec_t *spec,
                   const pw_pool_look_t *look)
{
    if (look->target <= spec->instances_min || look->draining > 0) {
        return;
    }
    pw_pool_resize(pool, look->target - 1);
    pw_log(&spec->log, PW_LOG_INFO,
           "PW0124 %s: no request has waited for a GIL in %d s; one of %d "
           "instances ends",
           spec->name, (int)(QUIET / APR_USEC_PER_SEC), look->target);
}

static void scale(pw_scale_t *sc, pw_pool_t *pool, const pw_interp_spec_t *spec,
                  const pw_pool_look_t *look, pw_instant_t now)
{
    if (sc->sum >= WAITED || sc->crowded >= CROWDED) {
        sc->sum = 0;
        sc->crowded = 0;
        grow(pool, spec, look);
    }
    else if (now - sc->pressed >= QUIET) {
        sc->pressed = now;
        shrink(pool, spec, look);
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

    pw_pool_look(pool, &look);
    pw_scale_record(rt, spec);
    pw_stats_set_due(rt->stats[spec->index],
                     spec->park_limit > 0 && look.parked >= spec->park_limit);
    unload_if_idle(sc, pool, spec, &look, now);
    if (spec->instances_min == spec->instances_max) {
        return 0;
    }
    sum_up(sc, waited(rt, spec), &look, now);
    scale(sc, pool, spec, &look, now);
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
    return busy ? LOOK_BUSY : LOOK_IDLE;
}

void pw_scale_init(pw_runtime_t *rt, apr_pool_t *cpool)
{
    size_t all = (size_t)(rt->map->interps->nelts + rt->map->found_names) + 1;

    rt->scales = apr_pcalloc(cpool, sizeof(*rt->scales) * all);
    for (size_t i = 0; i < all; i++) {
        rt->scales[i].used = rt->scales[i].pressed = pw_now();
    }
}
