/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_access: can the run-time user read what the configuration names? Scripts,
 * virtual environments, directories of WSGIPythonPath.
 *
 * It is tried, not guessed: a forked process becomes the run-time user as
 * httpd's children do (where the caller is root; else it is that user already),
 * walks each path (pw_walk) and reports through a pipe what stops it. No Python
 * runs in it, it has a time limit, and nothing of it remains.
 *
 * Parent process of httpd, or `httpd -t`: one thread. Never in a child.
 */
#ifndef PW_ACCESS_H
#define PW_ACCESS_H

#include <httpd.h>

/* A warning for each file that is missing or closed; returns how many. */
int pw_access_warn(const server_rec *main_server, apr_pool_t *ptemp);

/* The same, and under WSGIStrict a record and HTTP_INTERNAL_SERVER_ERROR where
 * there was a warning; else OK. */
int pw_access_check(const server_rec *main_server, apr_pool_t *ptemp);

/* The user and group that requests are served as: names, or numbers where
 * they have none. In pool. */
const char *pw_access_user(apr_pool_t *pool);
const char *pw_access_group(apr_pool_t *pool);

#endif
