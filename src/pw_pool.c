/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_pool: one lock, two conditions: `ready` wakes workers that wait for a
 * lease, `work` wakes the members' own threads. Called from workers, members'
 * threads and the keeper, never while attached to an interpreter.
 */
#include "pw_pool.h"

#include <assert.h>
#include <stdlib.h>

#define RETRY_FIRST (1 * APR_USEC_PER_SEC)
#define RETRY_LAST (60 * APR_USEC_PER_SEC)
/* Each holds its memory and a thread as long as the child lives. */
#define PARKED_MAX 8

/* What the pool remembers of an application, whatever member it is in. */
typedef struct slot_t {
    int asked;                 /* lock: a request wanted it once */
    int waiters;               /* lock: requests waiting for it now */
    pw_lease_e failure;        /* lock: of the last load, OK if none */
    apr_interval_time_t delay; /* lock: before the retry that is next */
    pw_instant_t retry_at;     /* lock: no earlier than this */
} slot_t;

struct pw_pool_t {
    pw_pool_setup_t setup; /* const: */
    pw_lock_t lock;
    pw_cond_t ready;
    pw_cond_t work;
    pw_member_t *members;    /* lock: */
    slot_t *slots;           /* lock: */
    int fresh;               /* lock: members asked for to replace another */
    int parked;              /* lock: members in the state PARKED */
    int quiesced;            /* lock: */
    int stopping;            /* lock: */
    pw_instant_t drained_by; /* lock: when stopping */
};

static const char *const state_names[] = {
    [PW_NEW] = "NEW",           [PW_LOADING] = "LOADING", [PW_READY] = "READY",
    [PW_DRAINING] = "DRAINING", [PW_PARKED] = "PARKED",   [PW_DEAD] = "DEAD",
    [PW_BROKEN] = "BROKEN",
};

#define BIT(state) (1u << (state))

/* From each state, the states that may follow it; a debug build asserts it. */
__attribute__((unused)) static const unsigned transitions[] = {
    [PW_NEW] = BIT(PW_LOADING) | BIT(PW_DEAD),
    [PW_LOADING] = BIT(PW_READY) | BIT(PW_BROKEN),
    [PW_READY] = BIT(PW_DRAINING) | BIT(PW_DEAD),
    [PW_DRAINING] = BIT(PW_DEAD) | BIT(PW_PARKED),
    [PW_PARKED] = 0,
    [PW_DEAD] = 0,
    [PW_BROKEN] = BIT(PW_DEAD) | BIT(PW_DRAINING),
};

const char *pw_state_name(pw_state_e state)
{
    return state_names[state];
}

static void change_locked(pw_member_t *m, pw_state_e state)
{
    pw_lock_assert(&m->pool->lock);
    assert(transitions[m->state] & BIT(state));
    m->state = state;
}

pw_pool_t *pw_pool_create(apr_pool_t *cpool, const pw_pool_setup_t *setup)
{
    pw_pool_t *pool = apr_pcalloc(cpool, sizeof(*pool));

    pool->setup = *setup;
    pool->slots = apr_pcalloc(cpool, sizeof(slot_t) * (size_t)setup->slots);
    pw_lock_init(&pool->lock);
    pw_cond_init(&pool->ready);
    pw_cond_init(&pool->work);
    return pool;
}

void pw_pool_add(pw_pool_t *pool, pw_member_t *member)
{
    pw_lock_take(&pool->lock);
    member->pool = pool;
    member->state = PW_NEW;
    for (int i = 0; i < pool->setup.slots; i++) {
        int idle = pool->setup.lazy[i] && !pool->slots[i].asked;

        member->slots[i] = idle ? PW_SLOT_IDLE : PW_SLOT_WANTED;
    }
    member->next = pool->members;
    pool->members = member;
    pw_lock_release(&pool->lock);
}

/* May this member still come to serve the slot without being asked to? */
static int coming(const pw_member_t *m, int slot)
{
    if (m->replace) {
        return 1;
    }
    if (m->state > PW_READY) {
        return 0;
    }
    return m->slots[slot] == PW_SLOT_WANTED
           || m->slots[slot] == PW_SLOT_LOADING;
}

static int coming_locked(pw_pool_t *pool, int slot)
{
    pw_lock_assert(&pool->lock);
    for (pw_member_t *m = pool->members; m; m = m->next) {
        if (coming(m, slot)) {
            return 1;
        }
    }
    return 0;
}

/* Has the member anything in it, or to come, that a fresh one would have to
 * load again? */
static int others_live(const pw_member_t *m, int slot)
{
    for (int i = 0; i < m->pool->setup.slots; i++) {
        if (i != slot && m->slots[i] != PW_SLOT_IDLE
            && m->slots[i] != PW_SLOT_FAILED) {
            return 1;
        }
    }
    return 0;
}

static int retries_fresh(const pw_member_t *m, int slot)
{
    const pw_pool_t *pool = m->pool;

    return pool->fresh < pool->setup.fresh_retries && pool->parked < PARKED_MAX
           && !others_live(m, slot);
}

