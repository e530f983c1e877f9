/* SPDX-License-Identifier: Apache-2.0
 *
 * fakes: members of a pool whose threads load, fail, are replaced, drain and
 * end as the pool commands; for test_pool and test_queue. One pool at a time.
 */
#ifndef FAKES_H
#define FAKES_H

#include "pw_pool.h"

#define SLOTS 2 /* the second is lazy */
#define FAKES 65536

typedef struct fake_t {
    pw_member_t member;
    unsigned char slots[SLOTS];
    pthread_t thread;
    int ended; /* atomic: 1 ended in the living child, 2 stopped */
} fake_t;

extern apr_pool_t *apool;
extern pw_pool_t *pool;
extern fake_t *fakes[FAKES];
extern int fake_count;     /* atomic: */
extern int failing;        /* atomic: loads fail while set */
extern int create_failing; /* atomic: so does the interpreter's creation */
extern int parking;        /* const in a test: threads remain in a member */
extern int spawn_failing;  /* atomic: no thread for a fresh member */
extern int loads;          /* atomic: */
extern int reaped;         /* atomic: */

/* A pool of that kind, with two slots, without a member. */
void make_pool(const pw_pool_setup_t *as);
void new_pool(int fresh_retries);

/* Stops the pool and waits for the threads of its members. */
void end_pool(void);

/* Adds a member with its thread. */
fake_t *new_fake(fake_t *renewed);

/* A call that lives as long as apool; ms: its patience for a load. */
pw_turn_t *new_call(int slot, int ms);

/* One lease, on one thread only. */
pw_lease_e lease(int slot, int ms, pw_member_t **m);

/* Returns the call that the member has longest. */
void give_back(pw_member_t *m);

/* Waits for another thread to set the value; ten seconds at most. */
int becomes(const int *value, int wanted);

/* The n-th member, from 0, has ended in the living child; waits likewise. */
int ends(int n);

#endif
