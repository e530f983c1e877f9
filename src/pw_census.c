/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_census: reads the segment. A request that goes on while it is read may be
 * counted as accepted and not yet as served, never the other way: what comes
 * last in a request is read first.
 */
#include "pw_census.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "pw_spec.h"

#define TRIES 100 /* then the parent has died in the middle */
#define TEXT_MAX PW_PATH_BYTES

#define get(place) (__atomic_load_n(&(place), __ATOMIC_RELAXED))

static const char *const phase_names[] = {
    [PW_PHASE_IDLE] = "idle",
    [PW_PHASE_BODY] = "body",
    [PW_PHASE_QUEUE] = "queue",
    [PW_PHASE_ATTACH] = "attach",
    [PW_PHASE_APPLICATION] = "application",
    [PW_PHASE_SENDING] = "sending",
};

const char *pw_phase_name(pw_phase_e phase)
{
    return phase < PW_PHASE_COUNT ? phase_names[phase] : "?";
}

/* ---- texts ------------------------------------------------------------- */

const char *pw_census_clean(apr_pool_t *pool, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    char *clean = apr_palloc(pool, strlen(text) * 3 + 1);
    char *to = clean;

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c >= ' ' && c <= '~') {
            *to++ = (char)c;
        }
        else {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        }
    }
    *to = '\0';
    return clean;
}

static const char *text_of(apr_pool_t *pool, const apr_uint64_t *place,
                           int words)
{
    char buf[TEXT_MAX];

    pw_stats_get_text(buf, place, words);
    return pw_census_clean(pool, buf);
}

#define TEXT(pool, field)                                                      \
    text_of(pool, field, (int)(sizeof(field) / sizeof(*(field))))

/* ---- numbers ----------------------------------------------------------- */

/* As many as there can be; more is nonsense, and is not shown. */
static unsigned level(apr_uint32_t value)
{
    return value > 1000000 ? 0 : value;
}

static int number(apr_uint64_t value)
{
    return value > INT_MAX ? 0 : (int)value;
}

apr_uint64_t pw_census_in_flight(const pw_sums_t *sums)
{
    apr_uint64_t ended = sums->counts[PW_COUNT_LOST];
    apr_uint64_t accepted = sums->counts[PW_COUNT_ACCEPTED];

    for (int i = PW_COUNT_SERVED; i <= PW_COUNT_DROPPED; i++) {
        ended += sums->counts[i];
    }
    return accepted > ended ? accepted - ended : 0;
}

/* From the last counter to the first: see above. */
static void add_sums(pw_sums_t *to, const pw_sums_t *from)
{
    for (int i = PW_TIME_COUNT - 1; i >= 0; i--) {
        for (int b = 0; b < PW_BUCKETS; b++) {
            to->times[i].buckets[b] += get(from->times[i].buckets[b]);
        }
        to->times[i].sum += get(from->times[i].sum);
    }
    for (int i = PW_COUNT_COUNT - 1; i >= 0; i--) {
        to->counts[i] += __atomic_load_n(&from->counts[i], __ATOMIC_ACQUIRE);
    }
}

/* ---- interpreters ------------------------------------------------------ */

static pw_census_interp_t *interp_named(pw_census_t *census, const char *name)
{
    apr_array_header_t *all = census->interps;
    pw_census_interp_t *interp;

    for (int i = 0; i < all->nelts; i++) {
        interp = &APR_ARRAY_IDX(all, i, pw_census_interp_t);
        if (!strcmp(interp->name, name)) {
            return interp;
        }
    }
    interp = apr_array_push(all);
    memset(interp, 0, sizeof(*interp));
    interp->name = name;
    interp->error = "";
    interp->instances =
        apr_array_make(all->pool, 2, sizeof(pw_census_instance_t));
    return interp;
}

static void add_instances(pw_census_interp_t *to, const pw_stat_interp_t *from,
                          pid_t pid)
{
    for (int i = 0; i < PW_INSTANCES_MAX; i++) {
        const pw_stat_instance_t *inst = &from->instances[i];
        apr_uint32_t state = get(inst->state);
        pw_census_instance_t *copy;

        if (state == 0 || state > PW_STATE_COUNT) {
            continue;
        }
        copy = apr_array_push(to->instances);
        copy->pid = pid;
        copy->number = i;
        copy->state = (pw_state_e)(state - 1);
        copy->generation = level(get(inst->generation));
        copy->in_flight = level(get(inst->in_flight));
        copy->tstates = level(get(inst->tstates));
        pw_stats_get_work(&copy->work, &inst->work);
        to->states[copy->state]++;
        to->tstates += copy->tstates;
    }
}

