/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_dump: the resolved map as JSON, for people and for the command polywsgi:
 * what `httpd -t -D DUMP_POLYWSGI` prints. Its keys are in docs/command.md.
 * Parent process, one thread.
 */
#ifndef PW_DUMP_H
#define PW_DUMP_H

#include <httpd.h>
#include <apr_file_io.h>

/* Writes the map, one JSON object. */
void pw_dump_map(const server_rec *main_server, apr_pool_t *ptemp,
                 apr_file_t *to);

#endif
