/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_output: from what the application returns to brigades, by PEP 3333: the
 * headers go with the first byte of the body, Content-Length bounds it, each
 * chunk of a generator reaches the client before the next is made.
 *
 * What is complete waits as the TAIL in rq->bb (copied, or a file) until the
 * lease is returned, so that a slow client holds no instance.
 */
#ifndef PW_OUTPUT_H
#define PW_OUTPUT_H

#include "pw_request.h"

/*
 * Sends the iterable that the application returned. Own thread, attached. 0;
 * -1 with an exception of the application's pending, or without one where the
 * fault is logged already or the client is gone (rq->failed, rq->gone).
 */
int pw_output_send(pw_request_t *rq, PyObject *result);

/* The write() of start_response: bytes, sent at once. Claimed, attached. 0, or
 * -1 with an exception: where the client is gone, and past Content-Length. */
int pw_output_write(pw_request_t *rq, PyObject *data);

/* Claimed, attached. The response begins here, if it has not yet. 0, or -1
 * after a fault. */
int pw_output_begin(pw_request_t *rq);

/* The application has no more: an empty response begins now, and one that is
 * shorter than its Content-Length is spoiled. Own thread, attached. 0 or -1 as
 * pw_output_send. */
int pw_output_finish(pw_request_t *rq);

/* Passes the tail and the end of a response that has begun, or aborts it. Own
 * thread, DETACHED, without the lease. */
void pw_output_end(pw_request_t *rq);

#endif
