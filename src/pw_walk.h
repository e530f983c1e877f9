/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_walk: walks a path one name after the other, as the user that the process
 * runs as, and says what stops it. It tries (lstat, open) and never judges by
 * mode bits: access lists, capabilities and read-only mounts count as they do
 * for anyone. Symbolic links are followed, so that the directory it names is
 * the one to mend. No state, no lock, any thread.
 */
#ifndef PW_WALK_H
#define PW_WALK_H

#include <sys/types.h>

/* Short enough for one write to a pipe to hold a pw_walk_t whole. */
#define PW_WALK_PATH 3800

typedef enum {
    PW_WALK_OK,
    PW_WALK_MISSING,    /* `at` is not there */
    PW_WALK_CLOSED,     /* the directory `at` may not be entered */
    PW_WALK_UNREADABLE, /* `at`, the end of the path, may not be read */
    PW_WALK_DIRECTORY,  /* a directory, where a file is wanted */
    PW_WALK_FAILED      /* anything else; see error */
} pw_walk_e;

typedef enum {
    PW_WALK_TO_FILE,      /* which can be opened */
    PW_WALK_TO_DIRECTORY, /* which can be listed and entered */
    PW_WALK_TO_EITHER
} pw_walk_to_e;

typedef struct pw_walk_t {
    pw_walk_e outcome;
    int error;             /* errno */
    mode_t mode;           /* of `at`; 0 where it is missing */
    uid_t owner;           /* of `at` */
    char at[PW_WALK_PATH]; /* where the walk ended, without symbolic links */
} pw_walk_t;

/* Walks an absolute path. Returns walk->outcome; all of *walk is set. */
pw_walk_e pw_walk(const char *path, pw_walk_to_e to, pw_walk_t *walk);

#endif
