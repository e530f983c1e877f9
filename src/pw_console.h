/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_console: the control sockets of a server: their directory, which the
 * parent makes before it becomes another user, one socket in it for each child,
 * and what the command polywsgi is told there. docs/command.md has the
 * protocol, pw_control.h the socket.
 *
 * THE DIRECTORY belongs to the run-time user, for the children bind in it; so
 * whoever is that user (CGI and PHP are) can remove a socket, or put one there
 * and play a child. What they cannot do is ask: that is decided by who is at
 * the other end, and they are nobody who may. The command takes an answer for
 * what a child says, never for truth.
 */
#ifndef PW_CONSOLE_H
#define PW_CONSOLE_H

#include <httpd.h>
#include <http_config.h>

#include "pw_control.h"
#include "pw_runtime.h"

/* WSGIControlUser */
const char *pw_console_user(cmd_parms *cmd, void *mconfig, const char *name);

#define PW_CONSOLE_COMMANDS                                                    \
    AP_INIT_ITERATE("WSGIControlUser", pw_console_user, NULL, RSRC_CONF,       \
                    "Users who may ask by the command polywsgi, beside root "  \
                    "and the one who starts httpd."),

/* Where the directory is; of httpd's run-time directory. */
const char *pw_console_dir(apr_pool_t *pool);

/* Parent, post_config: makes the directory, removes sockets of the dead, and
 * sets resolved->control. */
void pw_console_open(server_rec *s);

/* Child start thread: begins to answer, until pw_control_stop. rt NULL: Python
 * did not start. NULL: there is no socket; a record says why. */
pw_control_t *pw_console_start(server_rec *s, apr_pool_t *pchild,
                               pw_runtime_t *rt);

/* Removes the socket of a child that has ended. */
void pw_console_register_hooks(void);

#endif
