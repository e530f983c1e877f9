/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_keeper: one thread, one semaphore. A semaphore, because prefork ends a
 * child inside its signal handler, where no lock may be taken.
 */
#include "pw_keeper.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "pw_lock.h"

enum { ASKED_QUIESCE = 1, ASKED_STOP = 2, ASKED_DONE = 4 };

struct pw_keeper_t {
    pw_keeper_setup_t setup; /* const: */
    pthread_t thread;        /* const: */
    sem_t wake;              /* posted after each change of asked */
    int asked;               /* atomic: ASKED_* */
    int watching;            /* atomic: setup.watch is being called */
    pw_instant_t tick_at;    /* keeper: */
};

#define WATCH_INTERVAL 5000 /* microseconds: CPython's switch interval */

static void wait_until(pw_keeper_t *k, pw_instant_t until)
{
    struct timespec ts;

    if (until == PW_NEVER) {
        sem_wait(&k->wake);
        return;
    }
    ts = pw_instant_timespec(until);
    sem_clockwait(&k->wake, CLOCK_MONOTONIC, &ts);
}

/* One look by the owner. It is asked once more after watching has ended: who
 * came in between has seen that someone watches. */
static void keeper_look(pw_keeper_t *k)
{
    if (!k->setup.watch(k->setup.baton)) {
        __atomic_store_n(&k->watching, 0, __ATOMIC_SEQ_CST);
        if (k->setup.watch(k->setup.baton)) {
            __atomic_store_n(&k->watching, 1, __ATOMIC_SEQ_CST);
        }
    }
}

/* Ticks if it is time to, and not after the stop; returns the next time. */
static pw_instant_t keeper_tick(pw_keeper_t *k, pw_instant_t deadline)
{
    if (deadline != PW_NEVER) {
        return PW_NEVER;
    }
    if (pw_now() >= k->tick_at) {
        k->tick_at = pw_now() + k->setup.tick(k->setup.baton);
    }
    return k->tick_at;
}

/* Returns what has been asked for, when that has changed or at the deadline. */
static int keeper_wait(pw_keeper_t *k, int seen, pw_instant_t deadline)
{
    int asked = __atomic_load_n(&k->asked, __ATOMIC_ACQUIRE);

    while (asked == seen && (deadline == PW_NEVER || pw_now() < deadline)) {
        pw_instant_t until = keeper_tick(k, deadline);

        if (until > deadline) {
            until = deadline;
        }
        if (__atomic_load_n(&k->watching, __ATOMIC_SEQ_CST)) {
            until = pw_now() + WATCH_INTERVAL;
            keeper_look(k);
        }
        wait_until(k, until);
        asked = __atomic_load_n(&k->asked, __ATOMIC_ACQUIRE);
    }
    return asked;
}

static void *keeper_main(void *keeper)
{
    pw_keeper_t *k = keeper;
    pw_instant_t deadline = PW_NEVER;
    int seen = 0;

    while (!(seen & ASKED_DONE)) {
        int asked = keeper_wait(k, seen, deadline);

        if (asked == seen) {
            k->setup.deadline(k->setup.baton);
            _exit(0);
        }
        if ((asked & ~seen) & ASKED_QUIESCE) {
            k->setup.quiesce(k->setup.baton);
        }
        if ((asked & ~seen) & ASKED_STOP) {
            deadline = pw_now() + k->setup.timeout;
            k->setup.stop(k->setup.baton);
        }
        seen = asked;
    }
    return NULL;
}

apr_status_t pw_keeper_start(apr_pool_t *cpool, const pw_keeper_setup_t *setup,
                             pw_keeper_t **keeper)
{
    pw_keeper_t *k = apr_pcalloc(cpool, sizeof(*k));
    sigset_t all, old;
    int rc;

    k->setup = *setup;
    if (sem_init(&k->wake, 0, 0) != 0) {
        return errno;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&k->thread, NULL, keeper_main, k);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    *keeper = k;
    return rc;
}

static void ask(pw_keeper_t *k, int what)
{
    __atomic_fetch_or(&k->asked, what, __ATOMIC_RELEASE);
    sem_post(&k->wake);
}

void pw_keeper_watch(pw_keeper_t *keeper)
{
    if (!__atomic_exchange_n(&keeper->watching, 1, __ATOMIC_SEQ_CST)) {
        sem_post(&keeper->wake);
    }
}

void pw_keeper_quiesce(pw_keeper_t *keeper)
{
    ask(keeper, ASKED_QUIESCE);
}

void pw_keeper_stop(pw_keeper_t *keeper)
{
    ask(keeper, ASKED_STOP);
}

void pw_keeper_done(pw_keeper_t *keeper)
{
    ask(keeper, ASKED_DONE);
}

void pw_keeper_join(pw_keeper_t *keeper)
{
    pthread_join(keeper->thread, NULL);
}
