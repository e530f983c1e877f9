/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_split: a prefix and a URI, with a newline between, through pw_prefix and
 * through the plainest program that does the same: both with their runs of
 * slashes made one, and the rest a string comparison.
 */
#include <string.h>

#include "fuzz.h"
#include "pw_prefix.h"

static char *squeeze(const char *text)
{
    char *copy = malloc(strlen(text) + 1);
    size_t n = 0;

    for (const char *c = text; *c; c++) {
        if (*c != '/' || n == 0 || copy[n - 1] != '/') {
            copy[n++] = *c;
        }
    }
    copy[n] = '\0';
    return copy;
}

static int plainly(const char *uri, const char *prefix)
{
    char *u = squeeze(uri), *p = squeeze(prefix);
    size_t n = strlen(p);
    int below = n > 0 && strncmp(u, p, n) == 0
                && (p[n - 1] == '/' || u[n] == '\0' || u[n] == '/');

    free(u);
    free(p);
    return below;
}

static void check(const char *uri, const char *prefix)
{
    size_t covered = pw_prefix_match(uri, prefix);
    size_t name = pw_prefix_name(uri, covered);

    MUST((covered > 0) == plainly(uri, prefix));
    MUST(covered <= strlen(uri) && name <= covered);
    if (covered > 0) {
        MUST(name == 0 || uri[name - 1] != '/');
        MUST(uri[name] == '\0' || uri[name] == '/');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    char *newline;

    memcpy(text, data, size);
    text[size] = '\0';
    newline = memchr(text, '\n', size);
    if (newline && text[0] == '/' && newline[1] == '/') {
        *newline = '\0';
        check(newline + 1, text);
    }
    free(text);
    return 0;
}
