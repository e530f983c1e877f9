/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_stacks: scribes, and who asks them. `dumping` is held for moments only,
 * never attached; with runtime.lock held or without.
 */
#include "pw_stacks.h"

#include <signal.h>
#include <string.h>
#include <apr_tables.h>

#include "pw_instance.h"
#include "pw_show.h"

#define FRAMES_MAX 100
#define WORD_MAX 255 /* bytes of a file's or function's name */

/* A thread state inside an instance, and what it is doing. */
typedef struct inside_t {
    apr_uint64_t serial; /* of its OS thread; 0: the instance's own */
    PyThreadState *ts;   /* scribe: while it is attached */
    const char *stack;   /* JSON; NULL: no Python runs */
} inside_t;

struct pw_dump_t {
    apr_pool_t *pool;         /* its memory; the last user destroys it */
    pw_instance_t *instance;  /* scribe: until it is done */
    PyThreadState *own;       /* const: the instance's own */
    apr_array_header_t *seen; /* scribe, until it is done: of inside_t */
    int done;                 /* dumping: */
    int users;                /* dumping: the scribe, and who asks */
};

/* ---- the scribe -------------------------------------------------------- */

/* ASCII; of a long one its end. */
static void write_word(pw_text_t *to, PyObject *word)
{
    PyObject *bytes; /* new */
    const char *text = "?";

    bytes = PyUnicode_AsEncodedString(word, "ascii", "backslashreplace");
    if (bytes) {
        Py_ssize_t len = PyBytes_GET_SIZE(bytes);

        text = PyBytes_AS_STRING(bytes) + (len > WORD_MAX ? len - WORD_MAX : 0);
    }
    pw_text_json(to, text);
    Py_XDECREF(bytes);
    PyErr_Clear();
}

static void write_frame(pw_text_t *to, PyFrameObject *frame)
{
    PyCodeObject *code = PyFrame_GetCode(frame); /* new */

    pw_text_add(to, "{\"file\":");
    write_word(to, code->co_filename);
    pw_text_addf(to,
                 ",\"line\":%d,\"function\":", PyFrame_GetLineNumber(frame));
    write_word(to, code->co_qualname);
    pw_text_add(to, "}");
    Py_DECREF(code);
}

/* The innermost call first. Attached, and so that nothing lets another thread
 * run: the frames belong to one that waits for the GIL. */
static const char *write_stack(apr_pool_t *pool, PyThreadState *ts)
{
    PyFrameObject *frame = PyThreadState_GetFrame(ts); /* new */
    pw_text_t to;
    int n = 0;

    if (!frame) {
        return NULL;
    }
    pw_text_init(&to, pool);
    pw_text_add(&to, "[");
    while (frame && n < FRAMES_MAX) {
        PyFrameObject *back = PyFrame_GetBack(frame); /* new */

        pw_text_add(&to, n++ > 0 ? "," : "");
        write_frame(&to, frame);
        Py_DECREF(frame);
        frame = back;
    }
    pw_text_addf(&to, "],\"cut\":%s", frame ? "true" : "false");
    Py_XDECREF(frame);
    return to.bytes;
}

/* Those that run a request. An entry that is entered is never deleted, and
 * others only by who has the GIL. */
static void list_inside(pw_instance_t *inst, apr_array_header_t *list)
{
    pw_lock_take(&inst->lock);
    for (int i = 0; i < PW_TSTATE_BUCKETS; i++) {
        for (pw_tstate_t *e = inst->tstates.buckets[i]; e; e = e->next) {
            if (e->depth > 0) {
                inside_t inside = {.serial = e->serial, .ts = e->ts};

                APR_ARRAY_PUSH(list, inside_t) = inside;
            }
        }
    }
    pw_lock_release(&inst->lock);
}

/* No collection, which may run Python: 3.11 begins one where a frame's object
 * is made. */
