/* SPDX-License-Identifier: Apache-2.0
 *
 * fakes: members of a pool without a Python.
 */
#include "fakes.h"

#include <sched.h>
#include <stdlib.h>

apr_pool_t *apool;
pw_pool_t *pool;
fake_t *fakes[FAKES];
int fake_count;     /* atomic: */
int failing;        /* atomic: loads fail while set */
int create_failing; /* atomic: so does the interpreter's creation */
int parking;        /* const in a test: threads remain in a member */
int spawn_failing;  /* atomic: no thread for a fresh member */
int loads;          /* atomic: */
int reaped;         /* atomic: */

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
        case PW_DO_RENEW:
            new_fake(f);
            break;
        case PW_DO_GROW:
            new_fake(NULL);
            break;
        case PW_DO_REPLACE:
            if (__atomic_load_n(&spawn_failing, __ATOMIC_SEQ_CST)) {
                pw_pool_keep(&f->member);
                break;
            }
            new_fake(NULL);
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

fake_t *new_fake(fake_t *renewed)
{
    fake_t *f = calloc(1, sizeof(*f));
    pthread_attr_t attr;
    int n = __atomic_fetch_add(&fake_count, 1, __ATOMIC_SEQ_CST);

    __atomic_store_n(&fakes[n], f, __ATOMIC_SEQ_CST);
    f->member.slots = f->slots;
    pw_pool_add(pool, &f->member, renewed ? &renewed->member : NULL);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    pthread_create(&f->thread, &attr, fake_main, f);
    pthread_attr_destroy(&attr);
    return f;
}

void make_pool(const pw_pool_setup_t *as)
{
    static const unsigned char lazy[SLOTS] = {0, 1};
    pw_pool_setup_t setup = *as;

    setup.slots = SLOTS;
    setup.lazy = lazy;
    fake_count = 0;
    failing = 0;
    create_failing = 0;
    loads = 0;
    pool = pw_pool_create(apool, &setup);
}

void new_pool(int fresh_retries)
{
    pw_pool_setup_t setup = {.fresh_retries = fresh_retries};

    make_pool(&setup);
}

/* A member that is being added has its place before its adder ends. */
void end_pool(void)
{
    int n = 0;

    pw_pool_stop(pool, pw_now() + 1000000);
    for (; n < __atomic_load_n(&fake_count, __ATOMIC_SEQ_CST); n++) {
        pthread_join(fakes[n]->thread, NULL);
    }
    while (n-- > 0) {
        free(fakes[n]);
        fakes[n] = NULL;
    }
}

/* Calls of a test, in turn: each lives until the test ends. */
pw_turn_t *new_call(int slot, int ms)
{
    pw_turn_t *call = apr_pcalloc(apool, sizeof(*call));

    call->slot = slot;
    call->patience = (pw_instant_t)ms * 1000;
    call->method = "GET";
    call->path = "/some/path";
    return call;
}

static pw_turn_t *latest; /* of the last lease(), of one thread only */

pw_lease_e lease(int slot, int ms, pw_member_t **m)
{
    pw_lease_e rc;

    latest = new_call(slot, ms);
    rc = pw_pool_lease(pool, latest);
    *m = latest->member;
    return rc;
}

/* Returns the call that has the member longest. */
void give_back(pw_member_t *m)
{
    pw_pool_return(m->oldest);
}

/* Waits for another thread to set the value; ten seconds at most. */
int becomes(const int *value, int wanted)
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

int ends(int n)
{
    pw_instant_t deadline = pw_now() + 10 * 1000000;
    fake_t *f;

    do {
        f = __atomic_load_n(&fakes[n], __ATOMIC_SEQ_CST);
        if (f && __atomic_load_n(&f->ended, __ATOMIC_SEQ_CST) == 1) {
            return 1;
        }
        sched_yield();
    } while (pw_now() < deadline);
    return 0;
}
