/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_metrics: the counters of one child. Any thread adds to them, relaxed;
 * they are read for the log line at the child's end (and later by the status
 * page). Counts only grow; a level is the difference of two of them.
 */
#ifndef PW_METRICS_H
#define PW_METRICS_H

#include <apr.h>

#define PW_METRICS(X)                                                          \
    X(requests)          /* leases given */                                    \
    X(returned)          /* leases given back */                               \
    X(refused)           /* requests that got no lease */                      \
    X(dropped)           /* of leases: the client had gone while it waited */  \
    X(loads)             /* applications loaded */                             \
    X(load_failures)     /* applications that did not load */                  \
    X(instances_created) /* interpreters made, the main one included */        \
    X(instances_ended)   /* ended by Py_EndInterpreter */                      \
    X(instances_parked)  /* left behind because threads remained */            \
    X(tstates_created)   /* thread states made for workers */                  \
    X(tstates_freed)     /* and deleted again */                               \
    X(threads_seen)      /* OS threads that entered an interpreter */          \
    X(threads_ended)     /* of these, ended */

typedef struct pw_metrics_t {
#define PW_METRICS_FIELD(name) apr_uint64_t name; /* atomic: */
    PW_METRICS(PW_METRICS_FIELD)
#undef PW_METRICS_FIELD
} pw_metrics_t;

#define pw_metrics_add(m, name)                                                \
    ((void)__atomic_fetch_add(&(m)->name, 1, __ATOMIC_RELAXED))
#define pw_metrics_get(m, name) (__atomic_load_n(&(m)->name, __ATOMIC_RELAXED))

/* "requests=5 returned=5 ..." into buf, always terminated. */
void pw_metrics_format(pw_metrics_t *metrics, char *buf, apr_size_t size);

#endif
