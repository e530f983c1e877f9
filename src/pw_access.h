/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_access: the state of the files that the configuration names: scripts,
 * virtual environments. Parent process, one thread.
 */
#ifndef PW_ACCESS_H
#define PW_ACCESS_H

#include <httpd.h>

/* Warns of files that are not there (yet): of missing scripts and homes. */
void pw_access_warn(const server_rec *main_server, apr_pool_t *ptemp);

#endif
