/* SPDX-License-Identifier: Apache-2.0
 *
 * test_queue: who gets which member when: limits, order, timeouts, the size of
 * the pool, renewal. No Python, no httpd.
 */
#include "fakes.h"
#include "pw_pool_inside.h"

#include <apr_general.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

#define MS(n) ((pw_instant_t)(n)*1000)

typedef enum { WAITING, MEMBERS, SERVING, DRAINING } field_e;

static int value_of(const pw_pool_look_t *look, field_e field)
{
    switch (field) {
    case WAITING:
        return look->waiting;
    case MEMBERS:
        return look->members;
    case SERVING:
        return look->serving;
    default:
        return look->draining;
    }
}

/* Waits until the pool looks so; ten seconds at most. */
static int reaches(field_e field, int wanted)
{
    pw_instant_t deadline = pw_now() + MS(10000);
    pw_pool_look_t look;

    do {
        pw_pool_look(pool, &look);
        if (value_of(&look, field) == wanted) {
            return 1;
        }
        sched_yield();
    } while (pw_now() < deadline);
    return 0;
}

static void test_limits(void)
{
    pw_pool_setup_t setup = {
        .concurrency = 2, .queue_limit = 0, .queue_timeout = MS(60000)};
    pw_member_t *a = NULL, *b = NULL, *c;
    pw_refusals_t refusals;

    make_pool(&setup);
    new_fake(NULL);
    ok(lease(0, 10000, &a) == PW_LEASE_OK && lease(0, 10000, &b) == PW_LEASE_OK,
       "as many calls as WSGIConcurrency says");
    ok(lease(0, 10000, &c) == PW_LEASE_FULL, "no more where the queue is full");
    ok(pw_pool_refusals(pool, &refusals) && refusals.count == 1
           && refusals.look.running == 2 && refusals.look.capacity == 2
           && !strcmp(refusals.look.what, "GET /some/path"),
       "its record knows how many, and the oldest call");
    for (int i = 0; i < 40; i++) {
        lease(0, 10000, &c);
    }
    ok(!pw_pool_refusals(pool, &refusals), "the next record is not due yet");
    pool->recorded -= PW_REFUSALS_EVERY; /* ten seconds later */
    ok(pw_pool_refusals(pool, &refusals) && refusals.count == 40,
       "then it counts all that were refused (%d)", refusals.count);
    ok(!pw_pool_refusals(pool, &refusals), "and none twice");
    give_back(a);
    ok(lease(0, 10000, &a) == PW_LEASE_OK, "a place that is returned is given");
    give_back(a);
    give_back(b);
    end_pool();
}

static void test_timeouts(void)
{
    pw_pool_setup_t setup = {
        .concurrency = 1, .queue_limit = 5, .queue_timeout = MS(30)};
    pw_member_t *m, *n;
    pw_instant_t begin;

    make_pool(&setup);
    new_fake(NULL);
    ok(lease(0, 10000, &m) == PW_LEASE_OK, "one call");
    begin = pw_now();
    ok(lease(0, 10000, &n) == PW_LEASE_LATE && pw_now() - begin >= MS(30),
       "the next one waits for WSGIQueueTimeout");
    ok(lease(0, 10000, &n) == PW_LEASE_STUCK,
       "but not where every place is held longer than that");
    give_back(m);
    end_pool();
}

/* ---- order ------------------------------------------------------------- */

#define QUEUED 12

static int order[QUEUED];
static int served; /* atomic: */

static void *wait_in_line(void *number)
{
    pw_turn_t call = {
        .method = "GET", .path = "/", .patience = MS(10000), .slot = 0};

    if (pw_pool_lease(pool, &call) == PW_LEASE_OK) {
        order[__atomic_fetch_add(&served, 1, __ATOMIC_SEQ_CST)] =
            (int)(size_t)number;
        pw_pool_return(&call);
    }
    return NULL;
}