int pw_pool_retries_fresh(pw_member_t *member, int slot)
{
    pw_pool_t *pool = member->pool;
    int fresh;

    pw_lock_take(&pool->lock);
    fresh = retries_fresh(member, slot);
    pw_lock_release(&pool->lock);
    return fresh;
}

static apr_interval_time_t next_delay(const slot_t *s)
{
    if (s->failure == PW_LEASE_OK) {
        return RETRY_FIRST;
    }
    return s->delay * 2 < RETRY_LAST ? s->delay * 2 : RETRY_LAST;
}

apr_interval_time_t pw_pool_retry_delay(pw_member_t *member, int slot)
{
    pw_pool_t *pool = member->pool;
    apr_interval_time_t delay;

    pw_lock_take(&pool->lock);
    delay = next_delay(&pool->slots[slot]);
    pw_lock_release(&pool->lock);
    return delay;
}

/* Asks some member for the slot: an idle one to load it, or one in which it
 * failed to try again, itself or by its replacement. */
static void ask_locked(pw_pool_t *pool, int slot)
{
    pw_lock_assert(&pool->lock);
    for (pw_member_t *m = pool->members; m; m = m->next) {
        if (m->state == PW_BROKEN) {
            m->replace = 1;
        }
        else if (m->state > PW_READY) {
            continue;
        }
        else if (m->slots[slot] == PW_SLOT_FAILED && retries_fresh(m, slot)) {
            m->replace = 1;
            pool->fresh++;
        }
        else {
            m->slots[slot] = PW_SLOT_WANTED;
        }
        break;
    }
    pw_cond_broadcast(&pool->work);
}

static pw_member_t *best_locked(pw_pool_t *pool, int slot)
{
    pw_member_t *best = NULL;

    pw_lock_assert(&pool->lock);
    for (pw_member_t *m = pool->members; m; m = m->next) {
        if (m->state == PW_READY && m->slots[slot] == PW_SLOT_LOADED
            && !m->replace && (!best || m->leases < best->leases)) {
            best = m;
        }
    }
    return best;
}

/* One look: 1 where the answer is known (*rc), 0 where to wait. */
static int try_locked(pw_pool_t *pool, int slot, pw_member_t **member,
                      pw_lease_e *rc)
{
    slot_t *s = &pool->slots[slot];

    pw_lock_assert(&pool->lock);
    if (pool->stopping) {
        *rc = PW_LEASE_STOPPING;
        return 1;
    }
    *member = best_locked(pool, slot);
    if (*member) {
        (*member)->leases++;
        *rc = PW_LEASE_OK;
        return 1;
    }
    if (!coming_locked(pool, slot)) {
        if (s->failure != PW_LEASE_OK && pw_now() < s->retry_at) {
            *rc = s->failure;
            return 1;
        }
        ask_locked(pool, slot);
    }
    return 0;
}

pw_lease_e pw_pool_lease(pw_pool_t *pool, int slot, pw_instant_t deadline,
                         pw_member_t **member)
{
    slot_t *s = &pool->slots[slot];
    pw_lease_e rc = PW_LEASE_TIMEOUT;

    pw_lock_take(&pool->lock);
    s->asked = 1;
    s->waiters++;
    if (pool->quiesced) {
        pw_cond_broadcast(&pool->work); /* a load that now has a waiter */
    }
    while (!try_locked(pool, slot, member, &rc)) {
        if (!pw_cond_wait(&pool->ready, &pool->lock, deadline)) {
            rc = PW_LEASE_TIMEOUT;
            break;
        }
    }
    s->waiters--;
    pw_lock_release(&pool->lock);
    return rc;
}

void pw_pool_return(pw_member_t *member)
{
    pw_pool_t *pool = member->pool;

    pw_lock_take(&pool->lock);
    assert(member->leases > 0);
    member->leases--;
    if (member->leases == 0
        && (member->state == PW_DRAINING || pool->stopping)) {
        pw_cond_broadcast(&pool->work);
    }
    pw_lock_release(&pool->lock);
}

void pw_pool_retry(pw_pool_t *pool, int slot)
{
    pw_lock_take(&pool->lock);
    pool->slots[slot].retry_at = 0;
    pw_lock_release(&pool->lock);
}

/* The slot to load next, or -1. A quiesced pool loads only what a request is
 * waiting for. */
static int wanted_locked(pw_pool_t *pool, const pw_member_t *m)
{
    pw_lock_assert(&pool->lock);
    for (int i = 0; i < pool->setup.slots; i++) {
        if (m->slots[i] == PW_SLOT_WANTED
            && (!pool->quiesced || pool->slots[i].waiters > 0)) {
            return i;
        }
    }
    return -1;
}

