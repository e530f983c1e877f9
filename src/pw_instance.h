/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_instance: the inside of an instance and of the runtime, for the ENGINE's
 * own files only. Who may touch a field stands behind it: `life:` is the
 * instance's own thread, `const:` is set before a second thread sees it.
 */
#ifndef PW_INSTANCE_H
#define PW_INSTANCE_H

#include "pw_ghost.h"
#include "pw_interp.h"
#include "pw_keeper.h"
#include "pw_lock.h"
#include "pw_metrics.h"
#include "pw_pool.h"
#include "pw_runtime.h"

#include <semaphore.h>

#define PW_LAST_PLACES 16 /* of interpreters; two may share one */

/* One OS thread that entered an interpreter. Lives in its TLS until it ends. */
typedef struct pw_thread_t {
    apr_uint64_t serial; /* const: never used again for another thread */
    pw_runtime_t *rt;    /* const: */
    void *request;       /* this thread: the GATEWAY's, see pw_runtime.h */
    const void *last[PW_LAST_PLACES]; /* this thread: the instance it had last,
                                       * by interpreter; only compared */
    sem_t turn;                 /* posted by the thread before it at a gate */
    pw_caller_t caller;         /* this thread: its place in pw_stats */
    struct pw_thread_t *next;   /* ghosts.lock: of the runtime's */
    struct pw_tstate_t *ghosts; /* ghosts.lock, atomic: states of it that were
                                 * deleted by others */
} pw_thread_t;

/* One cached thread state. */
struct pw_tstate_t {
    pw_tstate_t *next;   /* instance.lock: chain of its bucket; ghosts.lock:
                          * of the ghosts */
    apr_uint64_t serial; /* const: of the OS thread it belongs to */
    PyThreadState *ts;   /* const: used only by that thread */
    apr_uint64_t used;   /* instance.lock: clock of the table at last use */
    int depth;           /* instance.lock: entered so many times now */
    int orphan;          /* instance.lock: its thread ended, or evicted */
};

/*
 * The gate before an interpreter's GIL: threads that want in queue up, and only
 * the first of them waits for the GIL itself. CPython's GIL is not fair: of 32
 * threads that want it some would wait for seconds. A waiting thread's place is
 * on its stack; nobody holds the gate longer than until it has the GIL.
 */
typedef struct pw_gate_place_t {
    struct pw_gate_place_t *next; /* atomic: who comes after */
    sem_t *turn;                  /* const: of the place's thread */
} pw_gate_place_t;

#define PW_NATIVES 256

#define PW_TSTATE_BUCKETS 64

typedef struct pw_tstate_table_t {
    pw_tstate_t *buckets[PW_TSTATE_BUCKETS]; /* instance.lock: */
    apr_uint64_t clock;                      /* instance.lock: */
    int kept;                                /* instance.lock: not orphans */
    int bound;                               /* const: */
} pw_tstate_table_t;

struct pw_instance_t {
    pw_member_t member; /* pool.lock: first, so that a member is an instance */
    const pw_interp_spec_t *spec; /* const: */
    pw_runtime_t *rt;             /* const: */
    pw_instance_t *next;          /* runtime.lock: */
    int generation;               /* const: 1 for the first of its name */
    int number;                   /* const: polywsgi.instance, from 1 */
    int finished;                 /* runtime.lock: its thread has ended */
    int pending;                  /* runtime.lock: loads of its start that have
                                   * not ended */

    pw_gate_place_t *gate; /* atomic: the last at the gate; NULL: it is open */

    pw_held_t *unheld; /* atomic: what the next one to attach drops */

    pid_t natives[PW_NATIVES]; /* life: OS threads of the application that were
                                * seen at its end */
    int native_count;          /* life: of them */

    PyInterpreterState *interp; /* life: NULL until created */
    PyThreadState *own;         /* life: its own thread's state */
    PyObject *functions;        /* life: dict of src/py's functions. owned */
    PyObject *module;           /* life: `polywsgi`. owned */
    PyObject **callables;       /* life: by slot, NULL or owned */

    PyThreadState *visited; /* rt.dumping: its own thread's state, while a
                             * scribe may come in; else NULL */
    struct pw_dump_t *dump; /* rt.dumping: a scribe is in it */

