/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_queue: the calls of a pool: leases, and the queue of those that wait. Each
 * of these has a condition of its own, so that the one that is next wakes and
 * nobody else. Called from workers, not attached; under the pool's one lock.
 */
#include "pw_pool_inside.h"

#include <assert.h>
#include <string.h>
#include <apr_strings.h>

/* ---- leases ------------------------------------------------------------ */

static int has_place(const pw_pool_t *pool, const pw_member_t *m)
{
    return pool->setup.concurrency <= 0 || m->leases < pool->setup.concurrency;
}

/* Calls in members that drain have places of their successors. */
static int is_full_locked(pw_pool_t *pool)
{
    pw_lock_assert(&pool->lock);
    return pool->running >= pool->places;
}

/* The one with the fewest calls; of equals that of the call's thread. */
static pw_member_t *best_locked(pw_pool_t *pool, const pw_turn_t *call)
{
    pw_member_t *best = NULL;

    pw_lock_assert(&pool->lock);
    if (is_full_locked(pool)) {
        return NULL;
    }
    for (pw_member_t *m = pool->members; m; m = m->next) {
        if (pw_pool_is_serving(m) && m->slots[call->slot] == PW_SLOT_LOADED
            && has_place(pool, m)
            && (!best || m->leases < best->leases
                || (m->leases == best->leases && m == call->last))) {
            best = m;
        }
    }
    return best;
}

static void give_locked(pw_pool_t *pool, pw_turn_t *call, pw_member_t *m,
                        pw_instant_t now)
{
    pw_lock_assert(&pool->lock);
    call->member = m;
    call->leased = now;
    call->next = NULL;
    call->prev = m->latest;
    if (m->latest) {
        m->latest->next = call;
    }
    else {
        m->oldest = call;
    }
    m->latest = call;
    m->leases++;
    m->served++;
    pool->running++;
    pool->granted++;
    pool->used = call->asked;
    if (m->renew_at) {
        pw_pool_count_locked(pool, m);
    }
}

static void take_back_locked(pw_pool_t *pool, pw_turn_t *call)
{
    pw_member_t *m = call->member;

    pw_lock_assert(&pool->lock);
    *(call->prev ? &call->prev->next : &m->oldest) = call->next;
    *(call->next ? &call->next->prev : &m->latest) = call->prev;
    m->leases--;
    m->holds += call->held;
    pool->running--;
}

static void enqueue_locked(pw_pool_t *pool, pw_turn_t *call)
{
    pw_lock_assert(&pool->lock);
    call->next = NULL;
    call->prev = pool->last;
    *(pool->last ? &pool->last->next : &pool->first) = call;
    pool->last = call;
    pool->waiting++;
    pool->slots[call->slot].waiters++;
}

static void dequeue_locked(pw_pool_t *pool, pw_turn_t *call)
{
    pw_lock_assert(&pool->lock);
    *(call->prev ? &call->prev->next : &pool->first) = call->next;
    *(call->next ? &call->next->prev : &pool->last) = call->prev;
    pool->waiting--;
    pool->slots[call->slot].waiters--;
}

/* Gives what is free to those who wait, in their order. */
static void serve_queue_locked(pw_pool_t *pool)
{
    pw_instant_t now = pool->first ? pw_now() : 0;
    int in_vain = -1; /* a slot for which there is no place */
    pw_turn_t *next;

    pw_lock_assert(&pool->lock);
    for (pw_turn_t *call = pool->first; call && !pool->stopping; call = next) {
        pw_member_t *m = NULL;

        next = call->next;
        if (call->slot != in_vain) {
            m = best_locked(pool, call);
        }
        if (m) {
            dequeue_locked(pool, call);
            give_locked(pool, call, m, now);
            pw_cond_broadcast(&call->wake);
        }
        else {
            in_vain = call->slot;
        }
    }
}

void pw_queue_changed_locked(pw_pool_t *pool)
{
    pw_lock_assert(&pool->lock);
    serve_queue_locked(pool);
    for (pw_turn_t *call = pool->first; call; call = call->next) {
        pw_cond_broadcast(&call->wake);
    }
}

/* Is there a place for the call that was free or taken after `before`? */
static int has_moved_locked(pw_pool_t *pool, const pw_member_t *m, int slot,
                            pw_instant_t before)
{
    int full = is_full_locked(pool), serving = pw_pool_is_serving(m);

    pw_lock_assert(&pool->lock);
    return pw_pool_comes(m, slot) || (serving && !full && !m->latest)
           || ((serving || full) && m->latest && m->latest->leased > before);
}

