/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_foreign: directives of mod_wsgi 6 that this module does not have. Each is
 * recognised, and answered with what to use instead. Where ignoring it would
 * let an application run as another user, beside others or open to others than
 * the configuration says, it is an error; where it would change nothing that a
 * user relies on, it is accepted, and the start says that it can go.
 *
 * One thread, while the configuration is read; .htaccess: worker threads.
 */
#ifndef PW_FOREIGN_H
#define PW_FOREIGN_H

#include "pw_config.h"

/* A directive that was accepted without an effect. */
typedef struct pw_note_t {
    const char *directive;
    const char *why;
    pw_place_t place;
} pw_note_t;

/* cmd->info: why, and the mend. */
const char *pw_foreign_refuse(cmd_parms *cmd, void *mconfig, const char *args);
const char *pw_foreign_refuse_on(cmd_parms *cmd, void *mconfig, int on);
const char *pw_foreign_refuse_off(cmd_parms *cmd, void *mconfig, int on);
/* Accepts %{GLOBAL}, which is what we do. */
const char *pw_foreign_group(cmd_parms *cmd, void *mconfig, const char *name);
/* cmd->info: why it has no effect. */
const char *pw_foreign_note(cmd_parms *cmd, void *mconfig, const char *args);

/* Says at a start what was accepted without an effect. Parent. */
void pw_foreign_say(server_rec *main_server);

/* Rows of httpd's table of commands. */
#define PW_FOREIGN_PLACE (RSRC_CONF | ACCESS_CONF | OR_FILEINFO | OR_AUTHCFG)
#define PW_FOREIGN_ROW(init, name, function, why)                              \
    init(name, function, (void *)(why), PW_FOREIGN_PLACE,                      \
         "A directive of mod_wsgi that is not needed here.")
