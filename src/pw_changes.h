/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_changes: what has changed on disk since an instance loaded it
 * (src/py/files.py), where others are to stand beside it. Only on the
 * instance's own thread, and not attached where nothing else is said.
 */
#ifndef PW_CHANGES_H
#define PW_CHANGES_H

#include "pw_instance.h"
#include "pw_interp.h"

/* A shared object of the instance that is another file on disk now: a process
 * cannot load it anew, so a fresh instance would run the old code with the new
 * modules around it. 1 where there is one, after a record, which begins with
 * what is not done. */
int pw_changes_of_objects(pw_instance_t *inst, const char *what);

/* After a load, which may have failed: the files of its modules as they are
 * now, where another instance may come to stand beside this one. Attached,
 * without an exception. */
void pw_changes_watch(pw_attached_t *at);

/* Keeps for pw_changes_say which of its other files have changed. Before a
 * further instance is made. */
void pw_changes_note(pw_instance_t *inst);

/* Says so, once for each change, in the further instance that has loaded what
 * is on disk. */
void pw_changes_say(pw_instance_t *inst);

#endif
