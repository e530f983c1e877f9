/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_runtime: starts CPython in a child, owns the list of instances, leases
 * them, and ends it all. The only file of the ENGINE with process-wide state:
 * there is one CPython in a process, and one TLS key for its threads.
 */
#include "pw_runtime.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <apr_env.h>

#include "config.h"
#include "pw_app.h"
#include "pw_instance.h"
#include "pw_life.h"

#define OWN_SLOTS 16
#define ANEW_TRIES 3
#define LOG_PATIENCE 100000          /* microseconds for a lock before _exit */
#define LIFE_STACK (8 * 1024 * 1024) /* 3.13 overflows 1 MB in json */

/* this thread: its record; the key only serves to hear of the thread's end. A
 * pointer is little enough for the room that the loader keeps for such
 * variables of modules. */
static __thread pw_thread_t *this_thread
    __attribute__((tls_model("initial-exec")));
static pthread_key_t thread_key; /* const: made once in a child */

/* ---- OS threads -------------------------------------------------------- */

/* An OS thread ends: what it left in instances is reaped by their threads. */
static void thread_ended(void *record)
{
    pw_thread_t *thread = record;
    pw_runtime_t *rt = thread->rt;

    pw_metrics_add(&rt->metrics, threads_ended);
    pw_lock_take(&rt->lock);
    for (pw_instance_t *i = rt->instances; i; i = i->next) {
        if (!i->finished && pw_interp_orphan(i, thread->serial)) {
            pw_pool_nudge(&i->member);
        }
    }
    pw_lock_release(&rt->lock);
    pw_ghost_leave(&rt->ghosts, thread);
    pw_stats_caller_end(&thread->caller);
    this_thread = NULL;
    sem_destroy(&thread->turn);
    free(thread);
}

pw_thread_t *pw_runtime_thread(pw_runtime_t *rt)
{
    if (!this_thread) {
        pw_thread_t *thread = calloc(1, sizeof(*thread));

        if (!thread || pthread_setspecific(thread_key, thread) != 0) {
            free(thread);
            return NULL;
        }
        sem_init(&thread->turn, 0, 0);
        thread->rt = rt;
        thread->serial =
            __atomic_add_fetch(&rt->next_serial, 1, __ATOMIC_RELAXED);
        pw_metrics_add(&rt->metrics, threads_seen);
        pw_stats_caller(rt->setup.counted, &thread->caller, thread->serial);
        pw_ghost_enlist(&rt->ghosts, thread);
        this_thread = thread;
    }
    return this_thread;
}

void **pw_runtime_current_request(void)
{
    static __thread void *nowhere; /* of threads that never had a lease */

    return this_thread ? &this_thread->request : &nowhere;
}

pw_stat_interp_t *pw_runtime_stats(pw_runtime_t *rt, int index)
{
    return rt->stats[index];
}

pw_caller_t *pw_runtime_caller(pw_runtime_t *rt)
{
    pw_thread_t *thread = pw_runtime_thread(rt);

    return thread ? &thread->caller : NULL;
}

pw_metrics_t *pw_runtime_metrics(pw_runtime_t *rt)
{
    return &rt->metrics;
}

/* ---- CPython ----------------------------------------------------------- */

static PyStatus preinitialize(void)
{
    PyPreConfig config;

    PyPreConfig_InitIsolatedConfig(&config);
#ifdef PW_SANITIZER
    config.allocator = PYMEM_ALLOCATOR_MALLOC; /* CPython's hides faults */
#endif
    config.utf8_mode = 1; /* httpd runs in the C locale */
    return Py_PreInitialize(&config);
}

