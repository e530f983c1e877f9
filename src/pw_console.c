/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_console: parent, but for pw_console_start, _stop and what they answer.
 */
#include "pw_console.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ap_mpm.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_user.h>
#include <http_core.h>
#include <mpm_common.h>
#include <scoreboard.h>
#include <unixd.h>

#include "config.h"
#include "pw_module.h"
#include "pw_pyversion.h"
#include "pw_ready.h"
#include "pw_resolve.h"
#include "pw_show.h"
#include "pw_stacks.h"

#define DIR_MODE 0711

/* What a child answers with. */
typedef struct console_t {
    pw_control_setup_t setup;
    const pw_resolved_t *resolved; /* const: */
    pw_runtime_t *rt;              /* const: NULL: Python did not start */
    const char *server;            /* const: its name, clean */
    apr_int64_t generation;        /* const: of this child */
} console_t;

/* ---- directive --------------------------------------------------------- */

/* A name, or #NUMBER as with User. */
static int find_user(const char *name, uid_t *uid, apr_pool_t *pool)
{
    apr_gid_t gid;
    char *end;

    if (*name == '#') {
        *uid = (uid_t)strtoul(name + 1, &end, 10);
        return apr_isdigit(name[1]) && *end == '\0';
    }
    return apr_uid_get(uid, &gid, name, pool) == APR_SUCCESS;
}

const char *pw_console_user(cmd_parms *cmd, void *mconfig, const char *name)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    uid_t uid;

    (void)mconfig;
    if (error) {
        return error;
    }
    if (!find_user(name, &uid, cmd->pool)) {
        return apr_psprintf(cmd->pool,
                            "WSGIControlUser %s: there is no such user. Mend: "
                            "the name of a user, or # and its number",
                            name);
    }
    APR_ARRAY_PUSH(pw_config_server(cmd->server)->control_users, uid_t) = uid;
    return NULL;
}

/* ---- the directory ----------------------------------------------------- */

const char *pw_console_dir(apr_pool_t *pool)
{
    return ap_runtime_dir_relative(pool, "polywsgi");
}

static uid_t run_uid(void)
{
    return geteuid() == 0 ? ap_unixd_config.user_id : geteuid();
}

static const char *error_text(apr_pool_t *pool)
{
    apr_size_t size = 200;

    return apr_strerror(errno, apr_palloc(pool, size), size);
}

/* Nothing is followed, and what is somebody else's stays as it is. */
static const char *take_dir(apr_pool_t *pool, int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return error_text(pool);
    }
    if (st.st_uid != run_uid() && st.st_uid != geteuid()) {
        return apr_psprintf(pool, "it belongs to user %ld", (long)st.st_uid);
    }
    if ((geteuid() == 0
         && fchown(fd, ap_unixd_config.user_id, ap_unixd_config.group_id) != 0)
        || fchmod(fd, DIR_MODE) != 0) {
        return error_text(pool);
    }
    return NULL;
}

/* Why it cannot be, or NULL. */
static const char *make_dir(apr_pool_t *pool, const char *path)
{
    const char *why;
    int fd;

    if (mkdir(path, DIR_MODE) != 0 && errno != EEXIST) {
        return error_text(pool);
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return errno == ELOOP || errno == ENOTDIR ? "it is no directory"
                                                  : error_text(pool);
    }
    why = take_dir(pool, fd);
    close(fd);
    return why;
}

static const char *socket_path(apr_pool_t *pool, const char *dir, long pid)
{
    return apr_psprintf(pool, "%s/%ld.sock", dir, pid);
}

/* "811.sock"; 0: no such name. */
static long pid_of(const char *name)
{
    char *end;
    long pid = strtol(name, &end, 10);

    return apr_isdigit(*name) && *name != '0' && !strcmp(end, ".sock") ? pid
                                                                       : 0;
}

