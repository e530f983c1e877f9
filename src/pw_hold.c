/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_hold: the type of the bucket. Its functions are called by whatever thread
 * has the bucket, one at a time, never attached.
 */
#include "pw_hold.h"

#include <stdlib.h>

typedef struct hold_t {
    apr_bucket_refcount refcount; /* first, as apr_bucket_shared_make has it */
    const char *base;             /* const: of the object */
    pw_instance_t *instance;      /* const: */
    pw_held_t *held;              /* const: the reference */
} hold_t;

static apr_status_t hold_read(apr_bucket *b, const char **str, apr_size_t *len,
                              apr_read_type_e block)
{
    const hold_t *hold = b->data;

    (void)block;
    *str = hold->base + b->start;
    *len = b->length;
    return APR_SUCCESS;
}

static void hold_destroy(void *data)
{
    hold_t *hold = data;

    if (apr_bucket_shared_destroy(hold)) {
        pw_interp_unhold(hold->instance, hold->held);
        apr_bucket_free(hold);
    }
    pw_lock_give_memory();
}

static const apr_bucket_type_t hold_type = {
    .name = "POLYWSGI",
    .num_func = 5,
    .is_metadata = APR_BUCKET_DATA,
    .destroy = hold_destroy,
    .read = hold_read,
    .setaside = apr_bucket_setaside_noop, /* its memory is its own */
    .split = apr_bucket_shared_split,
    .copy = apr_bucket_shared_copy,
};

apr_bucket *pw_hold_create(pw_attached_t *at, PyObject *bytes, apr_size_t len,
                           apr_bucket_alloc_t *alloc, int *held)
{
    apr_bucket *b = apr_bucket_alloc(sizeof(*b), alloc);
    hold_t *hold = apr_bucket_alloc(sizeof(*hold), alloc);

    APR_BUCKET_INIT(b);
    b->free = apr_bucket_free;
    b->list = alloc;
    hold->base = PyBytes_AS_STRING(bytes);
    hold->instance = at->instance;
    hold->held = pw_interp_hold(bytes);
    if (!hold->held) {
        apr_bucket_free(hold);
        apr_bucket_free(b);
        return NULL;
    }
    (*held)++;
    b = apr_bucket_shared_make(b, hold, 0, len);
    b->type = &hold_type;
    return b;
}
