/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_stats: see the header for who writes what. Everything here is loads and
 * stores on shared words; the one order that matters is that of `used`, which
 * is stored behind what it vouches for.
 */
#include "pw_stats.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <apr_shm.h>

#include "pw_pool.h"

#define PAGE 4096
#define OTHERS "(other)"

#define get(place) (__atomic_load_n(&(place), __ATOMIC_RELAXED))
#define set(place, value) (__atomic_store_n(&(place), value, __ATOMIC_RELAXED))
#define add(place, n) ((void)__atomic_fetch_add(&(place), n, __ATOMIC_RELAXED))
#define sub(place, n) ((void)__atomic_fetch_sub(&(place), n, __ATOMIC_RELAXED))

struct pw_counted_t {
    pw_stats_size_t size; /* const: 0 interpreters without a slot */
    pw_stats_t *stats;    /* const: NULL without a slot */
    int slot;             /* const: */
    apr_pool_t *cpool;    /* const: for blocks that have no place */
};

/* ---- places ------------------------------------------------------------ */

static apr_size_t align(apr_size_t bytes, apr_size_t to)
{
    return (bytes + to - 1) / to * to;
}

int pw_stats_past_max(const pw_stats_t *stats)
{
    return 2 * stats->size.interps + 1;
}

static apr_size_t head_bytes(const pw_stats_t *stats)
{
    return align(
        64 + (apr_size_t)pw_stats_past_max(stats) * sizeof(pw_stat_past_t),
        PAGE);
}

/* A child's slot begins a page: slots that are not used take no memory. */
static apr_size_t child_bytes(const pw_stats_size_t *size)
{
    return align(sizeof(pw_stat_child_t)
                     + (apr_size_t)size->interps * sizeof(pw_stat_interp_t)
                     + (apr_size_t)size->records * sizeof(pw_record_t),
                 PAGE);
}

static apr_uint64_t *folding(const pw_stats_t *stats)
{
    return (apr_uint64_t *)(void *)stats->base;
}

pw_stat_past_t *pw_stats_past(const pw_stats_t *stats, int past)
{
    return (pw_stat_past_t *)(void *)(stats->base + 64) + past;
}

pw_stat_child_t *pw_stats_child(const pw_stats_t *stats, int child)
{
    return (pw_stat_child_t *)(void *)(stats->base + head_bytes(stats)
                                       + (apr_size_t)child
                                             * child_bytes(&stats->size));
}

pw_stat_interp_t *pw_stats_interp(const pw_stats_t *stats, int child,
                                  int interp)
{
    return (pw_stat_interp_t *)(pw_stats_child(stats, child) + 1) + interp;
}

pw_record_t *pw_stats_record(const pw_stats_t *stats, int child, int record)
{
    return (pw_record_t *)pw_stats_interp(stats, child, stats->size.interps)
           + record;
}

/* ---- texts ------------------------------------------------------------- */

/* Fewer than 8 bytes, and zeros. By halves: a loop would cost more. */
static apr_uint64_t last_word(const char *text, apr_size_t len)
{
    char bytes[8] = {0};
    char *to = bytes;
    apr_uint64_t word;

    if (len & 4) {
        memcpy(to, text, 4);
        to += 4;
        text += 4;
    }
    if (len & 2) {
        memcpy(to, text, 2);
        to += 2;
        text += 2;
    }
    if (len & 1) {
        *to = *text;
    }
    memcpy(&word, bytes, 8);
    return word;
}

/* No more words than the text needs: the reader stops at its NUL. */
static void put_text(apr_uint64_t *to, int words, const char *text,
                     apr_size_t len)
{
    apr_size_t room = (apr_size_t)words * 8 - 1;
    apr_uint64_t word;

    if (len > room) {
        len = room;
    }
    for (; len >= 8; len -= 8, text += 8) {
        memcpy(&word, text, 8);
        set(*to, word);
        to++;
    }
    set(*to, last_word(text, len));
}