static void test_order(void)
{
    pw_pool_setup_t setup = {
        .concurrency = 1, .queue_limit = QUEUED, .queue_timeout = MS(60000)};
    pthread_t threads[QUEUED];
    pw_member_t *m;
    int in_order = 1, came = 1;

    make_pool(&setup);
    new_fake(NULL);
    lease(0, 10000, &m);
    for (int i = 0; i < QUEUED; i++) {
        pthread_create(&threads[i], NULL, wait_in_line, (void *)(size_t)i);
        came = came && reaches(WAITING, i + 1);
    }
    ok(came, "%d calls wait", QUEUED);
    give_back(m);
    for (int i = 0; i < QUEUED; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < QUEUED; i++) {
        in_order = in_order && order[i] == i;
    }
    ok(served == QUEUED && in_order, "and are served in the order they came");
    end_pool();
}

/* While the first load is young, more may wait than the limits allow; not when
 * it hangs. */
static void test_load_rush(void)
{
    pw_pool_setup_t setup = {
        .concurrency = 1, .queue_limit = 0, .queue_timeout = MS(5000)};
    pthread_t threads[3];
    pw_instant_t begin;
    pw_member_t *m;
    pw_lease_e rc;

    make_pool(&setup);
    served = 0;
    lease(0, 10000, &m); /* is told to add a member */
    for (int i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, wait_in_line, (void *)(size_t)i);
    }
    ok(reaches(WAITING, 3), "all wait for a load that is young");
    new_fake(NULL);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    ok(served == 3, "and are served when it has ended");
    end_pool();

    setup.queue_timeout = MS(300);
    make_pool(&setup);
    lease(0, 10000, &m);
    pthread_create(&threads[0], NULL, wait_in_line, (void *)0);
    reaches(WAITING, 1);
    begin = pw_now();
    rc = lease(0, 10000, &m);
    ok(rc == PW_LEASE_FULL
           || (rc == PW_LEASE_LATE && pw_now() - begin >= MS(300)),
       "one beyond the limits waits for WSGIQueueTimeout at most");
    ok(lease(0, 10000, &m) == PW_LEASE_FULL,
       "and no longer at all when the load has taken that long");
    new_fake(NULL);
    pthread_join(threads[0], NULL);
    ok(served == 4, "the one within the limits waits as long as it may");
    end_pool();
}

/* ---- size -------------------------------------------------------------- */

/* Two calls at once get two members, when these have loaded the slot. */
static int serves_two(int slot)
{
    pw_instant_t deadline = pw_now() + MS(10000);
    pw_member_t *one, *other;

    do {
        lease(slot, 10000, &one);
        lease(slot, 10000, &other);
        give_back(one);
        give_back(other);
        sched_yield();
    } while (one == other && pw_now() < deadline);
    return one != other;
}

static void test_growth(void)
{
    pw_pool_setup_t setup = {.least = 2, .most = 3, .fresh_retries = 1};
    pw_member_t *m[4];
    pw_turn_t *again;

    make_pool(&setup);
    new_fake(NULL);
    ok(reaches(SERVING, 2) && fake_count == 2,
       "the first member adds the second when it has loaded");
    lease(0, 10000, &m[0]);
    lease(0, 10000, &m[1]);
    ok(m[0] != m[1], "the least-loaded member is leased");
    give_back(m[0]);
    give_back(m[1]);
    again = new_call(0, 10000);
    again->last = m[1];
    ok(pw_pool_lease(pool, again) == PW_LEASE_OK && again->member == m[1],
       "of equals, the one that the thread had last");
    pw_pool_return(again);
    again->last = m[0];
    ok(pw_pool_lease(pool, again) == PW_LEASE_OK && again->member == m[0],
       "whichever that is");
    pw_pool_return(again);
    pw_pool_resize(pool, 99);
    ok(reaches(SERVING, 3), "it grows to its bound");
    ok(lease(1, 10000, &m[0]) == PW_LEASE_OK, "an application on demand loads");
    give_back(m[0]);
    pw_pool_resize(pool, 0);
    ok(reaches(MEMBERS, 2) && reaches(DRAINING, 0), "and shrinks to the least");
    ok(serves_two(1), "what was loaded on demand is loaded in every member");
    end_pool();
}

