/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_stats: what every child counts, in shared memory, so that any of them can
 * answer for the whole server, and the parent can tell what a child that died
 * was doing.
 *
 * THE SEGMENT. The parent makes it before the first child, in a pool that
 * lives as long as the process, and keeps it over restarts while its size
 * suffices; one that is too small gets a larger one in front of it, and is read
 * until its children have ended. It holds a slot for each child, and the sums
 * of children that have ended:
 *
 *     past     by name of the interpreter: what ended children counted
 *     child    pid, start, generation
 *       interp   by index of its configuration, with its name: sums and levels
 *         instance   state, generation, requests in it
 *       record   by thread: the request that it is running
 *
 * SUMS only grow; a child's are added to the past when the parent has reaped
 * it, so that the total never goes back. LEVELS (queued, running, ...) go up
 * and down, and end with the child.
 *
 * WHO WRITES. A child writes its own slot, its threads with relaxed atomics and
 * no lock; the parent writes the past and frees slots. NOBODY TRUSTS WHAT
 * ANOTHER PROCESS WROTE: sizes are those that the parent passed on by fork, not
 * by the segment; pw_census copies all else, and escapes texts.
 *
 * A child without a slot (the table is full, or there is no shared memory)
 * counts into memory of its own, which nobody reads: no caller asks.
 */
#ifndef PW_STATS_H
#define PW_STATS_H

#include <sys/types.h>
#include <apr_pools.h>

#include "pw_lock.h"

/* Goes up with every change of what the segment holds: a module that was
 * replaced on disk must not read the segment of the one before. */
#define PW_STATS_LAYOUT "2"

/* ---- what is counted --------------------------------------------------- */

/* Where a request is. */
typedef enum {
    PW_PHASE_IDLE = 0,
    PW_PHASE_BODY,        /* its body is read, ahead of the queue */
    PW_PHASE_QUEUE,       /* waits for an instance */
    PW_PHASE_ATTACH,      /* waits for the GIL */
    PW_PHASE_APPLICATION, /* the application runs, or sends */
    PW_PHASE_SENDING,     /* what is left is sent, without an instance */
    PW_PHASE_COUNT
} pw_phase_e;

/* Why a request got no instance. */
typedef enum {
    PW_REFUSED_FAILED = 0, /* its application did not load */
    PW_REFUSED_CLOSED,     /* its script is missing or may not be read */
    PW_REFUSED_STARTUP,    /* not loaded within WSGIStartupTimeout */
    PW_REFUSED_STOPPING,   /* the child ends */
    PW_REFUSED_MEMORY,     /* none for a thread state, or no thread */
    PW_REFUSED_FULL,       /* the queue is full */
    PW_REFUSED_LATE,       /* too long in the queue */
    PW_REFUSED_BUSY,       /* all slots are held by calls that do not end */
    PW_REFUSED_COUNT
} pw_refused_e;

/* Places of pw_sums_t.counts. After a child has ended in order, accepted =
 * served (all classes) + refused (all reasons) + dropped. */
typedef enum {
    PW_COUNT_ACCEPTED = 0,
    PW_COUNT_SERVED,                        /* five places: 1xx to 5xx */
    PW_COUNT_REFUSED = PW_COUNT_SERVED + 5, /* a place for each reason */
    PW_COUNT_DROPPED = PW_COUNT_REFUSED + PW_REFUSED_COUNT,
    PW_COUNT_LOST, /* in flight when their child ended */
    PW_COUNT_EXCEPTIONS,
    PW_COUNT_LOADS,
    PW_COUNT_LOAD_FAILURES,
    PW_COUNT_RELOADS,
    PW_COUNT_CPU, /* microseconds, from one request in PW_CPU_SAMPLE */
    PW_COUNT_COUNT
} pw_count_e;

/* Times of a request. */
typedef enum {
    PW_TIME_QUEUE = 0,
    PW_TIME_ATTACH,
    PW_TIME_APPLICATION,
    PW_TIME_COUNT
} pw_time_e;

#define PW_CPU_SAMPLE 64

