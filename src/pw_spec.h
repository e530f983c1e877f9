/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_spec: what the configuration says, resolved: interpreters, and the
 * applications each runs. Made once by the FRONT in the check_config hook, in
 * the configuration pool of the parent; constant afterwards and shared by
 * every thread of every child without a lock. No httpd type, no Python type.
 */
#ifndef PW_SPEC_H
#define PW_SPEC_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "pw_log.h"

typedef enum {
    PW_ISOLATION_UNSET = 0,
    PW_ISOLATION_OWN_GIL,
    PW_ISOLATION_SHARED_GIL,
    PW_ISOLATION_MAIN
} pw_isolation_e;

/* When an interpreter's applications load. */
typedef enum {
    PW_PRELOAD_UNSET = 0,
    PW_PRELOAD_ON,  /* in the background, when a child starts */
    PW_PRELOAD_OFF, /* on their first requests */
    PW_PRELOAD_WAIT /* as ON, and the child waits for them */
} pw_preload_e;

typedef struct pw_interp_spec_t pw_interp_spec_t;

/* One WSGI application: a callable of a script file or of a module. Or a script
 * that is only run at start (WSGIImportScript): then callable is NULL. */
typedef struct pw_app_spec_t {
    const char *label;        /* in log lines: "blog (example.org/shop)" */
    const char *script;       /* absolute path, or NULL */
    const char *module;       /* dotted name, or NULL: exactly one is set */
    const char *callable;     /* "application", "create_app.wsgi", or NULL */
    int slot;                 /* its index in interp->apps */
    int lazy;                 /* loads on its first request */
    pw_log_t log;             /* the ErrorLog of its first virtual host */
    pw_interp_spec_t *interp; /* never NULL */
} pw_app_spec_t;

struct pw_interp_spec_t {
    const char *name; /* as shown; "%{GLOBAL}" for the main interpreter */
    int index;        /* in pw_map_t.interps */
    pw_isolation_e isolation;            /* resolved: never UNSET */
    const char *home;                    /* virtual environment, or NULL */
    const char *path;                    /* colon-separated, or NULL */
    apr_table_t *env;                    /* WSGISetEnv, may be empty */
    apr_interval_time_t startup_timeout; /* microseconds */
    int instances_min, instances_max;    /* in one child; at least 1 */
    int said_instances;                  /* likewise, before the isolation */
    int said_concurrency;                /* -1: derived */
    int concurrency;                     /* calls of an instance at a time; 0:
                                          * no bound */
    int thread_states;                   /* kept in an instance; 0: as many as
                                          * a child has threads */
    int said_queue_limit;                /* -1: derived */
    int queue_limit;                     /* calls that wait; -1: no bound */
    apr_interval_time_t queue_timeout;   /* microseconds */
    int max_requests;                    /* of an instance; 0: no bound */
    apr_interval_time_t idle_timeout;    /* microseconds; 0: none */
    int said_ends;                       /* one of the two, even for main */
    int request_buffer;                  /* bytes of a request body that are
                                          * read before the lease; 0: none */
    int park_limit;                      /* parked instances of a child */
    pw_preload_e preload;                /* resolved: never UNSET */
    apr_array_header_t *apps;            /* of pw_app_spec_t * */
    int later;    /* no application is known yet: a request may find one */
    pw_log_t log; /* the main server's ErrorLog */
};

/* What is said of Python as a whole: each of its interpreters has it. */
typedef struct pw_python_conf_t {
    int optimize;                 /* as python3 -O (1), -OO (2) */
    int dont_write_bytecode;      /* as python3 -B */
    apr_array_header_t *warnings; /* of const char *: as python3 -W; or NULL */
    int fixed_hash;               /* hash_seed is said */
    unsigned long hash_seed;
    double switch_interval; /* seconds; 0: Python's own */
    int restrict_stdin;     /* its use raises */
    int restrict_stdout;    /* likewise */
    int restrict_signal;    /* signal.signal is ignored */
    apr_table_t *env;       /* WSGIProcessEnv: set in the process; or NULL */
} pw_python_conf_t;

/* The whole resolved configuration. */
typedef struct pw_map_t {
    apr_array_header_t *interps; /* of pw_interp_spec_t * */
    pw_interp_spec_t *own;       /* what interpreters that requests make are
                                  * like; their name and index are set then */
    int found_max;               /* WSGIInterpreterLimit: how many of those
                                  * live at a time */
    int found_names;             /* so many of them are known in all */
    const char *python_home;     /* prefix of server-level WSGIPythonHome
                                  * where it is no virtual environment */
    pw_python_conf_t python;
    apr_interval_time_t shutdown_timeout; /* microseconds, for one child */
    int threads;                          /* ThreadsPerChild, 1 for prefork */
    int processes;                        /* children at a time, at most */
    pw_log_t log;                         /* the main server's ErrorLog */
} pw_map_t;

/* "own-gil", "shared-gil", "main"; "unset" for UNSET. */
const char *pw_isolation_name(pw_isolation_e isolation);

/* The value of a WSGIIsolation argument, PW_ISOLATION_UNSET for any other. */
pw_isolation_e pw_isolation_parse(const char *word);

/* The same of WSGIPreload: "on", "off", "wait". */
const char *pw_preload_name(pw_preload_e preload);
pw_preload_e pw_preload_parse(const char *word);

#endif