/* What the configuration says of Python as a whole. */
static PyStatus apply(PyConfig *config, const pw_python_conf_t *conf)
{
    PyStatus status = PyStatus_Ok();

    config->optimization_level = conf->optimize;
    config->write_bytecode = !conf->dont_write_bytecode;
    config->use_hash_seed = conf->fixed_hash;
    config->hash_seed = conf->hash_seed;
    for (int i = 0; conf->warnings && i < conf->warnings->nelts
                    && !PyStatus_Exception(status);
         i++) {
        wchar_t *filter = Py_DecodeLocale(
            APR_ARRAY_IDX(conf->warnings, i, const char *), NULL);

        status = filter ? PyWideStringList_Append(&config->warnoptions, filter)
                        : PyStatus_NoMemory();
        PyMem_RawFree(filter);
    }
    return status;
}

/* For C libraries, which read the environment of the process: os.environ of an
 * interpreter is its own. Before there is a second thread. */
static void set_process_env(const pw_python_conf_t *conf, apr_pool_t *cpool)
{
    const apr_array_header_t *pairs =
        apr_table_elts(conf->env ? conf->env : apr_table_make(cpool, 1));

    for (int i = 0; i < pairs->nelts; i++) {
        const apr_table_entry_t *e =
            &APR_ARRAY_IDX(pairs, i, apr_table_entry_t);

        apr_env_set(e->key, e->val, cpool);
    }
    tzset(); /* the C library has read TZ, for httpd's log */
}

/*
 * Isolated from PYTHON* variables and user site; no signal handlers; without
 * site, which boot.py runs in each interpreter for its own environment.
 */
static PyStatus initialize(const pw_map_t *map)
{
    PyConfig config;
    PyStatus status;

    PyConfig_InitIsolatedConfig(&config);
    config.install_signal_handlers = 0;
    config.site_import = 0;
    status = apply(&config, &map->python);
    if (!PyStatus_Exception(status)) {
        status = PyConfig_SetBytesString(&config, &config.program_name,
                                         PW_PYTHON_EXECUTABLE);
    }
    if (!PyStatus_Exception(status) && map->python_home) {
        status =
            PyConfig_SetBytesString(&config, &config.home, map->python_home);
    }
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    return status;
}

static apr_status_t start_python(pw_runtime_t *rt, apr_pool_t *cpool)
{
    const pw_map_t *map = rt->map;
    PyStatus status;

    set_process_env(&map->python, cpool);
    status = preinitialize();

    if (!PyStatus_Exception(status)
        && PyImport_AppendInittab(rt->setup.module_name,
                                  (PyObject * (*)(void)) rt->setup.module_init)
               < 0) {
        status = PyStatus_NoMemory();
    }
    if (!PyStatus_Exception(status)) {
        status = initialize(map);
    }
    if (PyStatus_Exception(status)) {
        pw_log(&map->log, PW_LOG_ERR,
               "PW0110 polywsgi: Python does not start in this child%s%s: %s; "
               "every application is answered 503. Mend: WSGIPythonHome must "
               "be a prefix or a virtual environment of Python %d.%d",
               map->python_home ? " with home " : "",
               map->python_home ? map->python_home : "",
               status.err_msg ? status.err_msg : "no reason given",
               PY_MAJOR_VERSION, PY_MINOR_VERSION);
        return APR_EGENERAL;
    }
    pw_ghost_start(&rt->ghosts, &map->log);
    if (PW_PRIME_DATETIME) {
        Py_XDECREF(PyImport_ImportModule("_datetime"));
        Py_XDECREF(PyImport_ImportModule("datetime"));
        PyErr_Clear();
    }
    pw_metrics_add(&rt->metrics, instances_created);
    PyEval_SaveThread(); /* its state is never attached again */
    return APR_SUCCESS;
}

/* ---- instances --------------------------------------------------------- */

