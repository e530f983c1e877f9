/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_filewrap: wsgi.file_wrapper. An application that returns it unchanged
 * over a plain binary file has the file sent by the server, from its current
 * position to its end, after the instance has been given back; any other file
 * is read block by block.
 *
 * Plain is io.FileIO, and io.BufferedReader or BufferedRandom over one: other
 * objects (gzip.GzipFile) have a fileno() whose bytes are not those of read().
 */
#ifndef PW_FILEWRAP_H
#define PW_FILEWRAP_H

#include "pw_request.h"

extern PyType_Spec pw_filewrap_spec;

/* Not a plain file: iterate over the wrapper. */
#define PW_FILEWRAP_ITERATE 1

/* Own thread, attached. 0 when the file waits in the tail of the response;
 * PW_FILEWRAP_ITERATE; or -1 after a fault. */
int pw_filewrap_send(pw_request_t *rq, PyObject *wrapper);

#endif
