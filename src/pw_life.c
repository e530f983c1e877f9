/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_life: does what the pool commands, on the instance's own thread. Every
 * function here runs on that thread and nowhere else.
 */
#include "pw_life.h"

#include <malloc.h>
#include <stdio.h>

#include "pw_app.h"
#include "pw_changes.h"
#include "pw_exc.h"
#include "pw_hooks.h"

/* How an ending instance is waited for, in milliseconds. */
#define END_STOP_MS 2500 /* its hooks and handlers, in a living child */
#define END_INTERRUPT_MS                                                       \
    15000                     /* its threads: one of sentry_sdk's sleeps for
                                * 10 s, deaf to SystemExit */
#define STOP_INTERRUPT_MS 200 /* at a child's end they die anyway */
#define POLL_MS 5             /* doubled up to */
#define POLL_LAST_MS 80

/* What the record of a failed load says of the next try. */
static void retry_words(pw_instance_t *inst, int slot, char *buf, size_t size)
{
    const pw_app_spec_t *app = pw_runtime_app(inst->rt, inst->spec, slot);
    int fresh = pw_pool_retries_fresh(&inst->member, slot);
    int seconds =
        (int)(pw_pool_retry_delay(&inst->member, slot) / APR_USEC_PER_SEC);

    if (inst->member.trial) {
        snprintf(buf, size, "the other instances serve on");
        return;
    }
    snprintf(buf, size,
             "requests to it are answered 500; tried again %safter %d s, %s",
             app->script ? "when the file changes or " : "", seconds,
             fresh ? "in a fresh interpreter" : "in place");
}

/* What became of an instance that was to stand beside others. */
static void log_trial(pw_instance_t *inst, pw_trial_e trial)
{
    if (trial == PW_TRIAL_FAILED) {
        pw_log(&inst->spec->log, PW_LOG_ERR,
               "PW0107 %s: a further instance did not load what the others "
               "serve, and is ended; they serve on, and it is tried again in "
               "a while",
               inst->spec->name);
    }
    else if (trial == PW_TRIAL_PASSED) {
        pw_changes_say(inst);
    }
}

static void life_load(pw_instance_t *inst, int slot)
{
    pw_trial_e trial;
    char retry[128];

    if (!inst->interp) {
        pw_instant_t begin = pw_now();

        if (pw_interp_create(inst) < 0) {
            pw_pool_broken(&inst->member);
            pw_preload_loaded(inst, 1);
            return;
        }
        pw_log(&inst->spec->log, PW_LOG_DEBUG, "%s: instance %d made in %d ms",
               inst->spec->name, inst->number,
               (int)((pw_now() - begin) / 1000));
        pw_pool_created(&inst->member);
    }
    retry_words(inst, slot, retry, sizeof(retry));
    trial = pw_pool_loaded(&inst->member, slot, pw_app_load(inst, slot, retry));
    log_trial(inst, trial);
    pw_preload_loaded(inst, 0);
}

static void life_reap(pw_instance_t *inst)
{
    pw_attached_t at;
    int dropped;

    if (inst->interp) {
        pw_interp_enter_own(inst, &at);
        pw_interp_reap(&at, 0);
        dropped = pw_interp_drop(&at);
        pw_interp_leave(&at);
        pw_pool_unhold(&inst->member, dropped);
    }
}

/* A fresh instance takes over; this one drains. Where no thread can be had
 * for it, this one stays as it is, and a later request asks again. */
static void life_replace(pw_instance_t *inst)
{
    apr_status_t rv;

    rv = pw_runtime_spawn(inst->rt, inst->spec, inst->generation + 1, NULL);
    if (rv == APR_SUCCESS) {
        pw_pool_drain(&inst->member);
        return;
    }
    pw_log(&inst->spec->log, PW_LOG_ERR,
           "PW0103 %s: no thread for a fresh interpreter (error %d); its "
           "failed applications are tried again later",
           inst->spec->name, rv);
    pw_pool_keep(&inst->member);
}

