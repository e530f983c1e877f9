/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_walk: `at` is what has been walked, without symbolic links; `rest` what
 * is still to walk.
 */
#include "pw_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as Linux has it */

typedef struct walker_t {
    pw_walk_t *walk;
    char rest[PW_WALK_PATH];
    struct stat st; /* of walk->at */
    int links;
} walker_t;

static pw_walk_e end_walk(walker_t *w, pw_walk_e outcome, int error)
{
    w->walk->outcome = outcome;
    w->walk->error = error;
    w->walk->mode = outcome == PW_WALK_MISSING ? 0 : w->st.st_mode;
    w->walk->owner = w->st.st_uid;
    return outcome;
}

/* Takes the next name off rest. 0: there is none; -1: it does not fit. */
static int next_name(walker_t *w, char *name, size_t size)
{
    const char *begin = w->rest + strspn(w->rest, "/");
    size_t len = strcspn(begin, "/");

    if (len >= size) {
        return -1;
    }
    memcpy(name, begin, len);
    name[len] = '\0';
    memmove(w->rest, begin + len, strlen(begin + len) + 1);
    return len > 0;
}

/* ".." of a path without symbolic links. */
static void step_up(walker_t *w)
{
    char *slash = strrchr(w->walk->at, '/');

    if (slash) {
        *slash = '\0';
    }
}

/* The link's target comes before what is left; an absolute one begins anew. */
static int follow(walker_t *w, const char *link)
{
    char target[PW_WALK_PATH], rest[PW_WALK_PATH];
    ssize_t len = readlink(link, target, sizeof(target) - 1);

    if (len < 0 || ++w->links > LINKS_MAX) {
        return len < 0 ? errno : ELOOP;
    }
    target[len] = '\0';
    memcpy(rest, w->rest, sizeof(rest));
    if (snprintf(w->rest, sizeof(w->rest), "%s/%s", target, rest)
        >= (int)sizeof(w->rest)) {
        return ENAMETOOLONG;
    }
    if (*target == '/') {
        *w->walk->at = '\0';
    }
    return 0;
}

/* What lstat said of the next name; `at` is the directory it was asked in. */
static pw_walk_e refuse_step(walker_t *w, const char *next, int error)
{
    if (error == EACCES) {
        if (!*w->walk->at) {
            memcpy(w->walk->at, "/", 2);
        }
        return end_walk(w, PW_WALK_CLOSED, error);
    }
    memcpy(w->walk->at, next, strlen(next) + 1);
    return end_walk(w,
                    error == ENOENT || error == ENOTDIR ? PW_WALK_MISSING
                                                        : PW_WALK_FAILED,
                    error);
}

static pw_walk_e step(walker_t *w, const char *name)
{
    char next[PW_WALK_PATH];
    struct stat st;
    int error;

    if (!strcmp(name, ".")) {
        return PW_WALK_OK;
    }
    if (!strcmp(name, "..")) {
        step_up(w);
        return PW_WALK_OK;
    }
    if (snprintf(next, sizeof(next), "%s/%s", w->walk->at, name)
        >= (int)sizeof(next)) {
        return end_walk(w, PW_WALK_FAILED, ENAMETOOLONG);
    }
    if (lstat(*w->walk->at ? w->walk->at : "/", &w->st) != 0
        || lstat(next, &st) != 0) {
        return refuse_step(w, next, errno);
    }
    if (S_ISLNK(st.st_mode)) {
        error = follow(w, next);
        return error ? end_walk(w, PW_WALK_FAILED, error) : PW_WALK_OK;
    }
    memcpy(w->walk->at, next, sizeof(next));
    w->st = st;
    return PW_WALK_OK;
}

static pw_walk_e try_directory(walker_t *w)
{
    char inside[PW_WALK_PATH + 2];
    struct stat st;
    int fd = open(w->walk->at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return end_walk(
            w, errno == EACCES ? PW_WALK_UNREADABLE : PW_WALK_FAILED, errno);
    }
    close(fd);
    snprintf(inside, sizeof(inside), "%s/.", w->walk->at);
    if (lstat(inside, &st) != 0) {
        return end_walk(w, errno == EACCES ? PW_WALK_CLOSED : PW_WALK_FAILED,
                        errno);
    }
    return end_walk(w, PW_WALK_OK, 0);
}

/* Opens without waiting: it may be a FIFO. */
static pw_walk_e try_file(walker_t *w)
{
    int fd = open(w->walk->at, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0) {
        return end_walk(w,
                        errno == EACCES || errno == EPERM ? PW_WALK_UNREADABLE
                                                          : PW_WALK_FAILED,
                        errno);
    }
    close(fd);
    return end_walk(w, PW_WALK_OK, 0);
}

static pw_walk_e try_end(walker_t *w, pw_walk_to_e to)
{
    if (!*w->walk->at) {
        memcpy(w->walk->at, "/", 2);
    }
    if (lstat(w->walk->at, &w->st) != 0) {
        return end_walk(w, PW_WALK_FAILED, errno);
    }
    if (S_ISDIR(w->st.st_mode)) {
        return to == PW_WALK_TO_FILE ? end_walk(w, PW_WALK_DIRECTORY, EISDIR)
                                     : try_directory(w);
    }
    return to == PW_WALK_TO_DIRECTORY ? end_walk(w, PW_WALK_FAILED, ENOTDIR)
                                      : try_file(w);
}

pw_walk_e pw_walk(const char *path, pw_walk_to_e to, pw_walk_t *walk)
{
    walker_t w = {.walk = walk};
    char name[PW_WALK_PATH];
    int more;

    memset(walk, 0, sizeof(*walk));
    if (strlen(path) >= sizeof(w.rest)) {
        return end_walk(&w, PW_WALK_FAILED, ENAMETOOLONG);
    }
    memcpy(w.rest, path, strlen(path) + 1);
    for (more = next_name(&w, name, sizeof(name)); more > 0;
         more = next_name(&w, name, sizeof(name))) {
        if (step(&w, name) != PW_WALK_OK) {
            return walk->outcome;
        }
    }
    return more < 0 ? end_walk(&w, PW_WALK_FAILED, ENAMETOOLONG)
                    : try_end(&w, to);
}