/* Another httpd may have sockets here too. */
static void sweep(const char *dir, apr_pool_t *pool)
{
    apr_dir_t *names;
    apr_finfo_t entry;

    if (apr_dir_open(&names, dir, pool) != APR_SUCCESS) {
        return;
    }
    while (apr_dir_read(&entry, APR_FINFO_NAME, names) == APR_SUCCESS) {
        const char *path = apr_pstrcat(pool, dir, "/", entry.name, NULL);

        if (pid_of(entry.name) && pw_control_is_dead(path)) {
            unlink(path);
        }
    }
    apr_dir_close(names);
}

/* ---- parent ------------------------------------------------------------ */

static void add_user(apr_array_header_t *users, uid_t uid)
{
    APR_ARRAY_PUSH(users, uid_t) = uid;
}

/* Not the run-time user, whom CGI and PHP share; unless it is the only one
 * there is. */
static apr_array_header_t *find_users(server_rec *s, apr_pool_t *pconf)
{
    const apr_array_header_t *said = pw_config_server(s)->control_users;
    apr_array_header_t *users =
        apr_array_make(pconf, said->nelts + 2, sizeof(uid_t));

    add_user(users, 0);
    add_user(users, getuid());
    for (int i = 0; i < said->nelts; i++) {
        uid_t uid = APR_ARRAY_IDX(said, i, uid_t);

        if (uid != run_uid() || uid == getuid()) {
            add_user(users, uid);
            continue;
        }
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "PW0173 polywsgi: WSGIControlUser names the user that "
                     "requests are served as (%ld), and so whatever CGI "
                     "programs do; that user gets no answer. Mend: name "
                     "another one",
                     (long)uid);
    }
    return users;
}

void pw_console_open(server_rec *s)
{
    pw_resolved_t *resolved = pw_config_server(s)->resolved;
    apr_pool_t *pconf = s->process->pconf;
    const char *dir = pw_console_dir(pconf);
    const char *why;

    if (resolved->map.interps->nelts == 0 && !resolved->may_find) {
        return;
    }
    why = dir ? make_dir(pconf, dir) : "no DefaultRuntimeDir";
    if (why) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "PW0170 polywsgi: %s: %s; children have no control "
                     "socket, and the command polywsgi cannot ask them. Mend: "
                     "remove what is there, or see DefaultRuntimeDir",
                     dir ? dir : "(none)", why);
        return;
    }
    sweep(dir, pconf);
    resolved->control_dir = dir;
    resolved->control_users = find_users(s, pconf);
}

/* LOST_SLOT needs nothing: the child lives on. */
static void child_status(server_rec *s, pid_t pid, ap_generation_t generation,
                         int slot, mpm_child_status status)
{
    const pw_resolved_t *resolved = pw_config_server(s)->resolved;
    char path[PATH_MAX];

    (void)generation;
    (void)slot;
    if (status == MPM_CHILD_EXITED && resolved && resolved->control_dir) {
        apr_snprintf(path, sizeof(path), "%s/%ld.sock", resolved->control_dir,
                     (long)pid);
        unlink(path);
    }
}

void pw_console_register_hooks(void)
{
    ap_hook_child_status(child_status, NULL, NULL, APR_HOOK_MIDDLE);
}

/* ---- child: answers, on the control thread ----------------------------- */

/* Of this child alone. */
static const char *answer_status(const console_t *c, pw_text_t *to)
{
    const pw_resolved_t *resolved = c->resolved;
    const pw_show_t show = {
        .census = pw_census_take_one(resolved->stats, getpid(), to->pool),
        .server = c->server,
        .version = PW_VERSION,
        .python = pw_pyversion(to->pool),
        .now = apr_time_now(),
        .started = ap_scoreboard_image->global->restart_time,
        .most_children = resolved->map.processes,
    };

    pw_show_json(&show, to);
    return NULL;
}