/* One look: 1 where there is something to do (*command, *slot). */
static int command_locked(pw_pool_t *pool, pw_member_t *m,
                          pw_command_e *command, int *slot)
{
    pw_lock_assert(&pool->lock);
    if (pool->stopping && (m->leases == 0 || pw_now() >= pool->drained_by)) {
        *command = PW_DO_STOP;
        return 1;
    }
    if (m->state == PW_DRAINING && m->leases == 0) {
        *command = PW_DO_END;
        return 1;
    }
    if (m->state != PW_DRAINING && m->replace) {
        *command = PW_DO_REPLACE;
        return 1;
    }
    if (m->state < PW_DRAINING && !pool->stopping) {
        *slot = wanted_locked(pool, m);
        if (*slot >= 0) {
            *command = PW_DO_LOAD;
            return 1;
        }
    }
    *command = PW_DO_REAP;
    return m->reap;
}

pw_command_e pw_pool_next(pw_member_t *member, int *slot)
{
    pw_pool_t *pool = member->pool;
    pw_command_e command;

    pw_lock_take(&pool->lock);
    while (!command_locked(pool, member, &command, slot)) {
        pw_cond_wait(&pool->work, &pool->lock,
                     pool->stopping ? pool->drained_by : PW_NEVER);
    }
    if (command == PW_DO_LOAD) {
        member->slots[*slot] = PW_SLOT_LOADING;
        if (member->state == PW_NEW) {
            change_locked(member, PW_LOADING);
        }
    }
    else if (command == PW_DO_REAP) {
        member->reap = 0;
    }
    pw_lock_release(&pool->lock);
    return command;
}

void pw_pool_created(pw_member_t *member)
{
    pw_lock_take(&member->pool->lock);
    change_locked(member, PW_READY);
    pw_lock_release(&member->pool->lock);
}

/* Writes down how a slot's load ended, for every request to come. */
static void record_locked(pw_member_t *m, int slot, pw_lease_e result)
{
    slot_t *s = &m->pool->slots[slot];

    pw_lock_assert(&m->pool->lock);
    m->slots[slot] = result == PW_LEASE_OK ? PW_SLOT_LOADED : PW_SLOT_FAILED;
    if (result != PW_LEASE_OK) {
        s->delay = next_delay(s);
        s->retry_at = pw_now() + s->delay;
    }
    s->failure = result;
    pw_cond_broadcast(&m->pool->ready);
}

void pw_pool_broken(pw_member_t *member)
{
    pw_pool_t *pool = member->pool;

    pw_lock_take(&pool->lock);
    change_locked(member, PW_BROKEN);
    for (int i = 0; i < pool->setup.slots; i++) {
        if (member->slots[i] == PW_SLOT_WANTED
            || member->slots[i] == PW_SLOT_LOADING) {
            record_locked(member, i, PW_LEASE_FAILED);
        }
    }
    pw_lock_release(&pool->lock);
}

void pw_pool_loaded(pw_member_t *member, int slot, pw_lease_e result)
{
    pw_lock_take(&member->pool->lock);
    record_locked(member, slot, result);
    pw_lock_release(&member->pool->lock);
}

void pw_pool_drain(pw_member_t *member)
{
    pw_lock_take(&member->pool->lock);
    change_locked(member, PW_DRAINING);
    member->replace = 0;
    pw_cond_broadcast(&member->pool->ready);
    pw_lock_release(&member->pool->lock);
}

void pw_pool_keep(pw_member_t *member)
{
    pw_pool_t *pool = member->pool;

    pw_lock_take(&pool->lock);
    member->replace = 0;
    for (int i = 0; i < pool->setup.slots; i++) {
        if (member->slots[i] == PW_SLOT_FAILED) {
            pool->slots[i].retry_at = pw_now() + pool->slots[i].delay;
        }
    }
    pw_cond_broadcast(&pool->ready);
    pw_lock_release(&pool->lock);
}

void pw_pool_ended(pw_member_t *member, pw_state_e state)
{
    pw_pool_t *pool = member->pool;
    pw_member_t **at;

    pw_lock_take(&pool->lock);
    change_locked(member, state);
    if (state == PW_DEAD) {
        for (at = &pool->members; *at != member; at = &(*at)->next) {
            continue;
        }
        *at = member->next;
    }
    else {
        pool->parked++;
    }
    pw_cond_broadcast(&pool->ready);
    pw_lock_release(&pool->lock);
}

void pw_pool_nudge(pw_member_t *member)
{
    pw_lock_take(&member->pool->lock);
    member->reap = 1;
    pw_cond_broadcast(&member->pool->work);
    pw_lock_release(&member->pool->lock);
}

void pw_pool_quiesce(pw_pool_t *pool)
{
    pw_lock_take(&pool->lock);
    pool->quiesced = 1;
    pw_lock_release(&pool->lock);
}

void pw_pool_stop(pw_pool_t *pool, pw_instant_t drained_by)
{
    if (!pw_lock_take_by(&pool->lock, drained_by)) {
        return;
    }
    pool->quiesced = 1;
    pool->stopping = 1;
    pool->drained_by = drained_by;
    pw_cond_broadcast(&pool->ready);
    pw_cond_broadcast(&pool->work);
    pw_lock_release(&pool->lock);
}
