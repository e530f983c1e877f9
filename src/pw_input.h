/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_input: wsgi.input, a binary stream over the exchange's read_body, in
 * constant memory. Nothing is read before the application asks.
 */
#ifndef PW_INPUT_H
#define PW_INPUT_H

#include "pw_request.h"

extern PyType_Spec pw_input_spec;

/* The request's wsgi.input. New reference, tethered to rq. */
PyObject *pw_input_new(pw_request_t *rq);

/* Cuts the tether: every later use raises RuntimeError. */
void pw_input_cut(PyObject *input);

/* Drops what was read ahead. After the cut, when no method is running. */
void pw_input_reset(PyObject *input);

#endif
