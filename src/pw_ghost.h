/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_ghost: deletes a cached thread state for an OS thread that is elsewhere.
 *
 * CPython (3.12 and later) remembers in each OS thread the state that it
 * attached last (bind_gilstate_tstate in pystate.c), and when this thread
 * attaches another one it clears a bit in the remembered one. Who deletes a
 * state from another thread leaves that pointer dangling, and somebody else's
 * memory gets the write. So the memory stays, as a ghost, until its OS thread
 * has attached another state or has ended. docs/internals.md, "Found and
 * understood".
 */
#ifndef PW_GHOST_H
#define PW_GHOST_H

#include "pw_lock.h"
#include "pw_log.h"
#include "pw_python.h"

struct pw_thread_t;
struct pw_tstate_t;

typedef struct pw_ghosts_t {
    PyMemAllocatorEx raw; /* const: CPython's own raw allocator, below ours */
    void *deleting;       /* atomic: the state whose memory is to stay */
    const pw_log_t *log;  /* const: */
    pw_lock_t lock;       /* guards the fields below, and threads' ghosts */
    int said;             /* lock: that memory did not stay */
    struct pw_thread_t *threads; /* lock: all that have not ended */
} pw_ghosts_t;

/* Puts an allocator before CPython's raw one, which stays until the process
 * ends, and the module with it. Once, when Python has started and no other
 * thread runs. */
void pw_ghost_start(pw_ghosts_t *ghosts, const pw_log_t *log);

/* An OS thread comes, and goes with its ghosts. That thread itself. */
void pw_ghost_enlist(pw_ghosts_t *ghosts, struct pw_thread_t *thread);
void pw_ghost_leave(pw_ghosts_t *ghosts, struct pw_thread_t *thread);

/* Deletes the state of an entry that is in no table any more, after
 * PyThreadState_Clear, and takes the entry. Attached to its interpreter. */
void pw_ghost_delete(pw_ghosts_t *ghosts, struct pw_tstate_t *entry);

/* Frees the ghosts of the calling thread, which has attached another state;
 * before 3.12 it remembers its first one for ever, and they stay. */
void pw_ghost_bury(pw_ghosts_t *ghosts, struct pw_thread_t *thread);

#endif
