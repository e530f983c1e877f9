/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_census: a copy of what pw_stats holds, added up over all children, as the
 * status page, the control socket and the parent's records show it.
 *
 * Every number, index and text comes from memory that any child may have
 * written: indices are checked, counts of things are those of this process's
 * own sizes, and texts are printable ASCII, with %XX for every other byte. (A %
 * stays as it is: the text is for reading, not for decoding.)
 */
#ifndef PW_CENSUS_H
#define PW_CENSUS_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "pw_pool.h"
#include "pw_stats.h"

#define PW_STATE_COUNT (PW_BROKEN + 1)

/* One instance of one child. */
typedef struct pw_census_instance_t {
    pid_t pid;
    int number; /* in its child and interpreter, from 0 */
    pw_state_e state;
    unsigned generation, in_flight, tstates;
    pw_work_t work;
} pw_census_instance_t;

/* One interpreter, all children and the past together. */
typedef struct pw_census_interp_t {
    const char *name;
    int isolation; /* pw_isolation_e; unset where no child has it */
    int children;  /* that have it now and do not end */
    pw_sums_t sums;
    apr_uint64_t in_flight;   /* accepted and not at their end */
    unsigned queued, running; /* of these */
    unsigned slots;           /* most calls at once, in one child */
    int failing;              /* in some child the last load failed */
    int due;                  /* some child should be replaced: WSGIParkLimit */
    apr_uint64_t load_time;   /* microseconds: the longest of the last ones */
    const char *error;        /* "PW0401 KeyError", or "" */
    unsigned states[PW_STATE_COUNT]; /* instances in each */
    unsigned tstates;
    apr_array_header_t *instances; /* of pw_census_instance_t */
} pw_census_interp_t;

/* What a thread is doing; times are microseconds. */
typedef struct pw_census_call_t {
    apr_uint64_t thread; /* its number in its child */
    pw_phase_e phase;
    const char *interp; /* "?" where the index is none */
    const char *label, *method, *path;
    apr_int64_t age;           /* since it was accepted */
    apr_int64_t since;         /* of its phase */
    apr_int64_t queue, attach; /* spent there */
} pw_census_call_t;

typedef struct pw_census_child_t {
    pid_t pid;
    apr_time_t started;
    apr_int64_t generation;
    int ended; /* in order: it has said so */
    const char *python;
    apr_array_header_t *calls; /* of pw_census_call_t: threads at work */
} pw_census_child_t;

typedef struct pw_census_t {
    apr_array_header_t *interps;  /* of pw_census_interp_t, by name */
    apr_array_header_t *children; /* of pw_census_child_t, by slot */
} pw_census_t;

/* Any process and thread. Everything in the pool. stats NULL: empty. */
pw_census_t *pw_census_take(const pw_stats_t *stats, apr_pool_t *pool);

/* The same of one child alone, without the past. */
pw_census_t *pw_census_take_one(const pw_stats_t *stats, pid_t pid,
                                apr_pool_t *pool);

/* One child, or NULL where it has no slot. */
pw_census_child_t *pw_census_child(const pw_stats_t *stats, pid_t pid,
                                   apr_pool_t *pool);

/* Requests that `sums` counts as accepted, and not at their end; 0 where they
 * are no numbers of ours. */
apr_uint64_t pw_census_in_flight(const pw_sums_t *sums);

/* The text as the head of this file says. */
const char *pw_census_clean(apr_pool_t *pool, const char *text);

/* "idle", "body", "queue", "attach", "application", "sending" */
const char *pw_phase_name(pw_phase_e phase);

#endif