static pw_instance_t *new_instance(pw_runtime_t *rt,
                                   const pw_interp_spec_t *spec, int generation)
{
    size_t slots = (size_t)pw_runtime_slots(rt, spec);
    pw_instance_t *inst = calloc(1, sizeof(*inst));

    if (!inst) {
        return NULL;
    }
    inst->member.slots = calloc(slots + 1, 1);
    inst->callables = calloc(slots + 1, sizeof(PyObject *));
    if (!inst->member.slots || !inst->callables) {
        free(inst->member.slots);
        free(inst->callables);
        free(inst);
        return NULL;
    }
    inst->spec = spec;
    inst->rt = rt;
    inst->generation = generation;
    inst->member.stats =
        pw_stats_add_instance(rt->stats[spec->index], generation);
    inst->tstates.bound =
        spec->thread_states > 0 ? spec->thread_states : rt->map->threads;
    inst->number =
        __atomic_add_fetch(&rt->numbers[spec->index], 1, __ATOMIC_RELAXED);
    inst->pending = pw_preload_count(rt, spec);
    pw_lock_init(&inst->lock);
    return inst;
}

static void free_instance(pw_instance_t *inst)
{
    pw_lock_destroy(&inst->lock);
    free(inst->member.slots);
    free(inst->callables);
    free(inst);
}

/* With every signal blocked: they are for httpd's own threads. */
static int start_thread(pw_instance_t *inst)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, old;
    int rc;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, LIFE_STACK);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&thread, &attr, pw_life_main, inst);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

static void unlink_locked(pw_runtime_t *rt, pw_instance_t *inst)
{
    pw_instance_t **at = &rt->instances;

    pw_lock_assert(&rt->lock);
    while (*at != inst) {
        at = &(*at)->next;
    }
    *at = inst->next;
}

apr_status_t pw_runtime_spawn(pw_runtime_t *rt, const pw_interp_spec_t *spec,
                              int generation, pw_instance_t *renewed)
{
    pw_instance_t *inst = new_instance(rt, spec, generation);
    int rc;

    if (!inst) {
        pw_pool_forgo(rt->pools[spec->index]);
        return APR_ENOMEM;
    }
    pw_pool_add(rt->pools[spec->index], &inst->member,
                renewed ? &renewed->member : NULL);
    pw_lock_take(&rt->lock);
    inst->next = rt->instances;
    rt->instances = inst;
    rt->running++;
    pw_lock_release(&rt->lock);
    rc = start_thread(inst);
    if (rc != 0) {
        pw_pool_ended(&inst->member, PW_DEAD);
        pw_lock_take(&rt->lock);
        unlink_locked(rt, inst);
        rt->running--;
        pw_lock_release(&rt->lock);
        free_instance(inst);
    }
    return rc;
}

/* A parked or stopped instance keeps its memory: threads may still run in
 * it. */
void pw_runtime_finished(pw_instance_t *inst, int left)
{
    pw_runtime_t *rt = inst->rt;
    int ended = inst->member.state == PW_DEAD;

    pw_lock_take(&rt->lock);
    inst->finished = 1;
    rt->running--;
    rt->left_threads += left;
    if (ended) {
        unlink_locked(rt, inst);
    }
    pw_cond_broadcast(&rt->changed);
    pw_lock_release(&rt->lock);
    if (ended) {
        free_instance(inst);
    }
}

/* ---- leases ------------------------------------------------------------ */

static const char *const lease_words[] = {
    [PW_LEASE_OK] = "leased",
    [PW_LEASE_FAILED] = "it did not load (see its record in the log)",
    [PW_LEASE_CLOSED] = "its script is missing or may not be read",
    [PW_LEASE_TIMEOUT] = "it is still loading after WSGIStartupTimeout",
    [PW_LEASE_STOPPING] = "this child is ending",
    [PW_LEASE_FULL] = "all places are taken, and the queue is full",
    [PW_LEASE_STUCK] =
        "all places are held by calls older than WSGIQueueTimeout",
    [PW_LEASE_LATE] = "no place became free within WSGIQueueTimeout",
    [PW_LEASE_NONE] = "there is no thread for an interpreter",
    [PW_LEASE_LIMIT] = "WSGIInterpreterLimit is reached, and none is idle",
};

