/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_access: the list of what to try, the process that tries it, and the
 * records of what it found.
 */
#include "pw_access.h"

#include <apr_strings.h>
#include <apr_user.h>
#include <errno.h>
#include <grp.h>
#include <http_core.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unixd.h>

#include "pw_module.h"
#include "pw_pyversion.h"
#include "pw_resolve.h"
#include "pw_walk.h"

APLOG_USE_MODULE(polywsgi);

#define LIMIT (10 * APR_USEC_PER_SEC) /* for all paths together */

typedef enum { SCRIPT, HOME, PACKAGES, PATH, PREFIX } kind_e;

/* One path to try. */
typedef struct trial_t {
    kind_e kind;
    const char *label; /* of the application or interpreter */
    const char *path;
    const pw_log_t *log;
} trial_t;

/* What the process writes: index of a trial that failed, or one of these. */
enum { ALL_TRIED = -1, NOT_THAT_USER = -2 };
typedef struct report_t {
    int index;
    pw_walk_t walk; /* NOT_THAT_USER: only its error */
} report_t;

/* ---- the run-time user ------------------------------------------------- */

/* Only root can become another. */
static uid_t run_uid(void)
{
    return geteuid() == 0 ? ap_unixd_config.user_id : geteuid();
}

static const char *name_of(uid_t uid, apr_pool_t *pool)
{
    char *name;

    return apr_uid_name_get(&name, uid, pool) == APR_SUCCESS
               ? name
               : apr_psprintf(pool, "%ld", (long)uid);
}

const char *pw_access_user(apr_pool_t *pool)
{
    return name_of(run_uid(), pool);
}

const char *pw_access_group(apr_pool_t *pool)
{
    gid_t gid = geteuid() == 0 ? ap_unixd_config.group_id : getegid();
    char *name;

    return apr_gid_name_get(&name, gid, pool) == APR_SUCCESS
               ? name
               : apr_psprintf(pool, "%ld", (long)gid);
}

/* In the forked process: what mod_unixd does in a child. errno, or 0. */
static int become_run_user(apr_pool_t *pool)
{
    const unixd_config_rec *conf = &ap_unixd_config;
    gid_t gid = conf->group_id;
    char *name;
    int rc;

    if (geteuid() != 0) {
        return 0;
    }
    if (apr_uid_name_get(&name, conf->user_id, pool) != APR_SUCCESS) {
        name = NULL;
    }
    rc = setgid(gid) != 0
         || (name ? initgroups(name, gid) : setgroups(1, &gid)) != 0
         || (conf->chroot_dir
             && (chdir(conf->chroot_dir) != 0 || chroot(".") != 0
                 || chdir("/") != 0))
         || setuid(conf->user_id) != 0;
    return rc ? errno : 0;
}

/* ---- what is tried ----------------------------------------------------- */

static void add(apr_array_header_t *trials, kind_e kind, const char *label,
                const char *path, const pw_log_t *log)
{
    trial_t trial = {.kind = kind, .label = label, .path = path, .log = log};

    APR_ARRAY_PUSH(trials, trial_t) = trial;
}

static void add_packages(apr_array_header_t *trials, const pw_interp_spec_t *s)
{
    add(trials, HOME, s->name, s->home, &s->log);
    add(trials, PACKAGES, s->name,
        apr_pstrcat(trials->pool, s->home, "/lib/python", pw_pyversion_minor(),
                    "/site-packages", NULL),
        &s->log);
}

/* Relative directories depend on where httpd stands, which is not here. */
static void add_path(apr_array_header_t *trials, const pw_interp_spec_t *s)
{
    char *last;
    char *copy = apr_pstrdup(trials->pool, s->path);

    for (char *dir = apr_strtok(copy, ":", &last); dir;
         dir = apr_strtok(NULL, ":", &last)) {
        if (*dir == '/') {
            add(trials, PATH, s->name, dir, &s->log);
        }
    }
}