/* A further instance; `renewed`: for the place of this one, which serves until
 * it has loaded. */
static void life_add(pw_instance_t *inst, pw_instance_t *renewed)
{
    apr_status_t rv;

    pw_changes_note(inst);
    rv = pw_runtime_spawn(inst->rt, inst->spec, inst->generation, renewed);
    if (rv != APR_SUCCESS) {
        pw_log(&inst->spec->log, PW_LOG_ERR,
               "PW0108 %s: no thread for a further instance (error %d); it "
               "serves with those it has, and tries again in a while",
               inst->spec->name, rv);
        pw_pool_keep(&inst->member);
    }
}

/* After so many requests the instance gets a successor. */
static void life_renew(pw_instance_t *inst)
{
    if (pw_changes_of_objects(inst, "has served WSGIMaxRequests, but is not "
                                    "replaced")) {
        pw_pool_keep(&inst->member);
    }
    else {
        life_add(inst, inst);
    }
}

/* The pool has fewer instances than it is to have. */
static void life_grow(pw_instance_t *inst)
{
    if (pw_changes_of_objects(inst, "gets no further instance")) {
        pw_pool_keep(&inst->member);
    }
    else {
        life_add(inst, NULL);
    }
}

/* Calls the application's hooks, then runs stop.py: threading's and atexit's
 * handlers, non-daemon threads joined. Hooks and threads have half of the
 * budget each. reason: see pw_hooks_stop. Attached. */
static void run_stop(pw_attached_t *at, double budget, const char *reason)
{
    const pw_interp_spec_t *spec = at->instance->spec;
    PyObject *done = NULL; /* new */

    if (!at->instance->functions) {
        return;
    }
    pw_hooks_stop(at, budget / 2, reason);
    done = pw_interp_call(at, "stop", "(d)", budget);
    if (!done) {
        pw_exc_log(at, &spec->log, PW_LOG_ERR, "PW0104", spec->name,
                   "its end did not run cleanly; the rest of it goes on");
    }
    Py_XDECREF(done);
}

static int child_ends(const pw_instance_t *inst)
{
    return __atomic_load_n(&inst->rt->stopping, __ATOMIC_RELAXED);
}

/* Sends SystemExit to the application's threads until none is left or the time
 * is over, which is shorter where the child ends. Returns how many are left.
 * Attached. */
static int end_threads(pw_attached_t *at, int budget_ms)
{
    pw_instant_t begin = pw_now();
    int left = pw_interp_foreign_threads(at, 1);
    int poll_ms = POLL_MS;

    while (left > 0 && pw_now() < begin + (pw_instant_t)budget_ms * 1000) {
        PyThreadState *ts = PyEval_SaveThread();

        apr_sleep(poll_ms * 1000);
        PyEval_RestoreThread(ts);
        left = pw_interp_foreign_threads(at, 1);
        poll_ms = poll_ms * 2 < POLL_LAST_MS ? poll_ms * 2 : POLL_LAST_MS;
        if (child_ends(at->instance) && budget_ms > STOP_INTERRUPT_MS) {
            budget_ms = STOP_INTERRUPT_MS;
        }
    }
    return left;
}

/*
 * Threads that ran an interpreter have its blocks in arenas of their own, and
 * the C library keeps what is freed there, up to 50 KB for each instance of
 * Flask that has ended. A millisecond or two, in which a thread may wait for
 * the lock of its arena.
 */
static void give_memory_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

/* The word of mod_wsgi for why the instance ends in the living child. */
static const char *end_reason(const pw_instance_t *inst)
{
    switch (inst->member.retire) {
    case PW_RETIRE_RENEWED:
        return "maximum_requests";
    case PW_RETIRE_SURPLUS:
    case PW_RETIRE_IDLE:
        return "inactivity_timeout";
    default:
        return "script_reload";
    }
}

