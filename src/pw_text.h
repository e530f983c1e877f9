/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_text: a text that grows in a pool, with the escapes of the formats that
 * pw_show writes. One thread.
 */
#ifndef PW_TEXT_H
#define PW_TEXT_H

#include <apr_pools.h>

typedef struct pw_text_t {
    apr_pool_t *pool;
    char *bytes; /* in the pool, terminated */
    apr_size_t len, room;
} pw_text_t;

void pw_text_init(pw_text_t *text, apr_pool_t *pool);

/* As it is. */
void pw_text_add(pw_text_t *text, const char *more);

/* Like printf; what is printed must need no escape. */
void pw_text_addf(pw_text_t *text, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* As a string of JSON, with its quotes. */
void pw_text_json(pw_text_t *text, const char *string);

/* As text or attribute of HTML. */
void pw_text_html(pw_text_t *text, const char *string);

/* As a label's value in Prometheus's text format, with its quotes. */
void pw_text_label(pw_text_t *text, const char *string);

/* Microseconds as decimal seconds: "0.000250", exact. */
void pw_text_seconds(pw_text_t *text, apr_uint64_t microseconds);

#endif
