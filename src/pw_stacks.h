/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_stacks: where the requests of a child are in their Python code, for an
 * operator who asks while they hang.
 *
 * A SCRIBE writes the stacks of one instance down: a thread for this once, with
 * a thread state of its own. It waits for the GIL like any other, and reads the
 * frames of all who do not have it. The instance's own thread could do that
 * too, but not while it loads an application or ends one, which is when
 * somebody asks.
 *
 * A scribe that does not come through within PW_STACKS_PATIENCE is left to
 * itself: then a call holds the GIL, and the thread states tell which. An
 * instance has one scribe at a time; its end waits for it, and lets no other
 * in.
 */
#ifndef PW_STACKS_H
#define PW_STACKS_H

#include "pw_census.h"
#include "pw_runtime.h"
#include "pw_text.h"

#define PW_STACKS_PATIENCE APR_USEC_PER_SEC

/*
 * Writes as JSON what docs/command.md says of `stacks`. Any thread that is not
 * attached, one at a time; takes up to PW_STACKS_PATIENCE. child: the census of
 * this process, or NULL. name: of an interpreter or application, "": all.
 */
void pw_stacks_show(pw_runtime_t *rt, const pw_census_child_t *child,
                    const char *name, apr_pool_t *pool, pw_text_t *to);

#endif
