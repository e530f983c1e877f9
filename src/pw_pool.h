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
 * reached, or 8 members are parked. Else a fresh member is asked for.
 */
#ifndef PW_POOL_H
#define PW_POOL_H

#include <apr_pools.h>

#include "pw_lock.h"

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
    PW_LEASE_FAILED,  /* did not load: 500 */
    PW_LEASE_CLOSED,  /* its script is missing or may not be read: 503 */
    PW_LEASE_TIMEOUT, /* not loaded in time: 503 */
    PW_LEASE_STOPPING /* the child is ending: 503 */
} pw_lease_e;

typedef enum {
    PW_DO_LOAD = 0, /* create the interpreter if there is none, load *slot */
    PW_DO_REAP,     /* delete thread states of threads that ended */
    PW_DO_REPLACE,  /* put a fresh member beside this one, then drain it */
    PW_DO_END,      /* drained: end the interpreter in the living child */
    PW_DO_STOP      /* the child ends: atexit, threads; do not end it */
} pw_command_e;

typedef struct pw_pool_t pw_pool_t;

typedef struct pw_member_t {
    pw_pool_t *pool;          /* const: */
    struct pw_member_t *next; /* lock: */
    pw_state_e state;         /* lock: */
    int leases;               /* lock: requests running in it */
    int replace;              /* lock: its thread shall replace it */
    int reap;                 /* lock: its thread shall reap thread states */
    unsigned char *slots;     /* lock: pw_slot_e of each application */
} pw_member_t;

typedef struct pw_pool_setup_t {
    int slots;                 /* applications */
    const unsigned char *lazy; /* by slot: 1 loads on its first request */
    int fresh_retries;         /* so many failed loads are retried in a fresh
                                * member, later ones in place; 0: all are */
} pw_pool_setup_t;

/* In cpool, of which it becomes a part; call before other threads run. */
pw_pool_t *pw_pool_create(apr_pool_t *cpool, const pw_pool_setup_t *setup);

/* Adds a member: state NEW, its slots WANTED (IDLE where lazy and never asked
 * for). The caller then starts its thread, and owns member and slots. Any
 * thread. */
void pw_pool_add(pw_pool_t *pool, pw_member_t *member);

/*
 * Worker, not attached. Leases the least-loaded member in which the slot is
 * loaded; waits while one may come, or as long as a retry that is due takes.
 * FAILED and CLOSED say how the last load ended.
 */
pw_lease_e pw_pool_lease(pw_pool_t *pool, int slot, pw_instant_t deadline,
                         pw_member_t **member);
void pw_pool_return(pw_member_t *member);

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

/* Own thread: the slot's load has ended: PW_LEASE_OK, _FAILED or _CLOSED. */
void pw_pool_loaded(pw_member_t *member, int slot, pw_lease_e result);

/* Own thread: how long (microseconds) after a failure now a retry is due. */
apr_interval_time_t pw_pool_retry_delay(pw_member_t *member, int slot);

/* Own thread, at PW_DO_REPLACE, after the fresh member was added: no lease
 * goes here any more. READY or BROKEN -> DRAINING. */
void pw_pool_drain(pw_member_t *member);

/* Own thread, at PW_DO_REPLACE, where no fresh member can be had: this one
 * stays as it was, and its failed slots wait for their delay again. */
void pw_pool_keep(pw_member_t *member);

/* Own thread, last: DEAD (the member may be freed afterwards) or PARKED. */
void pw_pool_ended(pw_member_t *member, pw_state_e state);

/* Any thread: there are thread states to reap in the member. */
void pw_pool_nudge(pw_member_t *member);

/* Keeper: background loads stop; waiting requests are answered STOPPING. */
void pw_pool_quiesce(pw_pool_t *pool);

/* Keeper: every member gets PW_DO_STOP as soon as it has no lease, and at
 * drained_by in any case. Gives up where the lock cannot be had by then. */
void pw_pool_stop(pw_pool_t *pool, pw_instant_t drained_by);

/* Would a retry of this slot, if it fails, be made in a fresh member? For the
 * record of the failure. */
int pw_pool_retries_fresh(pw_member_t *member, int slot);

/* "NEW", "LOADING", ... */
const char *pw_state_name(pw_state_e state);

#endif