/* The keeper watches a GIL that starves for as long as there are requests. */
static void begin_flight(pw_runtime_t *rt)
{
    if (PW_GIL_STARVES) {
        __atomic_fetch_add(&rt->in_flight, 1, __ATOMIC_SEQ_CST);
        pw_keeper_watch(rt->keeper);
    }
}

static void end_flight(pw_runtime_t *rt)
{
    if (PW_GIL_STARVES) {
        __atomic_fetch_sub(&rt->in_flight, 1, __ATOMIC_SEQ_CST);
    }
}

/* The pool is empty, and this thread is the one to fill it. What it adds may
 * have ended before it asks again; whoever comes next must not wait for it. */
static pw_lease_e lease_anew(pw_runtime_t *rt, const pw_app_spec_t *app,
                             pw_turn_t *call)
{
    const pw_interp_spec_t *spec = app->interp;
    pw_pool_t *pool = rt->pools[spec->index];
    pw_lease_e rc = PW_LEASE_NONE;

    for (int i = 0; i < ANEW_TRIES && rc == PW_LEASE_NONE; i++) {
        apr_status_t rv = pw_demand_spawn(rt, spec);

        if (rv == APR_ENOSPC) {
            return PW_LEASE_LIMIT;
        }
        if (rv != APR_SUCCESS) {
            pw_log(&spec->log, PW_LOG_ERR,
                   "PW0106 %s: no thread for an interpreter (error %d); the "
                   "request is answered 503, and the next one tries again",
                   spec->name, rv);
            return PW_LEASE_NONE;
        }
        rc = pw_pool_lease(pool, call);
    }
    if (rc == PW_LEASE_NONE) {
        pw_pool_forgo(pool);
    }
    return rc;
}

static pw_lease_e lease_or_load(pw_runtime_t *rt, const pw_app_spec_t *app,
                                pw_turn_t *call)
{
    pw_pool_t *pool = rt->pools[app->interp->index];
    pw_lease_e rc = pw_pool_lease(pool, call);

    if ((rc == PW_LEASE_FAILED || rc == PW_LEASE_CLOSED)
        && pw_app_changed(rt, app)) {
        pw_pool_retry(pool, app->slot);
        rc = pw_pool_lease(pool, call);
    }
    return rc == PW_LEASE_NONE ? lease_anew(rt, app, call) : rc;
}

pw_lease_e pw_runtime_lease(pw_runtime_t *rt, const pw_app_spec_t *app,
                            pw_lease_t *lease, const char **why)
{
    pw_thread_t *thread = pw_runtime_thread(rt);
    const void **last =
        thread ? &thread->last[app->interp->index % PW_LAST_PLACES] : NULL;
    pw_lease_e rc;

    lease->call.slot = app->slot;
    lease->call.patience = app->interp->startup_timeout;
    lease->call.last = last ? *last : NULL;
    begin_flight(rt);
    rc = lease_or_load(rt, app, &lease->call);
    *why = lease_words[rc];
    if (rc == PW_LEASE_OK) {
        lease->instance = (pw_instance_t *)lease->call.member;
        lease->app = app;
        lease->rt = rt;
        lease->stats = lease->instance->member.stats;
        if (last) {
            *last = lease->instance;
        }
        pw_metrics_add(&rt->metrics, requests);
    }
    else {
        end_flight(rt);
        pw_metrics_add(&rt->metrics, refused);
        pw_scale_record(rt, app->interp);
    }
    return rc;
}

void pw_runtime_return(pw_lease_t *lease)
{
    end_flight(lease->rt);
    pw_metrics_add(&lease->rt->metrics, returned);
    pw_pool_return(&lease->call);
    lease->instance = NULL;
}

void pw_runtime_drop(pw_runtime_t *rt, pw_lease_t *lease)
{
    pw_metrics_add(&rt->metrics, dropped);
    pw_runtime_return(lease);
}

/* ---- start and end of a child ------------------------------------------ */

/* Those that requests have made included. */
static int count_pools(pw_runtime_t *rt)
{
    return rt->map->interps->nelts
           + __atomic_load_n(&rt->demand.interps, __ATOMIC_ACQUIRE);
}

