/* SPDX-License-Identifier: Apache-2.0
 *
 * test_stats: pw_stats and pw_census over one segment: children are played by
 * this process, their numbers by processes that it starts and ends.
 */
#include "pw_census.h"
#include "pw_spec.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

static apr_pool_t *pool;
static pw_stats_t *stats;
static int shared;

static void new_segment(int children, int interps, int records)
{
    pw_stats_size_t need = {children, interps, records};

    stats = pw_stats_open(pool, NULL, &need);
}

static pw_counted_t *join(void)
{
    return pw_stats_join(stats, pool, 3, "3.14.0", &shared);
}

static pw_census_interp_t *counted(const char *name)
{
    pw_census_t *census = pw_census_take(stats, pool);

    for (int i = 0; i < census->interps->nelts; i++) {
        pw_census_interp_t *interp =
            &APR_ARRAY_IDX(census->interps, i, pw_census_interp_t);

        if (!strcmp(interp->name, name)) {
            return interp;
        }
    }
    return NULL;
}

static pw_census_child_t *child_at(int i)
{
    pw_census_t *census = pw_census_take(stats, pool);

    return i < census->children->nelts
               ? &APR_ARRAY_IDX(census->children, i, pw_census_child_t)
               : NULL;
}

static pw_census_call_t *only_call(void)
{
    pw_census_child_t *child = child_at(0);

    return child && child->calls->nelts == 1
               ? &APR_ARRAY_IDX(child->calls, 0, pw_census_call_t)
               : NULL;
}

/* The process number of a child that has ended and was reaped. */
static pid_t dead_pid(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    return pid;
}

/* ---- a request --------------------------------------------------------- */

static pw_call_t call_of(pw_stat_interp_t *interp, const char *path)
{
    pw_call_t call = {.interp = interp,
                      .label = "blog (example.org/)",
                      .method = "GET",
                      .path = path};

    return call;
}

static int shows(pw_phase_e phase)
{
    pw_census_call_t *call = only_call();

    return call && call->phase == phase;
}

static void test_request(void)
{
    pw_stat_interp_t *interp;
    pw_stat_instance_t *instance;
    pw_caller_t caller;
    pw_call_t call;
    pw_census_interp_t *seen;
    pw_census_call_t *shown;
    const pw_work_t *work;
    pw_counted_t *own;

    new_segment(1, 1, 1);
    own = join();
    ok(shared, "the child has a slot");
    ok(child_at(0)->pid == getpid() && child_at(0)->generation == 3
           && !strcmp(child_at(0)->python, "3.14.0"),
       "which says whose it is");
    interp = pw_stats_name(own, 0, "blog", PW_ISOLATION_OWN_GIL);
    instance = pw_stats_add_instance(interp, 1);
    pw_stats_set_state(instance, PW_READY);
    pw_stats_set_slots(interp, 4);
    pw_stats_caller(own, &caller, 1);
    ok(only_call() == NULL, "an idle thread is no call");

    call = call_of(interp, "/new?secret=1");
    pw_stats_accept(&caller, &call);
    ok(shows(PW_PHASE_QUEUE) && counted("blog")->queued == 1,
       "accepted: it waits");
    pw_stats_body(&call);
    ok(shows(PW_PHASE_BODY) && counted("blog")->queued == 0,
       "its body is read: it does not");
    pw_stats_queue(&call);
    ok(shows(PW_PHASE_QUEUE) && counted("blog")->queued == 1, "and waits");
    pw_stats_leased(&call, instance, pw_now());
    seen = counted("blog");
    ok(shows(PW_PHASE_ATTACH) && seen->queued == 0 && seen->running == 1
           && seen->in_flight == 1,
       "leased: it runs");
    ok(APR_ARRAY_IDX(seen->instances, 0, pw_census_instance_t).in_flight == 1,
       "in its instance");
    pw_stats_attached(&call);
    shown = only_call();
    ok(shown && shown->phase == PW_PHASE_APPLICATION, "attached");
    ok(shown && !strcmp(shown->path, "/new"), "its query is not shown");
    ok(shown && !strcmp(shown->label, "blog (example.org/)")
           && !strcmp(shown->method, "GET") && !strcmp(shown->interp, "blog"),
       "what it is, is");
    pw_stats_raised(&call);
    pw_stats_detached(&call, 404);
    ok(shows(PW_PHASE_SENDING) && counted("blog")->running == 0, "detached");
    pw_stats_served(&call, 404);
    seen = counted("blog");
    ok(only_call() == NULL && seen->in_flight == 0, "served: it is over");
    ok(seen->sums.counts[PW_COUNT_ACCEPTED] == 1
           && seen->sums.counts[PW_COUNT_SERVED + 3] == 1,
       "and counted as 4xx");
    work = &APR_ARRAY_IDX(seen->instances, 0, pw_census_instance_t).work;
    ok(work->served == 1 && work->classes[3] == 1 && work->exceptions == 1
           && seen->sums.counts[PW_COUNT_EXCEPTIONS] == 1,
       "for its instance too, and that it raised");
    ok(work->attach == seen->sums.times[PW_TIME_ATTACH].sum
           && work->application == seen->sums.times[PW_TIME_APPLICATION].sum,
       "so are its times");
    pw_stats_loaded(interp, instance, 1, 0, 7);
    pw_stats_loaded(interp, instance, 0, 0, 5);
    seen = counted("blog");
    work = &APR_ARRAY_IDX(seen->instances, 0, pw_census_instance_t).work;
    ok(work->load == 12 && seen->load_time == 5, "loads of the instance");
    pw_stats_set_state(instance, PW_DEAD);
    ok(pw_stats_add_instance(interp, 2) == instance && instance->work.load == 0
           && instance->work.classes[3] == 0,
       "the next instance begins at 0");
    seen = counted("blog");
    for (int t = 0; t < PW_TIME_COUNT; t++) {
        apr_uint64_t sum = 0;

        for (int b = 0; b < PW_BUCKETS; b++) {
            sum += seen->sums.times[t].buckets[b];
        }
        ok(sum == 1, "time %d is in one bucket", t);
    }
}

