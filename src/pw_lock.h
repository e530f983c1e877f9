/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_lock: mutexes and conditions on the monotonic clock, with clang's
 * thread-safety attributes, and the lock order of the whole module.
 *
 * Why not apr_thread_cond_t: it waits on the real-time clock, and a clock that
 * an administrator sets must not end a request's wait.
 *
 * LOCK ORDER, outermost first. A thread that holds one takes only later ones:
 *   1. pw_demand.lock    scripts that requests find: only for a new one
 *   2. pw_runtime.lock   list of instances, one for the child; cold paths only
 *   3. pw_pool.lock      one for each interpreter; never held while attached
 *   4. pw_instance.lock  thread states of one instance
 *   5. pw_ghosts.lock    OS threads and what is left of states of theirs; taken
 *                        attached or not, no GIL is waited for in it
 * The end of a request waits on a lock of its own (pw_request.c), taken
 * attached or not: no other is taken while it is held.
 * pw_runtime.dumping (pw_stacks.c) is taken alone or below pw_runtime.lock, and
 * no other while it is held.
 * Creating an interpreter holds pw_runtime.creating, which nests in nothing and
 * in which no other of these is taken.
 */
#ifndef PW_LOCK_H
#define PW_LOCK_H

#include <pthread.h>
#include <time.h>
#include <apr_time.h>

#if defined(__clang__)
#define PW_TSA(x) __attribute__((x))
#else
#define PW_TSA(x)
#endif
#define PW_CAPABILITY PW_TSA(capability("mutex"))
#define PW_GUARDED_BY(l) PW_TSA(guarded_by(l))
#define PW_REQUIRES(...) PW_TSA(requires_capability(__VA_ARGS__))
#define PW_ACQUIRE(...) PW_TSA(acquire_capability(__VA_ARGS__))
#define PW_ASSERTS(...) PW_TSA(assert_capability(__VA_ARGS__))
#define PW_RELEASE(...) PW_TSA(release_capability(__VA_ARGS__))
#define PW_TRY_ACQUIRE(...) PW_TSA(try_acquire_capability(__VA_ARGS__))

typedef struct PW_CAPABILITY pw_lock_t {
    pthread_mutex_t mutex;
} pw_lock_t;

typedef struct pw_cond_t {
    pthread_cond_t cond; /* waits on CLOCK_MONOTONIC */
} pw_cond_t;

/*
 * httpd hands the memory of a request on from one thread to the next by atomics
 * of libraries that ThreadSanitizer does not see. These tell it so: a thread
 * begins with such memory, a thread is done with it.
 */
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *at);
void __tsan_release(void *at);
#define pw_lock_take_memory() __tsan_acquire((void *)pw_now)
#define pw_lock_give_memory() __tsan_release((void *)pw_now)
#else
#define pw_lock_take_memory() ((void)0)
#define pw_lock_give_memory() ((void)0)
#endif

/* A point of the monotonic clock, in microseconds. Not wall-clock time. */
typedef apr_int64_t pw_instant_t;
#define PW_NEVER ((pw_instant_t)INT64_MAX)

pw_instant_t pw_now(void);

/* The instant as CLOCK_MONOTONIC functions take it. Not for PW_NEVER. */
struct timespec pw_instant_timespec(pw_instant_t instant);

/* Aborts the process where the system refuses: nothing works without. */
void pw_lock_init(pw_lock_t *lock);
void pw_lock_destroy(pw_lock_t *lock);
void pw_lock_take(pw_lock_t *lock) PW_ACQUIRE(*lock);
void pw_lock_release(pw_lock_t *lock) PW_RELEASE(*lock);

/* Waits no longer than the deadline: 1 when taken, 0 when not. For the keeper:
 * prefork ends a child in a signal handler, above whoever holds a lock. */
int pw_lock_take_by(pw_lock_t *lock, pw_instant_t deadline)
    PW_TRY_ACQUIRE(1, *lock);

/*
 * First line of every function named *_locked: a build with PW_DEBUG aborts
 * where the calling thread does not hold the lock, others do nothing; clang
 * takes it for held afterwards.
 */
#ifdef PW_DEBUG
void pw_lock_assert(pw_lock_t *lock) PW_ASSERTS(*lock);
#else
static inline void pw_lock_assert(pw_lock_t *lock) PW_ASSERTS(*lock)
{
    (void)lock;
}
#endif

void pw_cond_init(pw_cond_t *cond);
void pw_cond_destroy(pw_cond_t *cond);
void pw_cond_broadcast(pw_cond_t *cond);

/*
 * Waits until woken or until the deadline (PW_NEVER: for ever). Returns 0
 * when the deadline has passed, 1 else; wakes spuriously as conditions do.
 */
int pw_cond_wait(pw_cond_t *cond, pw_lock_t *lock, pw_instant_t deadline)
    PW_REQUIRES(*lock);

#endif
