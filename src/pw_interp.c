/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_interp: creating and ending a CPython interpreter, the table of cached
 * thread states, and attaching. The call sequences and why they are so stand
 * in docs/internals.md.
 */
#include "pw_instance.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pw_exc.h"
#include "pw_py.h"

#define CAPSULE_NAME "polywsgi.instance"
#ifdef PW_NO_TICKET /* only to be measured: t/bench/ratios.py ticket */
#define PW_TICKET 0
#else
#define PW_TICKET 1
#endif
#define GONE_PATIENCE (2 * APR_USEC_PER_SEC)
#define GONE_POLL 5000 /* microseconds */

/* ---- the door ---------------------------------------------------------- */

static pw_tstate_t **bucket(pw_tstate_table_t *t, apr_uint64_t serial)
{
    return &t->buckets[serial % PW_TSTATE_BUCKETS];
}

static pw_tstate_t *find_locked(pw_instance_t *inst, apr_uint64_t serial)
{
    pw_tstate_table_t *t = &inst->tstates;

    pw_lock_assert(&inst->lock);
    for (pw_tstate_t *e = *bucket(t, serial); e; e = e->next) {
        if (e->serial == serial && !e->orphan) {
            return e;
        }
    }
    return NULL;
}

/* It goes at the next reaping. */
static void orphan_locked(pw_instance_t *inst, pw_tstate_t *e)
{
    pw_lock_assert(&inst->lock);
    e->orphan = 1;
    inst->tstates.kept--;
}

/* Over the bound the state that was idle longest goes: each may hold a database
 * connection of the application. 0: there is none idle. */
static int evict_locked(pw_instance_t *inst)
{
    pw_tstate_table_t *t = &inst->tstates;
    pw_tstate_t *oldest = NULL;

    pw_lock_assert(&inst->lock);
    for (int i = 0; i < PW_TSTATE_BUCKETS; i++) {
        for (pw_tstate_t *e = t->buckets[i]; e; e = e->next) {
            if (!e->orphan && e->depth == 0
                && (!oldest || e->used < oldest->used)) {
                oldest = e;
            }
        }
    }
    if (oldest) {
        orphan_locked(inst, oldest);
    }
    return oldest != NULL;
}

/*
 * Without the table's lock: where tracemalloc runs, PyThreadState_New waits for
 * a GIL. It binds the state to the calling OS thread, and needs none itself.
 */
static pw_tstate_t *new_entry(pw_instance_t *inst, apr_uint64_t serial)
{
    pw_tstate_t *e = calloc(1, sizeof(*e));

    if (!e) {
        return NULL;
    }
    e->serial = serial;
    e->depth = 1;
    e->ts = PyThreadState_New(inst->interp);
    if (!e->ts) {
        free(e);
        return NULL;
    }
    pw_metrics_add(&inst->rt->metrics, tstates_created);
    pw_stats_tstates(inst->member.stats, 1);
    return e;
}

/* Nobody but the calling thread makes entries of its serial. */
static void add_entry(pw_instance_t *inst, pw_tstate_t *e)
{
    pw_tstate_table_t *t = &inst->tstates;
    int over;

    pw_lock_take(&inst->lock);
    over = ++t->kept > t->bound && evict_locked(inst);
    e->next = *bucket(t, e->serial);
    *bucket(t, e->serial) = e;
    pw_lock_release(&inst->lock);
    if (over) {
        pw_pool_nudge(&inst->member);
    }
}

static pw_tstate_t *find_or_add(pw_instance_t *inst, apr_uint64_t serial)
{
    pw_tstate_t *e;

    pw_lock_take(&inst->lock);
    e = find_locked(inst, serial);
    if (e) {
        e->depth++;
    }
    pw_lock_release(&inst->lock);
    if (!e) {
        e = new_entry(inst, serial);
        if (e) {
            add_entry(inst, e);
        }
    }
    return e;
}