/* Is every place held, and by calls older than the queue's timeout? */
static int is_stuck_locked(pw_pool_t *pool, const pw_turn_t *call)
{
    pw_instant_t before = call->asked - pool->setup.queue_timeout;
    int stuck = 0;

    pw_lock_assert(&pool->lock);
    for (pw_member_t *m = pool->members; m; m = m->next) {
        if (has_moved_locked(pool, m, call->slot, before)) {
            return 0;
        }
        stuck |= pw_pool_is_serving(m);
    }
    return stuck && pool->setup.queue_timeout > 0;
}

/* May more calls wait than the limits allow? While a load that is not old yet
 * is all they lack: after a restart many come before it has ended. */
static int may_exceed_locked(pw_pool_t *pool, const pw_turn_t *call)
{
    slot_t *s = &pool->slots[call->slot];

    pw_lock_assert(&pool->lock);
    if (pw_pool_serving_locked(pool, call->slot)) {
        return 0;
    }
    if (!s->missed) {
        s->missed = call->asked;
    }
    return call->asked - s->missed < pool->setup.queue_timeout;
}

/* May the call wait? While members load, those wait that they will have places
 * for, too. */
static pw_lease_e admit_locked(pw_pool_t *pool, pw_turn_t *call)
{
    const pw_pool_setup_t *setup = &pool->setup;
    int room = setup->concurrency * pool->target + setup->queue_limit;

    pw_lock_assert(&pool->lock);
    if (setup->concurrency <= 0) {
        return PW_LEASE_OK;
    }
    if (is_stuck_locked(pool, call)) {
        return PW_LEASE_STUCK;
    }
    if (setup->queue_limit < 0 || pool->running + pool->waiting < room) {
        return PW_LEASE_OK;
    }
    call->excess = may_exceed_locked(pool, call);
    return call->excess ? PW_LEASE_OK : PW_LEASE_FULL;
}

/* One look of a call that waits: 1 where the answer is known (*rc). */
static int answer_locked(pw_pool_t *pool, pw_turn_t *call, pw_instant_t now,
                         pw_lease_e *rc)
{
    slot_t *s = &pool->slots[call->slot];

    pw_lock_assert(&pool->lock);
    if (call->member) {
        *rc = PW_LEASE_OK;
        return 1;
    }
    if (pool->stopping) {
        *rc = PW_LEASE_STOPPING;
        return 1;
    }
    if (pw_pool_serving_locked(pool, call->slot)) {
        call->queued = call->queued ? call->queued : now;
        return 0;
    }
    call->queued = 0;
    if (pw_pool_coming_locked(pool, call->slot)) {
        return 0;
    }
    if (s->failure != PW_LEASE_OK && now < s->retry_at) {
        *rc = s->failure;
        return 1;
    }
    if (pw_pool_empty_locked(pool)) {
        pool->adding = 1;
        *rc = PW_LEASE_NONE;
        return 1;
    }
    pw_pool_ask_locked(pool, call->slot);
    return 0;
}

/* How long a call that waits may do so; *late: the answer after that. */
static pw_instant_t wait_until_locked(pw_pool_t *pool, const pw_turn_t *call,
                                      pw_lease_e *late)
{
    pw_lock_assert(&pool->lock);
    if (!call->queued) {
        *late = call->excess ? PW_LEASE_LATE : PW_LEASE_TIMEOUT;
        return call->asked
               + (call->excess ? pool->setup.queue_timeout : call->patience);
    }
    *late = PW_LEASE_LATE;
    return pool->setup.queue_timeout > 0
               ? call->queued + pool->setup.queue_timeout
               : PW_NEVER;
}

static pw_lease_e wait_locked(pw_pool_t *pool, pw_turn_t *call)
{
    pw_instant_t now = call->asked, until;
    pw_lease_e rc, late;

    pw_lock_assert(&pool->lock);
    pw_cond_init(&call->wake);
    enqueue_locked(pool, call);
    serve_queue_locked(pool);
    if (pool->quiesced) {
        pw_cond_broadcast(&pool->work); /* a load that now has a waiter */
    }
    while (!answer_locked(pool, call, now, &rc)) {
        until = wait_until_locked(pool, call, &late);
        if (now >= until) {
            rc = late;
            break;
        }
        pw_cond_wait(&call->wake, &pool->lock, until);
        now = pw_now();
    }
    if (!call->member) {
        dequeue_locked(pool, call);
    }
    pw_cond_destroy(&call->wake);
    return rc;
}

