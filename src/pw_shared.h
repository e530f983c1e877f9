/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_shared: the server's segment of pw_stats: made by the parent, joined by
 * each child, and read by the parent when a child has ended. The parent keeps
 * it in the pool of the process, so that it outlives the configuration (and
 * this module, which httpd unloads and loads at every restart).
 */
#ifndef PW_SHARED_H
#define PW_SHARED_H

#include <httpd.h>

#include "pw_stats.h"

/* Parent, post_config, when resolved->map is whole: sets resolved->stats. */
void pw_shared_open(server_rec *s);

/* Child start thread: takes its slot, and gives it up when pchild ends. */
pw_counted_t *pw_shared_join(server_rec *s, apr_pool_t *pchild);

/* What a child was doing when it died, and where its sums go. */
void pw_shared_register_hooks(void);

#endif