    pw_lock_t lock; /* guards the table below */
    pw_tstate_table_t tstates;
};

typedef struct pw_dump_t pw_dump_t;
typedef struct pw_demand_entry_t pw_demand_entry_t;

#define PW_DEMAND_CHAINS 256

/* See pw_demand.h. Lists are by the index of the interpreter. */
typedef struct pw_demand_t {
    pw_lock_t lock;
    apr_pool_t *pool;                            /* lock: */
    pw_demand_entry_t *chains[PW_DEMAND_CHAINS]; /* atomic: heads */
    pw_interp_spec_t **own;                      /* lock: interpreters that
                                                     * requests have made */
    int interps;                                 /* lock, atomic: of them */
    int *counts;                                 /* lock: found in each */
    const pw_app_spec_t ***found;                /* lock: at the places of
                                                     * slots behind spec->apps;
                                                     * one is read only after a
                                                     * lease asked for it */
    int stopping;                                /* lock: */
} pw_demand_t;

/* Files of an interpreter that have changed, see pw_changes.h. */
typedef struct pw_version_t {
    char *file;       /* one of them; owned; NULL: none */
    unsigned version; /* what all of them were then */
    unsigned said;    /* the last one of which there is a record */
} pw_version_t;

struct pw_runtime_t {
    const pw_map_t *map;       /* const: */
    pw_runtime_setup_t setup;  /* const: */
    pw_pool_t **pools;         /* by index of the interpreter; const: those
                                * of the map, demand.lock: those behind */
    pw_stat_interp_t **stats;  /* likewise */
    apr_uint64_t **tried;      /* atomic, by interpreter and slot: the state
                                * of the script at its last load */
    pw_demand_t demand;        /* what requests have found */
    pw_keeper_t *keeper;       /* const: */
    int *numbers;              /* atomic: of instances made, by interpreter */
    struct pw_scale_t *scales; /* keeper: by index of the interpreter */
    pw_lock_t creating;        /* held while an interpreter is created */
    pw_ghosts_t ghosts;        /* of thread states, and the OS threads */
    pw_lock_t lock;            /* guards the fields below */
    pw_cond_t changed;         /* an instance's thread has ended, or a load */
    pw_instance_t *instances;  /* lock: all that have a thread */
    pw_version_t *versions;    /* lock: by index of the interpreter */
    int running;               /* lock: threads not yet ended */
    int in_flight;             /* atomic: requests that have or want a lease */
    apr_uint64_t own_attached; /* atomic: how often pw_interp_enter_own did */
    apr_uint64_t probed;       /* keeper: own_attached at its last look */
    int graceful;              /* atomic: the child ends so */
    int stopping;              /* atomic: the shutdown timeout runs */
    int left_threads;          /* lock: Python threads still run somewhere */
    pw_lock_t dumping;         /* see pw_stacks.c */
    pw_cond_t dumped;          /* a scribe is done */
    apr_uint64_t next_serial;  /* atomic: */
    pw_metrics_t metrics;      /* atomic: */
};

/* The calling OS thread's record; made at the first call. */
pw_thread_t *pw_runtime_thread(pw_runtime_t *rt);

/* Makes an instance of the specification, adds it to its pool and starts its
 * thread. renewed: whose place it is to take when it has loaded, or NULL. Any
 * thread, not attached. Not APR_SUCCESS: no memory, or no thread. */
apr_status_t pw_runtime_spawn(pw_runtime_t *rt, const pw_interp_spec_t *spec,
                              int generation, pw_instance_t *renewed);

/* Room for the applications of an interpreter, found ones included. */
int pw_runtime_slots(const pw_runtime_t *rt, const pw_interp_spec_t *spec);

/* The application of a slot that has been asked for. */
const pw_app_spec_t *pw_runtime_app(const pw_runtime_t *rt,
                                    const pw_interp_spec_t *spec, int slot);

/* Makes the pool of an interpreter, in a pool that lives as long as the child.
 * Start thread, or with demand.lock. */
void pw_runtime_add_pool(pw_runtime_t *rt, const pw_interp_spec_t *spec,
                         apr_pool_t *cpool);

/* Gives an interpreter that has its name a place in pw_stats, before its first
 * instance. Start thread, or with demand.lock. */
void pw_runtime_count(pw_runtime_t *rt, const pw_interp_spec_t *spec);