static void test_failing_growth(void)
{
    pw_pool_setup_t setup = {.least = 1, .most = 2};
    pw_member_t *m;

    make_pool(&setup);
    new_fake(NULL);
    ok(lease(0, 10000, &m) == PW_LEASE_OK, "one member serves");
    give_back(m);
    failing = 1;
    pw_pool_resize(pool, 2);
    ok(ends(1), "a further one that does not load is ended");
    ok(lease(0, 10000, &m) == PW_LEASE_OK && m == &fakes[0]->member,
       "and the first serves on");
    give_back(m);
    end_pool();

    make_pool(&setup);
    new_fake(NULL);
    lease(0, 10000, &m);
    create_failing = 1;
    pw_pool_resize(pool, 2);
    ok(ends(1), "so is one that cannot be created");
    give_back(m);
    end_pool();
}

/* ---- renewal ----------------------------------------------------------- */

static void test_renewal(void)
{
    pw_pool_setup_t setup = {
        .least = 2, .most = 2, .max_requests = 20, .renewals = -1};
    pw_pool_look_t look;
    pw_member_t *m;
    int bad = 0, fewest = 2, most = 2;

    make_pool(&setup);
    new_fake(NULL);
    reaches(SERVING, 2);
    while (__atomic_load_n(&fake_count, __ATOMIC_SEQ_CST) < 12) {
        bad += lease(0, 10000, &m) != PW_LEASE_OK;
        if (m) {
            give_back(m);
        }
        pw_pool_look(pool, &look);
        fewest = look.serving < fewest ? look.serving : fewest;
        most = look.members > most ? look.members : most;
    }
    ok(bad == 0, "members are replaced under load, and no call is refused");
    ok(fewest == 2 && most <= 3,
       "one after the other, the new one ready first (%d to %d)", fewest, most);
    ok(ends(1), "the old ones have ended");
    ok(reaches(MEMBERS, 2) && reaches(DRAINING, 0), "the pool keeps its size");
    end_pool();
}

/* What a response still has of the member's objects. */
static void test_holds(void)
{
    pw_pool_setup_t setup = {.renewals = -1};
    pw_turn_t *call = new_call(0, 10000);
    int before = __atomic_load_n(&reaped, __ATOMIC_SEQ_CST);
    pw_member_t *m;

    make_pool(&setup);
    new_fake(NULL);
    ok(pw_pool_lease(pool, call) == PW_LEASE_OK, "a call");
    m = call->member;
    call->held = 2;
    pw_pool_return(call);
    ok(pw_pool_unload(pool) && reaches(DRAINING, 1), "its member is to end");
    pw_pool_unhold(m, 1);
    pw_pool_nudge(m);
    ok(becomes(&reaped, before + 1)
           && !__atomic_load_n(&fakes[0]->ended, __ATOMIC_SEQ_CST),
       "it does not while something is held");
    pw_pool_unhold(m, 1);
    pw_pool_nudge(m);
    ok(ends(0), "then it does");
    end_pool();
}

/* Members that are replaced while their calls hang. */
static void test_renewal_in_use(void)
{
    pw_pool_setup_t setup = {.concurrency = 2,
                             .queue_limit = 5,
                             .queue_timeout = MS(30),
                             .max_requests = 2,
                             .renewals = -1};
    pw_member_t *old, *m;
    pw_lease_e rc;

    make_pool(&setup);
    new_fake(NULL);
    lease(0, 10000, &old);
    lease(0, 10000, &m);
    ok(reaches(DRAINING, 1) && reaches(SERVING, 1) && m == old,
       "one with two calls is replaced");
    rc = lease(0, 10000, &m);
    ok(rc == PW_LEASE_LATE || rc == PW_LEASE_STUCK,
       "its calls have the places of the new one");
    ok(lease(0, 10000, &m) == PW_LEASE_STUCK, "where they hang nobody waits");
    give_back(old);
    ok(lease(0, 10000, &m) == PW_LEASE_OK && m != old,
       "a place that one of them leaves is given");
    give_back(old);
    give_back(m);
    end_pool();
}