static void write_all(pw_dump_t *d)
{
    inside_t own = {.serial = 0, .ts = d->own};
    int collects = PyGC_Disable();

    list_inside(d->instance, d->seen);
    APR_ARRAY_PUSH(d->seen, inside_t) = own;
    for (int i = 0; i < d->seen->nelts; i++) {
        inside_t *inside = &APR_ARRAY_IDX(d->seen, i, inside_t);

        inside->stack = write_stack(d->pool, inside->ts);
    }
    if (collects) {
        PyGC_Enable();
    }
}

static void release_locked(pw_runtime_t *rt, pw_dump_t *d)
    PW_REQUIRES(rt->dumping)
{
    pw_lock_assert(&rt->dumping);
    if (--d->users == 0) {
        apr_pool_destroy(d->pool);
    }
}

static void *scribe_main(void *dump)
{
    pw_dump_t *d = dump;
    pw_runtime_t *rt = d->instance->rt;
    pw_attached_t at;

    if (pw_interp_enter_fresh(d->instance, &at) == 0) {
        write_all(d);
        pw_interp_leave_fresh(&at);
    }
    pw_lock_take(&rt->dumping);
    d->instance->dump = NULL;
    d->done = 1;
    pw_cond_broadcast(&rt->dumped);
    release_locked(rt, d);
    pw_lock_release(&rt->dumping);
    return NULL;
}

/* ---- the instance's own thread ----------------------------------------- */

void pw_stacks_open(pw_instance_t *inst)
{
    pw_lock_take(&inst->rt->dumping);
    inst->visited = inst->own;
    pw_lock_release(&inst->rt->dumping);
}

void pw_stacks_close(pw_attached_t *at)
{
    pw_runtime_t *rt = at->instance->rt;
    PyThreadState *ts = PyEval_SaveThread();

    pw_lock_take(&rt->dumping);
    at->instance->visited = NULL;
    while (at->instance->dump) {
        pw_cond_wait(&rt->dumped, &rt->dumping, PW_NEVER);
    }
    pw_lock_release(&rt->dumping);
    PyEval_RestoreThread(ts);
}

/* ---- who asks ---------------------------------------------------------- */

/* What is found out of one instance. */
typedef struct look_t {
    const pw_instance_t *instance; /* read with runtime.lock, afterwards only
                                    * compared: it may have ended */
    const pw_interp_spec_t *spec;
    int generation;
    pw_state_e state;
    int loading;                /* the slot that it loads, -1: none */
    apr_array_header_t *inside; /* of inside_t, without stacks */
    pw_dump_t *dump;            /* NULL: there can be none */
    int held;                   /* somebody has its GIL, and keeps it */
    int holds;                  /* who: one of these, by `holder` */
    apr_uint64_t holder;        /* its serial; 0: an instance's own thread */
    const pw_interp_spec_t *holder_spec; /* of that */
} look_t;

static int start_scribe(pw_dump_t *d)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, old;
    int rc;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&thread, &attr, scribe_main, d);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

/* One for the scribe, one for the caller. NULL: no memory or thread. */
static pw_dump_t *new_dump_locked(pw_runtime_t *rt, pw_instance_t *inst)
    PW_REQUIRES(rt->dumping)
{
    apr_pool_t *pool;
    pw_dump_t *d;

    pw_lock_assert(&rt->dumping);
    if (apr_pool_create_unmanaged_ex(&pool, NULL, NULL) != APR_SUCCESS) {
        return NULL;
    }
    apr_pool_tag(pool, "polywsgi_dump");
    d = apr_pcalloc(pool, sizeof(*d));
    d->pool = pool;
    d->instance = inst;
    d->own = inst->visited;
    d->seen = apr_array_make(pool, 8, sizeof(inside_t));
    d->users = 2;
    if (start_scribe(d) != 0) {
        apr_pool_destroy(pool);
        return NULL;
    }
    inst->dump = d;
    return d;
}