/* Is it what an earlier interpreter has too, from the same line? */
static int said_before(const pw_map_t *map, int index, int home)
{
    const pw_interp_spec_t *spec =
        APR_ARRAY_IDX(map->interps, index, const pw_interp_spec_t *);

    for (int i = 0; i < index; i++) {
        const pw_interp_spec_t *other =
            APR_ARRAY_IDX(map->interps, i, const pw_interp_spec_t *);

        if (home ? other->home == spec->home : other->path == spec->path) {
            return 1;
        }
    }
    return 0;
}

static void add_interp(apr_array_header_t *trials, const pw_map_t *map,
                       int index)
{
    const pw_interp_spec_t *spec =
        APR_ARRAY_IDX(map->interps, index, const pw_interp_spec_t *);

    if (spec->home && !said_before(map, index, 1)) {
        add_packages(trials, spec);
    }
    if (spec->path && !said_before(map, index, 0)) {
        add_path(trials, spec);
    }
    for (int i = 0; i < spec->apps->nelts; i++) {
        const pw_app_spec_t *app =
            APR_ARRAY_IDX(spec->apps, i, const pw_app_spec_t *);

        if (app->script) {
            add(trials, SCRIPT, app->label, app->script, &app->log);
        }
    }
}

static apr_array_header_t *list_trials(const pw_map_t *map, apr_pool_t *ptemp)
{
    apr_array_header_t *trials = apr_array_make(ptemp, 8, sizeof(trial_t));

    if (map->python_home) {
        add(trials, PREFIX, "WSGIPythonHome", map->python_home, &map->log);
    }
    for (int i = 0; i < map->interps->nelts; i++) {
        add_interp(trials, map, i);
    }
    return trials;
}

/* ---- the process ------------------------------------------------------- */

static void write_report(int fd, report_t *report, int index)
{
    report->index = index;
    if (write(fd, report, sizeof(*report)) != (ssize_t)sizeof(*report)) {
        _exit(1); /* nobody reads any more */
    }
}

/* Never returns, and runs no cleanup: those are the parent's. */
static void try_all(const apr_array_header_t *trials, int fd)
{
    static const pw_walk_to_e to[] = {[SCRIPT] = PW_WALK_TO_FILE,
                                      [HOME] = PW_WALK_TO_DIRECTORY,
                                      [PACKAGES] = PW_WALK_TO_DIRECTORY,
                                      [PATH] = PW_WALK_TO_EITHER,
                                      [PREFIX] = PW_WALK_TO_DIRECTORY};
    report_t report;
    int failed = -2; /* the last that did */

    memset(&report, 0, sizeof(report));
    report.walk.error = become_run_user(trials->pool);
    if (report.walk.error) {
        write_report(fd, &report, NOT_THAT_USER);
        _exit(1);
    }
    for (int i = 0; i < trials->nelts; i++) {
        const trial_t *trial = &APR_ARRAY_IDX(trials, i, trial_t);

        if (trial->kind == PACKAGES && failed == i - 1) {
            continue; /* of an environment that has just been reported */
        }
        if (pw_walk(trial->path, to[trial->kind], &report.walk) != PW_WALK_OK) {
            write_report(fd, &report, i);
            failed = i;
        }
    }
    write_report(fd, &report, ALL_TRIED);
    _exit(0);
}

/* Signals end it as they end any process, and what httpd has open (listening
 * sockets) is not kept open by it. */
static void shed_parent(int fd)
{
    static const int ours[] = {SIGTERM, SIGHUP, SIGINT, SIGUSR1, SIGWINCH};

    for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
        signal(ours[i], SIG_DFL);
    }
    for (int low = 0; low < 3; low++) {
        if (low != fd) {
            close(low);
        }
    }
    if (fd > 3) {
        close_range(3, (unsigned)fd - 1, 0);
    }
    close_range((unsigned)fd + 1, ~0U, 0);
}

