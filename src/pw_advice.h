/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_advice: what the error log says at a start: how many instances there will
 * be, and which MPM settings cost more than an administrator may think.
 */
#ifndef PW_ADVICE_H
#define PW_ADVICE_H

#include "pw_resolve.h"

/* One notice and any number of warnings. Parent, post_config. */
void pw_advice_at_start(server_rec *s, const pw_resolved_t *resolved,
                        apr_pool_t *ptemp);

#endif
