/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_hold: a bucket that owns a reference to a bytes object, so that a large
 * body leaves without a copy after the lease is given back.
 *
 * A HOLD outlives the lease: the instance does not end before it is released.
 * Whoever destroys the bucket (another thread, perhaps, while it writes for a
 * slow client) is not attached, and only puts the reference on a list of the
 * instance. The next request of the instance drops what it finds there, or the
 * instance's own thread within a second.
 */
#ifndef PW_HOLD_H
#define PW_HOLD_H

#include <apr_buckets.h>

#include "pw_interp.h"

/* A bucket of len bytes of the object from its begin; len > 0. Attached. Counts
 * one hold, in *held. NULL: no memory. */
apr_bucket *pw_hold_create(pw_attached_t *at, PyObject *bytes, apr_size_t len,
                           apr_bucket_alloc_t *alloc, int *held);

#endif