/* A dump that is under way will do. */
static pw_dump_t *ask(pw_runtime_t *rt, pw_instance_t *inst)
{
    pw_dump_t *d;

    pw_lock_take(&rt->dumping);
    d = inst->dump;
    if (d) {
        d->users++;
    }
    else if (inst->visited) {
        d = new_dump_locked(rt, inst);
    }
    pw_lock_release(&rt->dumping);
    return d;
}

static int is_wanted(const pw_interp_spec_t *spec, const char *name)
{
    if (!*name || !strcmp(spec->name, name)) {
        return 1;
    }
    for (int i = 0; i < spec->apps->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(spec->apps, i, const pw_app_spec_t *)->label,
                    name)) {
            return 1;
        }
    }
    return 0;
}

/* With pool.lock. */
static void read_member(void *look, const pw_member_t *member)
{
    look_t *l = look;
    int slots;

    if ((const pw_instance_t *)member != l->instance) {
        return;
    }
    slots = pw_runtime_slots(l->instance->rt, l->spec);
    l->state = member->state;
    for (int i = 0; i < slots; i++) {
        if (member->slots[i] == PW_SLOT_LOADING) {
            l->loading = i;
        }
    }
}

static look_t *look_at(pw_runtime_t *rt, pw_instance_t *inst, apr_pool_t *pool)
{
    look_t *l = apr_pcalloc(pool, sizeof(*l));

    l->instance = inst;
    l->spec = inst->spec;
    l->generation = inst->generation;
    l->state = PW_DEAD;
    l->loading = -1;
    pw_pool_each(rt->pools[inst->spec->index], read_member, l);
    l->inside = apr_array_make(pool, 4, sizeof(inside_t));
    list_inside(inst, l->inside);
    l->dump = ask(rt, inst);
    return l;
}

/* The oldest first. */
static apr_array_header_t *look_at_all(pw_runtime_t *rt, const char *name,
                                       apr_pool_t *pool)
{
    apr_array_header_t *looks = apr_array_make(pool, 8, sizeof(look_t *));

    pw_lock_take(&rt->lock);
    for (pw_instance_t *i = rt->instances; i; i = i->next) {
        if (!i->finished && is_wanted(i->spec, name)) {
            APR_ARRAY_PUSH(looks, look_t *) = look_at(rt, i, pool);
        }
    }
    pw_lock_release(&rt->lock);
    return looks;
}

static int all_done(const apr_array_header_t *looks)
{
    for (int i = 0; i < looks->nelts; i++) {
        const look_t *l = APR_ARRAY_IDX(looks, i, const look_t *);

        if (l->dump && !l->dump->done) {
            return 0;
        }
    }
    return 1;
}

static void wait_for_all(pw_runtime_t *rt, apr_array_header_t *looks)
{
    pw_instant_t until = pw_now() + PW_STACKS_PATIENCE;

    pw_lock_take(&rt->dumping);
    while (!all_done(looks) && pw_now() < until) {
        pw_cond_wait(&rt->dumped, &rt->dumping, until);
    }
    for (int i = 0; i < looks->nelts; i++) {
        look_t *l = APR_ARRAY_IDX(looks, i, look_t *);

        if (l->dump && !l->dump->done) {
            l->held = 1;
            release_locked(rt, l->dump);
            l->dump = NULL;
        }
    }
    pw_lock_release(&rt->dumping);
}

/* ---- who holds a GIL --------------------------------------------------- */

static int same_gil(const pw_interp_spec_t *one, const pw_instance_t *inst,
                    const pw_instance_t *other)
{
    return inst == other
           || (one->isolation != PW_ISOLATION_OWN_GIL
               && other->spec->isolation != PW_ISOLATION_OWN_GIL);
}

/* Nobody deletes the state of an entry that is in the table, nor the own one
 * while it is `visited`. */