/* Upper bounds in microseconds, each included; the last bucket has none. */
#define PW_BUCKET_BOUNDS                                                       \
    {                                                                          \
        100, 500, 1000, 5000, 10000, 50000, 100000, 500000, 1000000, 5000000,  \
            30000000                                                           \
    }
#define PW_BUCKETS 12

typedef struct pw_times_t {
    apr_uint64_t buckets[PW_BUCKETS]; /* atomic: not cumulative */
    apr_uint64_t sum;                 /* atomic: microseconds */
} pw_times_t;

/* Nothing but numbers that are added one by one. */
typedef struct pw_sums_t {
    apr_uint64_t counts[PW_COUNT_COUNT]; /* atomic: */
    pw_times_t times[PW_TIME_COUNT];     /* atomic: */
} pw_sums_t;

/* ---- the segment ------------------------------------------------------- */

/* Texts are words, so that a reader never races byte by byte. */
#define PW_TEXT_WORDS(bytes) ((bytes) / 8)
#define PW_NAME_BYTES 128
#define PW_ERROR_BYTES 64
#define PW_METHOD_BYTES 16
#define PW_LABEL_BYTES 128
#define PW_PATH_BYTES 192
#define PW_PYTHON_BYTES 16

/* More of one interpreter in one child are not told apart. */
#define PW_INSTANCES_MAX 64

/* What an instance has done since it began; times in microseconds. Nothing but
 * numbers. */
typedef struct pw_work_t {
    apr_uint64_t served;      /* atomic: leases given back */
    apr_uint64_t classes[5];  /* atomic: of these, answers 1xx to 5xx */
    apr_uint64_t exceptions;  /* atomic: */
    apr_uint64_t attach;      /* atomic: waited for its GIL */
    apr_uint64_t application; /* atomic: */
    apr_uint64_t cpu;         /* atomic: from one request in PW_CPU_SAMPLE */
    apr_uint64_t load;        /* atomic: all that it has loaded */
} pw_work_t;

typedef struct pw_stat_instance_t {
    apr_uint32_t state;      /* atomic: pw_state_e and 1; 0: free */
    apr_uint32_t generation; /* atomic: */
    apr_uint32_t in_flight;  /* atomic: requests that have it leased */
    apr_uint32_t tstates;    /* atomic: cached thread states */
    pw_work_t work;
} pw_stat_instance_t;

typedef struct pw_stat_interp_t {
    apr_uint64_t name[PW_TEXT_WORDS(PW_NAME_BYTES)];
    apr_uint32_t used;      /* atomic: release, behind the fields above */
    apr_uint32_t isolation; /* atomic: pw_isolation_e */
    apr_uint32_t slots;     /* atomic: most calls that can run at once */
    apr_uint32_t queued;    /* atomic: requests that wait for an instance */
    apr_uint32_t running;   /* atomic: requests that have one */
    apr_uint32_t failing;   /* atomic: the last load failed */
    apr_uint32_t due;       /* atomic: instances do not end any more */
    apr_uint32_t unused;    /* keeps what follows at a multiple of 8 */
    apr_uint64_t load_time; /* atomic: microseconds, of the last load */
    apr_uint64_t error[PW_TEXT_WORDS(PW_ERROR_BYTES)]; /* "PW0401 KeyError" */
    pw_sums_t sums;
    /* The one behind the last is for all that have no number. */
    pw_stat_instance_t instances[PW_INSTANCES_MAX + 1];
} pw_stat_interp_t;

/* The request that a thread of a child is running. */
typedef struct pw_record_t {
    apr_uint64_t used;   /* atomic: number of the thread, 0: free */
    apr_uint64_t seq;    /* atomic: odd while the texts are written */
    apr_uint64_t began;  /* atomic: pw_instant_t */
    apr_uint64_t since;  /* atomic: likewise, of its phase */
    apr_uint32_t phase;  /* atomic: pw_phase_e */
    apr_uint32_t interp; /* atomic: index in its child */
    apr_uint64_t queue;  /* atomic: microseconds spent there */
    apr_uint64_t attach; /* atomic: likewise */
    apr_uint64_t method[PW_TEXT_WORDS(PW_METHOD_BYTES)];
    apr_uint64_t label[PW_TEXT_WORDS(PW_LABEL_BYTES)];
    apr_uint64_t path[PW_TEXT_WORDS(PW_PATH_BYTES)];
} pw_record_t;

