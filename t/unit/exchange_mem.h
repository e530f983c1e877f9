/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange_mem: a pw_exchange in memory, for unit tests: the request is given
 * by the test, and the response can be looked at afterwards. One thread at a
 * time, as the port promises; that it is so is checked (`overlaps`).
 */
#ifndef EXCHANGE_MEM_H
#define EXCHANGE_MEM_H

#include <pthread.h>

#include "pw_exchange.h"

#define PW_MEM_LOG_SIZE 65536

typedef struct pw_mem_t {
    pw_exchange_t x; /* first: the port is the object */
    apr_table_t *variables;

    const char *body;        /* request body, test's */
    apr_size_t body_len;     /* its size */
    apr_size_t body_pos;     /* given so far */
    apr_size_t body_step;    /* at most so much for one read */
    apr_status_t body_error; /* what a read gives instead of the end */
    int read_delay;          /* microseconds that each read takes */

    int begun;                   /* calls of begin */
    int status;                  /* 0 before begin */
    const char *status_line;     /* "200 OK" */
    apr_array_header_t *headers; /* of pw_header_t; copied */
    apr_off_t length;            /* content_length of begin */
    char *out;                   /* malloc: the response body */
    apr_size_t out_len;
    apr_size_t gone_at; /* pass fails once so much was taken */
    int passes;         /* calls of pass */
    int flushes;        /* FLUSH buckets seen */
    int files;          /* FILE buckets seen */
    int ended;          /* EOS buckets seen */
    int aborted;        /* calls of abort */

    int inside;                /* atomic: threads in read_body, pass, begin */
    int overlaps;              /* atomic: times that there were two */
    pthread_mutex_t log_mutex; /* application threads log too */
    char log_text[PW_MEM_LOG_SIZE];
} pw_mem_t;

/* A request without body, in a pool of its own; ended by pw_mem_destroy. */
pw_mem_t *pw_mem_create(const char *method, const char *path);
void pw_mem_destroy(pw_mem_t *mem);

void pw_mem_set_body(pw_mem_t *mem, const char *body, apr_size_t len);

/* A header of the response, NULL if it has none. */
const char *pw_mem_header(const pw_mem_t *mem, const char *name);

/* How often the text stands in the request's log. */
int pw_mem_logged(pw_mem_t *mem, const char *text);

#endif
