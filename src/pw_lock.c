/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_lock: thin over pthreads. The only place that calls pthread_mutex_* and
 * pthread_cond_*; see the header for why and for the lock order.
 */
#include "pw_lock.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

pw_instant_t pw_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (pw_instant_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* A debug build's mutexes know their owner: see pw_lock_assert. */
#ifdef PW_DEBUG
#define MUTEX_KIND PTHREAD_MUTEX_ERRORCHECK
#else
#define MUTEX_KIND PTHREAD_MUTEX_DEFAULT
#endif

void pw_lock_init(pw_lock_t *lock)
{
    pthread_mutexattr_t attr;

    if (pthread_mutexattr_init(&attr) != 0
        || pthread_mutexattr_settype(&attr, MUTEX_KIND) != 0
        || pthread_mutex_init(&lock->mutex, &attr) != 0) {
        abort();
    }
    pthread_mutexattr_destroy(&attr);
}

void pw_lock_destroy(pw_lock_t *lock)
{
    pthread_mutex_destroy(&lock->mutex);
}

void pw_lock_take(pw_lock_t *lock) PW_TSA(no_thread_safety_analysis)
{
    if (pthread_mutex_lock(&lock->mutex) != 0) {
        abort();
    }
}

void pw_lock_release(pw_lock_t *lock) PW_TSA(no_thread_safety_analysis)
{
    if (pthread_mutex_unlock(&lock->mutex) != 0) {
        abort();
    }
}

struct timespec pw_instant_timespec(pw_instant_t instant)
{
    struct timespec ts = {.tv_sec = instant / 1000000,
                          .tv_nsec = (instant % 1000000) * 1000};

    return ts;
}

int pw_lock_take_by(pw_lock_t *lock, pw_instant_t deadline)
    PW_TSA(no_thread_safety_analysis)
{
    struct timespec ts = pw_instant_timespec(deadline);

    return pthread_mutex_clocklock(&lock->mutex, CLOCK_MONOTONIC, &ts) == 0;
}

#ifdef PW_DEBUG
void pw_lock_assert(pw_lock_t *lock)
{
    /* Only its owner is told of a deadlock. */
    if (pthread_mutex_lock(&lock->mutex) != EDEADLK) {
        abort();
    }
}
#endif

void pw_cond_init(pw_cond_t *cond)
{
    pthread_condattr_t attr;

    if (pthread_condattr_init(&attr) != 0
        || pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0
        || pthread_cond_init(&cond->cond, &attr) != 0) {
        abort();
    }
    pthread_condattr_destroy(&attr);
}

void pw_cond_destroy(pw_cond_t *cond)
{
    pthread_cond_destroy(&cond->cond);
}

void pw_cond_broadcast(pw_cond_t *cond)
{
    pthread_cond_broadcast(&cond->cond);
}

int pw_cond_wait(pw_cond_t *cond, pw_lock_t *lock, pw_instant_t deadline)
{
    struct timespec ts;

    if (deadline == PW_NEVER) {
        pthread_cond_wait(&cond->cond, &lock->mutex);
        return 1;
    }
    if (pw_now() >= deadline) {
        return 0;
    }
    ts = pw_instant_timespec(deadline);
    return pthread_cond_timedwait(&cond->cond, &lock->mutex, &ts) != ETIMEDOUT;
}
