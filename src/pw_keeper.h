/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_keeper: the one thread of a child that watches clocks. It never attaches
 * to an interpreter, so nothing that Python does can stop it: at the end of
 * the child it is what keeps the promise of WSGIShutdownTimeout.
 */
#ifndef PW_KEEPER_H
#define PW_KEEPER_H

#include <apr.h>
#include <apr_pools.h>
#include <apr_time.h>

typedef struct pw_keeper_t pw_keeper_t;

typedef struct pw_keeper_setup_t {
    void *baton;
    apr_interval_time_t timeout;   /* from stop to _exit, microseconds */
    void (*quiesce)(void *baton);  /* keeper: background loads stop */
    void (*stop)(void *baton);     /* keeper: every instance is to stop */
    void (*deadline)(void *baton); /* keeper: logs what remains */
    apr_interval_time_t (*tick)(void *baton); /* keeper: until the stop; in how
                                               * long to call it again, us */
    int (*watch)(void *baton); /* keeper: every 5 ms from pw_keeper_watch
                                * until it returns 0 */
} pw_keeper_setup_t;

/* Starts the thread. Child start thread; the keeper lives as long as cpool. */
apr_status_t pw_keeper_start(apr_pool_t *cpool, const pw_keeper_setup_t *setup,
                             pw_keeper_t **keeper);

/* Async-signal-safe, any thread, any number of times. */
void pw_keeper_quiesce(pw_keeper_t *keeper);
void pw_keeper_stop(pw_keeper_t *keeper);

/* Any thread: begins to call `watch`, if it is not being called. */
void pw_keeper_watch(pw_keeper_t *keeper);

/* Any thread: all instances have stopped; the keeper ends. */
void pw_keeper_done(pw_keeper_t *keeper);

/* Waits until the keeper has ended (or has ended the process). */
void pw_keeper_join(pw_keeper_t *keeper);

#endif