static int find_in(pw_runtime_t *rt, pw_instance_t *inst, look_t *l)
{
    pw_lock_take(&inst->lock);
    for (int i = 0; i < PW_TSTATE_BUCKETS && !l->holds; i++) {
        for (pw_tstate_t *e = inst->tstates.buckets[i]; e; e = e->next) {
            if (e->depth > 0 && pw_py_holds_gil(e->ts)) {
                l->holds = 1;
                l->holder = e->serial;
            }
        }
    }
    pw_lock_release(&inst->lock);
    pw_lock_take(&rt->dumping);
    if (!l->holds && inst->visited && pw_py_holds_gil(inst->visited)) {
        l->holds = 1;
    }
    pw_lock_release(&rt->dumping);
    return l->holds;
}

static void find_holder(pw_runtime_t *rt, look_t *l)
{
    pw_lock_take(&rt->lock);
    for (pw_instance_t *i = rt->instances; i; i = i->next) {
        if (!i->finished && same_gil(l->spec, l->instance, i)
            && find_in(rt, i, l)) {
            l->holder_spec = i->spec;
            break;
        }
    }
    pw_lock_release(&rt->lock);
}

/* ---- as JSON ----------------------------------------------------------- */

static const pw_census_call_t *call_of(const pw_census_child_t *child,
                                       apr_uint64_t serial)
{
    for (int i = 0; child && i < child->calls->nelts; i++) {
        const pw_census_call_t *call =
            &APR_ARRAY_IDX(child->calls, i, pw_census_call_t);

        if (call->thread == serial) {
            return call;
        }
    }
    return NULL;
}

/* A comma ahead of all but the first. */
static void comma(pw_text_t *to, int *count)
{
    pw_text_add(to, (*count)++ > 0 ? "," : "");
}

static const char *stack_of(const look_t *l, apr_uint64_t serial)
{
    for (int i = 0; l->dump && i < l->dump->seen->nelts; i++) {
        const inside_t *inside = &APR_ARRAY_IDX(l->dump->seen, i, inside_t);

        if (inside->serial == serial) {
            return inside->stack;
        }
    }
    return NULL;
}

static void show_call(pw_text_t *to, const look_t *l,
                      const pw_census_child_t *child, apr_uint64_t serial)
{
    const pw_census_call_t *call = call_of(child, serial);
    const char *stack = stack_of(l, serial);

    pw_text_add(to, "{");
    if (call) {
        pw_show_call(to, call);
        pw_text_add(to, ",");
    }
    pw_text_addf(to, "\"stack\":");
    pw_text_add(to, stack ? stack : "null");
    pw_text_add(to, "}");
}

/* Those that the scribe has seen; where there was none, those of before. */
static void show_calls(pw_text_t *to, const look_t *l,
                       const pw_census_child_t *child)
{
    const apr_array_header_t *list = l->dump ? l->dump->seen : l->inside;
    int count = 0;

    pw_text_add(to, ",\"calls\":[");
    for (int i = 0; i < list->nelts; i++) {
        const inside_t *inside = &APR_ARRAY_IDX(list, i, inside_t);

        if (inside->serial != 0) {
            comma(to, &count);
            show_call(to, l, child, inside->serial);
        }
    }
    pw_text_add(to, "]");
}

static void show_holder(pw_text_t *to, const look_t *l,
                        const pw_census_child_t *child)
{
    const pw_census_call_t *call = l->holder ? call_of(child, l->holder) : NULL;

    if (!l->holds) {
        pw_text_add(to, "null");
        return;
    }
    pw_text_add(to, "{");
    if (call) {
        pw_show_call(to, call);
    }
    else {
        pw_text_addf(to, "\"phase\":\"%s\",\"interpreter\":",
                     l->holder ? "application" : "load");
        pw_text_json(to, l->holder_spec->name);
    }
    pw_text_add(to, "}");
}