static void test_ends(void)
{
    pw_stat_interp_t *interp;
    pw_stat_instance_t *instance;
    pw_caller_t caller;
    pw_call_t call;
    pw_census_interp_t *seen;
    pw_counted_t *own;

    new_segment(1, 1, 1);
    own = join();
    interp = pw_stats_name(own, 0, "blog", PW_ISOLATION_MAIN);
    instance = pw_stats_add_instance(interp, 1);
    pw_stats_caller(own, &caller, 1);
    call = call_of(interp, "/");
    pw_stats_accept(&caller, &call);
    pw_stats_refused(&call, PW_REFUSED_FULL);
    call = call_of(interp, "/");
    pw_stats_accept(&caller, &call);
    pw_stats_dropped(&call);
    call = call_of(interp, "/");
    pw_stats_accept(&caller, &call);
    pw_stats_leased(&call, instance, pw_now());
    pw_stats_refused(&call, PW_REFUSED_MEMORY);
    seen = counted("blog");
    ok(seen->queued == 0 && seen->running == 0 && seen->in_flight == 0,
       "refused and dropped ones leave nothing behind");
    ok(seen->sums.counts[PW_COUNT_REFUSED + PW_REFUSED_FULL] == 1
           && seen->sums.counts[PW_COUNT_REFUSED + PW_REFUSED_MEMORY] == 1
           && seen->sums.counts[PW_COUNT_DROPPED] == 1
           && seen->sums.counts[PW_COUNT_ACCEPTED] == 3,
       "and are counted by their reason");
}

/* A subrequest of mod_include runs while the page around it is being sent. */
static void test_nested(void)
{
    pw_stat_interp_t *interp;
    pw_caller_t caller;
    pw_call_t outer, inner;
    pw_counted_t *own;

    new_segment(1, 1, 1);
    own = join();
    interp = pw_stats_name(own, 0, "blog", PW_ISOLATION_MAIN);
    pw_stats_caller(own, &caller, 1);
    outer = call_of(interp, "/page");
    pw_stats_accept(&caller, &outer);
    inner = call_of(interp, "/part");
    pw_stats_accept(&caller, &inner);
    ok(!strcmp(only_call()->path, "/part"), "the inner request is shown");
    pw_stats_served(&inner, 200);
    ok(!strcmp(only_call()->path, "/page") && shows(PW_PHASE_QUEUE),
       "then the one around it again");
    pw_stats_served(&outer, 200);
    ok(!only_call() && counted("blog")->sums.counts[PW_COUNT_ACCEPTED] == 2,
       "both are counted");
}

/* ---- children ---------------------------------------------------------- */

