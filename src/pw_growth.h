/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_growth: the rule by which a pool whose WSGIInstances is a range grows and
 * shrinks. A judge without hands: the keeper tells it what it sees, with the
 * time, and does what it says.
 *
 * While calls run the keeper looks every PW_GROWTH_LOOK. What requests have
 * waited for a GIL since the last look is added up, less half of the time that
 * has passed, for each instance that serves; never below 0. So the sum grows
 * where on average more than one request waits for every two instances. At
 * PW_GROWTH_WAITED one instance is added, if none is loading; at once where a
 * request lacks a place in PW_GROWTH_CROWDED looks in a row. After
 * PW_GROWTH_QUIET in which the sum was 0 the newest one ends. What an instance
 * costs (its load, its memory) is thereby spent on a load that stays, not on
 * one burst.
 */
#ifndef PW_GROWTH_H
#define PW_GROWTH_H

#include "pw_pool.h"

#define PW_GROWTH_LOOK 50000                    /* microseconds, while busy */
#define PW_GROWTH_WAITED (APR_USEC_PER_SEC / 2) /* of the sum */
#define PW_GROWTH_CROWDED 10                    /* looks */
#define PW_GROWTH_QUIET (60 * APR_USEC_PER_SEC)

/* Of one pool. Zeroed, then `pressed` set to the time of its birth. */
typedef struct pw_growth_t {
    apr_int64_t sum;      /* see above, microseconds */
    apr_uint64_t waited;  /* for a GIL, at the last look */
    pw_instant_t looked;  /* the last look */
    int crowded;          /* looks at a call without a place */
    pw_instant_t pressed; /* the sum was last above 0, or a change */
} pw_growth_t;

/* The members that the pool is to have, where it has to change; else 0.
 * waited: all that its requests have ever waited for a GIL, in microseconds;
 * least, most: of WSGIInstances. One thread at a time. */
int pw_growth_judge(pw_growth_t *growth, const pw_pool_look_t *look,
                    apr_uint64_t waited, int least, int most, pw_instant_t now);

#endif