#define PW_FOREIGN_COMMANDS                                                    \
    PW_FOREIGN_ROW(                                                            \
        AP_INIT_RAW_ARGS, "WSGIDaemonProcess", pw_foreign_refuse,              \
        "this version has no daemon processes, and without them the"           \
        " application would run as httpd's user, beside others. "              \
        "Mend: if that is meant, remove the line and say python-"              \
        "home= and python-path= as WSGIPythonHome and "                        \
        "WSGIPythonPath in a <WSGIInterpreter> block; else keep "              \
        "mod_wsgi for that application, in an httpd of its own"),              \
        PW_FOREIGN_ROW(                                                        \
            AP_INIT_TAKE1, "WSGIProcessGroup", pw_foreign_group,               \
            "this version has no daemon processes, and without them the"       \
            " application would run as httpd's user, beside others. "          \
            "Mend: if that is meant, remove the line, and name its "           \
            "interpreter by WSGIApplicationGroup"),                            \
        PW_FOREIGN_ROW(                                                        \
            AP_INIT_RAW_ARGS, "WSGIAccessScript", pw_foreign_refuse,           \
            "there are no access scripts, and without it the location "        \
            "would be open. Mend: Require with httpd's authorization "         \
            "modules, for example Require ip or Require expr"),                \
        PW_FOREIGN_ROW(                                                        \
            AP_INIT_RAW_ARGS, "WSGIAuthUserScript", pw_foreign_refuse,         \
            "there are no authentication scripts. Mend: "                      \
            "AuthBasicProvider with one of httpd's (file, dbm, ldap, "         \
            "dbd, socache), or let the application authenticate"),             \
        PW_FOREIGN_ROW(                                                        \
            AP_INIT_RAW_ARGS, "WSGIAuthGroupScript", pw_foreign_refuse,        \
            "there are no authorization scripts. Mend: Require with "          \
            "mod_authz_groupfile, mod_authz_dbm or mod_authnz_ldap"),          \
        PW_FOREIGN_ROW(AP_INIT_RAW_ARGS, "WSGIDispatchScript",                 \
                       pw_foreign_refuse,                                      \
                       "no script chooses an interpreter. Mend: "              \
                       "WSGIApplicationGroup and WSGICallableObject in "       \
                       "<Directory>, <Location> or <If> sections"),            \
        PW_FOREIGN_ROW(                                                        \
            AP_INIT_RAW_ARGS, "WSGIHandlerScript", pw_foreign_refuse,          \
            "there are no handler scripts. Mend: mount the script by "         \
            "WSGIScriptAlias, and give the files an Action of "                \
            "mod_actions with its URL"),                                       \
        PW_FOREIGN_ROW(AP_INIT_RAW_ARGS, "WSGIPythonEggs", pw_foreign_refuse,  \
                       "no cache of eggs is set up. Mend: WSGISetEnv "         \
                       "PYTHON_EGG_CACHE DIRECTORY"),                          \
        PW_FOREIGN_ROW(                                                        \
            AP_INIT_RAW_ARGS, "WSGITrustedProxies", pw_foreign_refuse,         \
            "trusted proxies are httpd's matter. Mend: mod_remoteip, "         \
            "RemoteIPTrustedProxy and RemoteIPHeader"),                        \
        PW_FOREIGN_ROW(                                                        \
            AP_INIT_RAW_ARGS, "WSGITrustedProxyHeaders", pw_foreign_refuse,    \
            "headers of proxies are httpd's matter. Mend: mod_remoteip "       \
            "with RemoteIPHeader for the address, and SetEnvIf "               \
            "X-Forwarded-Proto https HTTPS=on for the scheme"),                \
        PW_FOREIGN_ROW(                                                        \
            AP_INIT_RAW_ARGS, "<WSGIInterpreterOptions", pw_foreign_refuse,    \
            "interpreters have blocks of their own. Mend: "                    \
            "<WSGIInterpreter NAME> with WSGIIsolation, WSGIPythonHome,"       \
            " WSGIPythonPath and WSGISetEnv"),                                 \
        PW_FOREIGN_ROW(AP_INIT_FLAG, "WSGIRestrictEmbedded",                   \
                       pw_foreign_refuse_on,                                   \
                       "applications run in httpd's children here, which is "  \
                       "embedded mode. Mend: remove the line"),                \
        PW_FOREIGN_ROW(                                                        \
            AP_INIT_FLAG, "WSGIPassApacheRequest", pw_foreign_refuse_on,       \
            "no request object is passed. Mend: use what environ has, "        \
            "or pass more by SetEnv"),                                         \
        PW_FOREIGN_ROW(                                                        \
            AP_INIT_FLAG, "WSGIFreeThreading", pw_foreign_refuse_on,           \
            "a free-threaded Python is not supported. Mend: remove the "       \
            "line; interpreters own their GIL anyway where Python can"),       \
        PW_FOREIGN_ROW(AP_INIT_FLAG, "WSGIPerInterpreterGIL",                  \
                       pw_foreign_refuse_off,                                  \
                       "an interpreter owns its GIL where Python can. Mend: "  \
                       "WSGIIsolation shared-gil"),                            \
        PW_FOREIGN_ROW(AP_INIT_RAW_ARGS, "WSGISocketPrefix", pw_foreign_note,  \
                       "there are no daemon processes"),                       \
        PW_FOREIGN_ROW(AP_INIT_RAW_ARGS, "WSGISocketRotation",                 \
                       pw_foreign_note, "there are no daemon processes"),      \
        PW_FOREIGN_ROW(AP_INIT_RAW_ARGS, "WSGIAcceptMutex", pw_foreign_note,   \
                       "there are no daemon processes"),                       \
        PW_FOREIGN_ROW(AP_INIT_RAW_ARGS, "WSGIRestrictProcess",                \
                       pw_foreign_note,                                        \
                       "there are no process groups to choose from"),          \
        PW_FOREIGN_ROW(AP_INIT_RAW_ARGS, "WSGIIgnoreActivity",                 \
                       pw_foreign_note, "there is no inactivity timeout"),     \
        PW_FOREIGN_ROW(AP_INIT_RAW_ARGS, "WSGILazyInitialization",             \
                       pw_foreign_note,                                        \
                       "Python is never started in httpd's parent"),           \
        PW_FOREIGN_ROW(                                                        \
            AP_INIT_RAW_ARGS, "WSGIDestroyInterpreter", pw_foreign_note,       \
            "handlers of atexit run at the end of a child, and Python "        \
            "is not finalised"),                                               \
        PW_FOREIGN_ROW(AP_INIT_RAW_ARGS, "WSGIGroupAuthoritative",             \
                       pw_foreign_note, "there are no authorization scripts"), \
        PW_FOREIGN_ROW(AP_INIT_RAW_ARGS, "WSGIVerboseDebugging",               \
                       pw_foreign_note,                                        \
                       "LogLevel polywsgi:debug takes its place"),             \
        PW_FOREIGN_ROW(AP_INIT_RAW_ARGS, "WSGIServerMetrics", pw_foreign_note, \
                       "applications are given no metrics of the server"),     \
        PW_FOREIGN_ROW(AP_INIT_RAW_ARGS, "WSGISlowRequests", pw_foreign_note,  \
                       "slow requests are not reported"),                      \
        PW_FOREIGN_ROW(AP_INIT_RAW_ARGS, "WSGITelemetryService",               \
                       pw_foreign_note, "there is no telemetry"),              \
        PW_FOREIGN_ROW(AP_INIT_RAW_ARGS, "WSGITelemetryOptions",               \
                       pw_foreign_note, "there is no telemetry"),

#endif