static void note_refusal_locked(pw_pool_t *pool, const pw_turn_t *call)
{
    pw_lock_assert(&pool->lock);
    if (pool->refused++ == 0) {
        pool->refused_from = call->asked;
    }
}

static pw_lease_e lease_locked(pw_pool_t *pool, pw_turn_t *call)
{
    pw_member_t *m = NULL;
    pw_lease_e rc;

    pw_lock_assert(&pool->lock);
    if (pool->stopping) {
        return PW_LEASE_STOPPING;
    }
    if (!pool->first) {
        m = best_locked(pool, call);
    }
    if (m) {
        give_locked(pool, call, m, call->asked);
        return PW_LEASE_OK;
    }
    rc = admit_locked(pool, call);
    if (rc == PW_LEASE_OK) {
        rc = wait_locked(pool, call);
    }
    if (rc == PW_LEASE_FULL || rc == PW_LEASE_STUCK || rc == PW_LEASE_LATE) {
        note_refusal_locked(pool, call);
    }
    return rc;
}

pw_lease_e pw_pool_lease(pw_pool_t *pool, pw_turn_t *call)
{
    pw_lease_e rc;

    call->member = NULL;
    call->queued = 0;
    call->held = 0;
    call->excess = 0;
    call->asked = call->now ? call->now : pw_now();
    call->now = 0;
    pw_lock_take(&pool->lock);
    pool->slots[call->slot].asked = 1;
    rc = lease_locked(pool, call);
    pw_lock_release(&pool->lock);
    return rc;
}

void pw_pool_return(pw_turn_t *call)
{
    pw_member_t *m = call->member;
    pw_pool_t *pool = m->pool;

    pw_lock_take(&pool->lock);
    assert(m->leases > 0);
    take_back_locked(pool, call);
    if (pool->first) {
        serve_queue_locked(pool);
    }
    if (m->leases == 0
        && (m->state == PW_DRAINING || m->retire || pool->stopping)) {
        pw_cond_broadcast(&pool->work);
    }
    pw_lock_release(&pool->lock);
}

/* ---- what is to be seen of it ------------------------------------------ */

static void look_at_member(pw_pool_look_t *look, const pw_member_t *m,
                           const pw_turn_t **oldest)
{
    look->members += pw_pool_is_live(m);
    look->serving += pw_pool_is_serving(m);
    look->draining += m->state == PW_DRAINING || m->retire;
    if (m->oldest && (!*oldest || m->oldest->leased < (*oldest)->leased)) {
        *oldest = m->oldest;
    }
}

static void look_locked(pw_pool_t *pool, pw_pool_look_t *look)
{
    const pw_turn_t *oldest = NULL;

    pw_lock_assert(&pool->lock);
    memset(look, 0, sizeof(*look));
    for (pw_member_t *m = pool->members; m; m = m->next) {
        look_at_member(look, m, &oldest);
    }
    for (pw_turn_t *call = pool->first; call; call = call->next) {
        look->starving += call->queued != 0;
    }
    look->parked = pool->parked;
    look->target = pool->target;
    look->capacity = pool->setup.concurrency * pool->target;
    look->running = pool->running;
    look->waiting = pool->waiting;
    look->granted = pool->granted;
    look->used = pool->used;
    if (oldest) {
        look->oldest = oldest->leased;
        apr_snprintf(look->what, sizeof(look->what), "%s %s", oldest->method,
                     oldest->path);
    }
}

void pw_pool_look(pw_pool_t *pool, pw_pool_look_t *look)
{
    pw_lock_take(&pool->lock);
    look_locked(pool, look);
    pw_lock_release(&pool->lock);
}

int pw_pool_refusals(pw_pool_t *pool, pw_refusals_t *refusals)
{
    pw_instant_t now = pw_now();
    int due;

    pw_lock_take(&pool->lock);
    due = pool->refused > 0
          && (!pool->recorded || now - pool->recorded >= PW_REFUSALS_EVERY);
    if (due) {
        refusals->count = pool->refused;
        refusals->span = now - pool->refused_from;
        refusals->queue_limit = pool->setup.queue_limit;
        look_locked(pool, &refusals->look);
        pool->refused = 0;
        pool->recorded = now;
    }
    pw_lock_release(&pool->lock);
    return due;
}
