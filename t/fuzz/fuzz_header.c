/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_header: what pw_header accepts cannot end a line, begin another or frame
 * a body, and it accepts exactly what plain lists say. The input is one string,
 * taken for a status, a name, a value and a length in turn.
 */
#include <string.h>
#include <strings.h>

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
    return c != 0
           && strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                     c)
                  != NULL;
}

/* RFC 9110 section 7.6.1 and RFC 2616 section 13.5.1. The text ends with a NUL
 * that is not counted. */
static int of_connection(const char *text, size_t len)
{
    static const char *const names[] = {
        "Connection",
        "Proxy-Connection",
        "Keep-Alive",
        "Trailer",
        "Proxy-Authorization",
        "Proxy-Authenticate",
        "Trailers",
        "Upgrade",
        "Transfer-Encoding",
        "TE",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(text) == len && strcasecmp(text, names[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

static void check_name(const char *text, size_t len)
{
    int good = len > 0 && !of_connection(text, len);

    for (size_t i = 0; i < len; i++) {
        MUST((pw_header_bad_name(text + i, 1) == NULL) == is_tchar(text[i]));
        good &= is_tchar(text[i]);
    }
    MUST((pw_header_bad_name(text, len) == NULL) == good);
}

static void check_value(const char *text, size_t len)
{
    int good = !has(text, len, "\0\x7f", 2);

    for (char c = 1; c < 0x20; c++) {
        good &= c == '\t' || !has(text, len, &c, 1);
    }
    MUST((pw_header_bad_value(text, len) == NULL) == good);
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
    check_value(text, size);
    check_name(text, size);
    check_length(text, size);
    free(text);
    return 0;
}