static void test_jitter(void)
{
    pw_pool_setup_t setup = {
        .least = 8, .most = 8, .max_requests = 1000, .renewals = -1};
    apr_uint64_t first, out = 0;
    int other = 0;

    make_pool(&setup);
    new_fake(NULL);
    reaches(SERVING, 8);
    first = fakes[0]->member.renew_at;
    for (int i = 0; i < 8; i++) {
        apr_uint64_t at = fakes[i]->member.renew_at;

        out += at < 900 || at > 1000;
        other += at != first;
    }
    ok(out == 0, "a member is replaced after 900 to 1,000 of 1,000 calls");
    ok(other > 4, "and hardly any two after as many");
    end_pool();
}

/* So many calls, one after the other; how many of them got no place. */
static int serve(int calls)
{
    pw_member_t *m;
    int bad = 0;

    for (int i = 0; i < calls; i++) {
        bad += lease(0, 10000, &m) != PW_LEASE_OK;
        if (m) {
            give_back(m);
        }
    }
    return bad;
}

static void test_failing_renewal(void)
{
    pw_pool_setup_t setup = {.max_requests = 10, .renewals = -1};
    int bad;

    make_pool(&setup);
    new_fake(NULL);
    serve(1);
    failing = 1;
    bad = serve(12);
    ok(ends(1) && bad == 0,
       "a successor that does not load is ended, the old one stays");
    bad += serve(12);
    ok(bad == 0 && ends(2), "and it is tried again after as many calls");
    end_pool();
}

/* As many members may be parked as the setup says: not one fewer, nor more. */
static void test_parking_renewal(void)
{
    pw_pool_setup_t setup = {
        .max_requests = 10, .renewals = -1, .parked_max = 2};
    pw_pool_look_t look;

    make_pool(&setup);
    parking = 1;
    new_fake(NULL);
    serve(12);
    ok(ends(0), "a member that cannot end is parked");
    serve(12);
    ok(ends(1), "and keeps no other from being replaced");
    serve(30);
    pw_pool_look(pool, &look);
    ok(look.parked == 2 && look.serving == 1 && look.draining == 0
           && !fakes[2]->member.renew && fake_count == 3,
       "where as many are as may be, none is replaced any more");
    end_pool();
    parking = 0;
}

static void test_unload(void)
{
    pw_pool_setup_t setup = {.least = 2, .renewals = -1};
    unsigned char slots[8] = {0};
    pw_member_t fresh = {.slots = slots};
    pw_member_t *m;

    make_pool(&setup);
    new_fake(NULL);
    reaches(SERVING, 2);
    lease(0, 10000, &m);
    ok(!pw_pool_unload(pool), "a pool with a call is not unloaded");
    give_back(m);
    ok(pw_pool_unload(pool) && ends(0) && ends(1), "one without is");
    ok(lease(0, 10000, &m) == PW_LEASE_NONE, "the next call has to fill it");
    pw_pool_add(pool, &fresh, NULL);
    ok(!pw_pool_unload(pool) && pw_pool_is_live(&fresh),
       "what it has added is not unloaded before it asks");
    pw_pool_ended(&fresh, PW_DEAD);
    ok(lease(0, 10000, &m) == PW_LEASE_NONE, "its thread could not start");
    new_fake(NULL);
    ok(lease(0, 10000, &m) == PW_LEASE_OK, "and is served");
    give_back(m);
    end_pool();
}

/* ---- everything at once ------------------------------------------------ */

#define WORKERS 8
#define ROUNDS 125000
#define QUEUE_TIME MS(5000)
#define LOST MS(4000) /* it takes longer to see that no wake-up came */

static int outcomes[PW_LEASE_NONE + 1]; /* atomic: */
static int finished;                    /* atomic: workers */
static int inside;                      /* atomic: calls that run */
static int exceeded;                    /* atomic: more than may */
static pw_instant_t longest;            /* atomic: with a lease, unaware */