static void serve(pw_counted_t *own, int index, const char *name, int times)
{
    pw_stat_interp_t *interp =
        pw_stats_name(own, index, name, PW_ISOLATION_OWN_GIL);
    pw_caller_t caller;

    pw_stats_caller(own, &caller, 7);
    for (int i = 0; i < times; i++) {
        pw_call_t call = call_of(interp, "/");

        pw_stats_accept(&caller, &call);
        pw_stats_served(&call, 200);
    }
    pw_stats_caller_end(&caller);
}

static apr_uint64_t accepted(const char *name)
{
    pw_census_interp_t *interp = counted(name);

    return interp ? interp->sums.counts[PW_COUNT_ACCEPTED] : 0;
}

static void set_pid(int slot, pid_t pid)
{
    pw_stats_child(stats, slot)->pid = (apr_uint64_t)pid;
}

static void test_fold(void)
{
    pid_t gone = dead_pid();
    pw_caller_t caller;
    pw_call_t call;
    pw_counted_t *own;

    new_segment(2, 4, 2);
    serve(join(), 0, "a", 5);
    set_pid(0, gone);
    own = join();
    serve(own, 0, "b", 1);
    serve(own, 1, "a", 2);
    ok(accepted("a") == 7 && accepted("b") == 1, "children add up");
    pw_stats_caller(own, &caller, 1);
    call = call_of(pw_stats_interp(stats, 1, 1), "/lost");
    pw_stats_accept(&caller, &call);
    pw_stats_fold(stats, gone);
    ok(accepted("a") == 8 && pw_census_take(stats, pool)->children->nelts == 1,
       "one that ended is counted, and its slot is free");
    ok(pw_census_child(stats, gone, pool) == NULL, "it is no child any more");
    pw_stats_fold(stats, gone);
    ok(accepted("a") == 8, "no second time");
    ok(pw_census_child(stats, getpid(), pool)->calls->nelts == 1,
       "of the other it can be told what it does");
    pw_stats_fold(stats, getpid());
    ok(accepted("a") == 8 && accepted("b") == 1 && counted("a")->in_flight == 0,
       "both have ended: all is counted, nothing in flight");
    ok(counted("a")->sums.counts[PW_COUNT_LOST] == 1, "one request is lost");

    serve(join(), 0, "c", 1);
    set_pid(0, gone);
    pw_stats_sweep(stats);
    ok(accepted("c") == 1 && pw_census_take(stats, pool)->children->nelts == 0,
       "a slot without a process is swept up");
    serve(join(), 0, "c", 1);
    pw_stats_sweep(stats);
    ok(pw_census_take(stats, pool)->children->nelts == 1,
       "a living one is not");
}

static void test_leave(void)
{
    pw_counted_t *own;

    new_segment(1, 1, 1);
    own = join();
    serve(own, 0, "a", 1);
    ok(!child_at(0)->ended && counted("a")->children == 1, "a child serves");
    pw_stats_leave(own);
    ok(child_at(0)->ended && counted("a")->children == 0, "and ends in order");
    pw_stats_fold(stats, getpid());
    join();
    ok(!child_at(0)->ended, "the next one in its slot begins anew");
    ok(pw_census_take(stats, pool)->interps->nelts == 1 && accepted("a") == 1,
       "with no counters but those of the past");
}

static void test_full(void)
{
    pw_counted_t *own;
    pw_stat_interp_t *interp;
    pw_stat_instance_t *last = NULL;
    pw_caller_t first, second;
    pw_call_t call;

    new_segment(1, 1, 1);
    own = join();
    interp = pw_stats_name(own, 0, "a", PW_ISOLATION_MAIN);
    pw_stats_caller(own, &first, 1);
    pw_stats_caller(own, &second, 2);
    call = call_of(interp, "/");
    pw_stats_accept(&second, &call);
    ok(accepted("a") == 1 && !only_call(),
       "a thread without a record counts, and is not shown");
    pw_stats_served(&call, 200);
    pw_stats_caller_end(&first);
    pw_stats_caller(own, &second, 3);
    pw_stats_accept(&second, &call);
    ok(only_call() != NULL, "one that ended leaves its record to the next");
    pw_stats_served(&call, 200);

    for (int i = 0; i < PW_INSTANCES_MAX + 2; i++) {
        last = pw_stats_add_instance(interp, i);
    }
    pw_stats_set_state(last, PW_READY);
    pw_stats_tstates(last, 1);
    ok(counted("a")->instances->nelts == PW_INSTANCES_MAX,
       "instances without a number are not shown");
    pw_stats_set_state(&interp->instances[3], PW_DEAD);
    ok(pw_stats_add_instance(interp, 9) == &interp->instances[3],
       "an ended one leaves its number to the next");

    serve(own, stats->size.interps, "over", 3);
    ok(counted("over") == NULL, "an interpreter without a place counts apart");
    own = join();
    ok(!shared, "a child without a slot is told");
    serve(own, 0, "a", 1);
    ok(accepted("a") == 2, "and counts apart too");
    pw_stats_leave(own);
    own = pw_stats_join(NULL, pool, 1, "3.14.0", &shared);
    serve(own, 0, "a", 1);
    ok(!shared && pw_census_take(NULL, pool)->interps->nelts == 0,
       "without shared memory nothing is shown");
}