static int known_isolation(apr_uint32_t isolation)
{
    return isolation <= PW_ISOLATION_MAIN ? (int)isolation : PW_ISOLATION_UNSET;
}

static void add_levels(pw_census_interp_t *to, const pw_stat_interp_t *from,
                       apr_pool_t *pool)
{
    const char *error = TEXT(pool, from->error);
    apr_uint64_t load_time = get(from->load_time);

    to->queued += level(get(from->queued));
    to->running += level(get(from->running));
    to->isolation = known_isolation(get(from->isolation));
    to->slots = level(get(from->slots));
    to->failing |= get(from->failing) != 0;
    to->due |= get(from->due) != 0;
    if (load_time > to->load_time && load_time < INT_MAX * 1000ULL) {
        to->load_time = load_time;
    }
    if (*error) {
        to->error = error;
    }
}

static void add_child(pw_census_t *census, const pw_stats_t *stats, int slot,
                      const pw_census_child_t *child, apr_pool_t *pool)
{
    for (int i = 0; i < stats->size.interps; i++) {
        const pw_stat_interp_t *from = pw_stats_interp(stats, slot, i);
        pw_census_interp_t *to;

        if (!__atomic_load_n(&from->used, __ATOMIC_ACQUIRE)) {
            break;
        }
        to = interp_named(census, TEXT(pool, from->name));
        add_sums(&to->sums, &from->sums);
        add_levels(to, from, pool);
        add_instances(to, from, child->pid);
        to->children += !child->ended;
    }
}

static void add_past(pw_census_t *census, const pw_stats_t *stats,
                     apr_pool_t *pool)
{
    for (int i = 0; i < pw_stats_past_max(stats); i++) {
        const pw_stat_past_t *past = pw_stats_past(stats, i);

        if (__atomic_load_n(&past->used, __ATOMIC_ACQUIRE)) {
            add_sums(&interp_named(census, TEXT(pool, past->name))->sums,
                     &past->sums);
        }
    }
}

/* ---- calls ------------------------------------------------------------- */

static const char *interp_of(const pw_stats_t *stats, int slot,
                             const pw_record_t *record, apr_pool_t *pool)
{
    apr_uint32_t index = get(record->interp);
    const pw_stat_interp_t *interp;

    if (index >= (apr_uint32_t)stats->size.interps) {
        return "?";
    }
    interp = pw_stats_interp(stats, slot, (int)index);
    return TEXT(pool, interp->name);
}

/* Times of the past, not of the future. */
static apr_int64_t elapsed(pw_instant_t now, apr_uint64_t then)
{
    return then > 0 && then <= (apr_uint64_t)now ? now - (apr_int64_t)then : 0;
}

static apr_int64_t spent(apr_uint64_t time, apr_int64_t age)
{
    return time <= (apr_uint64_t)age ? (apr_int64_t)time : 0;
}

static void read_call(pw_census_call_t *call, const pw_stats_t *stats, int slot,
                      const pw_record_t *record, apr_pool_t *pool)
{
    pw_instant_t now = pw_now();

    call->thread = get(record->used);
    call->phase = (pw_phase_e)get(record->phase);
    call->interp = interp_of(stats, slot, record, pool);
    call->label = TEXT(pool, record->label);
    call->method = TEXT(pool, record->method);
    call->path = TEXT(pool, record->path);
    call->age = elapsed(now, get(record->began));
    call->since = elapsed(now, get(record->since));
    call->queue = spent(get(record->queue), call->age);
    call->attach = spent(get(record->attach), call->age);
}

/* One try: 0 where the thread went on to another request meanwhile. */
static int try_call(pw_census_call_t *call, const pw_stats_t *stats, int slot,
                    const pw_record_t *record, apr_pool_t *pool)
{
    apr_uint64_t seq = __atomic_load_n(&record->seq, __ATOMIC_ACQUIRE);

    read_call(call, stats, slot, record, pool);
    return seq % 2 == 0 && get(record->seq) == seq;
}

