/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_htaccess: may an .htaccess file have given a request its handler? Whoever
 * writes a directory that httpd serves could otherwise run code in our
 * interpreters by the words "SetHandler wsgi-script".
 *
 * httpd does not say where a handler comes from, and .htaccess can set one in
 * many ways (AddHandler, AddType, RewriteRule with H= or T=, an expression, a
 * macro). So the lines of every such file are looked at while httpd reads them,
 * and all that is not known to be harmless counts: a mistake refuses a script
 * that could have run, never the other way round.
 */
#ifndef PW_HTACCESS_H
#define PW_HTACCESS_H

#include <httpd.h>

/* 1: a file that applies to the request, or to the one it came from, has a
 * line that may set a handler. Worker thread, after httpd's walk. */
int pw_htaccess_may_set_handler(const request_rec *r);

/* 1: the line cannot set a handler. Pure; any thread. */
int pw_htaccess_harmless(const char *line);

/* Registers the hook that opens .htaccess files. */
void pw_htaccess_register_hooks(void);

#endif
