/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pool: the members of a pool: loads, failures, retries, ends. No Python,
 * no httpd.
 */
#include "fakes.h"

#include <apr_general.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

#include "tap.h"

static void test_lease(void)
{
    pw_member_t *m = NULL, *m2 = NULL;

    new_pool(1);
    ok(lease(0, 1, &m) == PW_LEASE_NONE,
       "no member: the first lease is told to add one");
    ok(lease(0, 1, &m) == PW_LEASE_TIMEOUT, "the next one waits for it");
    new_fake(NULL);
    ok(lease(0, 10000, &m) == PW_LEASE_OK, "a lease waits for the load");
    ok(loads == 1, "a lazy application is not loaded before it is asked for");
    ok(lease(1, 10000, &m2) == PW_LEASE_OK, "its first lease loads it");
    ok(m == m2 && m->leases == 2, "both leases are of the one member");
    give_back(m);
    give_back(m2);
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
    new_fake(NULL);
    ok(lease(0, 10000, &m) == PW_LEASE_FAILED, "a failed load is answered");
    ok(loads == 1 && lease(0, 10000, &m) == PW_LEASE_FAILED && loads == 1,
       "at once while no retry is due");
    failing = 0;
    pw_pool_retry(pool, 0);
    ok(lease(0, 10000, &m) == PW_LEASE_OK, "a retry that is due succeeds");
    ok(fake_count == 2 && m == &fakes[1]->member, "in a fresh member");
    ok(becomes(&fakes[0]->ended, 1), "and the failed one has ended");
    give_back(m);
    end_pool();

    new_pool(1);
    failing = 1;
    new_fake(NULL);
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
    new_fake(NULL);
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
    new_fake(NULL);
    ok(lease(0, 10000, &m) == PW_LEASE_FAILED, "main interpreter: it fails");
    failing = 0;
    pw_pool_retry(pool, 0);
    ok(lease(0, 10000, &m) == PW_LEASE_OK && fake_count == 1,
       "and is tried again in place");
    give_back(m);
    end_pool();

    new_pool(1);
    new_fake(NULL);
    ok(lease(0, 10000, &other) == PW_LEASE_OK, "one application is loaded");
    failing = 1;
    ok(lease(1, 10000, &m) == PW_LEASE_FAILED, "the other fails beside it");
    ok(!pw_pool_retries_fresh(other, 1) && pw_pool_retries_fresh(other, 0),
       "what is loaded is not thrown away for the retry");
    failing = 0;
    pw_pool_retry(pool, 1);
    ok(lease(1, 10000, &m) == PW_LEASE_OK && m == other,
       "so it is tried again in place");
    give_back(m);
    give_back(other);
    end_pool();
}

static void test_broken(void)
{
    pw_member_t *m = NULL;

    new_pool(0);
    create_failing = 1;
    new_fake(NULL);
    ok(lease(0, 10000, &m) == PW_LEASE_FAILED, "no interpreter: failed");
    create_failing = 0;
    pw_pool_retry(pool, 0);
    ok(lease(0, 10000, &m) == PW_LEASE_OK && fake_count == 2,
       "a broken member is replaced even where pools do not replace");
    give_back(m);
    end_pool();
}

static void test_no_thread(void)
{
    pw_member_t *m = NULL;

    new_pool(2);
    failing = 1;
    spawn_failing = 1;
    new_fake(NULL);
    ok(lease(0, 10000, &m) == PW_LEASE_FAILED, "a load fails");
    pw_pool_retry(pool, 0);
    ok(lease(0, 10000, &m) == PW_LEASE_FAILED && fake_count == 1,
       "no thread for a fresh member: the failed one stays, and answers");
    failing = 0;
    spawn_failing = 0;
    pw_pool_retry(pool, 0);
    ok(lease(0, 10000, &m) == PW_LEASE_OK && fake_count == 2,
       "and is replaced by a later try");
    give_back(m);
    end_pool();
}

static void test_quiesce(void)
{
    pw_member_t *m = NULL;

    new_pool(1);
    pw_pool_quiesce(pool);
    new_fake(NULL);
    ok(lease(1, 10000, &m) == PW_LEASE_OK, "quiesced: a waiting request loads");
    ok(loads == 1, "and nothing is loaded in the background");
    give_back(m);
    end_pool();
}

static void test_drain_bound(void)
{
    pw_member_t *m = NULL;
    pw_instant_t begin;

    new_pool(1);
    new_fake(NULL);
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
    pw_turn_t call = {
        .method = "GET", .path = "/", .patience = 10000000, .last = NULL};

    for (int i = 0; i < ROUNDS; i++) {
        call.slot = (int)(rand_r(&seed) % SLOTS);
        if (rand_r(&seed) % 1000 == 0) {
            pw_pool_retry(pool, call.slot);
        }
        if (pw_pool_lease(pool, &call) == PW_LEASE_OK) {
            if (rand_r(&seed) % 100 == 0) {
                pw_pool_nudge(call.member);
            }
            pw_pool_return(&call);
        }
    }
    return NULL;
}

static void test_random(void)
{
    pthread_t threads[WORKERS];
    pw_member_t *m = NULL;

    new_pool(1);
    new_fake(NULL);
    for (size_t i = 0; i < WORKERS; i++) {
        pthread_create(&threads[i], NULL, worker, (void *)(i + 1));
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    ok(lease(0, 10000, &m) == PW_LEASE_OK && m->leases == 1,
       "after %d random leases none is left", WORKERS * ROUNDS);
    give_back(m);
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
