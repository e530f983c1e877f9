/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_pool: the members of a pool, and what each one's thread has to do; `work`
 * wakes these threads. Called from workers, members' threads and the keeper,
 * never while attached to an interpreter.
 */
#include "pw_pool_inside.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST (1 * APR_USEC_PER_SEC)
#define RETRY_LAST (60 * APR_USEC_PER_SEC)
/* Each holds its memory and a thread as long as the child lives. */
#define PARKED_MAX 8

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
    m->since = pw_now();
    if (m->stats) {
        pw_stats_set_state(m->stats, state);
    }
}

static int at_least(int value, int least)
{
    return value > least ? value : least;
}

/* What the limits promise holds while members are replaced, too. */
static int count_places(const pw_pool_setup_t *setup)
{
    return setup->concurrency > 0 && setup->concurrency <= INT_MAX / setup->most
               ? setup->concurrency * setup->most
               : INT_MAX;
}

pw_pool_t *pw_pool_create(apr_pool_t *cpool, const pw_pool_setup_t *setup)
{
    pw_pool_t *pool = apr_pcalloc(cpool, sizeof(*pool));

    pool->setup = *setup;
    pool->setup.least = at_least(setup->least, 1);
    pool->setup.most = at_least(setup->most, pool->setup.least);
    if (setup->parked_max <= 0) {
        pool->setup.parked_max = PARKED_MAX;
    }
    pool->places = count_places(&pool->setup);
    pool->target = pool->setup.least;
    pool->renewals = setup->renewals;
    pool->slots = apr_pcalloc(cpool, sizeof(slot_t) * (size_t)setup->slots);
    pw_lock_init(&pool->lock);
    pw_cond_init(&pool->work);
    return pool;
}

/* ---- the members ------------------------------------------------------- */

/* Those that are to take another's place are not counted beside it. */
static int count_live_locked(pw_pool_t *pool)
{
    int count = 0;

    pw_lock_assert(&pool->lock);
    for (pw_member_t *m = pool->members; m; m = m->next) {
        count += pw_pool_is_live(m) && !m->renewed;
    }
    return count;
}

static int has_loaded(const pw_member_t *m)
{
    for (int i = 0; i < m->pool->setup.slots; i++) {
        if (m->slots[i] == PW_SLOT_LOADED) {
            return 1;
        }
    }
    return 0;
}

/* A member that serves an application already: what is added has to prove
 * itself. */
static int on_trial_locked(pw_pool_t *pool)
{
    pw_lock_assert(&pool->lock);
    for (pw_member_t *m = pool->members; m; m = m->next) {
        if (pw_pool_is_serving(m) && has_loaded(m)) {
            return 1;
        }
    }
    return 0;
}

/* Some tenth less for each, by its place in memory: so many at least that they
 * differ. */
static apr_uint64_t renewal(const pw_pool_t *pool, const pw_member_t *m)
{
    apr_uint64_t every = pool->setup.max_requests;

    return every
           - (apr_uint64_t)(((size_t)m >> 6) * 2654435761u) % (every / 10 + 1);
}

void pw_pool_add(pw_pool_t *pool, pw_member_t *member, pw_member_t *renewed)
{
    pw_lock_take(&pool->lock);
    member->pool = pool;
    member->state = PW_NEW;
    member->since = pw_now();
    member->trial = on_trial_locked(pool);
    member->renewed = member->trial ? renewed : NULL;
    member->renew_at = pool->setup.max_requests ? renewal(pool, member) : 0;
    for (int i = 0; i < pool->setup.slots; i++) {
        int idle = pool->setup.lazy[i] && !pool->slots[i].asked;

        member->slots[i] = idle ? PW_SLOT_IDLE : PW_SLOT_WANTED;
    }
    member->next = pool->members;
    pool->members = member;
    pool->adding = 0;
    pw_cond_broadcast(&pool->work);
    pw_lock_release(&pool->lock);
}

/* ---- what a slot may hope for ------------------------------------------ */

/* May this member still come to serve the slot without being asked to? */
int pw_pool_comes(const pw_member_t *m, int slot)
{
    if (m->replace) {
        return 1;
    }
    if (!pw_pool_is_live(m)) {
        return 0;
    }
    return m->slots[slot] == PW_SLOT_WANTED || m->slots[slot] == PW_SLOT_LOADING
           || (m->trial && m->slots[slot] == PW_SLOT_LOADED);
}

