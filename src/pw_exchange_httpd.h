/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_exchange_httpd: the port pw_exchange over httpd's request_rec, and httpd's
 * error log as a pw_log_t.
 */
#ifndef PW_EXCHANGE_HTTPD_H
#define PW_EXCHANGE_HTTPD_H

#include <httpd.h>

#include "pw_exchange.h"
#include "pw_mount.h"

/* The ErrorLog of a server or virtual host, as long as its server_rec. */
pw_log_t pw_exchange_httpd_server_log(const server_rec *s);

/* An exchange for the request, in its pool; SCRIPT_NAME and PATH_INFO are those
 * of *m, which stays unchanged. Worker thread. */
pw_exchange_t *pw_exchange_httpd_create(request_rec *r, const pw_mounted_t *m);

/* The status whose error document httpd shall send in place of the response
 * (WSGIErrorOverride); 0: none. After pw_gate_run. */
int pw_exchange_httpd_overridden(const pw_exchange_t *x);

/* Registers an output filter. */
void pw_exchange_httpd_register_hooks(void);

#endif