void pw_stats_get_text(char *buf, const apr_uint64_t *from, int words)
{
    for (int i = 0; i < words; i++) {
        apr_uint64_t word = __atomic_load_n(&from[i], __ATOMIC_ACQUIRE);

        memcpy(buf + i * 8, &word, 8);
    }
    buf[words * 8 - 1] = '\0';
}

static void put_name(apr_uint64_t *to, const char *name)
{
    put_text(to, PW_TEXT_WORDS(PW_NAME_BYTES), name, strlen(name));
}

static int same_name(const apr_uint64_t *place, const char *name)
{
    char have[PW_NAME_BYTES];

    pw_stats_get_text(have, place, PW_TEXT_WORDS(PW_NAME_BYTES));
    return strncmp(have, name, sizeof(have) - 1) == 0;
}

/* ---- sums -------------------------------------------------------------- */

/* A pw_sums_t is nothing but these. */
#define SUMS_WORDS (sizeof(pw_sums_t) / sizeof(apr_uint64_t))

void pw_stats_add(pw_sums_t *to, const pw_sums_t *from)
{
    apr_uint64_t *into = (apr_uint64_t *)to;
    const apr_uint64_t *out = (const apr_uint64_t *)from;

    for (apr_size_t i = 0; i < SUMS_WORDS; i++) {
        add(into[i], get(out[i]));
    }
}

/* Requests that have not come to an end. */
static apr_uint64_t in_flight(const pw_sums_t *sums)
{
    apr_uint64_t ended = 0;

    for (int i = PW_COUNT_SERVED; i <= PW_COUNT_DROPPED; i++) {
        ended += get(sums->counts[i]);
    }
    return get(sums->counts[PW_COUNT_ACCEPTED]) - ended;
}

/* ---- parent ------------------------------------------------------------ */

static int suffices(const pw_stats_t *have, const pw_stats_size_t *need)
{
    return have && have->size.children >= need->children
           && have->size.interps >= need->interps
           && have->size.records >= need->records;
}

/* Room for what the next configurations may bring. */
static pw_stats_size_t with_room(const pw_stats_size_t *need)
{
    pw_stats_size_t size = *need;

    size.interps = need->interps < 16 ? 32 : 2 * need->interps;
    return size;
}

/* What the smaller segment had of ended children moves on. */
static void take_past(pw_stats_t *stats)
{
    const pw_stats_t *older = stats->older;
    int count = older ? pw_stats_past_max(older) : 0;
    int max = pw_stats_past_max(stats);

    for (int i = 0; i < count; i++) {
        memcpy(pw_stats_past(stats, i < max ? i : max - 1),
               pw_stats_past(older, i), sizeof(pw_stat_past_t));
    }
}

pw_stats_t *pw_stats_open(apr_pool_t *ppool, pw_stats_t *have,
                          const pw_stats_size_t *need)
{
    pw_stats_t *stats;
    apr_shm_t *shm;
    apr_size_t bytes;
    char *base;

    if (suffices(have, need)) {
        return have;
    }
    stats = apr_pcalloc(ppool, sizeof(*stats));
    stats->size = with_room(need);
    stats->older = have;
    bytes = head_bytes(stats)
            + (apr_size_t)stats->size.children * child_bytes(&stats->size);
    if (apr_shm_create(&shm, bytes + PAGE, NULL, ppool) != APR_SUCCESS) {
        return have;
    }
    base = apr_shm_baseaddr_get(shm);
    stats->base = base + (PAGE - (apr_size_t)base % PAGE) % PAGE;
    take_past(stats);
    return stats;
}

