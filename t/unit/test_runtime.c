/* SPDX-License-Identifier: Apache-2.0
 *
 * test_runtime: the ENGINE without httpd and without the GATEWAY: real
 * interpreters, whose `polywsgi` module is a small one of this test. Births,
 * failed loads in fresh interpreters, thread states of threads that come and
 * go, daemon threads, and the end of the child.
 */
#include <apr_file_info.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pw_demand.h"
#include "pw_instance.h"
#include "pw_pool_inside.h"
#include "tap.h"

static apr_pool_t *apool;
static char directory[] = "/tmp/pw-test-runtime-XXXXXX";
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static char log_text[1 << 18]; /* log_mutex: */

#define A_CALL                                                                 \
    {                                                                          \
        .call = {.method = "GET", .path = "/" }                                \
    }

/* ---- a log in memory --------------------------------------------------- */

static void log_write(void *where, pw_log_level_e level, const char *line)
{
    size_t used;

    (void)where;
    (void)level;
    pthread_mutex_lock(&log_mutex);
    used = strlen(log_text);
    snprintf(log_text + used, sizeof(log_text) - used, "%s\n", line);
    pthread_mutex_unlock(&log_mutex);
}

static int logged(const char *text)
{
    int found;

    pthread_mutex_lock(&log_mutex);
    found = strstr(log_text, text) != NULL;
    pthread_mutex_unlock(&log_mutex);
    return found;
}

static const pw_log_t test_log = {.write = log_write};

/* ---- one block of memory whose end is watched --------------------------- */

static void *watched;            /* atomic: a block, until it is freed */
static __thread void *last_used; /* the state of the last call */
static __thread const void *last_interp; /* and its interpreter */

