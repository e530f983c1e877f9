/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_header: checks of status lines and header fields. No state, any thread.
 */
#include "pw_header.h"

#include <string.h>
#include <strings.h>

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

/* RFC 9110 section 5.6.2. */
static int is_token(unsigned char c)
{
    static const unsigned char tokens[256] = {
        ['0' ... '9'] = 1,  ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['!'] = 1,
        ['#' ... '\''] = 1, ['*'] = 1,         ['+'] = 1,         ['-'] = 1,
        ['.'] = 1,          ['^' ... '`'] = 1, ['|'] = 1,         ['~'] = 1};

    return tokens[c];
}

int pw_header_is(const char *name, apr_size_t len, const char *word)
{
    return (*name | 0x20) == *word && strlen(word) == len
           && strncasecmp(name, word, len) == 0;
}

/* clang-format off */
#define HOP_BY_HOP(X)                                                          \
    X("connection") X("keep-alive") X("proxy-authenticate")                    \
    X("proxy-authorization") X("proxy-connection") X("te") X("trailer")        \
    X("trailers") X("transfer-encoding") X("upgrade")
/* clang-format on */
#define WORD(word) word,
#define LENGTH(word) | 1u << (sizeof(word) - 1)

static int is_hop_by_hop(const char *name, apr_size_t len)
{
    static const char *const words[] = {HOP_BY_HOP(WORD)};
    static const apr_uint32_t lengths = 0 HOP_BY_HOP(LENGTH); /* a bit each */

    /* Few names have the length of one. */
    if (len > 31 || !(lengths >> len & 1)) {
        return 0;
    }
    for (apr_size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (pw_header_is(name, len, words[i])) {
            return 1;
        }
    }
    return 0;
}

const char *pw_header_bad_status(const char *status, apr_size_t len)
{
    if (len < 3 || !is_digit(status[0]) || !is_digit(status[1])
        || !is_digit(status[2])) {
        return "does not begin with three digits";
    }
    if (len < 4 || status[3] != ' ') {
        return "has no space and reason phrase after its three digits";
    }
    if (status[0] < '2' || status[0] > '5') {
        return "is not between 200 and 599";
    }
    if (pw_header_bad_value(status, len) || memchr(status, '\t', len)) {
        return "has a control character";
    }
    return NULL;
}

const char *pw_header_bad_name(const char *name, apr_size_t len)
{
    if (len == 0) {
        return "is empty";
    }
    for (apr_size_t i = 0; i < len; i++) {
        if (!is_token((unsigned char)name[i])) {
            return "has a character that no header name may have";
        }
    }
    if (is_hop_by_hop(name, len)) {
        return "belongs to the connection: the server sets it, never the "
               "application";
    }
    return NULL;
}

const char *pw_header_bad_value(const char *value, apr_size_t len)
{
    for (apr_size_t i = 0; i < len; i++) {
        if (is_control((unsigned char)value[i]) && value[i] != '\t') {
            return "has a control character";
        }
    }
    return NULL;
}

apr_off_t pw_header_length(const char *value, apr_size_t len)
{
    apr_off_t length = 0;

    if (len == 0 || len > 18) {
        return -1;
    }
    for (apr_size_t i = 0; i < len; i++) {
        if (!is_digit(value[i])) {
            return -1;
        }
        length = length * 10 + (value[i] - '0');
    }
    return length;
}