/* The place of a name in the past, a new one, or the last where all is full. */
static pw_stat_past_t *past_named(pw_stats_t *stats, const char *name)
{
    int last = pw_stats_past_max(stats) - 1;
    int i = 0;

    while (i < last && get(pw_stats_past(stats, i)->used)
           && !same_name(pw_stats_past(stats, i)->name, name)) {
        i++;
    }
    if (!get(pw_stats_past(stats, i)->used)) {
        put_name(pw_stats_past(stats, i)->name, i < last ? name : OTHERS);
        __atomic_store_n(&pw_stats_past(stats, i)->used, 1, __ATOMIC_RELEASE);
    }
    return pw_stats_past(stats, i);
}

static void fold_interp(pw_stats_t *into, pw_stat_interp_t *interp)
{
    apr_uint64_t lost = in_flight(&interp->sums);
    char name[PW_NAME_BYTES];
    pw_stat_past_t *past;

    pw_stats_get_text(name, interp->name, PW_TEXT_WORDS(PW_NAME_BYTES));
    past = past_named(into, name);
    pw_stats_add(&past->sums, &interp->sums);
    if (lost < (apr_uint64_t)1 << 32) { /* else it is no number of ours */
        add(past->sums.counts[PW_COUNT_LOST], lost);
    }
    memset(interp, 0, sizeof(*interp));
}