static void keeper_quiesce(void *baton)
{
    pw_runtime_t *rt = baton;
    int count = count_pools(rt);

    for (int i = 0; i < count; i++) {
        pw_pool_quiesce(rt->pools[i]);
    }
}

/* Has the threads of instances attach for a moment: of one, or of all. */
static void nudge_instances(pw_runtime_t *rt, int all)
{
    int more = 1;

    pw_lock_take(&rt->lock);
    for (pw_instance_t *i = rt->instances; i && more; i = i->next) {
        if (!i->finished) {
            pw_pool_nudge(&i->member);
            more = all;
        }
    }
    pw_lock_release(&rt->lock);
}

/*
 * Where a GIL starves (pw_python.h): one instance's thread attaches as a probe;
 * if none could since the last look, all are told to. That of the interpreter
 * which computes then makes it drop the GIL, for whoever waits longest.
 */
static int keeper_watch(void *baton)
{
    pw_runtime_t *rt = baton;
    apr_uint64_t attached;

    if (__atomic_load_n(&rt->in_flight, __ATOMIC_SEQ_CST) == 0) {
        return 0;
    }
    attached = __atomic_load_n(&rt->own_attached, __ATOMIC_RELAXED);
    nudge_instances(rt, attached == rt->probed);
    rt->probed = attached;
    return 1;
}

static apr_interval_time_t keeper_tick(void *baton)
{
    return pw_scale_tick(baton);
}

static void keeper_stop(void *baton)
{
    pw_runtime_t *rt = baton;
    pw_instant_t drained_by = pw_now() + rt->map->shutdown_timeout * 2 / 5;
    int count;

    __atomic_store_n(&rt->stopping, 1, __ATOMIC_RELAXED);
    pw_demand_stop(rt);
    count = count_pools(rt);
    for (int i = 0; i < count; i++) {
        pw_pool_stop(rt->pools[i], drained_by);
    }
}

static void log_counters(pw_runtime_t *rt)
{
    char counters[1024];

    pw_metrics_format(&rt->metrics, counters, sizeof(counters));
    pw_log(&rt->map->log, PW_LOG_INFO, "PW0190 polywsgi: child %ld ends: %s",
           (long)getpid(), counters);
}

/* Names what has not stopped. */
static void log_remaining_locked(pw_runtime_t *rt) PW_REQUIRES(rt->lock)
{
    int seconds = (int)(rt->map->shutdown_timeout / APR_USEC_PER_SEC);

    pw_lock_assert(&rt->lock);
    for (pw_instance_t *i = rt->instances; i; i = i->next) {
        if (!i->finished) {
            pw_log(&i->spec->log, PW_LOG_WARN,
                   "PW0191 %s: did not stop within WSGIShutdownTimeout (%d "
                   "s); the child ends without it",
                   i->spec->name, seconds);
        }
    }
    if (rt->running == 0) {
        pw_log(&rt->map->log, PW_LOG_WARN,
               "PW0192 polywsgi: every interpreter has stopped, but a request "
               "has not returned within WSGIShutdownTimeout (%d s); the child "
               "ends without it",
               seconds);
    }
}

static void keeper_deadline(void *baton)
{
    pw_runtime_t *rt = baton;

    pw_stats_leave(rt->setup.counted);
    if (pw_lock_take_by(&rt->lock, pw_now() + LOG_PATIENCE)) {
        log_remaining_locked(rt);
        pw_lock_release(&rt->lock);
    }
    log_counters(rt);
}

/* Python threads that no one could end would run on while the process tears
 * down its libraries. Registered first, so that it runs last. */
static apr_status_t leave_process(void *runtime)
{
    pw_runtime_t *rt = runtime;

    if (rt->left_threads > 0) {
        pw_stats_leave(rt->setup.counted);
        _exit(0);
    }
    return APR_SUCCESS;
}