typedef struct pw_stat_child_t {
    apr_uint64_t pid;        /* atomic: 0: the slot is free */
    apr_uint64_t started;    /* atomic: apr_time_t */
    apr_uint64_t generation; /* atomic: httpd's, one more for each restart */
    apr_uint64_t ended;      /* atomic: 1: in order; there is no more to say */
    apr_uint64_t python[PW_TEXT_WORDS(PW_PYTHON_BYTES)];
} pw_stat_child_t;

/* How much a segment holds. */
typedef struct pw_stats_size_t {
    int children;
    int interps; /* in one child */
    int records; /* in one child: threads that run requests */
} pw_stats_size_t;

typedef struct pw_stats_t pw_stats_t;

struct pw_stats_t {
    pw_stats_size_t size; /* const: by which all indices are checked */
    char *base;           /* const: of the segment */
    pw_stats_t *older;    /* const: the one that became too small, or NULL */
};

/*
 * Parent, in post_config: the segment `have`, where that suffices, or a new one
 * in ppool, which must live as long as the process. have may be NULL. NULL:
 * there is no shared memory; every pw_stats_t * below may then be NULL.
 */
pw_stats_t *pw_stats_open(apr_pool_t *ppool, pw_stats_t *have,
                          const pw_stats_size_t *need);

/* Parent: a child has ended and was reaped: its sums go to the past, its slot
 * is free. Nothing where it had none. */
void pw_stats_fold(pw_stats_t *stats, pid_t pid);

/* Parent: the same for every slot whose process is no longer there. */
void pw_stats_sweep(pw_stats_t *stats);

/* Places of a segment, for pw_census; the indices are the caller's to check. */
pw_stat_child_t *pw_stats_child(const pw_stats_t *stats, int child);
pw_stat_interp_t *pw_stats_interp(const pw_stats_t *stats, int child,
                                  int interp);
pw_record_t *pw_stats_record(const pw_stats_t *stats, int child, int record);

/* One interpreter of the past; `used` and `name` as above. Those that found no
 * place share the last one. */
typedef struct pw_stat_past_t {
    apr_uint64_t name[PW_TEXT_WORDS(PW_NAME_BYTES)];
    apr_uint32_t used; /* atomic: release, behind the name */
    pw_sums_t sums;
} pw_stat_past_t;

int pw_stats_past_max(const pw_stats_t *stats);
pw_stat_past_t *pw_stats_past(const pw_stats_t *stats, int past);

/* The parent moves sums while this is odd; a reader begins again where it is
 * another number afterwards. */
apr_uint64_t pw_stats_folding(const pw_stats_t *stats);

/* Adds all sums of one to another. */
void pw_stats_add(pw_sums_t *to, const pw_sums_t *from);

/* A copy of what an instance has done, each number whole. */
void pw_stats_get_work(pw_work_t *to, const pw_work_t *from);

/* A text of the segment as bytes, always terminated; buf has `words` * 8. */
void pw_stats_get_text(char *buf, const apr_uint64_t *from, int words);

/* ---- of a child -------------------------------------------------------- */

/* A child's own slot. */
typedef struct pw_counted_t pw_counted_t;

/* One thread's own record; lives as long as the thread. */
typedef struct pw_caller_t {
    pw_record_t *record;    /* const: never NULL after pw_stats_caller */
    struct pw_call_t *call; /* this thread: the innermost request, or NULL */
    const char *label;      /* this thread: the label that is written */
    unsigned tick;          /* this thread: which requests are sampled */
    pw_record_t own;        /* where the table has no place */
} pw_caller_t;

/* One request, on its thread's stack. Requests nest: a subrequest below a
 * filter runs while the one around it is detached. */
typedef struct pw_call_t {
    pw_caller_t *caller;
    struct pw_call_t *outer;
    pw_stat_interp_t *interp;
    pw_stat_instance_t *instance; /* NULL: has no lease */
    int index;                    /* of the interpreter */
    const char *label;            /* lives as long as the application */
    const char *method;           /* these live as long as the request */
    const char *path;
    pw_phase_e phase;
    int queued;         /* counts as waiting */
    pw_instant_t began; /* these as in the record */
    pw_instant_t since;
    apr_uint64_t queue, attach;
    apr_int64_t cpu; /* the thread's clock at the lease; -1: not sampled */
} pw_call_t;

