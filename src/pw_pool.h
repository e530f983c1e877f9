/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_pool: the instances of one interpreter in this child: which may be
 * leased, what each one's thread has to do next, and who waits. It knows no
 * Python and no httpd; a member is the first field of a pw_instance_t (or of a
 * unit test's fake).
 *
 * MEMBERS. A member has a state (the table in pw_pool.c is the law):
 *
 *   NEW -> LOADING -> READY -> DRAINING -> DEAD     ended
 *             |                   `------> PARKED   threads remained: left
 *             `-> BROKEN -> DRAINING                could not be created
 *
 * SLOTS. An application is a slot of its pool, the same number in every
 * member. A member that is READY holds each slot IDLE (nobody asked), WANTED,
 * LOADING, LOADED or FAILED. A lease needs READY and LOADED.
 *
 * COMMANDS. A member's own thread calls pw_pool_next in a loop and does what
 * it says. Nobody else changes a member's state, except that a fresh retry
 * asks a member to be replaced.
 *
 * FAILURE. A failed slot answers at once, until a retry is due: its delay
 * (1 s, doubled to 60 s) is over, or pw_pool_retry says that its file changed.
 * The retry happens in place where another slot of the member is loaded,
 * loading or wanted, or where the pool may not replace (any more): its bound is
 * reached, or too many members are parked. Else a fresh member is asked for.
 *
 * SIZE. The pool has a target between `least` and `most`. The first member is
 * added from outside; when it has loaded what it can, it adds the others
 * (PW_DO_GROW). Above the target the member that came last retires: it drains
 * and ends. A member that is added while another serves is on TRIAL: it gets
 * no lease before it has loaded what the others have, and retires where it
 * cannot. A member that has served its number of requests is replaced by such
 * a one, one member of the pool at a time: the old one retires when the new
 * one has passed its trial.
 *
 * LEASES. A request is given the member with the fewest calls, of equals that
 * which its thread had last; no member runs more than `concurrency` calls,
 * and all together, those that drain among them, not more than `most` times
 * that: a member that hangs and is replaced takes no further threads. Else it
 * waits in one queue for the whole pool, first come, first served, as long as
 * the limits allow.
 */
#ifndef PW_POOL_H
#define PW_POOL_H

#include <apr_pools.h>

#include "pw_lock.h"
#include "pw_stats.h"

typedef enum {
    PW_NEW = 0,
    PW_LOADING,
    PW_READY,
    PW_DRAINING,
    PW_PARKED,
    PW_DEAD,
    PW_BROKEN
} pw_state_e;

typedef enum {
    PW_SLOT_IDLE = 0,
    PW_SLOT_WANTED,
    PW_SLOT_LOADING,
    PW_SLOT_LOADED,
    PW_SLOT_FAILED
} pw_slot_e;

typedef enum {
    PW_LEASE_OK = 0,
    PW_LEASE_FAILED,   /* did not load: 500 */
    PW_LEASE_CLOSED,   /* its script is missing or may not be read: 503 */
    PW_LEASE_TIMEOUT,  /* not loaded in time: 503 */
    PW_LEASE_STOPPING, /* the child is ending: 503 */
    PW_LEASE_FULL,     /* the queue is full: 503 */
    PW_LEASE_STUCK,    /* every place is held by a call older than the queue's
                        * timeout, nobody waits for that: 503 */
    PW_LEASE_LATE,     /* waited for the queue's timeout: 503 */
    PW_LEASE_NONE,     /* the pool is empty: the caller, and nobody else, is to
                        * add a member and ask again */
    PW_LEASE_LIMIT     /* the caller may not: 503. Never of a pool itself */
} pw_lease_e;

typedef enum {
    PW_DO_LOAD = 0, /* create the interpreter if there is none, load *slot */
    PW_DO_REAP,     /* delete thread states of threads that ended */
    PW_DO_REPLACE,  /* put a fresh member beside this one, then drain it */
    PW_DO_RENEW,    /* put a member on trial beside this one, for its place */
    PW_DO_GROW,     /* add a member */
    PW_DO_END,      /* drained: end the interpreter in the living child */
    PW_DO_STOP      /* the child ends: atexit, threads; do not end it */
} pw_command_e;

/* Why a member drains and ends. */
typedef enum {
    PW_STAY = 0,
    PW_RETIRE_FAILED,  /* another takes its place after a failed load, or it did
                        * not pass its trial */
    PW_RETIRE_RENEWED, /* it has served its number of requests */
    PW_RETIRE_SURPLUS, /* there are more than are needed */
    PW_RETIRE_IDLE     /* nobody has asked for long */
} pw_retire_e;

typedef struct pw_pool_t pw_pool_t;
typedef struct pw_turn_t pw_turn_t;

typedef struct pw_member_t {
    pw_pool_t *pool;             /* const: */
    struct pw_member_t *next;    /* lock: the oldest member comes last */
    struct pw_member_t *renewed; /* lock: whose place it is to take, NULL */
    pw_turn_t *oldest, *latest;  /* lock: the calls in it */
    pw_state_e state;            /* lock: */
    pw_instant_t since;          /* lock: it is in this state */
    int leases;                  /* lock: calls in it */
    int holds;                 /* lock: what outlives calls; below 0 only while
                                  * there are calls */
    apr_uint64_t served;       /* lock: leases given */
    apr_uint64_t renew_at;     /* lock: served so many it is to be replaced;
                                  * 0: never */
    int trial;                 /* lock: not to be leased yet */
    int replace;               /* lock: its thread shall replace it */
    int renew;                 /* lock: its thread shall add its successor */
    pw_retire_e retire;        /* lock: it shall drain */
    int reap;                  /* lock: its thread shall reap */
    unsigned char *slots;      /* lock: pw_slot_e of each application */
    pw_stat_instance_t *stats; /* const: where its state is shown, or NULL;
                                  * until it is DEAD */
} pw_member_t;

/* One request on its way through a pool: on the stack of its thread, linked
 * into the queue or its member until it is returned. */
struct pw_turn_t {
    int slot;               /* caller: */
    const char *method;     /* caller: "GET"; as long as the call */
    const char *path;       /* caller: likewise, for records */
    pw_instant_t patience;  /* caller: how long to wait for a load, us */
    pw_instant_t now;       /* caller: when it comes, where the clock has just
                            * been read; else 0 */
    const void *last;       /* caller: the member that this thread had last, a
                             * number to compare; or NULL */
    pw_member_t *member;    /* lock: where it runs; NULL: nowhere yet */
    pw_turn_t *next, *prev; /* lock: */
    pw_instant_t asked;     /* when it came */
    pw_instant_t queued; /* lock: since when its slot only lacks a place; 0 */
    pw_instant_t leased; /* lock: when it got its member */
    int held;            /* caller: holds that it leaves behind, less those
                             * that it has dropped; for the return */
    int excess;     /* lock: beyond the limits, while its application loads */
    pw_cond_t wake; /* made where it waits */
};

typedef struct pw_pool_setup_t {
    int slots;                  /* applications */
    const unsigned char *lazy;  /* by slot: 1 loads on its first request */
    int fresh_retries;          /* so many failed loads are retried in a fresh
                                * member, later ones in place; 0: all are */
    int least, most;            /* members, at least 1; 0 is taken for 1 */
    int concurrency;            /* calls of one member; 0: no bound */
    int queue_limit;            /* waiting calls; -1: no bound */
    pw_instant_t queue_timeout; /* microseconds; 0: no bound */
    apr_uint64_t max_requests;  /* a member is replaced after so many; 0: never.
                                 * Each member's own number is up to a tenth
                                 * less, so that they do not end at once */
    int renewals;               /* so many replacements of that kind; -1: any */
    int parked_max;             /* with so many parked members none ends any
                                 * more; 0: 8 */
} pw_pool_setup_t;

/* In cpool, of which it becomes a part; call before other threads run. */
pw_pool_t *pw_pool_create(apr_pool_t *cpool, const pw_pool_setup_t *setup);

/*
 * Adds a member: state NEW, its slots WANTED (IDLE where lazy and never asked
 * for). renewed: the member whose place it is to take, or NULL. The caller then
 * starts its thread, and owns member and slots. Any thread.
 */
void pw_pool_add(pw_pool_t *pool, pw_member_t *member, pw_member_t *renewed);

/* Any thread: the member that the pool has told its caller to add cannot be
 * had. */
void pw_pool_forgo(pw_pool_t *pool);

/*
 * Worker, not attached. Leases a member in which the slot is loaded; waits in
 * the queue, while a load may come, or as long as a retry that is due takes.
 * FAILED and CLOSED say how the last load ended. OK: the call must be
 * returned; else it is linked nowhere.
 */
pw_lease_e pw_pool_lease(pw_pool_t *pool, pw_turn_t *call);
void pw_pool_return(pw_turn_t *call);

/* A failed slot's file has changed: the next lease tries it again at once. */
void pw_pool_retry(pw_pool_t *pool, int slot);

/* The member's own thread: waits for the next thing to do. Before PW_DO_LOAD
 * it has marked the slot LOADING and, for a NEW member, the state LOADING. */
pw_command_e pw_pool_next(pw_member_t *member, int *slot);

/* Own thread: the interpreter exists. LOADING -> READY. */
void pw_pool_created(pw_member_t *member);

/* Own thread: it could not be created. LOADING -> BROKEN; all its wanted slots
 * fail. */
void pw_pool_broken(pw_member_t *member);

/* What became of a trial. */
typedef enum {
    PW_TRIAL_NONE = 0, /* it is not over, or there was none */
    PW_TRIAL_PASSED,   /* it serves; whose place it took drains */
    PW_TRIAL_FAILED    /* it drains; the others serve on */
} pw_trial_e;

/* Own thread: the slot's load has ended: PW_LEASE_OK, _FAILED or _CLOSED. */
pw_trial_e pw_pool_loaded(pw_member_t *member, int slot, pw_lease_e result);

/* Own thread: how long (microseconds) after a failure now a retry is due. */
apr_interval_time_t pw_pool_retry_delay(pw_member_t *member, int slot);

/* Own thread, at PW_DO_REPLACE, after the fresh member was added: no lease
 * goes here any more. READY or BROKEN -> DRAINING. */
void pw_pool_drain(pw_member_t *member);

/* Own thread, at PW_DO_REPLACE, PW_DO_RENEW or PW_DO_GROW, where no member can
 * be had: all stays as it was; failed slots wait for their delay again, and
 * the pool is content with the members it has. */
void pw_pool_keep(pw_member_t *member);

/* Own thread, last: DEAD (the member may be freed afterwards) or PARKED. */
void pw_pool_ended(pw_member_t *member, pw_state_e state);

/* Any thread: there are thread states to reap in the member, or references to
 * drop. */
void pw_pool_nudge(pw_member_t *member);

/* Own thread: it has dropped so many holds. */
void pw_pool_unhold(pw_member_t *member, int count);

/* Keeper: background loads stop; waiting requests are answered STOPPING. */
void pw_pool_quiesce(pw_pool_t *pool);

/* Keeper: every member gets PW_DO_STOP as soon as it has no lease, and at
 * drained_by in any case. Gives up where the lock cannot be had by then. */
void pw_pool_stop(pw_pool_t *pool, pw_instant_t drained_by);

/* Would a retry of this slot, if it fails, be made in a fresh member? For the
 * record of the failure. */
int pw_pool_retries_fresh(pw_member_t *member, int slot);

/* Any thread: the number of members to have, of least to most. Returns what it
 * was. */
int pw_pool_resize(pw_pool_t *pool, int target);

/* Any thread: every member that has loaded, or failed to, drains and ends,
 * unless a call is under way or waits; then the next call finds the pool empty
 * (PW_LEASE_NONE). One that is new is somebody's who is about to ask. Returns
 * whether there was anything to end, and that has begun. */
int pw_pool_unload(pw_pool_t *pool);

/* A look at the pool from outside. */
typedef struct pw_pool_look_t {
    int members;          /* that serve or may come to */
    int serving;          /* of them, READY and not on trial */
    int draining;         /* members on their way out */
    int parked;           /* members left behind */
    int target;           /* members wanted */
    int capacity;         /* calls at a time, when all serve; 0: no bound */
    int running;          /* calls in members */
    int waiting;          /* calls in the queue */
    int starving;         /* of them, those that only lack a place */
    apr_uint64_t granted; /* leases ever given */
    pw_instant_t used;    /* when the last call that was leased came; 0 */
    pw_instant_t oldest;  /* when the oldest running call was leased; 0 */
    char what[200];       /* "GET /path" of that, "" */
} pw_pool_look_t;

void pw_pool_look(pw_pool_t *pool, pw_pool_look_t *look);

/* The members in turn, the oldest last, under the pool's lock: the function
 * must be short and take no lock. Any thread. */
void pw_pool_each(pw_pool_t *pool,
                  void (*function)(void *baton, const pw_member_t *member),
                  void *baton);

/* What the pool has refused (FULL, STUCK, LATE) since its last record. */
typedef struct pw_refusals_t {
    int count;
    pw_instant_t span; /* since the first of them, microseconds */
    int queue_limit;
    pw_pool_look_t look;
} pw_refusals_t;

#define PW_REFUSALS_EVERY (10 * APR_USEC_PER_SEC)

/* Any thread: 1 where a record of refusals is due: at the first, and then no
 * oftener than PW_REFUSALS_EVERY. */
int pw_pool_refusals(pw_pool_t *pool, pw_refusals_t *refusals);

/* "NEW", "LOADING", ... */
const char *pw_state_name(pw_state_e state);

#endif
