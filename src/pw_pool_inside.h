/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_pool_inside: the inside of a pool, for its two files only: pw_pool.c has
 * the members and what their threads do, pw_queue.c the calls.
 */
#ifndef PW_POOL_INSIDE_H
#define PW_POOL_INSIDE_H

#include "pw_pool.h"

/* What the pool remembers of an application, whatever member it is in. */
typedef struct slot_t {
    int asked;                 /* lock: a request wanted it once */
    int waiters;               /* lock: requests waiting for it now */
    pw_instant_t missed;       /* lock: since when requests find it not loaded;
                                * 0: it is */
    pw_lease_e failure;        /* lock: of the last load, OK if none */
    apr_interval_time_t delay; /* lock: before the retry that is next */
    pw_instant_t retry_at;     /* lock: no earlier than this */
} slot_t;

struct pw_pool_t {
    pw_pool_setup_t setup; /* const: */
    pw_lock_t lock;
    pw_cond_t work;
    pw_member_t *members;      /* lock: the newest first */
    pw_turn_t *first, *last;   /* lock: the queue */
    slot_t *slots;             /* lock: */
    int running;               /* lock: calls in members */
    int waiting;               /* lock: calls in the queue */
    int places;                /* const: calls at a time, in all members */
    apr_uint64_t granted;      /* lock: leases ever given */
    pw_instant_t used;         /* lock: when the last of these was asked for */
    int target;                /* lock: members to have */
    int adding;                /* lock: someone is adding a member now */
    pw_instant_t grow_at;      /* lock: not before this, after a failure */
    int fresh;                 /* lock: members asked for to replace another */
    int renewals;              /* lock: replacements that are left; -1: any */
    int parked;                /* lock: members in the state PARKED */
    int refused;               /* lock: since the last record of it */
    pw_instant_t refused_from; /* lock: the first of these */
    pw_instant_t recorded;     /* lock: the last record; 0 */
    int quiesced;              /* lock: */
    int stopping;              /* lock: */
    pw_instant_t drained_by;   /* lock: when stopping */
};

/* It serves, or may come to without being asked. */
static inline int pw_pool_is_live(const pw_member_t *m)
{
    return m->state <= PW_READY && !m->retire;
}

static inline int pw_pool_is_serving(const pw_member_t *m)
{
    return m->state == PW_READY && !m->retire && !m->trial && !m->replace;
}

/* ---- pw_pool.c ---- */

/* Does a member serve the slot; may one come to without being asked? */
int pw_pool_serving_locked(pw_pool_t *pool, int slot) PW_REQUIRES(pool->lock);
int pw_pool_coming_locked(pw_pool_t *pool, int slot) PW_REQUIRES(pool->lock);
int pw_pool_comes(const pw_member_t *member, int slot);

/* Is there no member that could be asked? */
int pw_pool_empty_locked(pw_pool_t *pool) PW_REQUIRES(pool->lock);

/* Asks some member for the slot: an idle one to load it, or one in which it
 * failed to try again, itself or by its replacement. */
void pw_pool_ask_locked(pw_pool_t *pool, int slot) PW_REQUIRES(pool->lock);

/* The member has been leased: is its number full? */
void pw_pool_count_locked(pw_pool_t *pool, pw_member_t *member)
    PW_REQUIRES(pool->lock);

/* ---- pw_queue.c ---- */

/* Gives what is free to those who wait, in their order; then everyone who
 * still waits looks again. */
void pw_queue_changed_locked(pw_pool_t *pool) PW_REQUIRES(pool->lock);

#endif
