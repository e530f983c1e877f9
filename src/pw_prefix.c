/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_prefix: one walk through both strings.
 */
#include "pw_prefix.h"

#include <string.h>

size_t pw_prefix_match(const char *uri, const char *prefix)
{
    const char *u = uri, *p = prefix;

    while (*p) {
        if (*p == '/') {
            if (*u != '/') {
                return 0;
            }
            p += strspn(p, "/");
            u += strspn(u, "/");
        }
        else if (*u++ != *p++) {
            return 0;
        }
    }
    if (p == prefix || (p[-1] != '/' && *u && *u != '/')) {
        return 0;
    }
    return (size_t)(u - uri);
}

size_t pw_prefix_name(const char *uri, size_t covered)
{
    while (covered > 0 && uri[covered - 1] == '/') {
        covered--;
    }
    return covered;
}
