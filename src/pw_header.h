/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_header: which status lines and headers of an application may be sent, by
 * PEP 3333 and RFC 9110. Pure C on bytes: no state, any thread; fuzzed.
 *
 * Each check returns NULL for a good value, else constant words that say what
 * is wrong ("has no reason phrase after its three digits").
 */
#ifndef PW_HEADER_H
#define PW_HEADER_H

#include <apr.h>

/* "200 OK": three digits from 200 to 599, a space, a reason phrase (which may
 * be empty) without control characters. */
const char *pw_header_bad_status(const char *status, apr_size_t len);

/* A token (RFC 9110 section 5.6.2) that does not belong to the connection:
 * hop-by-hop headers are the server's own. */
const char *pw_header_bad_name(const char *name, apr_size_t len);

/* No control characters but the tab. */
const char *pw_header_bad_value(const char *value, apr_size_t len);

/* 1 where the name is `word` (lower case), whatever its case. */
int pw_header_is(const char *name, apr_size_t len, const char *word);

/* The value of a Content-Length: digits only, at most 18. -1 for any other. */
apr_off_t pw_header_length(const char *value, apr_size_t len);

#endif