/* What the instance's own thread does: loads, as a rule. */
static void show_own(pw_runtime_t *rt, pw_text_t *to, const look_t *l)
{
    const char *stack = stack_of(l, 0);

    pw_text_add(to, ",\"loading\":");
    if (l->loading >= 0) {
        pw_text_json(to, pw_runtime_app(rt, l->spec, l->loading)->label);
    }
    else {
        pw_text_add(to, "null");
    }
    pw_text_add(to, ",\"own\":{\"stack\":");
    pw_text_add(to, stack ? stack : "null");
    pw_text_add(to, "}");
}

static const char *gil_word(const look_t *l)
{
    if (l->held) {
        return "held";
    }
    return l->dump ? "free" : "unknown";
}

static void show_instance(pw_runtime_t *rt, pw_text_t *to, const look_t *l,
                          const pw_census_child_t *child)
{
    pw_text_add(to, "{\"interpreter\":");
    pw_text_json(to, l->spec->name);
    pw_text_addf(to,
                 ",\"isolation\":\"%s\",\"generation\":%d,\"state\":\"%s\","
                 "\"gil\":\"%s\",\"holder\":",
                 pw_isolation_name(l->spec->isolation), l->generation,
                 pw_state_name(l->state), gil_word(l));
    show_holder(to, l, child);
    show_own(rt, to, l);
    show_calls(to, l, child);
    pw_text_add(to, "}");
}

static int is_inside(const apr_array_header_t *looks, apr_uint64_t serial)
{
    for (int i = 0; i < looks->nelts; i++) {
        const look_t *l = APR_ARRAY_IDX(looks, i, const look_t *);
        const apr_array_header_t *list = l->dump ? l->dump->seen : l->inside;

        for (int n = 0; n < list->nelts; n++) {
            if (APR_ARRAY_IDX(list, n, inside_t).serial == serial) {
                return 1;
            }
        }
    }
    return 0;
}

/* Requests that have no instance now: they wait, or their body is read, or
 * what is left of an answer is sent. */
static void show_others(pw_text_t *to, const apr_array_header_t *looks,
                        const pw_census_child_t *child, const char *name)
{
    int count = 0;

    pw_text_add(to, ",\"others\":[");
    for (int i = 0; child && i < child->calls->nelts; i++) {
        const pw_census_call_t *call =
            &APR_ARRAY_IDX(child->calls, i, pw_census_call_t);

        if (!is_inside(looks, call->thread)
            && (!*name || !strcmp(name, call->interp)
                || !strcmp(name, call->label))) {
            comma(to, &count);
            pw_text_add(to, "{");
            pw_show_call(to, call);
            pw_text_add(to, "}");
        }
    }
    pw_text_add(to, "]");
}

static void show_all(pw_runtime_t *rt, pw_text_t *to,
                     const apr_array_header_t *looks,
                     const pw_census_child_t *child, const char *name)
{
    int count = 0;

    pw_text_add(to, "{\"instances\":[");
    for (int i = looks->nelts - 1; i >= 0; i--) {
        comma(to, &count);
        show_instance(rt, to, APR_ARRAY_IDX(looks, i, const look_t *), child);
    }
    pw_text_add(to, "]");
    show_others(to, looks, child, name);
    pw_text_add(to, "}");
}

void pw_stacks_show(pw_runtime_t *rt, const pw_census_child_t *child,
                    const char *name, apr_pool_t *pool, pw_text_t *to)
{
    apr_array_header_t *looks = look_at_all(rt, name, pool);

    wait_for_all(rt, looks);
    for (int i = 0; i < looks->nelts; i++) {
        look_t *l = APR_ARRAY_IDX(looks, i, look_t *);

        if (l->held) {
            find_holder(rt, l);
        }
    }
    show_all(rt, to, looks, child, name);
    pw_lock_take(&rt->dumping);
    for (int i = 0; i < looks->nelts; i++) {
        look_t *l = APR_ARRAY_IDX(looks, i, look_t *);

        if (l->dump) {
            release_locked(rt, l->dump);
        }
    }
    pw_lock_release(&rt->dumping);
}