static void test_past_full(void)
{
    int names;

    new_segment(1, 1, 1);
    names = pw_stats_past_max(stats) + 5;
    for (int i = 0; i < names; i++) {
        serve(join(), 0, apr_psprintf(pool, "n%d", i), 1);
        pw_stats_fold(stats, getpid());
    }
    ok(accepted("n0") == 1 && accepted("(other)") == 6,
       "names that the past has no place for are one: %d",
       (int)accepted("(other)"));
}

static void test_grow(void)
{
    pw_stats_t *small;
    pw_stats_size_t more = {1, 200, 1};
    pw_stats_size_t less = {1, 1, 1};
    pid_t gone = dead_pid();

    new_segment(1, 1, 1);
    small = stats;
    ok(pw_stats_open(pool, stats, &less) == stats, "it suffices: it stays");
    serve(join(), 0, "a", 1);
    pw_stats_fold(stats, getpid());
    serve(join(), 0, "a", 2);
    set_pid(0, gone);
    stats = pw_stats_open(pool, stats, &more);
    ok(stats != small && stats->size.interps >= 200, "a larger one is made");
    ok(accepted("a") == 3, "with the past, and what older children count");
    serve(join(), 0, "a", 4);
    ok(accepted("a") == 7, "and the new ones");
    pw_stats_fold(stats, gone);
    ok(accepted("a") == 7 && small->base != stats->base,
       "an older child's end loses nothing");
}

/* ---- nonsense ---------------------------------------------------------- */

static int is_clean(const char *text)
{
    while (*text >= ' ' && *text <= '~') {
        text++;
    }
    return *text == '\0';
}

/* Every byte of a child's slot may be anything. */
static void test_hostile(void)
{
    pw_stat_interp_t *interp;
    pw_record_t *record;
    pw_census_t *census;
    int clean = 1, sound = 1;

    new_segment(2, 3, 2);
    serve(join(), 0, "a", 1);
    interp = pw_stats_interp(stats, 0, 0);
    record = pw_stats_record(stats, 0, 0);
    srand(1);
    for (int n = 0; n < 300; n++) {
        unsigned char *bytes = (unsigned char *)interp;

        for (size_t i = 0; i < sizeof(*interp); i++) {
            bytes[i] = (unsigned char)rand();
        }
        bytes = (unsigned char *)record;
        for (size_t i = 0; i < sizeof(*record); i++) {
            bytes[i] = (unsigned char)rand();
        }
        record->phase = (apr_uint32_t)rand() % (PW_PHASE_COUNT + 1);
        interp->used = 1;
        census = pw_census_take(stats, pool);
        for (int i = 0; i < census->interps->nelts; i++) {
            pw_census_interp_t *seen =
                &APR_ARRAY_IDX(census->interps, i, pw_census_interp_t);

            clean &= is_clean(seen->name) && is_clean(seen->error);
            sound &= seen->isolation >= 0
                     && seen->isolation <= PW_ISOLATION_MAIN
                     && seen->queued <= 1000000;
        }
        for (int i = 0; i < child_at(0)->calls->nelts; i++) {
            pw_census_call_t *call =
                &APR_ARRAY_IDX(child_at(0)->calls, i, pw_census_call_t);

            clean &= is_clean(call->path) && is_clean(call->method)
                     && is_clean(call->label) && is_clean(call->interp);
            sound &= call->phase < PW_PHASE_COUNT && call->age >= 0
                     && call->since >= 0 && call->queue >= 0;
        }
    }
    ok(clean, "texts are printable, whatever was there");
    ok(sound, "numbers are in their bounds");
    memset(interp->name, 0xff, sizeof(interp->name));
    pw_stats_fold(stats, getpid());
    ok(pw_census_take(stats, pool)->children->nelts == 0, "and it folds");
    ok(pw_census_take(stats, pool)->interps->nelts > 0, "into some name");
}

