/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_metrics: prints the counters, one word each. Any thread.
 */
#include "pw_metrics.h"

#include <stdio.h>

void pw_metrics_format(pw_metrics_t *metrics, char *buf, apr_size_t size)
{
    apr_size_t used = 0;

#define PW_METRICS_PRINT(name)                                                 \
    if (used < size) {                                                         \
        int n = snprintf(buf + used, size - used,                              \
                         "%s" #name "=%" APR_UINT64_T_FMT, used ? " " : "",    \
                         pw_metrics_get(metrics, name));                       \
        used += n > 0 ? (apr_size_t)n : 0;                                     \
    }
    PW_METRICS(PW_METRICS_PRINT)
#undef PW_METRICS_PRINT
    if (size > 0) {
        buf[size - 1] = '\0';
    }
}
