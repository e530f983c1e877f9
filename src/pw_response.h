/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_response: start_response, and the write() that it returns. It checks and
 * keeps what the application says (PEP 3333); pw_output sends it.
 */
#ifndef PW_RESPONSE_H
#define PW_RESPONSE_H

#include "pw_request.h"

extern PyType_Spec pw_response_spec;

/* The request's start_response. New reference, tethered to rq. */
PyObject *pw_response_new(pw_request_t *rq);

/* Cuts the tether: every later call raises RuntimeError. */
void pw_response_cut(PyObject *response);

/* 1 where the status or the method allows no body: HEAD, 204, 304. */
int pw_response_bodyless(const pw_request_t *rq);

#endif
