/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_text: doubles its room, and leaves what was too small to the pool.
 */
#include "pw_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <apr_strings.h>

#define FIRST_ROOM 4096

void pw_text_init(pw_text_t *text, apr_pool_t *pool)
{
    text->pool = pool;
    text->room = FIRST_ROOM;
    text->bytes = apr_pcalloc(pool, text->room);
    text->len = 0;
}

static void add_bytes(pw_text_t *text, const char *more, apr_size_t len)
{
    if (text->room - text->len <= len) {
        apr_size_t room = 2 * text->room + len;
        char *bytes = apr_palloc(text->pool, room);

        memcpy(bytes, text->bytes, text->len);
        text->bytes = bytes;
        text->room = room;
    }
    memcpy(text->bytes + text->len, more, len);
    text->len += len;
    text->bytes[text->len] = '\0';
}

void pw_text_add(pw_text_t *text, const char *more)
{
    add_bytes(text, more, strlen(more));
}

void pw_text_addf(pw_text_t *text, const char *fmt, ...)
{
    va_list args;
    char buf[512];
    int len;

    va_start(args, fmt);
    len = vsnprintf(buf, sizeof(buf), fmt, args);
    va_end(args);
    if (len > 0) {
        add_bytes(text, buf, strlen(buf));
    }
}

void pw_text_json(pw_text_t *text, const char *string)
{
    pw_text_add(text, "\"");
    for (; *string; string++) {
        unsigned char c = (unsigned char)*string;

        if (c == '"' || c == '\\') {
            pw_text_addf(text, "\\%c", c);
        }
        else if (c < ' ') {
            pw_text_addf(text, "\\u%04x", c);
        }
        else {
            add_bytes(text, string, 1);
        }
    }
    pw_text_add(text, "\"");
}

void pw_text_html(pw_text_t *text, const char *string)
{
    for (; *string; string++) {
        if (strchr("<>&\"'", *string)) {
            pw_text_addf(text, "&#%d;", *string);
        }
        else {
            add_bytes(text, string, 1);
        }
    }
}

void pw_text_label(pw_text_t *text, const char *string)
{
    pw_text_add(text, "\"");
    for (; *string; string++) {
        if (*string == '\n') {
            pw_text_add(text, "\\n");
            continue;
        }
        if (*string == '"' || *string == '\\') {
            pw_text_add(text, "\\");
        }
        add_bytes(text, string, 1);
    }
    pw_text_add(text, "\"");
}

void pw_text_seconds(pw_text_t *text, apr_uint64_t microseconds)
{
    pw_text_addf(text, "%" APR_UINT64_T_FMT ".%06u", microseconds / 1000000,
                 (unsigned)(microseconds % 1000000));
}