/* A record that does not hold still is shown as it was found: its texts are
 * clean in any case. */
static void add_calls(pw_census_child_t *child, const pw_stats_t *stats,
                      int slot, apr_pool_t *pool)
{
    for (int i = 0; i < stats->size.records; i++) {
        const pw_record_t *record = pw_stats_record(stats, slot, i);
        pw_census_call_t call;

        if (get(record->used) == 0) {
            continue;
        }
        for (int n = 0; n < 3; n++) {
            if (try_call(&call, stats, slot, record, pool)) {
                break;
            }
        }
        if (call.phase > PW_PHASE_IDLE && call.phase < PW_PHASE_COUNT) {
            APR_ARRAY_PUSH(child->calls, pw_census_call_t) = call;
        }
    }
}

/* ---- children ---------------------------------------------------------- */

static int read_child(pw_census_child_t *child, const pw_stats_t *stats,
                      int slot, apr_pool_t *pool)
{
    const pw_stat_child_t *from = pw_stats_child(stats, slot);

    child->pid = number(get(from->pid));
    if (child->pid <= 0) {
        return 0;
    }
    child->started = (apr_time_t)get(from->started);
    child->generation = number(get(from->generation));
    child->ended = get(from->ended) != 0;
    child->python = TEXT(pool, from->python);
    child->calls = apr_array_make(pool, 4, sizeof(pw_census_call_t));
    add_calls(child, stats, slot, pool);
    return 1;
}

/* pid 0: all, and the past. */
static void read_all(pw_census_t *census, const pw_stats_t *stats, pid_t pid,
                     apr_pool_t *pool)
{
    census->interps = apr_array_make(pool, 8, sizeof(pw_census_interp_t));
    census->children = apr_array_make(pool, 8, sizeof(pw_census_child_t));
    for (const pw_stats_t *s = stats; s; s = s->older) {
        for (int i = 0; i < s->size.children; i++) {
            pw_census_child_t child;

            if (read_child(&child, s, i, pool)
                && (pid == 0 || child.pid == pid)) {
                APR_ARRAY_PUSH(census->children, pw_census_child_t) = child;
                add_child(census, s, i, &child, pool);
            }
        }
    }
    if (stats && pid == 0) {
        add_past(census, stats, pool);
    }
}

static int by_name(const void *one, const void *two)
{
    return strcmp(((const pw_census_interp_t *)one)->name,
                  ((const pw_census_interp_t *)two)->name);
}

static void finish(pw_census_t *census)
{
    qsort(census->interps->elts, (size_t)census->interps->nelts,
          sizeof(pw_census_interp_t), by_name);
    for (int i = 0; i < census->interps->nelts; i++) {
        pw_census_interp_t *interp =
            &APR_ARRAY_IDX(census->interps, i, pw_census_interp_t);

        interp->in_flight = pw_census_in_flight(&interp->sums);
    }
}

static pw_census_t *take(const pw_stats_t *stats, pid_t pid, apr_pool_t *pool)
{
    pw_census_t *census = apr_palloc(pool, sizeof(*census));
    apr_uint64_t folding;
    int tries = 0;

    do {
        folding = stats ? pw_stats_folding(stats) : 0;
        read_all(census, stats, pid, pool);
    } while (stats && ++tries < TRIES
             && (folding % 2 != 0 || pw_stats_folding(stats) != folding));
    finish(census);
    return census;
}

pw_census_t *pw_census_take(const pw_stats_t *stats, apr_pool_t *pool)
{
    return take(stats, 0, pool);
}

pw_census_t *pw_census_take_one(const pw_stats_t *stats, pid_t pid,
                                apr_pool_t *pool)
{
    return take(stats, pid, pool);
}

pw_census_child_t *pw_census_child(const pw_stats_t *stats, pid_t pid,
                                   apr_pool_t *pool)
{
    pw_census_child_t *child = apr_palloc(pool, sizeof(*child));

    for (const pw_stats_t *s = stats; s; s = s->older) {
        for (int i = 0; i < s->size.children; i++) {
            if (get(pw_stats_child(s, i)->pid) == (apr_uint64_t)pid
                && read_child(child, s, i, pool)) {
                return child;
            }
        }
    }
    return NULL;
}