static void test_torn(void)
{
    pw_stat_interp_t *interp;
    pw_caller_t caller;
    pw_call_t call;
    pw_counted_t *own;
    pw_record_t *record;

    new_segment(1, 1, 1);
    own = join();
    interp = pw_stats_name(own, 0, "a", PW_ISOLATION_MAIN);
    pw_stats_caller(own, &caller, 1);
    call = call_of(interp, "/long/path/of/a/request");
    pw_stats_accept(&caller, &call);
    record = pw_stats_record(stats, 0, 0);
    record->seq |= 1;
    ok(only_call() != NULL, "a thread that died while it wrote is shown");
    pw_stats_served(&call, 200);
    call = call_of(interp, "/");
    pw_stats_accept(&caller, &call);
    ok(record->seq % 2 == 0 && !strcmp(only_call()->path, "/"),
       "and goes on where it lives");
    pw_stats_served(&call, 200);
    call.path = apr_psprintf(pool, "/%0300d", 7);
    call.outer = NULL;
    pw_stats_accept(&caller, &call);
    ok(strlen(only_call()->path) == PW_PATH_BYTES - 1, "long ones are cut");
    ok(!strcmp(pw_census_clean(pool, "a\n\x1b\xc3\x9c%"), "a%0A%1B%C3%9C%"),
       "bytes that a terminal obeys are escaped");
}

/* ---- threads ----------------------------------------------------------- */

#define THREADS 4
#define ROUNDS 20000

static pw_counted_t *busy_child;
static pw_stat_interp_t *busy_interp;
static pw_stat_instance_t *busy_instance;

static void *busy(void *arg)
{
    static const char *const paths[] = {"/aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                        "/bbbbbbbbbbbbbbbbbbbbbbbbbbbb"};
    pw_caller_t *caller = calloc(1, sizeof(*caller));

    pw_stats_caller(busy_child, caller, (apr_uint64_t)(size_t)arg);
    for (int i = 0; i < ROUNDS; i++) {
        pw_call_t call = call_of(busy_interp, paths[i % 2]);

        pw_stats_accept(caller, &call);
        pw_stats_leased(&call, busy_instance, pw_now());
        pw_stats_attached(&call);
        pw_stats_detached(&call, 200);
        pw_stats_served(&call, 200 + 100 * (i % 4));
    }
    pw_stats_caller_end(caller);
    free(caller);
    return NULL;
}

/* Of one letter only, or the reader mixed two requests. */
static int of_one_piece(const char *path)
{
    return path[0] == '\0' || strspn(path + 1, "a") == strlen(path) - 1
           || strspn(path + 1, "b") == strlen(path) - 1;
}

static void test_threads(void)
{
    pthread_t threads[THREADS];
    apr_uint64_t last = 0, now = 0;
    int back = 0, torn = 0, seen = 0;
    pw_census_interp_t *all;

    new_segment(1, 1, THREADS);
    busy_child = join();
    busy_interp = pw_stats_name(busy_child, 0, "a", PW_ISOLATION_MAIN);
    busy_instance = pw_stats_add_instance(busy_interp, 1);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, busy, (void *)(i + 1));
    }
    while (now < THREADS * ROUNDS) {
        apr_pool_t *some;
        pw_census_child_t *child;

        apr_pool_create(&some, pool);
        now = APR_ARRAY_IDX(pw_census_take(stats, some)->interps, 0,
                            pw_census_interp_t)
                  .sums.counts[PW_COUNT_ACCEPTED];
        back += now < last;
        last = now;
        child = pw_census_child(stats, getpid(), some);
        for (int i = 0; i < child->calls->nelts; i++) {
            seen++;
            torn += !of_one_piece(
                APR_ARRAY_IDX(child->calls, i, pw_census_call_t).path);
        }
        apr_pool_destroy(some);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    all = counted("a");
    ok(back == 0, "a counter never goes back");
    /* How many depends on where the system stops a writer. */
    ok(seen == 0 || torn < seen, "of %d records %d were torn", seen, torn);
    ok(all->in_flight == 0 && all->running == 0 && all->queued == 0,
       "afterwards nothing is in flight");
    ok(all->sums.counts[PW_COUNT_SERVED + 1] == THREADS * ROUNDS / 4,
       "and everything is counted");
    ok(all->sums.counts[PW_COUNT_CPU] > 0, "CPU time was sampled");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_request();
    test_ends();
    test_nested();
    test_fold();
    test_leave();
    test_full();
    test_past_full();
    test_grow();
    test_hostile();
    test_torn();
    test_threads();
    apr_terminate();
    return tap_done();
}