int pw_runtime_slots(const pw_runtime_t *rt, const pw_interp_spec_t *spec)
{
    int most = rt->map->found_max;

    /* One of a script's own takes its callables, which sections name. */
    if (spec->index >= rt->map->interps->nelts && most > OWN_SLOTS) {
        most = OWN_SLOTS;
    }
    return spec->apps->nelts + most;
}

const pw_app_spec_t *pw_runtime_app(const pw_runtime_t *rt,
                                    const pw_interp_spec_t *spec, int slot)
{
    int known = spec->apps->nelts;

    return slot < known ? APR_ARRAY_IDX(spec->apps, slot, pw_app_spec_t *)
                        : rt->demand.found[spec->index][slot - known];
}

/* The most calls of an interpreter that can run at once in this child. */
static int count_slots(const pw_runtime_t *rt, const pw_interp_spec_t *spec)
{
    int slots = spec->concurrency * spec->instances_max;

    return slots > 0 && slots < rt->map->threads ? slots : rt->map->threads;
}

void pw_runtime_add_pool(pw_runtime_t *rt, const pw_interp_spec_t *spec,
                         apr_pool_t *cpool)
{
    size_t slots = (size_t)pw_runtime_slots(rt, spec);
    unsigned char *lazy = apr_palloc(cpool, slots + 1);
    pw_pool_setup_t setup = {
        .slots = (int)slots,
        .lazy = memset(lazy, 1, slots + 1),
        .least = spec->instances_min,
        .most = spec->instances_max,
        .concurrency = spec->concurrency,
        .queue_limit = spec->queue_limit,
        .queue_timeout = spec->queue_timeout,
        .parked_max = spec->park_limit,
    };

    if (spec->isolation != PW_ISOLATION_MAIN) {
        setup.fresh_retries = PW_FRESH_RETRIES;
        setup.renewals = PW_RENEWALS;
        setup.max_requests = (apr_uint64_t)spec->max_requests;
    }

    for (int s = 0; s < spec->apps->nelts; s++) {
        lazy[s] = (unsigned char)pw_runtime_app(rt, spec, s)->lazy;
    }
    rt->pools[spec->index] = pw_pool_create(cpool, &setup);
    rt->tried[spec->index] =
        apr_pcalloc(cpool, sizeof(**rt->tried) * (slots + 1));
    rt->demand.found[spec->index] =
        apr_pcalloc(cpool, sizeof(**rt->demand.found) * (slots + 1));
}

void pw_runtime_count(pw_runtime_t *rt, const pw_interp_spec_t *spec)
{
    rt->stats[spec->index] = pw_stats_name(rt->setup.counted, spec->index,
                                           spec->name, spec->isolation);
    pw_stats_set_slots(rt->stats[spec->index], count_slots(rt, spec));
}

static void create_pools(pw_runtime_t *rt, apr_pool_t *cpool)
{
    size_t all = (size_t)(rt->map->interps->nelts + rt->map->found_names) + 1;

    pw_demand_init(rt, cpool);
    pw_scale_init(rt, cpool);
    rt->pools = apr_pcalloc(cpool, sizeof(*rt->pools) * all);
    rt->stats = apr_pcalloc(cpool, sizeof(*rt->stats) * all);
    rt->numbers = apr_pcalloc(cpool, sizeof(*rt->numbers) * all);
    rt->tried = apr_pcalloc(cpool, sizeof(*rt->tried) * all);
    rt->versions = apr_pcalloc(cpool, sizeof(*rt->versions) * all);
    for (int i = 0; i < rt->map->interps->nelts; i++) {
        const pw_interp_spec_t *spec =
            APR_ARRAY_IDX(rt->map->interps, i, const pw_interp_spec_t *);

        pw_runtime_add_pool(rt, spec, cpool);
        pw_runtime_count(rt, spec);
    }
}

