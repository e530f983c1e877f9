/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_config: the directives, and what they leave behind: one pw_server_conf_t
 * for each server, one pw_dir_conf_t for each section. Written while httpd
 * reads its configuration, in one thread; pw_resolve makes the map of it.
 */
#ifndef PW_CONFIG_H
#define PW_CONFIG_H

#include <httpd.h>
#include <http_config.h>

#include "pw_limits.h"
#include "pw_spec.h"

/* Where a directive stands, for messages of check_config. */
typedef struct pw_place_t {
    const char *file; /* NULL where httpd does not say */
    int line;
} pw_place_t;

/* WSGIScriptAlias, WSGIScriptAliasMatch or WSGIApplication. */
typedef struct pw_mount_t {
    const char *prefix;     /* as written: "/shop", or the pattern */
    ap_regex_t *pattern;    /* of WSGIScriptAliasMatch, or NULL */
    const char *script;     /* absolute, or NULL; where `found`, the directory
                           * or the path with $1 */
    int found;              /* each request finds its script */
    const char *module;     /* or NULL */
    const char *callable;   /* option callable-object=, or NULL */
    int import;             /* WSGIImportScript: no URL, no callable */
    const char *group;      /* option application-group= or interpreter= */
    int demand;             /* interpreter=: a block must define it */
    int pass_authorization; /* option pass-authorization=; -1: not said */
    pw_place_t place;
    server_rec *server; /* where it stands */
} pw_mount_t;

/* What may be said of an interpreter: in its block, or for all of them. */
typedef struct pw_tuning_t {
    const char *home;
    const char *path;
    apr_table_t *env; /* NULL: nothing said */
    pw_isolation_e isolation;
    apr_interval_time_t startup_timeout; /* -1: not set */
    pw_limits_t limits;
    pw_preload_e preload;
    pw_place_t home_place;
    pw_place_t isolation_place;
} pw_tuning_t;

/* <WSGIInterpreter NAME> */
typedef struct pw_block_t {
    const char *name;
    pw_place_t place;
    pw_tuning_t tuning;
} pw_block_t;

/* WSGIApplicationGroup or WSGICallableObject of a section: check_config must
 * know every pairing that a request may ask for. */
typedef struct pw_section_t {
    server_rec *server;
    const char *path; /* of the section; NULL: any */
    int location;     /* a URL, not a directory */
    int pattern;      /* regex or wildcard: may match anything */
    const char *group;
    const char *callable;
    pw_place_t place;
} pw_section_t;

typedef struct pw_server_conf_t {
    apr_array_header_t *mounts; /* of pw_mount_t *; after the merge: a virtual
                                 * host's first, then the main server's */
    const char *group;
    const char *callable;
    pw_place_t group_place;
    apr_array_header_t *defaults; /* set by pw_resolve: for each of mounts its
                                   * pw_app_spec_t *, without sections */
    /* main server only: */
    pw_tuning_t tuning;                   /* defaults of every interpreter */
    pw_python_conf_t python;              /* of Python as a whole */
    int case_insensitive;                 /* WSGICaseSensitivity Off */
    pw_place_t reloading_place;           /* of a WSGIScriptReloading On */
    apr_array_header_t *notes;            /* of pw_note_t (pw_foreign) */
    apr_interval_time_t shutdown_timeout; /* -1: not set */
    apr_array_header_t *blocks;           /* of pw_block_t * */
    apr_array_header_t *sections;         /* of pw_section_t * */
    apr_array_header_t *imports;          /* of pw_mount_t * */
    apr_array_header_t *control_users;    /* of uid_t: WSGIControlUser */
    int interpreter_limit;                /* -1: not set */
    int strict;                           /* WSGIStrict On */
    struct pw_resolved_t *resolved;       /* set by pw_resolve */
} pw_server_conf_t;

/* WSGIMapHEADToGET: what the application sees of a HEAD request. */
typedef enum {
    PW_HEAD_UNSET = -1,
    PW_HEAD_AUTO = 0, /* GET where a filter wants the body */
    PW_HEAD_TO_GET,
    PW_HEAD_AS_IT_IS
} pw_head_e;

/* Flags are -1 where nothing is said. */
typedef struct pw_dir_conf_t {
    const char *group;
    const char *callable;
    int allow_override;     /* .htaccess may set our handler */
    int pass_authorization; /* to the application; unset: where httpd does not
                             * authenticate */
    int chunked_request;    /* accept chunked request bodies */
    int error_override;     /* httpd's error documents for those of the
                             * application */
    int enable_sendfile;    /* unset: as httpd's EnableSendfile */
    int log_query;          /* records show the query */
    pw_head_e map_head;
    pw_block_t *block; /* inside <WSGIInterpreter>: the block */
} pw_dir_conf_t;

extern const command_rec pw_config_commands[];

/* Where the directive at hand stands. */
pw_place_t pw_config_place(const cmd_parms *cmd);

/* The tuning that a directive changes: its block's, or the server's default.
 * NULL with *error in a virtual host or a section. */
pw_tuning_t *pw_config_tuning(cmd_parms *cmd, void *mconfig,
                              const char **error);

/* A time above 0 in *value; or an error. */
const char *pw_config_seconds(cmd_parms *cmd, const char *arg,
                              apr_interval_time_t *value);

/* The checked name of an interpreter, in *name; or an error. */
const char *pw_config_group(cmd_parms *cmd, const char *word,
                            const char **name);

/* Letters, digits, underscores and bytes above ASCII, with dots between? */
int pw_config_is_dotted(const char *name, size_t len);

void *pw_config_create_server(apr_pool_t *pool, server_rec *s);
void *pw_config_merge_server(apr_pool_t *pool, void *base, void *add);
void *pw_config_create_dir(apr_pool_t *pool, char *path);
void *pw_config_merge_dir(apr_pool_t *pool, void *base, void *add);

/* The module's configuration of a server, a section's of a request. */
pw_server_conf_t *pw_config_server(const server_rec *s);
pw_dir_conf_t *pw_config_dir(const request_rec *r);

#endif
