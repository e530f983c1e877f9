/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pool: pw_pool with fake members, whose threads load, fail, are replaced
 * and drain as the pool commands. No Python, no httpd.
 */
#include "pw_pool.h"

#include <apr_general.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "tap.h"

#define SLOTS 2

typedef struct fake_t {
    pw_member_t member;
    unsigned char slots[SLOTS];
    pthread_t thread;
    int ended; /* atomic: */
} fake_t;

static apr_pool_t *apool;
static pw_pool_t *pool;
static fake_t *fakes[64];
static int fake_count;     /* atomic: */
static int failing;        /* atomic: loads fail while set */
static int create_failing; /* atomic: so does the interpreter's creation */
static int parking;        /* const in a test: threads remain in a member */
static int spawn_failing;  /* atomic: no thread for a fresh member */
static int loads;          /* atomic: */
static int reaped;         /* atomic: */

static fake_t *new_fake(void);

static void fake_load(fake_t *f, int slot)
{
    int fail = __atomic_load_n(&failing, __ATOMIC_SEQ_CST);

    __atomic_fetch_add(&loads, 1, __ATOMIC_SEQ_CST);
    if (f->member.state == PW_LOADING) {
        if (__atomic_load_n(&create_failing, __ATOMIC_SEQ_CST)) {
            pw_pool_broken(&f->member);
            return;
        }
        pw_pool_created(&f->member);
    }
    pw_pool_loaded(&f->member, slot, fail ? PW_LEASE_FAILED : PW_LEASE_OK);
}

static void *fake_main(void *arg)
{
    fake_t *f = arg;
    int slot;

    for (;;) {
        switch (pw_pool_next(&f->member, &slot)) {
        case PW_DO_LOAD:
            fake_load(f, slot);
            break;
        case PW_DO_REAP:
            __atomic_fetch_add(&reaped, 1, __ATOMIC_SEQ_CST);
            break;
        case PW_DO_REPLACE:
            if (__atomic_load_n(&spawn_failing, __ATOMIC_SEQ_CST)) {
                pw_pool_keep(&f->member);
                break;
            }
            new_fake();
            pw_pool_drain(&f->member);
            break;
        case PW_DO_END:
            pw_pool_ended(&f->member, parking ? PW_PARKED : PW_DEAD);
            __atomic_store_n(&f->ended, 1, __ATOMIC_SEQ_CST);
            return NULL;
        case PW_DO_STOP:
            __atomic_store_n(&f->ended, 2, __ATOMIC_SEQ_CST);
            return NULL;
        }
    }
}

static fake_t *new_fake(void)
{
    fake_t *f = calloc(1, sizeof(*f));
    int n = __atomic_fetch_add(&fake_count, 1, __ATOMIC_SEQ_CST);

    fakes[n] = f;
    f->member.slots = f->slots;
    pw_pool_add(pool, &f->member);
    pthread_create(&f->thread, NULL, fake_main, f);
    return f;
}

static void new_pool(int fresh_retries)
{
    static const unsigned char lazy[SLOTS] = {0, 1};
    pw_pool_setup_t setup = {
        .slots = SLOTS, .lazy = lazy, .fresh_retries = fresh_retries};

    fake_count = 0;
    failing = 0;
    create_failing = 0;
    loads = 0;
    pool = pw_pool_create(apool, &setup);
}

static void end_pool(void)
{
    int n;

    pw_pool_stop(pool, pw_now() + 1000000);
    n = __atomic_load_n(&fake_count, __ATOMIC_SEQ_CST);
    for (int i = 0; i < n; i++) {
        pthread_join(fakes[i]->thread, NULL);
        free(fakes[i]);
    }
}

static pw_lease_e lease(int slot, int ms, pw_member_t **m)
{
    return pw_pool_lease(pool, slot, pw_now() + (pw_instant_t)ms * 1000, m);
}

