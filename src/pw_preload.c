/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_preload: counts the loads that an instance begins with, under
 * runtime.lock, and waits for them. It does not ask the pool: what a request
 * makes of an application later is none of its business.
 */
#include "pw_preload.h"

#include <signal.h>
#include <unistd.h>

#include "pw_instance.h"

#define LOOK_INTERVAL (100 * 1000) /* microseconds, for told_to_end */

int pw_preload_count(const pw_runtime_t *rt, const pw_interp_spec_t *spec)
{
    int count = 0;

    for (int s = 0; s < spec->apps->nelts; s++) {
        count += !pw_runtime_app(rt, spec, s)->lazy;
    }
    return count;
}

void pw_preload_loaded(pw_instance_t *inst, int all)
{
    pw_runtime_t *rt = inst->rt;

    pw_lock_take(&rt->lock);
    if (all) {
        inst->pending = 0;
    }
    else if (inst->pending > 0) {
        inst->pending--;
    }
    pw_cond_broadcast(&rt->changed);
    pw_lock_release(&rt->lock);
}

/* Nobody waits for this instance any more. */
static void give_up_locked(pw_instance_t *inst)
{
    const pw_interp_spec_t *spec = inst->spec;

    pw_lock_assert(&inst->rt->lock);
    pw_log(&spec->log, PW_LOG_WARN,
           "PW0161 %s: %d of its applications have not loaded within "
           "WSGIStartupTimeout (%d ms); the child takes requests all the same, "
           "and those to them wait",
           spec->name, inst->pending, (int)(spec->startup_timeout / 1000));
    inst->pending = 0;
}

/* The next instant at which the time of an instance is over that is still
 * waited for; 0 where there is none. */
static pw_instant_t next_locked(pw_runtime_t *rt, pw_instant_t begin)
{
    pw_instant_t next = 0;

    pw_lock_assert(&rt->lock);
    for (pw_instance_t *i = rt->instances; i; i = i->next) {
        pw_instant_t end = begin + i->spec->startup_timeout;

        if (i->spec->preload != PW_PRELOAD_WAIT || i->finished
            || i->pending == 0) {
            continue;
        }
        if (pw_now() >= end) {
            give_up_locked(i);
        }
        else if (next == 0 || end < next) {
            next = end;
        }
    }
    return next;
}

/* Has the keeper watch a GIL that starves, as for a request (pw_python.h): what
 * one application computes may keep another from loading. */
static void watch(pw_runtime_t *rt, int begins)
{
    if (PW_GIL_STARVES) {
        __atomic_fetch_add(&rt->in_flight, begins ? 1 : -1, __ATOMIC_SEQ_CST);
        if (begins) {
            pw_keeper_watch(rt->keeper);
        }
    }
}

/* event and worker block SIGTERM until they are out of child_init; what comes
 * otherwise, by httpd's pipe, is read later still. */
static int told_to_end(void)
{
    sigset_t pending;

    return sigpending(&pending) == 0 && sigismember(&pending, SIGTERM) == 1;
}

static int is_asked_for(const pw_map_t *map)
{
    int asked = 0;

    for (int i = 0; i < map->interps->nelts; i++) {
        const pw_interp_spec_t *spec =
            APR_ARRAY_IDX(map->interps, i, const pw_interp_spec_t *);

        asked |= spec->preload == PW_PRELOAD_WAIT && !spec->later;
    }
    return asked;
}

void pw_preload_wait(pw_runtime_t *rt)
{
    pw_instant_t begin = pw_now();
    pw_instant_t next, look;

    if (!is_asked_for(rt->map)) {
        return;
    }
    watch(rt, 1);
    pw_lock_take(&rt->lock);
    next = next_locked(rt, begin);
    while (next && !told_to_end()) {
        look = pw_now() + LOOK_INTERVAL;
        pw_cond_wait(&rt->changed, &rt->lock, next < look ? next : look);
        next = next_locked(rt, begin);
    }
    pw_lock_release(&rt->lock);
    watch(rt, 0);
    if (told_to_end()) {
        return;
    }
    pw_log(&rt->map->log, PW_LOG_INFO,
           "PW0160 polywsgi: child %ld takes requests, after %d ms with its "
           "applications (WSGIPreload wait)",
           (long)getpid(), (int)((pw_now() - begin) / 1000));
}