static pw_lease_e lease_or_fill(pw_turn_t *call)
{
    pw_lease_e rc = pw_pool_lease(pool, call);

    if (rc == PW_LEASE_NONE) {
        new_fake(NULL);
    }
    return rc;
}

/* Who has a lease and is not woken sees it when its time in the queue is over. */
static void note_wait(pw_instant_t took)
{
    pw_instant_t most = __atomic_load_n(&longest, __ATOMIC_SEQ_CST);

    while (took > most
           && !__atomic_compare_exchange_n(
               &longest, &most, took, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        continue;
    }
}

static void run_call(pw_turn_t *call, unsigned *seed)
{
    int now = __atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST);

    note_wait(pw_now() - call->leased);
    if (now > 3 * 3) { /* three members of three, one that drains among them */
        __atomic_store_n(&exceeded, now, __ATOMIC_SEQ_CST);
    }
    if (rand_r(seed) % 8 == 0) {
        sched_yield();
    }
    __atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
    pw_pool_return(call);
}

static void *work_at_random(void *number)
{
    unsigned seed = (unsigned)(size_t)number;
    pw_turn_t call = {.method = "GET", .path = "/", .patience = MS(10000)};

    for (int i = 0; i < ROUNDS; i++) {
        pw_lease_e rc;

        call.slot = (int)(rand_r(&seed) % SLOTS);
        rc = lease_or_fill(&call);
        __atomic_fetch_add(&outcomes[rc], 1, __ATOMIC_SEQ_CST);
        if (rc == PW_LEASE_OK) {
            call.last = call.member;
            run_call(&call, &seed);
        }
    }
    __atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* What a keeper does, and files that change. */
static void disturb(unsigned *seed)
{
    switch (rand_r(seed) % 5) {
    case 0:
        pw_pool_resize(pool, (int)(rand_r(seed) % 5));
        break;
    case 1:
        pw_pool_unload(pool);
        break;
    case 2:
        __atomic_store_n(&failing, rand_r(seed) % 4 == 0, __ATOMIC_SEQ_CST);
        break;
    case 3:
        pw_pool_retry(pool, (int)(rand_r(seed) % SLOTS));
        break;
    default:
        sched_yield();
    }
}

static void check_after(void)
{
    pw_pool_look_t look;
    long total = 0;

    pw_pool_look(pool, &look);
    for (int i = 0; i <= PW_LEASE_NONE; i++) {
        total += outcomes[i];
    }
    ok(total == (long)WORKERS * ROUNDS, "every one of %ld calls was answered",
       total);
    ok(look.granted == (apr_uint64_t)outcomes[PW_LEASE_OK],
       "what was leased was counted");
    ok(look.running == 0 && look.waiting == 0 && !exceeded,
       "none is left, and the bounds held");
    ok(outcomes[PW_LEASE_TIMEOUT] == 0 && outcomes[PW_LEASE_STOPPING] == 0
           && longest < LOST,
       "no wake-up was lost (%d ms at most)", (int)(longest / 1000));
}

static void test_random(void)
{
    pw_pool_setup_t setup = {.least = 1,
                             .most = 3,
                             .concurrency = 3,
                             .queue_limit = 4,
                             .queue_timeout = QUEUE_TIME,
                             .max_requests = 2000,
                             .fresh_retries = 1000,
                             .renewals = -1};
    pthread_t threads[WORKERS];
    unsigned seed = 7;

    make_pool(&setup);
    new_fake(NULL);
    for (size_t i = 0; i < WORKERS; i++) {
        pthread_create(&threads[i], NULL, work_at_random, (void *)(i + 1));
    }
    while (__atomic_load_n(&finished, __ATOMIC_SEQ_CST) < WORKERS) {
        disturb(&seed);
        apr_sleep(500);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    check_after();
    end_pool();
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&apool, NULL);
    test_limits();
    test_timeouts();
    test_order();
    test_load_rush();
    test_growth();
    test_failing_growth();
    test_renewal();
    test_renewal_in_use();
    test_holds();
    test_jitter();
    test_failing_renewal();
    test_parking_renewal();
    test_unload();
    test_random();
    apr_terminate();
    return tap_done();
}