/* Since begin, with so many threads left. That the child's end came first is no
 * fault of theirs. */
static void say_ended(pw_instance_t *inst, pw_state_e state, pw_instant_t begin,
                      int left)
{
    if (state != PW_PARKED) {
        pw_log(&inst->spec->log, PW_LOG_DEBUG,
               "%s: instance %d has ended: drained for %d ms, ended in %d ms",
               inst->spec->name, inst->number,
               (int)((begin - inst->member.since) / 1000),
               (int)((pw_now() - begin) / 1000));
    }
    else if (left > 0 && child_ends(inst)) {
        pw_log(&inst->spec->log, PW_LOG_DEBUG,
               "%s: instance %d was ending, and ends with the child",
               inst->spec->name, inst->number);
    }
    else {
        pw_metrics_add(&inst->rt->metrics, instances_parked);
        pw_log(&inst->spec->log, PW_LOG_WARN,
               "PW0105 %s: an interpreter that is no longer used cannot be "
               "ended, %d of its threads do not stop; it stays in memory "
               "until the child ends",
               inst->spec->name, left);
    }
}

/* The child lives on: end the interpreter, or park it. */
static void life_end(pw_instance_t *inst)
{
    pw_state_e state = PW_DEAD;
    pw_instant_t begin = pw_now();
    pw_attached_t at;
    int left = 0;

    if (inst->interp) {
        pw_interp_enter_own(inst, &at);
        if (inst->functions) {
            pw_interp_remember_threads(&at);
        }
        run_stop(&at, END_STOP_MS / 1000.0, end_reason(inst));
        pw_stacks_close(&at);
        if (inst->spec->isolation != PW_ISOLATION_MAIN) {
            left = end_threads(&at, END_INTERRUPT_MS);
            if (left == 0) {
                left = pw_interp_await_gone(&at);
            }
        }
        if (left > 0
            || (PW_RENEWALS == 0
                && inst->spec->isolation != PW_ISOLATION_MAIN)) {
            pw_interp_leave(&at);
            state = PW_PARKED;
        }
        else if (pw_interp_end(&at) < 0) {
            state = PW_PARKED;
        }
    }
    if (state == PW_DEAD) {
        give_memory_back();
    }
    /* Only this thread changes its state from here on. */
    say_ended(inst, state, begin, left);
    pw_pool_ended(&inst->member, state);
    pw_runtime_finished(inst, left);
}

/* The child ends: handlers run, threads are asked to stop, and the memory goes
 * with the process. */
static void life_stop(pw_instance_t *inst)
{
    double budget = (double)inst->rt->map->shutdown_timeout / APR_USEC_PER_SEC;
    int graceful = __atomic_load_n(&inst->rt->graceful, __ATOMIC_RELAXED);
    pw_attached_t at;
    int left = 0;

    if (inst->interp) {
        pw_interp_enter_own(inst, &at);
        run_stop(&at, budget * 2 / 5,
                 graceful ? "graceful_signal" : "shutdown_signal");
        pw_stacks_close(&at);
        left = end_threads(&at, STOP_INTERRUPT_MS);
        pw_interp_reap(&at, 1);
        pw_interp_leave(&at);
    }
    pw_runtime_finished(inst, left);
}

void *pw_life_main(void *instance)
{
    pw_instance_t *inst = instance;
    int slot = 0;

    for (;;) {
        switch (pw_pool_next(&inst->member, &slot)) {
        case PW_DO_LOAD:
            life_load(inst, slot);
            break;
        case PW_DO_REAP:
            life_reap(inst);
            break;
        case PW_DO_REPLACE:
            life_replace(inst);
            break;
        case PW_DO_RENEW:
            life_renew(inst);
            break;
        case PW_DO_GROW:
            life_grow(inst);
            break;
        case PW_DO_END:
            life_end(inst);
            return NULL;
        case PW_DO_STOP:
            life_stop(inst);
            return NULL;
        }
    }
}
