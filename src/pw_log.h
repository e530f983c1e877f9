/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_log: where a line of log goes, without httpd.
 *
 * A pw_log_t is a destination: the ErrorLog of a virtual host, the log of one
 * request (with its %L id), or a unit test's memory. Everything below the
 * FRONT logs through one, so that GROUND, ENGINE and GATEWAY need no httpd.
 * The text begins with its code and label: "PW0201 blog (example.org/): ...".
 * Any thread may call, attached to an interpreter or not; writing never runs
 * Python.
 */
#ifndef PW_LOG_H
#define PW_LOG_H

#include <stdarg.h>
#include <apr.h>

/* The values are syslog's, and httpd's APLOG_* levels. */
typedef enum {
    PW_LOG_ERR = 3,
    PW_LOG_WARN = 4,
    PW_LOG_NOTICE = 5,
    PW_LOG_INFO = 6,
    PW_LOG_DEBUG = 7,
    PW_LOG_TRACE = 8
} pw_log_level_e;

typedef void pw_log_write_fn(void *where, pw_log_level_e level,
                             const char *line);

typedef struct pw_log_t {
    pw_log_write_fn *write; /* const: never NULL */
    void *where;            /* const: server_rec, request_rec, test's buffer */
} pw_log_t;

/* Writes one line (no newline in it). A text longer than 8,000 bytes is cut. */
void pw_log(const pw_log_t *log, pw_log_level_e level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with a va_list. */
void pw_log_v(const pw_log_t *log, pw_log_level_e level, const char *fmt,
              va_list args) __attribute__((format(printf, 3, 0)));

/*
 * Writes a text of many lines (a traceback) as one record a line, each behind
 * "code label: | ", so that every line can be read, and found by its code.
 */
void pw_log_lines(const pw_log_t *log, pw_log_level_e level, const char *code,
                  const char *label, const char *text);

#endif
