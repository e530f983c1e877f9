/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_found: the script of a request that httpd's walk has found on disk: below
 * an alias to a directory, by a pattern with $1, or a file with our handler.
 * Worker threads.
 *
 * Whoever made the URL must not be able to make an interpreter: the file is
 * there, httpd's rules of access and symbolic links have been applied, and the
 * names of interpreters come from the configuration and from the file's path.
 */
#ifndef PW_FOUND_H
#define PW_FOUND_H

#include "pw_mount.h"

typedef struct pw_runtime_t pw_runtime_t;

/*
 * The application of the request, made where it is new, and SCRIPT_NAME and
 * PATH_INFO, in *m. `mount` is the one that led to the file, NULL where its
 * handler did. OK, or after a record: 404 (no such file), 403 (no script, or
 * it may not be run), 500 (.htaccess), 503 (too many, or the child is ending).
 */
int pw_found_script(request_rec *r, pw_runtime_t *rt, const pw_mount_t *mount,
                    pw_mounted_t *m);

#endif
