/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_control: the child's end of a control socket: a stream socket in the file
 * system, and a thread of its own that answers on it. It knows neither httpd
 * nor Python; what is answered comes from a function.
 *
 * THE PROTOCOL, version 1. The client sends one line, "1 COMMAND ARGUMENT\n",
 * of at most PW_CONTROL_LINE bytes; the argument may be missing, and may have
 * spaces. It gets one line of JSON, and the connection is closed:
 *
 *     {"protocol":1,"pid":811,"COMMAND":...}
 *     {"protocol":1,"pid":811,"error":"why there is no answer"}
 *
 * WHO IS ANSWERED: users, by what the kernel says of the peer. Everybody else
 * gets an error, whatever the modes of the file allow.
 *
 * WHO CANNOT DO HARM. No call of the thread blocks on a client. A line has to
 * come, and an answer to be taken, within a time; few are served at once, and
 * others wait in the kernel. Where those few are all there can be, the time for
 * a line is short. Nobody else waits for this thread.
 */
#ifndef PW_CONTROL_H
#define PW_CONTROL_H

#include <sys/types.h>
#include <apr_pools.h>

#include "pw_log.h"
#include "pw_text.h"

#define PW_CONTROL_LINE 512

typedef struct pw_control_t pw_control_t;

typedef struct pw_control_setup_t {
    const char *path; /* of the socket */
    int mode;         /* of its file */
    const uid_t *users;
    int user_count;
    const pw_log_t *log;
    void *baton;
    /* Control thread: writes one value of JSON; or returns why not. The text's
     * pool ends with the connection. argument: never NULL. */
    const char *(*answer)(void *baton, const char *command,
                          const char *argument, pw_text_t *to);
} pw_control_setup_t;

/* May a socket have such a name? */
int pw_control_fits(const char *path);

/* Binds the socket, in place of one that is there, and starts the thread.
 * Child start thread; *setup and what it points to live as long as cpool. */
apr_status_t pw_control_start(apr_pool_t *cpool,
                              const pw_control_setup_t *setup,
                              pw_control_t **control);

/* Ends the thread, after the answer that it is making, and removes the
 * socket. NULL: there is none. */
void pw_control_stop(pw_control_t *control);

/* Any process: is it a socket, and nobody there who would answer? Does not
 * block. */
int pw_control_is_dead(const char *path);

#endif
