/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_prefix: does a URL path lie below the prefix of a mount, and where does
 * SCRIPT_NAME end in it? As mod_alias: whole segments, and any run of slashes
 * counts as one. Pure functions on NUL-terminated bytes, any thread; fuzzed.
 */
#ifndef PW_PREFIX_H
#define PW_PREFIX_H

#include <stddef.h>

/* How much of the URI the prefix covers, 0 where it does not. Both begin with a
 * slash. */
size_t pw_prefix_match(const char *uri, const char *prefix);

/* The length of SCRIPT_NAME, where so much of the URI is covered: without
 * slashes at its end. What follows is PATH_INFO. */
size_t pw_prefix_name(const char *uri, size_t covered);

#endif