/* The children that serve by the newest configuration, as httpd knows them. */
static void show_children(pw_text_t *to, ap_generation_t running)
{
    int limit = 0, count = 0;

    ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &limit);
    for (int i = 0; i < limit; i++) {
        const process_score *score = ap_get_scoreboard_process(i);

        if (score && score->pid > 0 && score->generation == running
            && !score->quiescing) {
            pw_text_addf(to, "%s%ld", count++ > 0 ? "," : "", (long)score->pid);
        }
    }
}

static const char *answer_ready(const console_t *c, pw_text_t *to)
{
    ap_generation_t running = ap_scoreboard_image->global->running_generation;

    pw_text_addf(to,
                 "{\"generation\":%" APR_INT64_T_FMT
                 ",\"running_generation\":%d,\"started\":%s,\"children\":[",
                 c->generation, running, c->rt ? "true" : "false");
    show_children(to, running);
    pw_text_add(to, "],\"applications\":");
    if (c->rt) {
        pw_ready_show(c->rt, to);
    }
    else {
        pw_text_add(to, "[]");
    }
    pw_text_add(to, "}");
    return NULL;
}

static const char *answer_stacks(const console_t *c, const char *name,
                                 pw_text_t *to)
{
    if (!c->rt) {
        return "Python did not start in this child";
    }
    pw_stacks_show(c->rt,
                   pw_census_child(c->resolved->stats, getpid(), to->pool),
                   name, to->pool, to);
    return NULL;
}

static const char *answer(void *console, const char *command,
                          const char *argument, pw_text_t *to)
{
    const console_t *c = console;

    if (!strcmp(command, "status")) {
        return answer_status(c, to);
    }
    if (!strcmp(command, "ready")) {
        return answer_ready(c, to);
    }
    if (!strcmp(command, "stacks")) {
        return answer_stacks(c, argument, to);
    }
    return "no such command: status, ready, stacks [NAME]";
}

/* ---- child: start and end ---------------------------------------------- */

static console_t *new_console(server_rec *s, apr_pool_t *pchild,
                              pw_runtime_t *rt)
{
    const pw_resolved_t *resolved = pw_config_server(s)->resolved;
    const apr_array_header_t *users = resolved->control_users;
    console_t *c = apr_pcalloc(pchild, sizeof(*c));
    int generation = 0;

    ap_mpm_query(AP_MPMQ_GENERATION, &generation);
    c->resolved = resolved;
    c->rt = rt;
    c->generation = generation;
    c->server =
        pw_census_clean(pchild, s->server_hostname ? s->server_hostname : "");
    c->setup = (pw_control_setup_t){
        .path = socket_path(pchild, resolved->control_dir, (long)getpid()),
        .mode = pw_config_server(s)->control_users->nelts > 0 ? 0666 : 0600,
        .users = (const uid_t *)users->elts,
        .user_count = users->nelts,
        .log = &resolved->map.log,
        .baton = c,
        .answer = answer,
    };
    return c;
}

pw_control_t *pw_console_start(server_rec *s, apr_pool_t *pchild,
                               pw_runtime_t *rt)
{
    pw_control_t *control = NULL;
    console_t *c;
    apr_status_t rv;

    if (!pw_config_server(s)->resolved->control_dir) {
        return NULL;
    }
    c = new_console(s, pchild, rt);
    rv = pw_control_start(pchild, &c->setup, &control);
    if (rv == APR_ENAMETOOLONG) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "PW0171 polywsgi: %s is longer than the name of a socket "
                     "may be; this child has no control socket. Mend: a "
                     "shorter DefaultRuntimeDir",
                     c->setup.path);
    }
    else if (rv != APR_SUCCESS) {
        ap_log_error(
            APLOG_MARK, APLOG_WARNING, rv, s,
            "PW0172 polywsgi: no control socket %s; this child serves, "
            "and the command polywsgi cannot ask it",
            c->setup.path);
    }
    return control;
}
