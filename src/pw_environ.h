/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_environ: the environ dictionary of one request: the exchange's CGI
 * variables, and the wsgi.* and polywsgi.* keys of PEP 3333 and our own.
 */
#ifndef PW_ENVIRON_H
#define PW_ENVIRON_H

#include "pw_request.h"

/* A plain dict. Makes rq->input and rq->errors too. New reference, or NULL
 * with an exception. Own thread, attached. */
PyObject *pw_environ_new(pw_request_t *rq);

#endif
