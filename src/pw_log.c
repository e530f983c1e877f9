/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_log: formats a line and hands it to its destination. No state, no lock,
 * any thread.
 */
#include "pw_log.h"

#include <stdio.h>
#include <string.h>

#define PW_LOG_LINE_MAX 8000

void pw_log_v(const pw_log_t *log, pw_log_level_e level, const char *fmt,
              va_list args)
{
    char line[PW_LOG_LINE_MAX];

    vsnprintf(line, sizeof(line), fmt, args);
    log->write(log->where, level, line);
}

void pw_log(const pw_log_t *log, pw_log_level_e level, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    pw_log_v(log, level, fmt, args);
    va_end(args);
}

void pw_log_lines(const pw_log_t *log, pw_log_level_e level, const char *code,
                  const char *label, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\n");

        if (len > 0) {
            int shown = len < 4000 ? (int)len : 4000;

            pw_log(log, level, "%s %s: | %.*s", code, label, shown, text);
        }
        text += len;
        if (*text == '\n') {
            text++;
        }
    }
}
