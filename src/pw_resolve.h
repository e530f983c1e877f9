/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_resolve: from what the directives left behind to the map of interpreters
 * and applications, in the check_config hook, so that `httpd -t` finds what a
 * start would find. Parent process, one thread. The result is constant, and
 * read by every worker without a lock.
 */
#ifndef PW_RESOLVE_H
#define PW_RESOLVE_H

#include <apr_hash.h>

#include "pw_config.h"
#include "pw_demand.h"
#include "pw_stats.h"

typedef struct pw_resolved_t {
    pw_map_t map;
    apr_hash_t *interps;   /* by name: pw_interp_spec_t * */
    apr_hash_t *apps;      /* by pairing: pw_app_spec_t * */
    const char *main_name; /* what %{GLOBAL} is called */
    int lazy;              /* some application loads on demand only */
    int case_insensitive;  /* WSGICaseSensitivity Off */
    int may_find;          /* requests may find scripts (pw_found) */
    int multithread;       /* what the MPM does; set in post_config */
    int multiprocess;
    pw_stats_t *stats;       /* likewise; NULL: no shared memory */
    const char *control_dir; /* likewise (pw_console); NULL: no sockets */
    apr_array_header_t *control_users; /* of uid_t: who is answered there */
    apr_array_header_t *uses;          /* of pw_use_t: every server's mounts */
} pw_resolved_t;

/* A mount as one server has it. */
typedef struct pw_use_t {
    const server_rec *server;
    const pw_mount_t *mount;
    pw_app_spec_t *app; /* one of those that its sections may ask for */
} pw_use_t;

/* Resolves everything into pconf. OK, or HTTP_INTERNAL_SERVER_ERROR after a
 * record for each contradiction. */
int pw_resolve(apr_pool_t *pconf, server_rec *main_server);

/*
 * The application of a mount for one request: `group` and `callable` are what
 * its sections say, or NULL. NULL: .htaccess asks for a pairing that the
 * configuration does not hold. Any thread.
 */
pw_app_spec_t *pw_resolve_app(const server_rec *s, const pw_mount_t *mount,
                              const char *group, const char *callable,
                              apr_pool_t *rpool);

/*
 * The interpreter and callable of a script that a request has found: by a
 * mount that finds, or by its handler (mount NULL). Sets interp or name, and
 * callable, of *found, from its script and rpool. 0; -1: .htaccess asks for an
 * interpreter that the configuration does not name. Any thread.
 */
int pw_resolve_found(const server_rec *s, const pw_mount_t *mount,
                     const char *group, const char *callable,
                     pw_found_t *found);

/* The port that a server is known by: that of ServerName, or of
 * <VirtualHost>; 0 where neither says one. */
apr_port_t pw_resolve_port(const server_rec *s);

#endif