static void fold_slot(pw_stats_t *into, pw_stats_t *stats, int slot)
{
    pw_stat_child_t *child = pw_stats_child(stats, slot);
    pw_stat_interp_t *interp = pw_stats_interp(stats, slot, 0);

    __atomic_fetch_add(folding(into), 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < stats->size.interps && get(interp[i].used); i++) {
        fold_interp(into, &interp[i]);
    }
    for (int i = 0; i < stats->size.records; i++) {
        set(pw_stats_record(stats, slot, i)->used, 0);
    }
    set(child->ended, 0);
    __atomic_store_n(&child->pid, 0, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(folding(into), 1, __ATOMIC_SEQ_CST);
}

void pw_stats_fold(pw_stats_t *stats, pid_t pid)
{
    for (pw_stats_t *s = stats; s; s = s->older) {
        for (int i = 0; i < s->size.children; i++) {
            if (get(pw_stats_child(s, i)->pid) == (apr_uint64_t)pid) {
                fold_slot(stats, s, i);
            }
        }
    }
}

static int is_gone(apr_uint64_t pid)
{
    return pid != 0
           && (pid > INT_MAX || (kill((pid_t)pid, 0) < 0 && errno == ESRCH));
}

void pw_stats_sweep(pw_stats_t *stats)
{
    for (pw_stats_t *s = stats; s; s = s->older) {
        for (int i = 0; i < s->size.children; i++) {
            if (is_gone(get(pw_stats_child(s, i)->pid))) {
                fold_slot(stats, s, i);
            }
        }
    }
}

apr_uint64_t pw_stats_folding(const pw_stats_t *stats)
{
    return __atomic_load_n(folding(stats), __ATOMIC_SEQ_CST);
}

/* ---- child ------------------------------------------------------------- */

static int take_slot(pw_stats_t *stats)
{
    for (int i = 0; i < stats->size.children; i++) {
        apr_uint64_t none = 0;

        if (__atomic_compare_exchange_n(&pw_stats_child(stats, i)->pid, &none,
                                        (apr_uint64_t)getpid(), 0,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
            return i;
        }
    }
    return -1;
}

pw_counted_t *pw_stats_join(pw_stats_t *stats, apr_pool_t *cpool,
                            apr_int64_t generation, const char *python,
                            int *shared)
{
    pw_counted_t *own = apr_pcalloc(cpool, sizeof(*own));
    pw_stat_child_t *child;

    own->cpool = cpool;
    own->slot = stats ? take_slot(stats) : -1;
    *shared = own->slot >= 0;
    if (!*shared) {
        return own;
    }
    own->stats = stats;
    own->size = stats->size;
    child = pw_stats_child(stats, own->slot);
    set(child->ended, 0);
    set(child->generation, (apr_uint64_t)generation);
    put_text(child->python, PW_TEXT_WORDS(PW_PYTHON_BYTES), python,
             strlen(python));
    set(child->started, (apr_uint64_t)apr_time_now());
    return own;
}

void pw_stats_leave(pw_counted_t *own)
{
    if (own->stats) {
        set(pw_stats_child(own->stats, own->slot)->ended, 1);
    }
}

/* Blocks that have no place live as long as threads of other modules may: they
 * may end after the child's pool. */
static void *nowhere(apr_size_t bytes)
{
    void *block = calloc(1, bytes);

    if (!block) {
        abort();
    }
    return block;
}

pw_stat_interp_t *pw_stats_name(pw_counted_t *own, int index, const char *name,
                                int isolation)
{
    pw_stat_interp_t *interp;

    if (index >= own->size.interps) {
        return nowhere(sizeof(*interp));
    }
    interp = pw_stats_interp(own->stats, own->slot, index);
    put_name(interp->name, name);
    set(interp->isolation, (apr_uint32_t)isolation);
    __atomic_store_n(&interp->used, 1, __ATOMIC_RELEASE);
    return interp;
}

void pw_stats_set_slots(pw_stat_interp_t *interp, int slots)
{
    set(interp->slots, (apr_uint32_t)slots);
}

void pw_stats_set_due(pw_stat_interp_t *interp, int due)
{
    set(interp->due, (apr_uint32_t)due);
}

void pw_stats_set_error(pw_stat_interp_t *interp, const char *code,
                        const char *type)
{
    char text[PW_ERROR_BYTES];

    snprintf(text, sizeof(text), "%s%s%s", code, type ? " " : "",
             type ? type : "");
    put_text(interp->error, PW_TEXT_WORDS(PW_ERROR_BYTES), text, strlen(text));
}

void pw_stats_loaded(pw_stat_interp_t *interp, pw_stat_instance_t *instance,
                     int ok, int fresh, apr_interval_time_t took)
{
    pw_stats_count(interp, ok ? PW_COUNT_LOADS : PW_COUNT_LOAD_FAILURES);
    if (ok && fresh) {
        pw_stats_count(interp, PW_COUNT_RELOADS);
    }
    set(interp->failing, !ok);
    set(interp->load_time, (apr_uint64_t)took);
    add(instance->work.load, (apr_uint64_t)took);
}

static void clear_work(pw_work_t *work)
{
    apr_uint64_t *words = (apr_uint64_t *)work;

    for (apr_size_t i = 0; i < sizeof(*work) / sizeof(*words); i++) {
        set(words[i], 0);
    }
}

void pw_stats_get_work(pw_work_t *to, const pw_work_t *from)
{
    apr_uint64_t *into = (apr_uint64_t *)to;
    const apr_uint64_t *out = (const apr_uint64_t *)from;

    for (apr_size_t i = 0; i < sizeof(*to) / sizeof(*into); i++) {
        into[i] = get(out[i]);
    }
}

pw_stat_instance_t *pw_stats_add_instance(pw_stat_interp_t *interp,
                                          int generation)
{
    pw_stat_instance_t *i = interp->instances;
    pw_stat_instance_t *end = i + PW_INSTANCES_MAX;
    apr_uint32_t none = 0;

    while (i < end
           && !__atomic_compare_exchange_n(&i->state, &none, PW_NEW + 1, 0,
                                           __ATOMIC_SEQ_CST,
                                           __ATOMIC_RELAXED)) {
        none = 0;
        i++;
    }
    if (i < end) {
        set(i->generation, (apr_uint32_t)generation);
        clear_work(&i->work);
    }
    return i;
}

void pw_stats_set_state(pw_stat_instance_t *instance, int state)
{
    if (state == PW_DEAD) {
        set(instance->in_flight, 0);
        set(instance->tstates, 0);
        __atomic_store_n(&instance->state, 0, __ATOMIC_RELEASE);
        return;
    }
    set(instance->state, (apr_uint32_t)state + 1);
}

void pw_stats_tstates(pw_stat_instance_t *instance, int more)
{
    add(instance->tstates, (apr_uint32_t)more);
}

/* ---- threads ----------------------------------------------------------- */

static pw_record_t *take_record(pw_counted_t *own, apr_uint64_t serial)
{
    for (int i = 0; i < own->size.records; i++) {
        pw_record_t *record = pw_stats_record(own->stats, own->slot, i);
        apr_uint64_t none = 0;

        if (get(record->used) == 0
            && __atomic_compare_exchange_n(&record->used, &none, serial, 0,
                                           __ATOMIC_SEQ_CST,
                                           __ATOMIC_RELAXED)) {
            return record;
        }
    }
    return NULL;
}

void pw_stats_caller(pw_counted_t *own, pw_caller_t *caller,
                     apr_uint64_t serial)
{
    memset(caller, 0, sizeof(*caller));
    caller->tick = (unsigned)(serial * 37);
    caller->record = take_record(own, serial);
    if (!caller->record) {
        caller->record = &caller->own;
    }
    set(caller->record->phase, PW_PHASE_IDLE);
}

void pw_stats_caller_end(pw_caller_t *caller)
{
    set(caller->record->phase, PW_PHASE_IDLE);
    __atomic_store_n(&caller->record->used, 0, __ATOMIC_RELEASE);
}

/* Its phase, and when it began. */
static void show_phase(const pw_call_t *call)
{
    pw_record_t *record = call->caller->record;

    set(record->since, (apr_uint64_t)call->since);
    set(record->phase, (apr_uint32_t)call->phase);
}

/* All of it. Nobody else writes here: `seq` only needs its order, which keeps
 * what follows the exchange behind it. */
static void show_call(const pw_call_t *call)
{
    pw_caller_t *caller = call->caller;
    pw_record_t *record = caller->record;
    apr_uint64_t seq = get(record->seq) | 1;

    __atomic_exchange_n(&record->seq, seq, __ATOMIC_ACQ_REL);
    set(record->began, (apr_uint64_t)call->began);
    set(record->interp, (apr_uint32_t)call->index);
    set(record->queue, call->queue);
    set(record->attach, call->attach);
    put_text(record->method, PW_TEXT_WORDS(PW_METHOD_BYTES), call->method,
             strlen(call->method));
    put_text(record->path, PW_TEXT_WORDS(PW_PATH_BYTES), call->path,
             (apr_size_t)(strchrnul(call->path, '?') - call->path));
    if (caller->label != call->label) {
        caller->label = call->label;
        put_text(record->label, PW_TEXT_WORDS(PW_LABEL_BYTES), call->label,
                 strlen(call->label));
    }
    show_phase(call);
    __atomic_store_n(&record->seq, seq + 1, __ATOMIC_RELEASE);
}

/* ---- requests ---------------------------------------------------------- */

static void observe(pw_times_t *times, apr_uint64_t took)
{
    static const apr_uint64_t bounds[] = PW_BUCKET_BOUNDS;
    int i = 0;

    while (i < PW_BUCKETS - 1 && took > bounds[i]) {
        i++;
    }
    add(times->buckets[i], 1);
    add(times->sum, took);
}

static apr_int64_t thread_cpu(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (apr_int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The next phase begins; returns how long the last one took. */
static apr_uint64_t advance_at(pw_call_t *call, pw_phase_e phase,
                               pw_instant_t now)
{
    apr_uint64_t took = (apr_uint64_t)(now - call->since);

    call->since = now;
    call->phase = phase;
    show_phase(call);
    return took;
}

static apr_uint64_t advance(pw_call_t *call, pw_phase_e phase)
{
    return advance_at(call, phase, pw_now());
}

void pw_stats_accept(pw_caller_t *caller, pw_call_t *call)
{
    call->caller = caller;
    call->outer = caller->call;
    caller->call = call;
    call->phase = PW_PHASE_QUEUE;
    call->began = call->since = pw_now();
    call->cpu = -1;
    call->queued = 1;
    add(call->interp->queued, 1);
    pw_stats_count(call->interp, PW_COUNT_ACCEPTED);
    show_call(call);
}

static void leave_queue(pw_call_t *call)
{
    if (call->queued) {
        call->queued = 0;
        sub(call->interp->queued, 1);
    }
}

void pw_stats_body(pw_call_t *call)
{
    leave_queue(call);
    advance(call, PW_PHASE_BODY);
}

void pw_stats_queue(pw_call_t *call)
{
    call->queued = 1;
    add(call->interp->queued, 1);
    advance(call, PW_PHASE_QUEUE);
}

void pw_stats_leased(pw_call_t *call, pw_stat_instance_t *instance,
                     pw_instant_t now)
{
    leave_queue(call);
    call->queue = advance_at(call, PW_PHASE_ATTACH, now);
    set(call->caller->record->queue, call->queue);
    call->instance = instance;
    add(instance->in_flight, 1);
    add(call->interp->running, 1);
    observe(&call->interp->sums.times[PW_TIME_QUEUE], call->queue);
    if (++call->caller->tick % PW_CPU_SAMPLE == 0) {
        call->cpu = thread_cpu();
    }
}

void pw_stats_attached(pw_call_t *call)
{
    call->attach = advance(call, PW_PHASE_APPLICATION);
    set(call->caller->record->attach, call->attach);
    observe(&call->interp->sums.times[PW_TIME_ATTACH], call->attach);
    add(call->instance->work.attach, call->attach);
}

static void leave_instance(pw_call_t *call)
{
    if (call->instance) {
        sub(call->instance->in_flight, 1);
        add(call->instance->work.served, 1);
        sub(call->interp->running, 1);
        call->instance = NULL;
    }
}

/* From 0; what is no status of HTTP counts as a fault. */
static unsigned class_of(int status)
{
    unsigned class = (unsigned)status / 100;

    return class - 1 < 5 ? class - 1 : 4;
}

void pw_stats_raised(pw_call_t *call)
{
    pw_stats_count(call->interp, PW_COUNT_EXCEPTIONS);
    add(call->instance->work.exceptions, 1);
}

void pw_stats_detached(pw_call_t *call, int status)
{
    apr_uint64_t took = advance(call, PW_PHASE_SENDING);
    pw_work_t *work = &call->instance->work;

    observe(&call->interp->sums.times[PW_TIME_APPLICATION], took);
    add(work->application, took);
    add(work->classes[class_of(status)], 1);
    if (call->cpu >= 0) {
        apr_uint64_t cpu =
            (apr_uint64_t)(thread_cpu() - call->cpu) * PW_CPU_SAMPLE;

        add(call->interp->sums.counts[PW_COUNT_CPU], cpu);
        add(work->cpu, cpu);
    }
    leave_instance(call);
}

/* The one around it goes on, or the thread has none. */
static void end_call(pw_call_t *call, pw_count_e how)
{
    pw_caller_t *caller = call->caller;

    leave_queue(call);
    leave_instance(call);
    pw_stats_count(call->interp, how);
    caller->call = call->outer;
    if (call->outer) {
        show_call(call->outer);
    }
    else {
        set(caller->record->phase, PW_PHASE_IDLE);
    }
}

void pw_stats_served(pw_call_t *call, int status)
{
    end_call(call, PW_COUNT_SERVED + class_of(status));
}

void pw_stats_refused(pw_call_t *call, pw_refused_e why)
{
    end_call(call, PW_COUNT_REFUSED + (unsigned)why);
}

void pw_stats_dropped(pw_call_t *call)
{
    end_call(call, PW_COUNT_DROPPED);
}
