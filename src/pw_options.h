/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_options: directives that say one thing: how requests are handled (into
 * pw_dir_conf_t, so that sections and .htaccess may say it too), or how Python
 * runs in every child (into pw_python_conf_t, main server only). Each function
 * returns NULL or the text of an error. One thread, while the configuration is
 * read; .htaccess: worker threads.
 */
#ifndef PW_OPTIONS_H
#define PW_OPTIONS_H

#include "pw_config.h"

const char *pw_options_map_head(cmd_parms *cmd, void *mconfig, const char *arg);
const char *pw_options_reloading(cmd_parms *cmd, void *mconfig, int on);
const char *pw_options_case(cmd_parms *cmd, void *mconfig, int on);
const char *pw_options_optimize(cmd_parms *cmd, void *mconfig, const char *arg);
const char *pw_options_warnings(cmd_parms *cmd, void *mconfig, const char *arg);
const char *pw_options_hash_seed(cmd_parms *cmd, void *mconfig,
                                 const char *arg);
const char *pw_options_interval(cmd_parms *cmd, void *mconfig, const char *arg);
const char *pw_options_env(cmd_parms *cmd, void *mconfig, const char *name,
                           const char *value);
/* cmd->info is the offset of an int in pw_python_conf_t. */
const char *pw_options_python_flag(cmd_parms *cmd, void *mconfig, int on);

#define PW_OPTIONS_PLACE (RSRC_CONF | OR_FILEINFO)
#define PW_OPTIONS_DIR(field) ((void *)APR_OFFSETOF(pw_dir_conf_t, field))
#define PW_OPTIONS_PYTHON(field) ((void *)APR_OFFSETOF(pw_python_conf_t, field))

/* Rows of httpd's table of commands. */
#define PW_OPTIONS_COMMANDS                                                    \
    AP_INIT_FLAG("WSGIPassAuthorization", ap_set_flag_slot,                    \
                 PW_OPTIONS_DIR(pass_authorization), PW_OPTIONS_PLACE,         \
                 "Whether applications are given the Authorization header."),  \
        AP_INIT_FLAG("WSGIChunkedRequest", ap_set_flag_slot,                   \
                     PW_OPTIONS_DIR(chunked_request), PW_OPTIONS_PLACE,        \
                     "Whether chunked request bodies are accepted."),          \
        AP_INIT_TAKE1(                                                         \
            "WSGIMapHEADToGET", pw_options_map_head, NULL, PW_OPTIONS_PLACE,   \
            "Whether applications see HEAD as GET: On, Off or Auto."),         \
        AP_INIT_FLAG("WSGIErrorOverride", ap_set_flag_slot,                    \
                     PW_OPTIONS_DIR(error_override), PW_OPTIONS_PLACE,         \
                     "Whether httpd's error documents replace those of "       \
                     "applications."),                                         \
        AP_INIT_FLAG("WSGIEnableSendfile", ap_set_flag_slot,                   \
                     PW_OPTIONS_DIR(enable_sendfile), PW_OPTIONS_PLACE,        \
                     "Whether wsgi.file_wrapper uses sendfile."),              \
        AP_INIT_FLAG("WSGILogQuery", ap_set_flag_slot,                         \
                     PW_OPTIONS_DIR(log_query), RSRC_CONF | ACCESS_CONF,       \
                     "Whether records of requests show their query."),         \
        AP_INIT_FLAG("WSGIScriptReloading", pw_options_reloading, NULL,        \
                     PW_OPTIONS_PLACE,                                         \
                     "Accepted: a change takes a graceful restart."),          \
        AP_INIT_FLAG(                                                          \
            "WSGICaseSensitivity", pw_options_case, NULL, RSRC_CONF,           \
            "Whether paths of scripts differ by the case of letters."),        \
        AP_INIT_TAKE1("WSGIPythonOptimize", pw_options_optimize, NULL,         \
                      RSRC_CONF,                                               \
                      "Python's level of optimisation: 0, 1 or 2."),           \
        AP_INIT_TAKE1("WSGIPythonWarnings", pw_options_warnings, NULL,         \
                      RSRC_CONF,                                               \
                      "A filter of Python's warnings, as for python3 -W."),    \
        AP_INIT_TAKE1("WSGIPythonHashSeed", pw_options_hash_seed, NULL,        \
                      RSRC_CONF, "The seed of Python's hashes, or random."),   \
        AP_INIT_TAKE1("WSGISwitchInterval", pw_options_interval, NULL,         \
                      RSRC_CONF,                                               \
                      "How long a thread keeps the GIL while others wait."),   \
        AP_INIT_FLAG("WSGIDontWriteBytecode", pw_options_python_flag,          \
                     PW_OPTIONS_PYTHON(dont_write_bytecode), RSRC_CONF,        \
                     "Whether Python leaves out writing .pyc files."),         \
        AP_INIT_FLAG("WSGIRestrictStdin", pw_options_python_flag,              \
                     PW_OPTIONS_PYTHON(restrict_stdin), RSRC_CONF,             \
                     "Whether the use of sys.stdin raises an exception."),     \
        AP_INIT_FLAG("WSGIRestrictStdout", pw_options_python_flag,             \
                     PW_OPTIONS_PYTHON(restrict_stdout), RSRC_CONF,            \
                     "Whether the use of sys.stdout raises an exception."),    \
        AP_INIT_FLAG("WSGIRestrictSignal", pw_options_python_flag,             \
                     PW_OPTIONS_PYTHON(restrict_signal), RSRC_CONF,            \
                     "Whether signal.signal() is ignored."),                   \
        AP_INIT_TAKE2(                                                         \
            "WSGIProcessEnv", pw_options_env, NULL, RSRC_CONF,                 \
            "A variable of the environment of every child process of "         \
            "httpd, for C libraries."),

#endif