int pw_pool_coming_locked(pw_pool_t *pool, int slot)
{
    pw_lock_assert(&pool->lock);
    for (pw_member_t *m = pool->members; m; m = m->next) {
        if (pw_pool_comes(m, slot)) {
            return 1;
        }
    }
    return pool->adding;
}

int pw_pool_serving_locked(pw_pool_t *pool, int slot)
{
    pw_lock_assert(&pool->lock);
    for (pw_member_t *m = pool->members; m; m = m->next) {
        if (pw_pool_is_serving(m) && m->slots[slot] == PW_SLOT_LOADED) {
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

    return pool->fresh < pool->setup.fresh_retries
           && pool->parked < pool->setup.parked_max && !others_live(m, slot);
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
void pw_pool_ask_locked(pw_pool_t *pool, int slot)
{
    pw_lock_assert(&pool->lock);
    for (pw_member_t *m = pool->members; m; m = m->next) {
        if (m->state == PW_BROKEN && !m->retire) {
            m->replace = 1;
        }
        else if (!pw_pool_is_live(m)) {
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

/* Is there nothing that could be asked? */
int pw_pool_empty_locked(pw_pool_t *pool)
{
    pw_lock_assert(&pool->lock);
    for (pw_member_t *m = pool->members; m; m = m->next) {
        if (pw_pool_is_live(m) || (m->state == PW_BROKEN && !m->retire)) {
            return 0;
        }
    }
    return 1;
}

/* ---- replacing members that have served their number ------------------- */

/* One at a time: nobody is on trial, nobody drains. */
static int may_renew_locked(pw_pool_t *pool)
{
    pw_lock_assert(&pool->lock);
    if (pool->quiesced || pool->adding || pool->renewals == 0
        || pool->parked >= pool->setup.parked_max) {
        return 0;
    }
    for (pw_member_t *m = pool->members; m; m = m->next) {
        if (m->trial || m->renew || m->retire || m->replace
            || m->state == PW_DRAINING) {
            return 0;
        }
    }
    return 1;
}

void pw_pool_count_locked(pw_pool_t *pool, pw_member_t *m)
{
    pw_lock_assert(&pool->lock);
    if (m->renew_at && m->served >= m->renew_at && may_renew_locked(pool)) {
        m->renew = 1;
        pool->adding = 1;
        if (pool->renewals > 0) {
            pool->renewals--;
        }
        pw_cond_broadcast(&pool->work);
    }
}

void pw_pool_retry(pw_pool_t *pool, int slot)
{
    pw_lock_take(&pool->lock);
    pool->slots[slot].retry_at = 0;
    pw_lock_release(&pool->lock);
}

/* ---- what a member's thread is to do ----------------------------------- */

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

/* Is it this member's thread that adds the next one? */
static int grows_locked(pw_pool_t *pool, const pw_member_t *m)
{
    pw_lock_assert(&pool->lock);
    return pw_pool_is_serving(m) && has_loaded(m) && !pool->adding
           && !pool->quiesced && count_live_locked(pool) < pool->target
           && pw_now() >= pool->grow_at;
}

/* What is to be done with a member that lives on in the pool, or leaves it. */
static int change_command_locked(pw_pool_t *pool, pw_member_t *m,
                                 pw_command_e *command)
{
    pw_lock_assert(&pool->lock);
    if (m->retire && (m->state == PW_READY || m->state == PW_BROKEN)) {
        change_locked(m, PW_DRAINING);
    }
    if (m->leases == 0 && m->holds == 0
        && (m->state == PW_DRAINING || (m->retire && m->state == PW_NEW))) {
        *command = PW_DO_END;
        return 1;
    }
    if (m->state != PW_DRAINING && m->replace) {
        *command = PW_DO_REPLACE;
        return 1;
    }
    if (m->state == PW_READY && m->renew == 1) {
        *command = PW_DO_RENEW;
        return 1;
    }
    return 0;
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
    if (change_command_locked(pool, m, command)) {
        return 1;
    }
    if (m->state < PW_DRAINING && !pool->stopping) {
        *slot = wanted_locked(pool, m);
        if (*slot >= 0) {
            *command = PW_DO_LOAD;
            return 1;
        }
        if (grows_locked(pool, m)) {
            *command = PW_DO_GROW;
            return 1;
        }
    }
    *command = PW_DO_REAP;
    return m->reap;
}

static pw_instant_t look_again_locked(pw_pool_t *pool)
{
    pw_lock_assert(&pool->lock);
    if (pool->stopping) {
        return pool->drained_by;
    }
    return pool->grow_at && !pool->quiesced
                   && count_live_locked(pool) < pool->target
               ? pool->grow_at
               : PW_NEVER;
}

pw_command_e pw_pool_next(pw_member_t *member, int *slot)
{
    pw_pool_t *pool = member->pool;
    pw_command_e command;

    pw_lock_take(&pool->lock);
    while (!command_locked(pool, member, &command, slot)) {
        pw_cond_wait(&pool->work, &pool->lock, look_again_locked(pool));
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
    else if (command == PW_DO_GROW) {
        pool->adding = 1;
        pool->grow_at = 0;
    }
    else if (command == PW_DO_RENEW) {
        member->renew = 2;
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

/* ---- loads and trials -------------------------------------------------- */

/* The others load it too, now that it is known to. */
static void spread_locked(pw_member_t *m, int slot)
{
    pw_lock_assert(&m->pool->lock);
    for (pw_member_t *o = m->pool->members; o; o = o->next) {
        if (o != m && pw_pool_is_live(o)
            && (o->slots[slot] == PW_SLOT_IDLE
                || o->slots[slot] == PW_SLOT_FAILED)) {
            o->slots[slot] = PW_SLOT_WANTED;
            pw_cond_broadcast(&m->pool->work);
        }
    }
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
    else {
        s->missed = 0;
        if (!m->trial) {
            spread_locked(m, slot);
        }
    }
    s->failure = result;
}

/* Has it loaded, or tried to, all that it is to have? */
static int is_settled(const pw_member_t *m)
{
    for (int i = 0; i < m->pool->setup.slots; i++) {
        if (m->slots[i] == PW_SLOT_WANTED || m->slots[i] == PW_SLOT_LOADING) {
            return 0;
        }
    }
    return 1;
}

/* Does it lack what another serves? */
static int falls_short_locked(const pw_member_t *m)
{
    pw_lock_assert(&m->pool->lock);
    for (int i = 0; i < m->pool->setup.slots; i++) {
        if (m->slots[i] != PW_SLOT_LOADED
            && pw_pool_serving_locked(m->pool, i)) {
            return 1;
        }
    }
    return 0;
}

/* The pool stays as it is for a while. */
static void fail_trial_locked(pw_member_t *m)
{
    pw_member_t *old = m->renewed;

    pw_lock_assert(&m->pool->lock);
    m->retire = PW_RETIRE_FAILED;
    m->renewed = NULL;
    if (old) {
        old->renew = 0;
        old->renew_at = old->served + m->pool->setup.max_requests;
    }
    m->pool->grow_at = pw_now() + RETRY_LAST;
}

static pw_trial_e judge_locked(pw_member_t *m)
{
    pw_pool_t *pool = m->pool;
    pw_trial_e result = PW_TRIAL_NONE;

    pw_lock_assert(&pool->lock);
    if (m->trial && falls_short_locked(m)) {
        if (m->state == PW_BROKEN || is_settled(m)) {
            fail_trial_locked(m);
            result = PW_TRIAL_FAILED;
        }
    }
    else if (m->trial && m->state == PW_READY && is_settled(m)) {
        m->trial = 0;
        result = PW_TRIAL_PASSED;
        if (m->renewed) {
            m->renewed->retire = PW_RETIRE_RENEWED;
            m->renewed = NULL;
        }
    }
    pw_cond_broadcast(&pool->work);
    pw_queue_changed_locked(pool);
    return result;
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
    judge_locked(member);
    pw_lock_release(&pool->lock);
}

pw_trial_e pw_pool_loaded(pw_member_t *member, int slot, pw_lease_e result)
{
    pw_trial_e trial;

    pw_lock_take(&member->pool->lock);
    record_locked(member, slot, result);
    trial = judge_locked(member);
    pw_lock_release(&member->pool->lock);
    return trial;
}

void pw_pool_drain(pw_member_t *member)
{
    pw_lock_take(&member->pool->lock);
    change_locked(member, PW_DRAINING);
    member->replace = 0;
    pw_queue_changed_locked(member->pool);
    pw_lock_release(&member->pool->lock);
}

void pw_pool_forgo(pw_pool_t *pool)
{
    pw_lock_take(&pool->lock);
    pool->adding = 0;
    pool->grow_at = pw_now() + RETRY_LAST;
    pw_queue_changed_locked(pool);
    pw_lock_release(&pool->lock);
}

void pw_pool_keep(pw_member_t *member)
{
    pw_pool_t *pool = member->pool;

    pw_lock_take(&pool->lock);
    member->replace = 0;
    if (member->renew) {
        member->renew = 0;
        member->renew_at = member->served + pool->setup.max_requests;
    }
    pool->adding = 0;
    pool->grow_at = pw_now() + RETRY_LAST;
    for (int i = 0; i < pool->setup.slots; i++) {
        if (member->slots[i] == PW_SLOT_FAILED) {
            pool->slots[i].retry_at = pw_now() + pool->slots[i].delay;
        }
    }
    pw_queue_changed_locked(pool);
    pw_lock_release(&pool->lock);
}

/* Nobody is to take the place of a member that is no more. */
static void unlink_locked(pw_pool_t *pool, pw_member_t *member)
{
    pw_member_t **at = &pool->members;

    pw_lock_assert(&pool->lock);
    while (*at != member) {
        at = &(*at)->next;
    }
    *at = member->next;
    for (pw_member_t *m = pool->members; m; m = m->next) {
        if (m->renewed == member) {
            m->renewed = NULL;
        }
    }
}

void pw_pool_ended(pw_member_t *member, pw_state_e state)
{
    pw_pool_t *pool = member->pool;

    pw_lock_take(&pool->lock);
    change_locked(member, state);
    if (state == PW_DEAD) {
        unlink_locked(pool, member);
    }
    else {
        pool->parked++;
        member->retire = 0; /* it is done with: others are replaced again */
        member->renew = 0;
    }
    pw_cond_broadcast(&pool->work);
    pw_queue_changed_locked(pool);
    pw_lock_release(&pool->lock);
}

void pw_pool_nudge(pw_member_t *member)
{
    pw_lock_take(&member->pool->lock);
    member->reap = 1;
    pw_cond_broadcast(&member->pool->work);
    pw_lock_release(&member->pool->lock);
}

void pw_pool_unhold(pw_member_t *member, int count)
{
    pw_lock_take(&member->pool->lock);
    member->holds -= count;
    pw_lock_release(&member->pool->lock);
}

/* ---- from outside ------------------------------------------------------ */

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
    pw_queue_changed_locked(pool);
    pw_cond_broadcast(&pool->work);
    pw_lock_release(&pool->lock);
}

/* The newest member that serves, of which there are others. */
static void retire_newest_locked(pw_pool_t *pool)
{
    pw_lock_assert(&pool->lock);
    for (pw_member_t *m = pool->members; m; m = m->next) {
        if (pw_pool_is_live(m) && !m->renew && !m->renewed) {
            m->retire = PW_RETIRE_SURPLUS;
            return;
        }
    }
}

int pw_pool_resize(pw_pool_t *pool, int target)
{
    int before;

    pw_lock_take(&pool->lock);
    before = pool->target;
    target = at_least(target, pool->setup.least);
    pool->target = target < pool->setup.most ? target : pool->setup.most;
    for (int n = count_live_locked(pool);
         n > pool->target && pool->parked < pool->setup.parked_max; n--) {
        retire_newest_locked(pool);
    }
    pw_cond_broadcast(&pool->work);
    pw_lock_release(&pool->lock);
    return before;
}

int pw_pool_unload(pw_pool_t *pool)
{
    int begun = 0;

    pw_lock_take(&pool->lock);
    if (pool->running == 0 && pool->waiting == 0 && !pool->adding
        && !pool->quiesced && pool->renewals != 0
        && pool->parked < pool->setup.parked_max) {
        for (pw_member_t *m = pool->members; m; m = m->next) {
            if (m->state == PW_READY || m->state == PW_BROKEN) {
                begun |= !m->retire;
                m->retire = PW_RETIRE_IDLE;
            }
        }
        for (int i = 0; i < pool->setup.slots; i++) {
            pool->slots[i].asked = 0;
        }
        pool->target = pool->setup.least;
        if (begun && pool->renewals > 0) {
            pool->renewals--;
        }
        pw_cond_broadcast(&pool->work);
    }
    pw_lock_release(&pool->lock);
    return begun;
}

void pw_pool_each(pw_pool_t *pool,
                  void (*function)(void *baton, const pw_member_t *member),
                  void *baton)
{
    pw_lock_take(&pool->lock);
    for (const pw_member_t *m = pool->members; m; m = m->next) {
        function(baton, m);
    }
    pw_lock_release(&pool->lock);
}