/* Every one that can be had; the last error where some could not. */
static apr_status_t spawn_all(pw_runtime_t *rt)
{
    apr_status_t failed = APR_SUCCESS;

    for (int i = 0; i < rt->map->interps->nelts; i++) {
        const pw_interp_spec_t *spec =
            APR_ARRAY_IDX(rt->map->interps, i, const pw_interp_spec_t *);
        apr_status_t rv =
            spec->later ? APR_SUCCESS : pw_runtime_spawn(rt, spec, 1, NULL);

        if (rv != APR_SUCCESS) {
            failed = rv;
        }
    }
    return failed;
}

static apr_status_t start_keeper(pw_runtime_t *rt, apr_pool_t *cpool)
{
    pw_keeper_setup_t setup = {
        .baton = rt,
        .timeout = rt->map->shutdown_timeout,
        .quiesce = keeper_quiesce,
        .stop = keeper_stop,
        .deadline = keeper_deadline,
        .tick = keeper_tick,
        .watch = keeper_watch,
    };

    return pw_keeper_start(cpool, &setup, &rt->keeper);
}

/* Never freed: a thread of another module may end after the child's pool. */
static pw_runtime_t *new_runtime(const pw_runtime_setup_t *setup,
                                 apr_pool_t *cpool)
{
    pw_runtime_t *rt = calloc(1, sizeof(*rt));
    int shared;

    if (!rt || pthread_key_create(&thread_key, thread_ended) != 0) {
        free(rt);
        return NULL;
    }
    rt->setup = *setup;
    rt->map = setup->map;
    if (!setup->counted) {
        rt->setup.counted = pw_stats_join(NULL, cpool, 0, "", &shared);
    }
    pw_lock_init(&rt->creating);
    pw_lock_init(&rt->ghosts.lock);
    pw_lock_init(&rt->lock);
    pw_cond_init(&rt->changed);
    pw_lock_init(&rt->dumping);
    pw_cond_init(&rt->dumped);
    return rt;
}

apr_status_t pw_runtime_start(apr_pool_t *cpool,
                              const pw_runtime_setup_t *setup,
                              pw_runtime_t **runtime)
{
    pw_runtime_t *rt;
    apr_status_t rv;

    *runtime = NULL;
    if (Py_IsInitialized()) {
        pw_log(&setup->map->log, PW_LOG_ERR,
               "PW0111 polywsgi: this process already runs a Python; every "
               "application is answered 503. Mend: stop and start httpd "
               "(with -X it cannot be restarted), and load no other module "
               "that embeds Python");
        return APR_EGENERAL;
    }
    rt = new_runtime(setup, cpool);
    if (!rt) {
        return APR_ENOMEM;
    }
    rv = start_python(rt, cpool);
    if (rv == APR_SUCCESS) {
        create_pools(rt, cpool);
        rv = start_keeper(rt, cpool);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_cleanup_register(cpool, rt, leave_process, apr_pool_cleanup_null);
    *runtime = rt;
    rv = spawn_all(rt);
    if (rv != APR_SUCCESS) {
        pw_log(&rt->map->log, PW_LOG_ERR,
               "PW0112 polywsgi: no thread for an interpreter (error %d); its "
               "applications are answered 503. Mend: raise the limit of "
               "threads or processes of the run-time user",
               rv);
    }
    return APR_SUCCESS;
}

void pw_runtime_stopping(pw_runtime_t *rt, int graceful)
{
    if (graceful) {
        __atomic_store_n(&rt->graceful, 1, __ATOMIC_RELAXED);
        pw_keeper_quiesce(rt->keeper);
    }
    else {
        pw_keeper_stop(rt->keeper);
    }
}

void pw_runtime_stop(pw_runtime_t *rt)
{
    pw_keeper_stop(rt->keeper);
    pw_lock_take(&rt->lock);
    while (rt->running > 0) {
        pw_cond_wait(&rt->changed, &rt->lock, PW_NEVER);
    }
    pw_lock_release(&rt->lock);
    pw_keeper_done(rt->keeper);
    pw_keeper_join(rt->keeper);
    log_counters(rt);
}