/* Waits for another thread to set the value; ten seconds at most. */
static int becomes(const int *value, int wanted)
{
    pw_instant_t deadline = pw_now() + 10 * 1000000;

    while (__atomic_load_n(value, __ATOMIC_SEQ_CST) != wanted) {
        if (pw_now() >= deadline) {
            return 0;
        }
        sched_yield();
    }
    return 1;
}

static void test_lease(void)
{
    pw_member_t *m = NULL, *m2 = NULL;

    new_pool(1);
    ok(lease(0, 1, &m) == PW_LEASE_TIMEOUT, "no member: a lease times out");
    new_fake();
    ok(lease(0, 10000, &m) == PW_LEASE_OK, "a lease waits for the load");
    ok(loads == 1, "a lazy application is not loaded before it is asked for");
    ok(lease(1, 10000, &m2) == PW_LEASE_OK, "its first lease loads it");
    ok(m == m2 && m->leases == 2, "both leases are of the one member");
    pw_pool_return(m);
    pw_pool_return(m2);
    pw_pool_nudge(m);
    ok(becomes(&reaped, 1), "a nudge has the member reap once");
    end_pool();
    ok(lease(0, 1000, &m) == PW_LEASE_STOPPING,
       "a stopped pool leases nothing");
}

static void test_fresh_retry(void)
{
    pw_member_t *m = NULL;

    new_pool(1);
    failing = 1;
    new_fake();
    ok(lease(0, 10000, &m) == PW_LEASE_FAILED, "a failed load is answered");
    ok(loads == 1 && lease(0, 10000, &m) == PW_LEASE_FAILED && loads == 1,
       "at once while no retry is due");
    failing = 0;
    pw_pool_retry(pool, 0);
    ok(lease(0, 10000, &m) == PW_LEASE_OK, "a retry that is due succeeds");
    ok(fake_count == 2 && m == &fakes[1]->member, "in a fresh member");
    ok(becomes(&fakes[0]->ended, 1), "and the failed one has ended");
    pw_pool_return(m);
    end_pool();

    new_pool(1);
    failing = 1;
    new_fake();
    for (int i = 0; i < 3; i++) {
        ok(lease(0, 10000, &m) == PW_LEASE_FAILED, "try %d fails", i + 1);
        pw_pool_retry(pool, 0);
    }
    ok(fake_count == 2, "past the bound of fresh members it is in place");
    end_pool();
}

/* A parked member keeps its memory: a load that fails for ever must not make
 * one after the other. */
static void test_parked(void)
{
    pw_member_t *m = NULL;

    new_pool(INT_MAX);
    failing = 1;
    parking = 1;
    new_fake();
    for (int i = 0; i < 12; i++) {
        int n = fake_count;

        lease(0, 10000, &m);
        pw_pool_retry(pool, 0);
        if (fake_count > n) {
            becomes(&fakes[n - 1]->ended, 1);
        }
    }
    ok(fake_count == 9, "no fresh member where 8 are parked: %d", fake_count);
    end_pool();
    parking = 0;
}

static void test_in_place_retry(void)
{
    pw_member_t *m = NULL, *other = NULL;

    new_pool(0);
    failing = 1;
    new_fake();
    ok(lease(0, 10000, &m) == PW_LEASE_FAILED, "main interpreter: it fails");
    failing = 0;
    pw_pool_retry(pool, 0);
    ok(lease(0, 10000, &m) == PW_LEASE_OK && fake_count == 1,
       "and is tried again in place");
    pw_pool_return(m);
    end_pool();

    new_pool(1);
    new_fake();
    ok(lease(0, 10000, &other) == PW_LEASE_OK, "one application is loaded");
    failing = 1;
    ok(lease(1, 10000, &m) == PW_LEASE_FAILED, "the other fails beside it");
    ok(!pw_pool_retries_fresh(other, 1) && pw_pool_retries_fresh(other, 0),
       "what is loaded is not thrown away for the retry");
    failing = 0;
    pw_pool_retry(pool, 1);
    ok(lease(1, 10000, &m) == PW_LEASE_OK && m == other,
       "so it is tried again in place");
    pw_pool_return(m);
    pw_pool_return(other);
    end_pool();
}