/* First come, first served, without a lock. */
static void queue_at_gate(pw_instance_t *inst, pw_gate_place_t *place)
{
    pw_gate_place_t *before;

    place->next = NULL;
    before = __atomic_exchange_n(&inst->gate, place, __ATOMIC_ACQ_REL);
    if (before) {
        __atomic_store_n(&before->next, place, __ATOMIC_RELEASE);
        while (sem_wait(place->turn) != 0) {
            continue; /* a signal */
        }
    }
}

/* Who came after may not have written itself down yet: that takes it two
 * instructions. */
static void pass_gate(pw_instance_t *inst, pw_gate_place_t *place)
{
    pw_gate_place_t *last = place, *next;

    if (__atomic_compare_exchange_n(&inst->gate, &last, NULL, 0,
                                    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        return;
    }
    next = __atomic_load_n(&place->next, __ATOMIC_ACQUIRE);
    while (!next) {
        sched_yield();
        next = __atomic_load_n(&place->next, __ATOMIC_ACQUIRE);
    }
    sem_post(next->turn);
}

static void attach_in_turn(pw_attached_t *at, pw_thread_t *thread)
{
    pw_gate_place_t place = {.turn = &thread->turn};

    if (PW_TICKET) {
        queue_at_gate(at->instance, &place);
    }
    PyEval_RestoreThread(at->ts);
    if (PW_TICKET) {
        pass_gate(at->instance, &place);
    }
    if (PW_GILSTATE_FOLLOWS
        && __atomic_load_n(&thread->ghosts, __ATOMIC_RELAXED)) {
        pw_ghost_bury(&at->instance->rt->ghosts, thread);
    }
}

int pw_interp_enter(pw_instance_t *inst, pw_attached_t *at)
{
    pw_thread_t *thread = pw_runtime_thread(inst->rt);
    pw_tstate_t *e = thread ? find_or_add(inst, thread->serial) : NULL;

    if (!e) {
        return -1;
    }
    at->instance = inst;
    at->entry = e;
    at->ts = e->ts;
    attach_in_turn(at, thread);
    return 0;
}

void pw_interp_enter_own(pw_instance_t *inst, pw_attached_t *at)
{
    at->instance = inst;
    at->entry = NULL;
    at->ts = inst->own;
    PyEval_RestoreThread(at->ts);
    __atomic_fetch_add(&inst->rt->own_attached, 1, __ATOMIC_RELAXED);
}

int pw_interp_enter_fresh(pw_instance_t *inst, pw_attached_t *at)
{
    at->instance = inst;
    at->entry = NULL;
    at->ts = PyThreadState_New(inst->interp);
    if (!at->ts) {
        return -1;
    }
    PyEval_RestoreThread(at->ts);
    return 0;
}

void pw_interp_leave_fresh(pw_attached_t *at)
{
    PyThreadState_Clear(at->ts);
    PyThreadState_DeleteCurrent();
    at->ts = NULL;
}

void pw_interp_leave(pw_attached_t *at)
{
    pw_instance_t *inst = at->instance;
    pw_tstate_table_t *t = &inst->tstates;
    int over;

    PyEval_SaveThread();
    at->ts = NULL;
    if (!at->entry) {
        return;
    }
    pw_lock_take(&inst->lock);
    at->entry->depth--;
    at->entry->used = ++t->clock;
    over = t->kept > t->bound && evict_locked(inst);
    pw_lock_release(&inst->lock);
    if (over) {
        pw_pool_nudge(&inst->member);
    }
}

int pw_interp_orphan(pw_instance_t *inst, apr_uint64_t serial)
{
    pw_tstate_t *e;

    pw_lock_take(&inst->lock);
    e = find_locked(inst, serial);
    if (e) {
        orphan_locked(inst, e);
    }
    pw_lock_release(&inst->lock);
    return e != NULL;
}

static pw_tstate_t *take_one(pw_instance_t *inst, int all)
{
    pw_tstate_t *found = NULL;

    pw_lock_take(&inst->lock);
    for (int i = 0; i < PW_TSTATE_BUCKETS && !found; i++) {
        pw_tstate_t **p = &inst->tstates.buckets[i];

        while (*p && !((all || (*p)->orphan) && (*p)->depth == 0)) {
            p = &(*p)->next;
        }
        found = *p;
        if (found) {
            *p = found->next;
            inst->tstates.kept -= !found->orphan;
        }
    }
    pw_lock_release(&inst->lock);
    return found;
}

void pw_interp_reap(pw_attached_t *at, int all)
{
    pw_tstate_t *e;

    for (e = take_one(at->instance, all); e; e = take_one(at->instance, all)) {
        PyThreadState_Clear(e->ts); /* may run Python: threading.local */
        pw_ghost_delete(&at->instance->rt->ghosts, e);
        pw_metrics_add(&at->instance->rt->metrics, tstates_freed);
        pw_stats_tstates(at->instance->member.stats, -1);
    }
}

/* ---- references that outlive their lease ------------------------------- */

struct pw_held_t {
    pw_held_t *next;  /* of the instance's list */
    PyObject *object; /* owned */
};

pw_held_t *pw_interp_hold(PyObject *object)
{
    pw_held_t *held = malloc(sizeof(*held));

    if (held) {
        held->object = Py_NewRef(object);
    }
    return held;
}

void pw_interp_unhold(pw_instance_t *inst, pw_held_t *held)
{
    held->next = __atomic_load_n(&inst->unheld, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&inst->unheld, &held->next, held, 1,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
        continue;
    }
}

int pw_interp_drop(pw_attached_t *at)
{
    pw_instance_t *inst = at->instance;
    pw_held_t *held, *next;
    int count = 0;

    if (!__atomic_load_n(&inst->unheld, __ATOMIC_RELAXED)) {
        return 0;
    }
    held = __atomic_exchange_n(&inst->unheld, NULL, __ATOMIC_ACQUIRE);
    for (; held; held = next) {
        next = held->next;
        Py_DECREF(held->object);
        free(held);
        count++;
    }
    return count;
}

/* ---- what is inside ---------------------------------------------------- */

const pw_interp_spec_t *pw_interp_spec(const pw_instance_t *inst)
{
    return inst->spec;
}

pw_stat_interp_t *pw_interp_stats(const pw_instance_t *inst)
{
    return pw_runtime_stats(inst->rt, inst->spec->index);
}

int pw_interp_number(const pw_instance_t *inst)
{
    return inst->number;
}

PyObject *pw_interp_callable(pw_attached_t *at, int slot)
{
    return at->instance->callables[slot];
}

PyObject *pw_interp_module(pw_attached_t *at)
{
    return at->instance->module;
}

pw_instance_t *pw_interp_current(void)
{
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
    PyObject *capsule; /* borrowed from dict */

    capsule = dict ? PyDict_GetItemString(dict, CAPSULE_NAME) : NULL;
    return capsule ? PyCapsule_GetPointer(capsule, CAPSULE_NAME) : NULL;
}

PyObject *pw_interp_call(pw_attached_t *at, const char *function,
                         const char *format, ...)
{
    PyObject *callable; /* borrowed from functions */
    PyObject *args, *result = NULL;
    va_list list;

    callable = PyDict_GetItemString(at->instance->functions, function);
    if (!callable) {
        PyErr_Format(PyExc_LookupError, "polywsgi has no function %s",
                     function);
        return NULL;
    }
    va_start(list, format);
    args = Py_VaBuildValue(format, list); /* new */
    va_end(list);
    if (args) {
        result = PyObject_CallObject(callable, args);
        Py_DECREF(args);
    }
    return result;
}

/* ---- birth ------------------------------------------------------------- */

/* Attached afterwards. */
static int make_interpreter(pw_instance_t *inst, const char **why)
{
    if (inst->spec->isolation == PW_ISOLATION_MAIN) {
        inst->own = PyThreadState_New(PyInterpreterState_Main());
        if (!inst->own) {
            *why = "out of memory";
            return -1;
        }
        PyEval_RestoreThread(inst->own);
    }
    else {
        int own_gil = inst->spec->isolation == PW_ISOLATION_OWN_GIL;

        pw_lock_take(&inst->rt->creating);
        inst->own = pw_py_new_interpreter(own_gil, why);
        pw_lock_release(&inst->rt->creating);
        if (!inst->own) {
            return -1;
        }
    }
    inst->interp = PyThreadState_GetInterpreter(inst->own);
    return 0;
}

/* Lets pw_interp_current find the instance. Attached. */
static int mark_interpreter(pw_instance_t *inst)
{
    PyObject *dict = PyInterpreterState_GetDict(inst->interp);
    PyObject *capsule = PyCapsule_New(inst, CAPSULE_NAME, NULL); /* new */
    int rc = -1;

    if (dict && capsule) {
        rc = PyDict_SetItemString(dict, CAPSULE_NAME, capsule);
    }
    Py_XDECREF(capsule);
    return rc;
}

static PyObject *env_dict(const pw_interp_spec_t *spec) /* new */
{
    const apr_array_header_t *pairs = apr_table_elts(spec->env);
    const apr_table_entry_t *e = (const apr_table_entry_t *)pairs->elts;
    PyObject *dict = PyDict_New();

    for (int i = 0; dict && i < pairs->nelts; i++) {
        PyObject *value = PyUnicode_DecodeFSDefault(e[i].val); /* new */

        if (!value || PyDict_SetItemString(dict, e[i].key, value) < 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(value);
    }
    return dict;
}

/* What boot.py has to know of the rest. */
static PyObject *options_dict(const pw_map_t *map) /* new */
{
    const pw_python_conf_t *conf = &map->python;

    return Py_BuildValue(
        "{s:d,s:i,s:i,s:i,s:i,s:i}", "switch_interval", conf->switch_interval,
        "restrict_stdin", conf->restrict_stdin, "restrict_stdout",
        conf->restrict_stdout, "restrict_signal", conf->restrict_signal,
        "processes", map->processes, "threads", map->threads);
}

/* Runs one of src/py's files in the functions' dict. Attached. */
static int run_part(PyObject *functions, const char *name, const char *source)
{
    PyObject *code = Py_CompileString(source, name, Py_file_input); /* new */
    PyObject *result = NULL;                                        /* new */

    if (code) {
        result = PyEval_EvalCode(code, functions, functions);
        Py_DECREF(code);
    }
    Py_XDECREF(result);
    return result ? 0 : -1;
}

int pw_interp_add_part(pw_attached_t *at, const char *function,
                       const char *name, const char *source)
{
    PyObject *functions = at->instance->functions;

    return PyDict_GetItemString(functions, function)
               ? 0
               : run_part(functions, name, source);
}

static int run_parts(pw_instance_t *inst)
{
    static const struct {
        const char *name;
        const char *source;
    } parts[] = {
        {"<polywsgi report>", pw_py_report}, {"<polywsgi files>", pw_py_files},
        {"<polywsgi boot>", pw_py_boot},     {"<polywsgi load>", pw_py_load},
        {"<polywsgi stop>", pw_py_stop},     {"<polywsgi hooks>", pw_py_hooks},
    };

    inst->functions = PyDict_New();
    if (!inst->functions
        || PyDict_SetItemString(inst->functions, "__builtins__",
                                PyEval_GetBuiltins())
               < 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (run_part(inst->functions, parts[i].name, parts[i].source) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Python is started with -S, so that boot.py runs site for the right
 * environment; the flag must not be seen by the application, nor handed to
 * its child processes (subprocess._args_from_interpreter_flags). */
static void clear_no_site_flag(void)
{
    enum { NO_SITE = 6 }; /* position in sys.flags since 3.2 */
    PyObject *flags = PySys_GetObject("flags"); /* borrowed from sys */
    PyObject *zero = PyLong_FromLong(0);        /* immortal or cached */

    if (flags && zero) {
        PyStructSequence_SetItem(flags, NO_SITE, zero);
    }
}

/* Attached: gives the new interpreter its environment. */
static int boot(pw_instance_t *inst, pw_attached_t *at)
{
    const pw_interp_spec_t *spec = inst->spec;
    PyObject *env = NULL, *options = NULL, *done = NULL;

    if (mark_interpreter(inst) < 0 || run_parts(inst) < 0) {
        return -1;
    }
    inst->module = PyImport_ImportModule(inst->rt->setup.module_name);
    env = inst->module ? env_dict(spec) : NULL;         /* new */
    options = env ? options_dict(inst->rt->map) : NULL; /* new */
    if (options) {
        done = pw_interp_call(at, "boot", "(zzOsO)", spec->home, spec->path,
                              env, pw_isolation_name(spec->isolation), options);
    }
    Py_XDECREF(env);
    Py_XDECREF(options);
    Py_XDECREF(done);
    clear_no_site_flag();
    return done ? 0 : -1;
}

int pw_interp_create(pw_instance_t *inst)
{
    const pw_interp_spec_t *spec = inst->spec;
    pw_attached_t at = {.instance = inst};
    const char *why = NULL;
    int rc;

    if (make_interpreter(inst, &why) < 0) {
        pw_log(&spec->log, PW_LOG_ERR,
               "PW0101 %s: cannot create a Python interpreter (%s): %s; its "
               "applications are answered 500 until a later try succeeds",
               spec->name, pw_isolation_name(spec->isolation), why);
        return -1;
    }
    if (spec->isolation != PW_ISOLATION_MAIN) { /* counted at the start */
        pw_metrics_add(&inst->rt->metrics, instances_created);
    }
    at.ts = inst->own;
    pw_stacks_open(inst);
    rc = boot(inst, &at);
    if (rc < 0) {
        pw_exc_log(&at, &spec->log, PW_LOG_ERR, "PW0102", spec->name,
                   "cannot set up its Python environment; its applications "
                   "are answered 500 until a later try succeeds");
    }
    pw_interp_leave(&at);
    return rc;
}

/* ---- end --------------------------------------------------------------- */

static int is_cached(pw_instance_t *inst, const PyThreadState *ts)
{
    int found = 0;

    pw_lock_take(&inst->lock);
    for (int i = 0; i < PW_TSTATE_BUCKETS && !found; i++) {
        for (pw_tstate_t *e = inst->tstates.buckets[i]; e; e = e->next) {
            found |= e->ts == ts;
        }
    }
    pw_lock_release(&inst->lock);
    return found;
}

static void note_native(pw_instance_t *inst, pid_t native)
{
    for (int i = 0; i < inst->native_count; i++) {
        if (inst->natives[i] == native) {
            return;
        }
    }
    if (inst->native_count < PW_NATIVES) {
        inst->natives[inst->native_count++] = native;
    }
}

/* In a subinterpreter every thread state that is neither cached nor ours is a
 * thread of the application. The list does not change under us: states come
 * and go in it only by threads that hold its GIL. */
static int walk_threads(pw_attached_t *at, int interrupt)
{
    pw_instance_t *inst = at->instance;
    PyThreadState *ts = PyInterpreterState_ThreadHead(inst->interp);
    int count = 0;

    for (; ts; ts = PyThreadState_Next(ts)) {
        if (ts == at->ts || is_cached(inst, ts)) {
            continue;
        }
        count++;
        note_native(inst, (pid_t)ts->native_thread_id);
        if (interrupt) {
            PyThreadState_SetAsyncExc(ts->thread_id, PyExc_SystemExit);
        }
    }
    return count;
}

/* Those that stop.py has run something in. Attached. */
static void note_own_threads(pw_attached_t *at)
{
    PyObject *list = pw_interp_call(at, "ran_threads", "()"); /* new */

    for (Py_ssize_t i = 0; list && i < PyList_Size(list); i++) {
        note_native(at->instance,
                    (pid_t)PyLong_AsLong(PyList_GetItem(list, i)));
    }
    PyErr_Clear();
    Py_XDECREF(list);
}

static int count_natives(const pw_instance_t *inst)
{
    int count = 0;

    for (int i = 0; i < inst->native_count; i++) {
        count += syscall(SYS_tgkill, getpid(), inst->natives[i], 0) == 0;
    }
    return count;
}

void pw_interp_remember_threads(pw_attached_t *at)
{
    Py_XDECREF(pw_interp_call(at, "remember_threads", "()"));
    PyErr_Clear();
}

/* Of the threads that were noted, those that do not end; 0 where it cannot be
 * asked. Attached. */
static int join_noted(pw_attached_t *at)
{
    PyObject *left = pw_interp_call(at, "join_threads", "(d)", 1.0); /* new */
    int count = left ? (int)PyLong_AsLong(left) : 0;

    Py_XDECREF(left);
    PyErr_Clear();
    return count;
}

int pw_interp_await_gone(pw_attached_t *at)
{
    pw_instance_t *inst = at->instance;
    pw_instant_t deadline = pw_now() + GONE_PATIENCE;
    PyThreadState *ts;
    int left;

    if (join_noted(at) > 0) {
        return 1;
    }
    note_own_threads(at);
    ts = PyEval_SaveThread();
    do {
        apr_sleep(GONE_POLL); /* also for one that ended unseen just now */
        left = count_natives(inst);
    } while (left > 0 && pw_now() < deadline);
    PyEval_RestoreThread(ts);
    return left;
}

/*
 * The main interpreter's list must not be walked: while a thread of a
 * subinterpreter imports an extension, CPython (3.13 and later, import.c:
 * switch_to_main_interpreter) makes a state there for a moment and deletes it
 * without main's GIL. Python's own account leaves these out.
 */
static int ask_threads(pw_attached_t *at, int interrupt)
{
    PyObject *idents = NULL; /* borrowed from pair */
    PyObject *pair = pw_interp_call(at, "threads", "()"); /* new */
    int count = 0;

    if (pair && PyArg_ParseTuple(pair, "iO", &count, &idents)) {
        for (Py_ssize_t i = 0; interrupt && i < PyList_Size(idents); i++) {
            PyThreadState_SetAsyncExc(
                PyLong_AsUnsignedLong(PyList_GetItem(idents, i)),
                PyExc_SystemExit);
        }
    }
    Py_XDECREF(pair);
    PyErr_Clear();
    return count;
}

int pw_interp_foreign_threads(pw_attached_t *at, int interrupt)
{
    return at->instance->spec->isolation == PW_ISOLATION_MAIN
               ? ask_threads(at, interrupt)
               : walk_threads(at, interrupt);
}

static void drop_references(pw_instance_t *inst)
{
    int slots = pw_runtime_slots(inst->rt, inst->spec);

    for (int i = 0; i < slots; i++) {
        Py_CLEAR(inst->callables[i]);
    }
    Py_CLEAR(inst->module);
    Py_CLEAR(inst->functions);
}

/*
 * The state that created the interpreter is kept until here (cpython 134144),
 * but Py_EndInterpreter wants a fresh one: one that ran Python makes 3.13
 * complain of its dummy thread.
 */
int pw_interp_end(pw_attached_t *at)
{
    pw_instance_t *inst = at->instance;
    PyThreadState *fresh;

    pw_interp_reap(at, 1);
    drop_references(inst);
    if (inst->spec->isolation == PW_ISOLATION_MAIN) {
        PyThreadState_Clear(inst->own);
        PyThreadState_DeleteCurrent();
    }
    else {
        PyEval_SaveThread();
        fresh = PyThreadState_New(inst->interp);
        if (!fresh) {
            at->ts = NULL;
            return -1;
        }
        PyEval_RestoreThread(fresh);
        PyThreadState_Clear(inst->own);
        PyThreadState_Delete(inst->own);
        Py_EndInterpreter(fresh);
        pw_metrics_add(&inst->rt->metrics, instances_ended);
    }
    at->ts = NULL;
    inst->own = NULL;
    inst->interp = NULL;
    return 0;
}