/* The pid, with the pipe's end to read in *fd; -1 with errno. */
static pid_t start_process(const apr_array_header_t *trials, int *fd)
{
    int ends[2];
    pid_t pid;

    if (pipe(ends) != 0) {
        return -1;
    }
    pid = fork();
    if (pid == 0) {
        shed_parent(ends[1]);
        try_all(trials, ends[1]);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
    }
    *fd = ends[0];
    return pid;
}

/* One report before the deadline. 0, or an error: EPIPE, ETIMEDOUT. */
static int receive(int fd, report_t *report, apr_time_t deadline)
{
    size_t have = 0;

    while (have < sizeof(*report)) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        apr_interval_time_t left = deadline - apr_time_now();
        ssize_t n;

        if (left <= 0) {
            return ETIMEDOUT;
        }
        if (poll(&ready, 1, (int)(left / 1000) + 1) <= 0) {
            continue;
        }
        n = read(fd, (char *)report + have, sizeof(*report) - have);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return EPIPE;
        }
        have += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* One that hangs in a dead file system cannot be killed; httpd's own wait for
 * its children reaps it when it ends. */
static void end_process(pid_t pid)
{
    kill(pid, SIGKILL);
    for (int i = 0; i < 100 && waitpid(pid, NULL, WNOHANG) == 0; i++) {
        apr_sleep(10000);
    }
}

/* ---- the records ------------------------------------------------------- */

static void warn_missing(const trial_t *t)
{
    switch (t->kind) {
    case SCRIPT:
        pw_log(t->log, PW_LOG_WARN,
               "PW0008 %s: the script %s is not there; requests to it are "
               "answered 503 until it is",
               t->label, t->path);
        break;
    case HOME:
        pw_log(t->log, PW_LOG_WARN,
               "PW0009 %s: WSGIPythonHome %s is not there; its applications "
               "will not find their packages",
               t->label, t->path);
        break;
    case PACKAGES:
        pw_log(t->log, PW_LOG_WARN,
               "PW0040 %s: its virtual environment has no %s; its "
               "applications will not find their packages. Mend: make it "
               "anew with python%s -m venv",
               t->label, t->path, pw_pyversion_minor());
        break;
    case PATH:
        pw_log(t->log, PW_LOG_WARN,
               "PW0041 %s: %s of WSGIPythonPath is not there; what its "
               "applications import from it they will not find",
               t->label, t->path);
        break;
    case PREFIX:
        pw_log(t->log, PW_LOG_WARN,
               "PW0017 WSGIPythonHome %s is not there; Python may not start, "
               "and every application is then answered 503",
               t->path);
        break;
    }
}

/* As one word of a shell. */
static const char *quote_shell(const char *text, apr_pool_t *ptemp)
{
    char *quoted, *to;

    if (!text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV"
                           "WXYZ0123456789/._-+@%=:,")]) {
        return text;
    }
    to = quoted = apr_palloc(ptemp, strlen(text) * 4 + 3);
    *to++ = '\'';
    for (; *text; text++) {
        if (*text == '\'') {
            memcpy(to, "'\\'", 3); /* ends, and the quote begins anew */
            to += 3;
        }
        *to++ = *text;
    }
    memcpy(to, "'", 2);
    return quoted;
}

/* For the owner an access list says nothing. */
static const char *mend_of(const pw_walk_t *walk, const char *rights,
                           apr_pool_t *ptemp)
{
    const char *at = quote_shell(walk->at, ptemp);

    if (walk->owner == run_uid()) {
        return apr_psprintf(ptemp, "chmod u+%s %s", rights, at);
    }
    return apr_psprintf(ptemp, "setfacl -m u:%s:%s %s", pw_access_user(ptemp),
                        rights, at);
}

static void warn_closed(const trial_t *t, const pw_walk_t *walk,
                        apr_pool_t *ptemp)
{
    pw_log(t->log, PW_LOG_WARN,
           "PW0042 %s: %s: user %s may not enter %s (%04o, owner %s). Mend: %s",
           t->label, t->path, pw_access_user(ptemp), walk->at,
           (unsigned)walk->mode & 07777, name_of(walk->owner, ptemp),
           mend_of(walk, "x", ptemp));
}

