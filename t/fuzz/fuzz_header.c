/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_header: what pw_header accepts cannot end a line, begin another or frame
 * a body. The input is one string, taken for a status, a name, a value and a
 * length in turn.
 */
#include <string.h>

#include "fuzz.h"
#include "pw_header.h"

static int has(const char *text, size_t len, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (memchr(text, bytes[i], len)) {
            return 1;
        }
    }
    return 0;
}

/* RFC 9110 section 5.6.2, written out. */
static int is_tchar(char c)
{
    return c
           && strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                     c);
}

static void check_name(const char *text, size_t len)
{
    int good = len > 0;

    for (size_t i = 0; i < len; i++) {
        good &= is_tchar(text[i]) != 0;
    }
    if (!pw_header_bad_name(text, len)) {
        MUST(good);
        MUST(!pw_header_is(text, len, "transfer-encoding"));
        MUST(!pw_header_is(text, len, "connection"));
    }
    else if (good) {
        /* Only those of the connection are refused besides. */
        MUST(len >= 2 && len <= 19);
    }
}

static void check_length(const char *text, size_t len)
{
    apr_off_t length = pw_header_length(text, len);
    apr_off_t want = 0;

    if (length < 0) {
        return;
    }
    for (size_t i = 0; i < len; i++) {
        MUST(text[i] >= '0' && text[i] <= '9');
        want = want * 10 + (text[i] - '0');
    }
    MUST(len > 0 && length == want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* of that size: reading on is a fault */

    memcpy(text, data, size);
    text[size] = '\0';
    if (!pw_header_bad_status(text, size)) {
        MUST(size >= 4 && text[3] == ' ');
        MUST(text[0] >= '2' && text[0] <= '5');
        MUST(!has(text, size, "\0\r\n\t\x7f", 5));
    }
    if (!pw_header_bad_value(text, size)) {
        MUST(!has(text, size, "\0\r\n\x0b\x1b\x7f", 6));
    }
    check_name(text, size);
    check_length(text, size);
    free(text);
    return 0;
}
