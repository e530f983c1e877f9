/* SPDX-License-Identifier: Apache-2.0
 *
 * tap.h: Test Anything Protocol for the C unit tests: ok() prints a result,
 * tap_done() the plan, and returns main's exit code.
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdio.h>

static int tap_count;
static int tap_failed;

__attribute__((format(printf, 4, 5), unused)) static int
tap_result(int passed, const char *file, int line, const char *fmt, ...)
{
    va_list args;

    printf("%sok %d - ", passed ? "" : "not ", ++tap_count);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
    if (!passed) {
        tap_failed++;
        printf("# failed at %s:%d\n", file, line);
    }
    fflush(stdout);
    return passed;
}

#define ok(test, ...) tap_result(!!(test), __FILE__, __LINE__, __VA_ARGS__)

__attribute__((unused)) static int tap_done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed || !tap_count;
}

#endif