static void warn_unreadable(const trial_t *t, const pw_walk_t *walk,
                            apr_pool_t *ptemp)
{
    pw_log(t->log, PW_LOG_WARN,
           "PW0043 %s: %s: user %s may not read %s (%04o, owner %s). Mend: %s",
           t->label, t->path, pw_access_user(ptemp), walk->at,
           (unsigned)walk->mode & 07777, name_of(walk->owner, ptemp),
           mend_of(walk, S_ISDIR(walk->mode) ? "rx" : "r", ptemp));
}

static const char *words_of(int error, apr_pool_t *ptemp)
{
    char words[120];

    return apr_pstrdup(ptemp, apr_strerror(error, words, sizeof(words)));
}

static void warn(const trial_t *t, const pw_walk_t *walk, apr_pool_t *ptemp)
{
    switch (walk->outcome) {
    case PW_WALK_OK:
        break;
    case PW_WALK_MISSING:
        warn_missing(t);
        break;
    case PW_WALK_CLOSED:
        warn_closed(t, walk, ptemp);
        break;
    case PW_WALK_UNREADABLE:
        warn_unreadable(t, walk, ptemp);
        break;
    case PW_WALK_DIRECTORY:
        pw_log(t->log, PW_LOG_WARN,
               "PW0016 %s: %s is a directory, not a script; requests to it "
               "are answered with an error. Mend: name each script file",
               t->label, t->path);
        break;
    case PW_WALK_FAILED:
        pw_log(t->log, PW_LOG_WARN,
               "PW0044 %s: %s: %s; what needs it will fail too", t->label,
               t->path, words_of(walk->error, ptemp));
        break;
    }
}

static int warn_untried(const pw_log_t *log, int error, apr_pool_t *ptemp)
{
    pw_log(log, PW_LOG_WARN,
           "PW0045 whether user %s may read the applications' files could not "
           "be tried: %s; they are used as they are",
           pw_access_user(ptemp), words_of(error, ptemp));
    return 1;
}

/* ---- all of it --------------------------------------------------------- */

static int hear(int fd, const apr_array_header_t *trials, const pw_log_t *log,
                apr_pool_t *ptemp)
{
    apr_time_t deadline = apr_time_now() + LIMIT;
    report_t report;
    int count = 0;

    for (;;) {
        int error = receive(fd, &report, deadline);

        if (!error && report.index == NOT_THAT_USER) {
            error = report.walk.error;
        }
        if (error) {
            return count + warn_untried(log, error, ptemp);
        }
        if (report.index < 0 || report.index >= trials->nelts) {
            return count; /* ALL_TRIED */
        }
        warn(&APR_ARRAY_IDX(trials, report.index, trial_t), &report.walk,
             ptemp);
        count++;
    }
}

int pw_access_warn(const server_rec *main_server, apr_pool_t *ptemp)
{
    const pw_map_t *map = &pw_config_server(main_server)->resolved->map;
    const apr_array_header_t *trials = list_trials(map, ptemp);
    int fd, count;
    pid_t pid;

    if (trials->nelts == 0) {
        return 0;
    }
    pid = start_process(trials, &fd);
    if (pid < 0) {
        return warn_untried(&map->log, errno, ptemp);
    }
    count = hear(fd, trials, &map->log, ptemp);
    close(fd);
    end_process(pid);
    return count;
}

int pw_access_check(const server_rec *main_server, apr_pool_t *ptemp)
{
    int count = pw_access_warn(main_server, ptemp);

    if (count == 0 || pw_config_server(main_server)->strict == 0) {
        return OK;
    }
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_CRIT, 0, main_server,
                 "PW0046 WSGIStrict On: httpd does not start, because of the "
                 "%d warning%s about files above. Mend: as they say, or "
                 "WSGIStrict Off",
                 count, count == 1 ? "" : "s");
    return HTTP_INTERNAL_SERVER_ERROR;
}