/* Start thread, before others run: takes a free slot. python: "3.14.0".
 * Never NULL; *shared tells whether the slot is in the segment. */
pw_counted_t *pw_stats_join(pw_stats_t *stats, apr_pool_t *cpool,
                            apr_int64_t generation, const char *python,
                            int *shared);

/* The child ends in order. Async-signal-safe. */
void pw_stats_leave(pw_counted_t *own);

/* Names the interpreter of an index; never NULL. Start thread, or with
 * demand.lock. */
pw_stat_interp_t *pw_stats_name(pw_counted_t *own, int index, const char *name,
                                int isolation);

/* Any thread: at most so many requests of it run at once in this child. */
void pw_stats_set_slots(pw_stat_interp_t *interp, int slots);

/* Any thread: so many of its instances are parked that none is ended any more,
 * and a new child would be better; or not. */
void pw_stats_set_due(pw_stat_interp_t *interp, int due);

/* Any thread: its last failure, "PW0401" and "KeyError" (or NULL). */
void pw_stats_set_error(pw_stat_interp_t *interp, const char *code,
                        const char *type);

/* The instance's thread: a load in it has ended after so many microseconds.
 * fresh: it took the place of an earlier one. */
void pw_stats_loaded(pw_stat_interp_t *interp, pw_stat_instance_t *instance,
                     int ok, int fresh, apr_interval_time_t took);

/* Any thread: adds to a counter that has no function of its own. */
#define pw_stats_count(interp, which)                                          \
    ((void)__atomic_fetch_add(&(interp)->sums.counts[which], 1,                \
                              __ATOMIC_RELAXED))

/* Any thread: a place for an instance, in the state NEW; never NULL. */
pw_stat_instance_t *pw_stats_add_instance(pw_stat_interp_t *interp,
                                          int generation);

/* The pool: its state is now this (pw_state_e). DEAD gives the place to the
 * next one: nothing may be counted there afterwards. */
void pw_stats_set_state(pw_stat_instance_t *instance, int state);

/* Any thread: thread states made (1) or deleted (-1). */
void pw_stats_tstates(pw_stat_instance_t *instance, int more);

/* Once in each thread, before its first request; serial is not 0. */
void pw_stats_caller(pw_counted_t *own, pw_caller_t *caller,
                     apr_uint64_t serial);

/* The thread ends: its record is free. */
void pw_stats_caller_end(pw_caller_t *caller);

/* ---- of a request, on its own thread ----------------------------------- */

/*
 * In this order; each reads the clock once and needs no lock:
 *
 *     accept [-> body -> queue] -> leased -> attached -> detached -> served
 *                             |         `-> refused (no thread state)
 *                             `-> refused, dropped
 *
 * accept: *call has label, method, path, interp and index set, all else is 0.
 * It waits for an instance from then on. Each accepted request ends by exactly
 * one of served, refused and dropped.
 */
void pw_stats_accept(pw_caller_t *caller, pw_call_t *call);

/* Its body is read before it waits; and now it waits. */
void pw_stats_body(pw_call_t *call);
void pw_stats_queue(pw_call_t *call);

/* It has had one since `now`, and waits for its GIL. */
void pw_stats_leased(pw_call_t *call, pw_stat_instance_t *instance,
                     pw_instant_t now);
void pw_stats_attached(pw_call_t *call);

/* Between attached and detached: the application raised an exception. */
void pw_stats_raised(pw_call_t *call);

/* The application is done, and this HTTP status is its answer; the lease is
 * about to be given back. */
void pw_stats_detached(pw_call_t *call, int status);

/* The end: answered with this HTTP status. */
void pw_stats_served(pw_call_t *call, int status);

/* The end: answered without the application. Also after `leased`. */
void pw_stats_refused(pw_call_t *call, pw_refused_e why);

/* The end: its client went away while it waited. */
void pw_stats_dropped(pw_call_t *call);

#endif