/* A sanitizer has its own free, a debug build puts a head before each block. */
#if !defined(PW_SANITIZER) && !defined(Py_DEBUG)
#define WATCHES 1
void __libc_free(void *block);
void free(void *block)
{
    void *expected = block;

    if (block) {
        __atomic_compare_exchange_n(&watched, &expected, NULL, 0,
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    __libc_free(block);
}

static int is_freed(void)
{
    return __atomic_load_n(&watched, __ATOMIC_SEQ_CST) == NULL;
}
#endif

static void watch(void *block)
{
    __atomic_store_n(&watched, block, __ATOMIC_SEQ_CST);
}

/* ---- a polywsgi module with streams that drop everything --------------- */

static PyObject *stream_method(PyObject *self, PyObject *args)
{
    (void)self;
    (void)args;
    Py_RETURN_NONE;
}

static PyMethodDef stream_methods[] = {
    {"write", stream_method, METH_VARARGS, NULL},
    {"flush", stream_method, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int stream_init(PyObject *self, PyObject *args, PyObject *kw)
{
    (void)self;
    (void)args;
    (void)kw;
    return 0;
}

static int module_exec(PyObject *module)
{
    static PyType_Slot slots[] = {
        {Py_tp_methods, stream_methods}, {Py_tp_init, stream_init}, {0, NULL}};
    static PyType_Spec spec = {.name = "polywsgi._Stream",
                               .flags = Py_TPFLAGS_DEFAULT,
                               .slots = slots};
    PyObject *type = PyType_FromSpec(&spec); /* new */
    int rc = type ? PyModule_AddObjectRef(module, "_Stream", type) : -1;

    Py_XDECREF(type);
    if (rc == 0) {
        rc = PyModule_AddStringConstant(module, "interpreter", "unit");
    }
    return rc == 0 ? PyModule_AddStringConstant(module, "isolation", "unit")
                   : rc;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec},
                                          PW_MOD_SLOT_SUBINTERPRETERS{0, NULL}};
static PyModuleDef module_def = {.m_base = PyModuleDef_HEAD_INIT,
                                 .m_name = "polywsgi",
                                 .m_slots = module_slots};

static void *module_init(void)
{
    return PyModuleDef_Init(&module_def);
}

/* ---- the configuration ------------------------------------------------- */

static const char *write_script(const char *name, const char *text)
{
    const char *path = apr_pstrcat(apool, directory, "/", name, NULL);
    FILE *file = fopen(path, "w");

    fputs(text, file);
    fclose(file);
    return path;
}

static void remove_directory(void)
{
    apr_dir_t *dir;
    apr_finfo_t entry;

    if (apr_dir_open(&dir, directory, apool) != APR_SUCCESS) {
        return;
    }
    while (apr_dir_read(&entry, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        if (entry.name[0] != '.') {
            remove(apr_pstrcat(apool, directory, "/", entry.name, NULL));
        }
    }
    apr_dir_close(dir);
    rmdir(directory);
}

static pw_interp_spec_t *new_interp(const char *name, pw_isolation_e isolation)
{
    pw_interp_spec_t *spec = apr_pcalloc(apool, sizeof(*spec));

    spec->name = name;
    spec->isolation = isolation;
    spec->env = apr_table_make(apool, 1);
    apr_table_set(spec->env, "PW_TEST_NAME", name);
    spec->startup_timeout = 20 * APR_USEC_PER_SEC;
    spec->apps = apr_array_make(apool, 1, sizeof(pw_app_spec_t *));
    spec->log = test_log;
    return spec;
}

static pw_interp_spec_t *add_interp(pw_map_t *map, const char *name,
                                    pw_isolation_e isolation)
{
    pw_interp_spec_t *spec = new_interp(name, isolation);

    spec->index = map->interps->nelts;
    APR_ARRAY_PUSH(map->interps, pw_interp_spec_t *) = spec;
    return spec;
}

static pw_app_spec_t *add_app(pw_map_t *map, const char *name,
                              pw_isolation_e isolation, const char *script)
{
    pw_interp_spec_t *spec = add_interp(map, name, isolation);
    pw_app_spec_t *app = apr_pcalloc(apool, sizeof(*app));

    app->label = name;
    app->log = test_log;
    app->script = script;
    app->callable = "application";
    app->interp = spec;
    APR_ARRAY_PUSH(spec->apps, pw_app_spec_t *) = app;
    return app;
}

static pw_map_t *new_map(int threads)
{
    pw_map_t *map = apr_pcalloc(apool, sizeof(*map));

    map->interps = apr_array_make(apool, 4, sizeof(pw_interp_spec_t *));
    map->shutdown_timeout = 5 * APR_USEC_PER_SEC;
    map->threads = threads;
    map->log = test_log;
    return map;
}

/* ---- requests ---------------------------------------------------------- */

static pw_runtime_t *rt;

/* Leases, calls the application with one argument, and gives its int. -1000 -
 * the lease's result where there is no lease. */
static long call(const pw_app_spec_t *app, long argument)
{
    pw_lease_t lease = A_CALL;
    pw_attached_t at;
    const char *why;
    pw_lease_e rc = pw_runtime_lease(rt, app, &lease, &why);
    PyObject *value;
    long result = -1;

    if (rc != PW_LEASE_OK) {
        return -1000 - (long)rc;
    }
    if (pw_interp_enter(lease.instance, &at) == 0) {
        value = PyObject_CallFunction(pw_interp_callable(&at, app->slot), "l",
                                      argument); /* new */
        result = value ? PyLong_AsLong(value) : -1;
        PyErr_Clear();
        Py_XDECREF(value);
        last_used = at.ts;
        last_interp = PyThreadState_GetInterpreter(at.ts);
        pw_interp_leave(&at);
    }
    pw_runtime_return(&lease);
    return result;
}

typedef struct job_t {
    const pw_app_spec_t *app;
    int rounds;
    long failed;
} job_t;

static void *run_job(void *arg)
{
    job_t *job = arg;

    for (int i = 1; i <= job->rounds; i++) {
        job->failed += call(job->app, 0) != i; /* threading.local counts */
    }
    return NULL;
}

/* Threads that come, call and go. Returns how many calls went wrong. */
static long run_threads(const pw_app_spec_t *app, int threads, int rounds)
{
    pthread_t ids[64];
    job_t jobs[64];
    long failed = 0;

    for (int i = 0; i < threads; i++) {
        jobs[i] = (job_t){.app = app, .rounds = rounds};
        pthread_create(&ids[i], NULL, run_job, &jobs[i]);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        failed += jobs[i].failed;
    }
    return failed;
}

/* Waits until a counter is at least so much; ten seconds at most. */
static int reaches(const apr_uint64_t *counter, apr_uint64_t value)
{
    pw_instant_t deadline = pw_now() + 10 * 1000000;

    while (__atomic_load_n(counter, __ATOMIC_SEQ_CST) < value) {
        if (pw_now() >= deadline) {
            return 0;
        }
        sched_yield();
    }
    return 1;
}

/* ---- the tests --------------------------------------------------------- */

static const char counter_py[] = /* counts the calls of each thread */
    "import threading, os, atexit, json, time\n"
    "def run():\n"
    "    while True:\n"
    "        time.sleep(0.001)\n"
    "threading.Thread(target=run, daemon=True).start()\n"
    "local = threading.local()\n"
    "def application(n):\n"
    "    local.n = getattr(local, 'n', 0) + 1\n"
    "    return local.n\n"
    "@atexit.register\n"
    "def bye():\n"
    "    name = os.environ['PW_TEST_NAME']\n"
    "    open(os.path.join(os.path.dirname(__file__), name + '.bye'), 'w')\n";

static const char failing_py[] =
    "import sys\n"
    "sys.was_here = getattr(sys, 'was_here', 0) + 1\n"
    "raise SystemExit('not today')\n";

static const char mended_py[] = /* tells how often it ran in this one */
    "import sys\n"
    "def application(n):\n"
    "    return 100 + getattr(sys, 'was_here', 0)\n";

static const char daemon_py[] =
    "import threading, time\n"
    "def run():\n"
    "    while True:\n"
    "        time.sleep(0.001)\n"
    "threading.Thread(target=run, daemon=True).start()\n"
    "raise ImportError('after starting a thread')\n";

static const char hanging_py[] = "import threading, time\n"
                                 "def run():\n"
                                 "    while True:\n"
                                 "        time.sleep(0.001)\n"
                                 "threading.Thread(target=run).start()\n"
                                 "def application(n):\n"
                                 "    return 7\n";

static const char busy_py[] = /* computes until it is told to stop */
    "import time\n"
    "stop = 0\n"
    "def application(n):\n"
    "    global stop\n"
    "    if n:\n"
    "        stop += 1\n"
    "        return 0\n"
    "    end = time.monotonic() + 20\n"
    "    while stop < 2:\n"
    "        if time.monotonic() > end:\n"
    "            return 1\n"
    "    return 0\n";

static void test_calls(const pw_app_spec_t *one, const pw_app_spec_t *two,
                       const pw_app_spec_t *main_app)
{
    pw_metrics_t *m = pw_runtime_metrics(rt);

    ok(call(one, 0) == 1 && call(one, 0) == 2,
       "threading.local persists over calls of one thread");
    ok(call(two, 0) == 1, "and is another interpreter's own");
    ok(call(main_app, 0) == 1, "the main interpreter answers too");
    ok(run_threads(one, 32, 20) == 0, "32 threads call and go");
    ok(run_threads(main_app, 8, 20) == 0, "8 threads in the main interpreter");
    ok(reaches(&m->threads_ended, pw_metrics_get(m, threads_seen) - 1),
       "every thread but this one has ended");
}

static void test_thread_states(void)
{
    pw_metrics_t *m = pw_runtime_metrics(rt);

    ok(reaches(&m->tstates_freed, pw_metrics_get(m, tstates_created) - 3),
       "their thread states are freed: %d made",
       (int)pw_metrics_get(m, tstates_created));
    ok(pw_metrics_get(m, tstates_created) - pw_metrics_get(m, tstates_freed)
           <= 3,
       "and at most three are left, of this thread");
}

typedef struct visit_t {
    const pw_app_spec_t *app;
    apr_uint64_t called; /* atomic: it has a state */
    apr_uint64_t until;  /* so many states are freed */
} visit_t;

static void *visit(void *arg)
{
    visit_t *v = arg;

    call(v->app, 0);
    watch(last_used);
    __atomic_store_n(&v->called, 1, __ATOMIC_SEQ_CST);
    reaches(&pw_runtime_metrics(rt)->tstates_freed, v->until);
    return NULL;
}

/*
 * The state of a thread that lives is deleted by another thread. CPython still
 * points to it from the thread it belongs to, and writes there when that thread
 * attaches another one.
 */
static void test_ghost(const pw_app_spec_t *bounded, const pw_app_spec_t *other)
{
    pw_metrics_t *m = pw_runtime_metrics(rt);
    apr_uint64_t freed;
    pthread_t id;
    visit_t v;

    ok(call(other, 0) > 0 && call(bounded, 0) == 1, "a thread has a state");
    watch(last_used);
    freed = pw_metrics_get(m, tstates_freed);
    ok(run_threads(bounded, 1, 1) == 0, "another thread exceeds the bound");
    ok(reaches(&m->tstates_freed, freed + 2), "both are deleted");
#ifdef WATCHES
    ok(!is_freed(), "the memory of one whose thread lives stays");
    ok(call(other, 0) > 0 && is_freed() == PW_GILSTATE_FOLLOWS,
       "until that thread has attached another (3.11: until it ends)");
#endif
    ok(call(bounded, 0) == 1, "then it gets a new one");
    v = (visit_t){.app = bounded, .until = freed + 4};
    pthread_create(&id, NULL, visit, &v);
    ok(reaches(&v.called, 1) && call(bounded, 0) == 1
           && reaches(&m->tstates_freed, freed + 4),
       "another loses its state to this one");
    pthread_join(id, NULL);
#ifdef WATCHES
    ok(is_freed(), "and ends without having attached another");
#endif
}

/* ---- a thread that calls when it is told to ----------------------------- */

typedef struct puppet_t {
    const pw_app_spec_t *app;
    pthread_t id;
    int told;           /* atomic: how many calls; -1: end */
    int called;         /* atomic: */
    long value;         /* of the last call */
    const void *interp; /* where it was */
} puppet_t;

static void *follow(void *arg)
{
    puppet_t *p = arg;
    int told;

    while ((told = __atomic_load_n(&p->told, __ATOMIC_SEQ_CST)) >= 0) {
        if (told > p->called) {
            p->value = call(p->app, 0);
            p->interp = last_interp;
            __atomic_store_n(&p->called, told, __ATOMIC_SEQ_CST);
        }
        sched_yield();
    }
    return NULL;
}

/* Has the puppet called by then? Ten seconds at most. */
static int calls_once(puppet_t *p)
{
    pw_instant_t deadline = pw_now() + 10 * 1000000;
    int told = p->told + 1;

    __atomic_store_n(&p->told, told, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&p->called, __ATOMIC_SEQ_CST) != told
           && pw_now() < deadline) {
        sched_yield();
    }
    return __atomic_load_n(&p->called, __ATOMIC_SEQ_CST) == told;
}

static int calls_beside(puppet_t *p, pw_lock_t *lock)
{
    int called;

    pw_lock_take(lock);
    called = calls_once(p);
    pw_lock_release(lock);
    return called;
}

static long tell(puppet_t *p)
{
    return calls_once(p) ? p->value : -1;
}

static void end_puppet(puppet_t *p)
{
    __atomic_store_n(&p->told, -1, __ATOMIC_SEQ_CST);
    pthread_join(p->id, NULL);
}

static int count_states(pw_instance_t *inst)
{
    int count = 0;

    pw_lock_take(&inst->lock);
    for (int i = 0; i < PW_TSTATE_BUCKETS; i++) {
        for (pw_tstate_t *e = inst->tstates.buckets[i]; e; e = e->next) {
            count++;
        }
    }
    pw_lock_release(&inst->lock);
    return count;
}

/* How many thread states an instance comes to have; ten seconds at most. */
static int keeps(pw_instance_t *inst, int count)
{
    pw_instant_t deadline = pw_now() + 10 * 1000000;
    int now;

    do {
        now = count_states(inst);
        sched_yield();
    } while (now != count && pw_now() < deadline);
    return now == count;
}

static void test_eviction(const pw_app_spec_t *pair)
{
    puppet_t p[3] = {{.app = pair}, {.app = pair}, {.app = pair}};
    const char *why;
    pw_lease_t lease = A_CALL;

    for (int i = 0; i < 3; i++) {
        pthread_create(&p[i].id, NULL, follow, &p[i]);
    }
    ok(tell(&p[0]) == 1 && tell(&p[1]) == 1 && tell(&p[0]) == 2,
       "two threads, two states");
    pw_runtime_lease(rt, pair, &lease, &why);
    ok(tell(&p[2]) == 1 && keeps(lease.instance, 2), "and no third one");
    pw_runtime_return(&lease);
    ok(tell(&p[0]) == 3 && tell(&p[2]) == 2 && tell(&p[1]) == 1,
       "the one that was idle longest has gone, and no other");
    for (int i = 0; i < 3; i++) {
        end_puppet(&p[i]);
    }
}

enum { CROWD = 5 };
static pthread_barrier_t crowd; /* of them, and who looks on */

/* Inside with all others while who looks on counts, then outside with them. */
static void *be_inside(void *arg)
{
    const char *why;
    pw_lease_t lease = A_CALL;
    pw_attached_t at;

    if (pw_runtime_lease(rt, arg, &lease, &why) == PW_LEASE_OK
        && pw_interp_enter(lease.instance, &at) == 0) {
        Py_BEGIN_ALLOW_THREADS;
        pthread_barrier_wait(&crowd);
        pthread_barrier_wait(&crowd);
        Py_END_ALLOW_THREADS;
        pw_interp_leave(&at);
        pw_runtime_return(&lease);
    }
    pthread_barrier_wait(&crowd);
    pthread_barrier_wait(&crowd);
    return NULL;
}

static void test_crowd(pw_app_spec_t *pair)
{
    pthread_t threads[CROWD];
    const char *why;
    pw_lease_t lease = A_CALL;

    pthread_barrier_init(&crowd, NULL, CROWD + 1);
    pw_runtime_lease(rt, pair, &lease, &why);
    for (int i = 0; i < CROWD; i++) {
        pthread_create(&threads[i], NULL, be_inside, pair);
    }
    pthread_barrier_wait(&crowd);
    ok(count_states(lease.instance) >= CROWD, "%d threads at once", CROWD);
    pthread_barrier_wait(&crowd);
    pthread_barrier_wait(&crowd);
    ok(keeps(lease.instance, 2), "when they have left, two states are kept");
    pthread_barrier_wait(&crowd);
    for (int i = 0; i < CROWD; i++) {
        pthread_join(threads[i], NULL);
    }
    pw_runtime_return(&lease);
    pthread_barrier_destroy(&crowd);
}

/* ---- a warm call --------------------------------------------------------- */

/* No instance's own thread may want one of them, where all share one GIL: this
 * thread's states are those in one, two, three and bounded. */
static void test_locks(const pw_app_spec_t *app)
{
    pw_metrics_t *m = pw_runtime_metrics(rt);
    puppet_t p = {.app = app};

    ok(reaches(&m->tstates_freed, pw_metrics_get(m, tstates_created) - 4),
       "the threads before have left nothing behind");
    pthread_create(&p.id, NULL, follow, &p);
    tell(&p);
    ok(calls_beside(&p, &rt->lock) && calls_beside(&p, &rt->demand.lock)
           && calls_beside(&p, &rt->creating)
           && calls_beside(&p, &rt->ghosts.lock)
           && calls_beside(&p, &rt->dumping),
       "a warm call takes none of the locks of the process");
    end_puppet(&p);
}

/* Ten seconds at most. */
static int come_to_serve(const pw_interp_spec_t *spec, int count)
{
    pw_instant_t deadline = pw_now() + 10 * 1000000;
    pw_pool_look_t look;

    do {
        pw_pool_look(rt->pools[spec->index], &look);
        sched_yield();
    } while (look.serving != count && pw_now() < deadline);
    return look.serving == count;
}

/* Of two instances that are idle a thread gets that which it had last. */
static void test_last(const pw_app_spec_t *twin)
{
    puppet_t p[2] = {{.app = twin}, {.app = twin}};
    const void *had[2];
    pw_lease_t lease = A_CALL;
    const char *why;
    int same = 1;

    ok(come_to_serve(twin->interp, 2), "two instances");
    for (int i = 0; i < 2; i++) {
        pthread_create(&p[i].id, NULL, follow, &p[i]);
    }
    tell(&p[0]);
    had[0] = p[0].interp;
    pw_runtime_lease(rt, twin, &lease, &why);
    tell(&p[1]);
    had[1] = p[1].interp;
    pw_runtime_return(&lease);
    for (int i = 0; i < 10; i++) {
        tell(&p[i % 2]);
        same = same && p[i % 2].interp == had[i % 2];
    }
    ok(same, "each comes back to that which it had last");
    end_puppet(&p[0]);
    end_puppet(&p[1]);
}

/* ---- the gate ----------------------------------------------------------- */

enum { AT_GATE = 8 };
static int entered[AT_GATE], entered_count; /* by who is attached */

static void *enter_once(void *arg)
{
    const pw_app_spec_t *app = ((job_t *)arg)->app;
    pw_attached_t at;
    pw_lease_t lease = A_CALL;
    const char *why;

    pw_runtime_lease(rt, app, &lease, &why);
    if (pw_interp_enter(lease.instance, &at) == 0) {
        entered[entered_count++] = ((job_t *)arg)->rounds;
        pw_interp_leave(&at);
    }
    pw_runtime_return(&lease);
    return NULL;
}

/* Waits until somebody new is the last at the gate. Does not detach. */
static const void *last_at_gate(pw_instance_t *inst, const void *before)
{
    pw_instant_t deadline = pw_now() + 10 * 1000000;
    const void *last;

    do {
        last = __atomic_load_n(&inst->gate, __ATOMIC_SEQ_CST);
        sched_yield();
    } while (last == before && pw_now() < deadline);
    return last;
}

static void test_gate(const pw_app_spec_t *app)
{
    const void *last = NULL, *next;
    pthread_t ids[AT_GATE];
    job_t jobs[AT_GATE];
    int lined_up = 1, in_order = 1;
    pw_attached_t at;
    pw_lease_t lease = A_CALL;
    const char *why;

    pw_runtime_lease(rt, app, &lease, &why);
    pw_interp_enter(lease.instance, &at);
    for (int i = 0; i < AT_GATE; i++) {
        jobs[i] = (job_t){.app = app, .rounds = i};
        pthread_create(&ids[i], NULL, enter_once, &jobs[i]);
        next = last_at_gate(lease.instance, last);
        lined_up &= next != last;
        last = next;
    }
    pw_interp_leave(&at);
    pw_runtime_return(&lease);
    for (int i = 0; i < AT_GATE; i++) {
        pthread_join(ids[i], NULL);
        in_order &= entered[i] == i;
    }
    ok(lined_up, "who wants in while another is in lines up at the gate");
    ok(in_order && entered_count == AT_GATE,
       "and they enter in the order in which they came");
}

static PyMemAllocatorEx below; /* what the allocator of the test stands on */
static void *to_hide, *hidden;

/* The context is not used: another thread may have that of another allocator. */
static void hiding_free(void *ctx, void *block)
{
    (void)ctx;
    if (block && block == __atomic_load_n(&to_hide, __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&hidden, block, __ATOMIC_SEQ_CST);
        return;
    }
    below.free(below.ctx, block);
}

/* A memory profiler, say, that does not hand on what it is given. */
static void test_hidden(const pw_app_spec_t *bounded)
{
    PyMemAllocatorEx front;
    pw_metrics_t *m = pw_runtime_metrics(rt);
    apr_uint64_t freed = pw_metrics_get(m, tstates_freed);

    ok(call(bounded, 0) > 0, "a state, and an allocator before ours");
    __atomic_store_n(&to_hide, last_used, __ATOMIC_SEQ_CST);
    PyMem_GetAllocator(PYMEM_DOMAIN_RAW, &below);
    front = below;
    front.free = hiding_free;
    PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &front);
    ok(!logged("PW0113"), "no record ahead");
    ok(run_threads(bounded, 1, 1) == 0 && reaches(&m->tstates_freed, freed + 2),
       "which hides the end of a state from ours");
    PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &below);
    ok(to_hide && __atomic_load_n(&hidden, __ATOMIC_SEQ_CST) == to_hide,
       "it did");
    ok(logged("PW0113 polywsgi: something stands before"), "that is an error");
    ok(call(bounded, 0) == 1, "the thread goes on");
}

static void test_failed_load(const pw_app_spec_t *app)
{
    long value;

    ok(call(app, 0) == -1000 - PW_LEASE_FAILED, "SystemExit fails the load");
    ok(logged("PW0201 failing: cannot load") && logged("SystemExit: not today"),
       "and is logged with its code");
    write_script("failing.py", mended_py);
    value = call(app, 0);
    ok(value == (PW_FRESH_RETRIES ? 100 : 101),
       "mended, it loads in %s interpreter (%ld)",
       PW_FRESH_RETRIES ? "a fresh" : "the same", value);
}

static void test_missing(const pw_app_spec_t *app)
{
    ok(call(app, 0) == -1000 - PW_LEASE_CLOSED, "a missing script is closed");
    ok(logged("PW0202 missing: "), "and is logged with its code");
    write_script("missing.py", mended_py);
    ok(call(app, 0) == 100, "until it is there");
}

static void *compute(void *arg)
{
    job_t *job = arg;

    job->failed = call(job->app, 0);
    return NULL;
}

/* ---- scripts that requests find ---------------------------------------- */

#define FOUND_MAX 3
#define FOUND_SCRIPTS 5
#define FOUND_THREADS 8

typedef struct search_t {
    const pw_interp_spec_t *interp; /* NULL: one for each script */
    const char **scripts;
    const pw_app_spec_t *apps[FOUND_SCRIPTS]; /* NULL: refused */
    int wrong;
} search_t;

/* Asks for every script, in an order of its own, and calls what it gets. */
static void *search(void *arg)
{
    search_t *s = arg;
    apr_pool_t *rpool;

    apr_pool_create(&rpool, NULL);
    for (int i = 0; i < FOUND_SCRIPTS; i++) {
        int at = (int)(((size_t)s / sizeof(*s) + (size_t)i) % FOUND_SCRIPTS);
        pw_found_t found = {.interp = s->interp,
                            .name = s->scripts[at],
                            .script = s->scripts[at],
                            .identity = s->scripts[at],
                            .callable = "application",
                            .log = test_log,
                            .rpool = rpool};
        apr_status_t rv = pw_demand_app(rt, &found, &s->apps[at]);

        if (rv == APR_SUCCESS) {
            s->wrong += call(s->apps[at], 0) != 100;
        }
        else {
            s->wrong += rv != APR_ENOSPC;
            s->apps[at] = NULL;
        }
    }
    apr_pool_destroy(rpool);
    return NULL;
}

/* Many threads at once: each script is one application for all, as many as the
 * bound allows. */
static void test_found(const pw_interp_spec_t *interp, const char **scripts)
{
    static search_t s[FOUND_THREADS];
    pthread_t threads[FOUND_THREADS];
    int wrong = 0, apps = 0, different = 0;

    for (int i = 0; i < FOUND_THREADS; i++) {
        s[i] = (search_t){.interp = interp, .scripts = scripts};
        pthread_create(&threads[i], NULL, search, &s[i]);
    }
    for (int i = 0; i < FOUND_THREADS; i++) {
        pthread_join(threads[i], NULL);
        wrong += s[i].wrong;
        for (int k = 0; k < FOUND_SCRIPTS; k++) {
            different += s[i].apps[k] && s[0].apps[k] != s[i].apps[k];
            apps += i == 0 && s[0].apps[k];
        }
    }
    search(&s[0]);
    ok(wrong == 0, "scripts that are found answer, %s",
       interp ? "in one interpreter" : "each in its own");
    ok(different == 0, "the same for all threads");
    ok(apps == FOUND_MAX, "as many as the bound allows: %d", apps);
}

/* Over the bound one that is idle ends for the next: not one that may not, for
 * so many of its instances are parked. All are idle since the same moment. */
static void test_room(void)
{
    pw_interp_spec_t *first = rt->demand.own[0];
    pw_pool_t *full = rt->pools[first->index];
    pw_pool_look_t look;
    apr_status_t rv;
    int parked;

    for (int i = 0; i < rt->demand.interps; i++) {
        rt->pools[rt->demand.own[i]->index]->used = 1;
    }
    pw_lock_take(&full->lock);
    parked = full->parked;
    full->parked = full->setup.parked_max;
    pw_lock_release(&full->lock);
    rv = pw_demand_spawn(rt, first);
    pw_pool_look(full, &look);
    ok(rv == (PW_RENEWALS == 0 ? APR_ENOSPC : APR_SUCCESS) && look.serving == 1
           && logged("is unloaded to make room for") == (PW_RENEWALS != 0),
       "the next idle one makes room for one that may not end");
    pw_lock_take(&full->lock);
    full->parked = parked;
    pw_lock_release(&full->lock);
}

/* Two interpreters share a GIL, and a thread computes in one of them. */
static void test_busy(const pw_app_spec_t *busy, const pw_app_spec_t *other)
{
    job_t job = {.app = busy};
    pthread_t thread;
    int answered = 0;

    ok(call(busy, 1) == 0, "the busy application is loaded");
    pthread_create(&thread, NULL, compute, &job);
    for (int i = 0; i < 100; i++) {
        answered += call(other, 0) == 100;
    }
    call(busy, 1);
    pthread_join(thread, NULL);
    ok(answered == 100, "the other one answers");
    ok(job.failed == 0, "while it computes");
}

static void test_daemon(const pw_app_spec_t *app)
{
    pw_metrics_t *m = pw_runtime_metrics(rt);
    apr_uint64_t failed = 3; /* failing, missing, daemon: at least once each */

    ok(call(app, 0) == -1000 - PW_LEASE_FAILED,
       "fails after starting a thread");
    write_script("daemon.py", mended_py);
    ok(call(app, 0) == 100, "and is loaded again");
    if (PW_FRESH_RETRIES) {
        ok(reaches(&m->instances_ended, failed)
               && pw_metrics_get(m, instances_parked) == 0,
           "the interpreters of failed loads are ended, threads and all");
    }
}

static void test_stop(const char *script)
{
    pw_found_t late = {.name = "late",
                       .script = script,
                       .identity = script,
                       .callable = "application",
                       .log = test_log,
                       .rpool = apool};
    const pw_app_spec_t *app;
    pw_instant_t begin = pw_now();
    char *bye = apr_pstrcat(apool, directory, "/one.bye", NULL);
    char *bye_main = apr_pstrcat(apool, directory, "/main.bye", NULL);

    pw_runtime_stop(rt);
    ok(pw_now() - begin < 5 * 1000000, "the child stops in time");
    ok(access(bye, F_OK) == 0, "atexit of a subinterpreter has run");
    ok(access(bye_main, F_OK) == 0, "atexit of the main interpreter has run");
    ok(logged("PW0190 polywsgi: child"), "the counters are logged");
    ok(pw_demand_app(rt, &late, &app) == APR_EGENERAL,
       "and no script is found any more");
}

int main(void)
{
    pw_isolation_e sub =
        PW_HAVE_OWN_GIL ? PW_ISOLATION_OWN_GIL : PW_ISOLATION_SHARED_GIL;
    pw_runtime_setup_t setup = {.module_name = "polywsgi",
                                .module_init = module_init};
    pw_app_spec_t *one, *two, *three, *failing, *missing, *daemon_app, *busy,
        *bounded, *pair, *twin;
    const char *scripts[FOUND_SCRIPTS];
    pw_interp_spec_t *later;
    pw_map_t *map;

    apr_initialize();
    apr_pool_create(&apool, NULL);
    if (!mkdtemp(directory)) {
        return 1;
    }
    setup.map = map = new_map(40);
    one = add_app(map, "one", sub, write_script("counter.py", counter_py));
    two = add_app(map, "two", sub, one->script);
    three = add_app(map, "main", PW_ISOLATION_MAIN, one->script);
    failing =
        add_app(map, "failing", sub, write_script("failing.py", failing_py));
    missing = add_app(map, "missing", PW_ISOLATION_SHARED_GIL,
                      apr_pstrcat(apool, directory, "/missing.py", NULL));
    daemon_app =
        add_app(map, "daemon", sub, write_script("daemon.py", daemon_py));
    busy = add_app(map, "busy", PW_ISOLATION_SHARED_GIL,
                   write_script("busy.py", busy_py));
    add_app(map, "hanging", sub, write_script("hanging.py", hanging_py));
    bounded = add_app(map, "bounded", sub, one->script);
    bounded->interp->thread_states = 1;
    pair = add_app(map, "pair", sub, one->script);
    pair->interp->thread_states = 2;
    twin = add_app(map, "twin", sub, one->script);
    twin->interp->instances_min = twin->interp->instances_max = 2;
    later = add_interp(map, "later", sub);
    later->later = 1;
    map->own = new_interp("", sub);
    map->found_max = map->found_names = FOUND_MAX;
    for (int i = 0; i < FOUND_SCRIPTS; i++) {
        scripts[i] =
            write_script(apr_psprintf(apool, "found%d.py", i), mended_py);
    }
    ok(pw_runtime_start(apool, &setup, &rt) == APR_SUCCESS, "Python starts");
    test_calls(one, two, three);
    test_thread_states();
    test_ghost(bounded, one);
    test_hidden(bounded);
    test_eviction(pair);
    test_crowd(pair);
    test_last(twin);
    test_locks(one);
    test_gate(one);
    test_failed_load(failing);
    test_missing(missing);
    test_busy(busy, missing);
    test_daemon(daemon_app);
    test_found(NULL, scripts);
    test_room();
    test_found(later, scripts);
    test_stop(scripts[0]);
    if (tap_failed) {
        printf("# %s\n", log_text);
    }
    remove_directory();
    apr_terminate();
    return tap_done();
}