static void test_broken(void)
{
    pw_member_t *m = NULL;

    new_pool(0);
    create_failing = 1;
    new_fake();
    ok(lease(0, 10000, &m) == PW_LEASE_FAILED, "no interpreter: failed");
    create_failing = 0;
    pw_pool_retry(pool, 0);
    ok(lease(0, 10000, &m) == PW_LEASE_OK && fake_count == 2,
       "a broken member is replaced even where pools do not replace");
    pw_pool_return(m);
    end_pool();
}

static void test_no_thread(void)
{
    pw_member_t *m = NULL;

    new_pool(2);
    failing = 1;
    spawn_failing = 1;
    new_fake();
    ok(lease(0, 10000, &m) == PW_LEASE_FAILED, "a load fails");
    pw_pool_retry(pool, 0);
    ok(lease(0, 10000, &m) == PW_LEASE_FAILED && fake_count == 1,
       "no thread for a fresh member: the failed one stays, and answers");
    failing = 0;
    spawn_failing = 0;
    pw_pool_retry(pool, 0);
    ok(lease(0, 10000, &m) == PW_LEASE_OK && fake_count == 2,
       "and is replaced by a later try");
    pw_pool_return(m);
    end_pool();
}

static void test_quiesce(void)
{
    pw_member_t *m = NULL;

    new_pool(1);
    pw_pool_quiesce(pool);
    new_fake();
    ok(lease(1, 10000, &m) == PW_LEASE_OK, "quiesced: a waiting request loads");
    ok(loads == 1, "and nothing is loaded in the background");
    pw_pool_return(m);
    end_pool();
}

static void test_drain_bound(void)
{
    pw_member_t *m = NULL;
    pw_instant_t begin;

    new_pool(1);
    new_fake();
    ok(lease(0, 10000, &m) == PW_LEASE_OK, "a lease that is never returned");
    begin = pw_now();
    pw_pool_stop(pool, begin + 50000);
    pthread_join(fakes[0]->thread, NULL);
    ok(pw_now() - begin >= 50000, "holds the stop up to its bound");
    ok(fakes[0]->ended == 2, "and no longer");
}

#define WORKERS 8
#define ROUNDS 20000

static void *worker(void *arg)
{
    unsigned seed = (unsigned)(size_t)arg;
    pw_member_t *m;

    for (int i = 0; i < ROUNDS; i++) {
        int slot = (int)(rand_r(&seed) % SLOTS);

        if (rand_r(&seed) % 1000 == 0) {
            pw_pool_retry(pool, slot);
        }
        if (pw_pool_lease(pool, slot, pw_now() + 10000000, &m) == PW_LEASE_OK) {
            if (rand_r(&seed) % 100 == 0) {
                pw_pool_nudge(m);
            }
            pw_pool_return(m);
        }
    }
    return NULL;
}

static void test_random(void)
{
    pthread_t threads[WORKERS];
    pw_member_t *m = NULL;

    new_pool(1);
    new_fake();
    for (size_t i = 0; i < WORKERS; i++) {
        pthread_create(&threads[i], NULL, worker, (void *)(i + 1));
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    ok(lease(0, 10000, &m) == PW_LEASE_OK && m->leases == 1,
       "after %d random leases none is left", WORKERS * ROUNDS);
    pw_pool_return(m);
    end_pool();
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&apool, NULL);
    test_lease();
    test_fresh_retry();
    test_parked();
    test_in_place_retry();
    test_broken();
    test_no_thread();
    test_quiesce();
    test_drain_bound();
    test_random();
    apr_terminate();
    return tap_done();
}