/* Start thread, before others run. */
void pw_demand_init(pw_runtime_t *rt, apr_pool_t *cpool);

/* Worker, after PW_LEASE_NONE: the first instance of an empty pool. At
 * WSGIInterpreterLimit the interpreter of requests that is idle longest is
 * unloaded for it; APR_ENOSPC: none is idle. Another error: there is no thread
 * or memory. After an error the next call of the pool may try. */
apr_status_t pw_demand_spawn(pw_runtime_t *rt, const pw_interp_spec_t *spec);

/* Keeper: nothing more is found in this child. */
void pw_demand_stop(pw_runtime_t *rt);

/* Last act of an instance's thread. left: Python threads remain in it. */
void pw_runtime_finished(pw_instance_t *instance, int left);

/* Start thread, before others run. */
void pw_scale_init(pw_runtime_t *rt, apr_pool_t *cpool);

/* Any thread: the record of what the pool has refused, where it is due. */
void pw_scale_record(pw_runtime_t *rt, const pw_interp_spec_t *spec);

/* Keeper: looks at every pool; in how long to look again, microseconds. */
apr_interval_time_t pw_scale_tick(pw_runtime_t *rt);

/* ---- pw_preload.c ---- */

/* The loads that an instance begins with. Before its thread starts. */
int pw_preload_count(const pw_runtime_t *rt, const pw_interp_spec_t *spec);

/* Own thread: a load has ended, however. all: none of the others will come. */
void pw_preload_loaded(pw_instance_t *instance, int all);

/* ---- pw_interp.c: only on the instance's own thread (`life`) ---- */

/* Creates the interpreter (or joins the main one) and runs src/py/boot.py in
 * it. Not attached before and after. 0, or -1 after a log record. */
int pw_interp_create(pw_instance_t *instance);

/* Attaches the own thread; leave with pw_interp_leave. */
void pw_interp_enter_own(pw_instance_t *instance, pw_attached_t *at);

/* Attaches any thread for once, with a state of its own that is deleted when
 * it leaves. 0, or -1 without memory. */
int pw_interp_enter_fresh(pw_instance_t *instance, pw_attached_t *at);
void pw_interp_leave_fresh(pw_attached_t *at);

/* Clears and deletes cached thread states that nobody is inside of: those
 * marked orphan, or all. Attached. */
void pw_interp_reap(pw_attached_t *at, int all);

/* How many threads the application has started that still live; each is sent
 * SystemExit where `interrupt`. Attached. */
int pw_interp_foreign_threads(pw_attached_t *at, int interrupt);

/* Before an instance ends: notes the application's threads, for the next. */
void pw_interp_remember_threads(pw_attached_t *at);

/*
 * Joins the threads that were noted. Waits until the OS threads are gone whose
 * states pw_interp_foreign_threads has seen, and those of stop.py: CPython
 * takes a thread's state off the list before the thread has let the GIL go,
 * which lies in the memory of the interpreter. Detaches meanwhile. Returns how
 * many remain.
 */
int pw_interp_await_gone(pw_attached_t *at);

/* Drops every reference we hold, then ends the interpreter by
 * Py_EndInterpreter; the thread is detached afterwards. The main interpreter
 * only loses our references. Attached, no foreign thread, no lease. 0; -1
 * without memory: it is left as it is. */
int pw_interp_end(pw_attached_t *at);

/* Any thread: its entries in the table become orphans. 1 if there were any. */
int pw_interp_orphan(pw_instance_t *instance, apr_uint64_t serial);

/* Runs a file of src/py that is rarely needed, unless it has given its function
 * before. 0, or -1 with an exception set. Attached. */
int pw_interp_add_part(pw_attached_t *at, const char *function,
                       const char *name, const char *source);

/* Calls a function of src/py by name. New reference, or NULL with an
 * exception set. Attached. */
PyObject *pw_interp_call(pw_attached_t *at, const char *function,
                         const char *format, ...);

/* ---- pw_stacks.c: on the instance's own thread ---- */

/* The interpreter is there: scribes may come. Not attached, or attached. */
void pw_stacks_open(pw_instance_t *instance);

/* Its threads are about to be counted: no scribe comes any more, and one that
 * is there has left. Attached. */
void pw_stacks_close(pw_attached_t *at);

#endif
