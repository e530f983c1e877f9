/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_growth: see its header. The keeper's thread.
 */
#include "pw_growth.h"

/* Adds up what is new since the last look. */
static void sum_up(pw_growth_t *g, const pw_pool_look_t *look,
                   apr_uint64_t waited, pw_instant_t now)
{
    g->sum += (apr_int64_t)(waited - g->waited)
              - (now - g->looked) * look->serving / 2;
    g->waited = waited;
    g->looked = now;
    g->crowded = look->starving > 0 ? g->crowded + 1 : 0;
    if (g->sum < 0) {
        g->sum = 0;
    }
    if (g->sum > 0 || g->crowded > 0) {
        g->pressed = now;
    }
}

int pw_growth_judge(pw_growth_t *g, const pw_pool_look_t *look,
                    apr_uint64_t waited, int least, int most, pw_instant_t now)
{
    sum_up(g, look, waited, now);
    if (g->sum >= PW_GROWTH_WAITED || g->crowded >= PW_GROWTH_CROWDED) {
        int all_serve =
            look->members == look->serving && look->members >= look->target;

        g->sum = 0;
        g->crowded = 0;
        return look->target < most && all_serve ? look->target + 1 : 0;
    }
    if (now - g->pressed >= PW_GROWTH_QUIET) {
        g->pressed = now;
        return look->target > least && look->draining == 0 ? look->target - 1
                                                           : 0;
    }
    return 0;
}
