/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_control: one thread around poll(). It owns the clients; nobody else reads
 * or writes anything here but the pipe that ends it.
 */
#include "pw_control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "pw_lock.h"

#define CLIENTS_MAX 32
#define BACKLOG 64
#define LINE_TIME (2 * APR_USEC_PER_SEC)   /* for its line to come */
#define CROWD_TIME (APR_USEC_PER_SEC / 10) /* the same, where others wait */
#define ANSWER_TIME (5 * APR_USEC_PER_SEC) /* for the answer to be taken */
#define PAUSE APR_USEC_PER_SEC             /* where no descriptor is left */
#define REFUSALS_EVERY (60 * APR_USEC_PER_SEC)

typedef struct client_t {
    int fd;
    pw_instant_t deadline;
    int got; /* bytes of the line */
    char line[PW_CONTROL_LINE + 1];
    apr_pool_t *pool; /* of the answer; NULL: the line is not there yet */
    pw_text_t answer; /* in it */
    apr_size_t sent;  /* of the answer */
} client_t;

struct pw_control_t {
    const pw_control_setup_t *setup; /* const: */
    pthread_t thread;                /* const: */
    int listener;                    /* const: */
    int stop[2];                     /* const: a pipe; closed to end it */
    client_t clients[CLIENTS_MAX];   /* control: the first `count` */
    int count;                       /* control: */
    pw_instant_t accept_at;          /* control: not before */
    pw_instant_t refused_at;         /* control: the last record of it; 0 */
};

/* ---- the answer -------------------------------------------------------- */

static void begin_answer(pw_text_t *to)
{
    pw_text_addf(to, "{\"protocol\":1,\"pid\":%ld,", (long)getpid());
}

static void add_error(pw_text_t *to, const char *error)
{
    pw_text_add(to, "\"error\":");
    pw_text_json(to, error);
}

/* Splits off a word; the rest stays in *line. */
static char *next_word(char **line)
{
    char *word = *line;

    *line += strcspn(word, " ");
    if (**line) {
        *(*line)++ = '\0';
    }
    return word;
}

/* The line is terminated, without its newline. */
static void answer_line(const pw_control_t *c, char *line, pw_text_t *to)
{
    char *version = next_word(&line);
    char *command = next_word(&line);
    apr_size_t begun;
    const char *error;

    begin_answer(to);
    if (strcmp(version, "1") != 0) {
        add_error(to, "not the protocol, of which this is version 1");
    }
    else {
        begun = to->len;
        pw_text_json(to, command);
        pw_text_add(to, ":");
        error = c->setup->answer(c->setup->baton, command, line, to);
        if (error) {
            to->len = begun;
            add_error(to, error);
        }
    }
    pw_text_add(to, "}\n");
}

/* ---- clients ----------------------------------------------------------- */

/* The last one takes its place. */
static void drop_client(pw_control_t *c, int i)
{
    close(c->clients[i].fd);
    if (c->clients[i].pool) {
        apr_pool_destroy(c->clients[i].pool);
    }
    c->clients[i] = c->clients[--c->count];
}

/* 0: it is to be dropped. */
static int send_answer(client_t *client)
{
    ssize_t n =
        send(client->fd, client->answer.bytes + client->sent,
             client->answer.len - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    client->sent += (apr_size_t)n;
    return client->sent < client->answer.len;
}

/* Whatever is no line is one that says nothing. */
static int make_answer(const pw_control_t *c, client_t *client)
{
    char *end = memchr(client->line, '\n', (size_t)client->got);

    if (!end || memchr(client->line, '\0', (size_t)client->got)) {
        end = client->line;
    }
    *end = '\0';
    if (apr_pool_create_unmanaged_ex(&client->pool, NULL, NULL)
        != APR_SUCCESS) {
        return 0;
    }
    apr_pool_tag(client->pool, "polywsgi_control");
    pw_text_init(&client->answer, client->pool);
    answer_line(c, client->line, &client->answer);
    client->deadline = pw_now() + ANSWER_TIME;
    return send_answer(client);
}

static int read_line(const pw_control_t *c, client_t *client)
{
    ssize_t n = recv(client->fd, client->line + client->got,
                     (size_t)(PW_CONTROL_LINE - client->got), MSG_DONTWAIT);

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    client->got += (int)n;
    if (n > 0 && client->got < PW_CONTROL_LINE
        && !memchr(client->line, '\n', (size_t)client->got)) {
        return 1;
    }
    return make_answer(c, client);
}

/* ---- who may ask ------------------------------------------------------- */

static int may_ask(const pw_control_t *c, int fd, uid_t *uid)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    *uid = (uid_t)-1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        return 0;
    }
    *uid = peer.uid;
    for (int i = 0; i < c->setup->user_count; i++) {
        if (c->setup->users[i] == peer.uid) {
            return 1;
        }
    }
    return 0;
}

static void refuse(pw_control_t *c, int fd, uid_t uid)
{
    static const char words[] =
        "\"error\":\"you may not ask: root may, the user who started httpd, "
        "and those whom WSGIControlUser names\"}\n";
    char text[256], line[PW_CONTROL_LINE];
    pw_instant_t now = pw_now();
    int len = snprintf(text, sizeof(text), "{\"protocol\":1,\"pid\":%ld,%s",
                       (long)getpid(), words);

    /* Unread, its line would turn the end into a reset. Who has gone hears
     * nothing. */
    (void)!recv(fd, line, sizeof(line), MSG_DONTWAIT);
    (void)!send(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (c->refused_at == 0 || now - c->refused_at >= REFUSALS_EVERY) {
        c->refused_at = now;
        pw_log(c->setup->log, PW_LOG_INFO,
               "PW0174 polywsgi: user %ld has asked on the control socket, "
               "and may not; no answer but that. Mend: WSGIControlUser, if "
               "that user is to",
               (long)uid);
    }
}

static void accept_one(pw_control_t *c)
{
    int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    client_t *client = &c->clients[c->count];
    uid_t uid;

    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            c->accept_at = pw_now() + PAUSE;
        }
        return;
    }
    if (!may_ask(c, fd, &uid)) {
        refuse(c, fd, uid);
        close(fd);
        return;
    }
    memset(client, 0, sizeof(*client));
    client->fd = fd;
    client->deadline = pw_now() + LINE_TIME;
    c->count++;
}

/* ---- the thread -------------------------------------------------------- */

/* Where all places are taken, who says nothing gives its place up soon: as many
 * as like to be silent do not keep one away who asks. */
static pw_instant_t deadline_of(const pw_control_t *c, const client_t *client)
{
    if (c->count == CLIENTS_MAX && !client->pool) {
        return client->deadline - (LINE_TIME - CROWD_TIME);
    }
    return client->deadline;
}

#define STOP 0
#define LISTENER 1
#define FIRST 2

static int wait_time(const pw_control_t *c, pw_instant_t now)
{
    pw_instant_t next = c->accept_at > now ? c->accept_at : PW_NEVER;

    for (int i = 0; i < c->count; i++) {
        pw_instant_t own = deadline_of(c, &c->clients[i]);

        next = own < next ? own : next;
    }
    if (next == PW_NEVER) {
        return -1;
    }
    return next > now ? (int)((next - now) / 1000) + 1 : 0;
}

static int fill(const pw_control_t *c, struct pollfd *fds, pw_instant_t now)
{
    int accepts = c->count < CLIENTS_MAX && c->accept_at <= now;

    fds[STOP] = (struct pollfd){.fd = c->stop[0], .events = POLLIN};
    fds[LISTENER] =
        (struct pollfd){.fd = accepts ? c->listener : -1, .events = POLLIN};
    for (int i = 0; i < c->count; i++) {
        fds[FIRST + i] =
            (struct pollfd){.fd = c->clients[i].fd,
                            .events = c->clients[i].pool ? POLLOUT : POLLIN};
    }
    return FIRST + c->count;
}

/* From the last to the first: one that is dropped moves only those that have
 * had their turn. now: of the poll, for an answer may take a while, and what
 * has come meanwhile is not late. */
static void serve(pw_control_t *c, const struct pollfd *fds, pw_instant_t now)
{
    for (int i = c->count - 1; i >= 0; i--) {
        client_t *client = &c->clients[i];
        int stays = 1;

        if (fds[FIRST + i].revents) {
            stays = client->pool ? send_answer(client) : read_line(c, client);
        }
        if (!stays || now >= deadline_of(c, client)) {
            drop_client(c, i);
        }
    }
}

static void *control_main(void *control)
{
    pw_control_t *c = control;
    struct pollfd fds[FIRST + CLIENTS_MAX];

    for (;;) {
        pw_instant_t now = pw_now();
        int n = fill(c, fds, now);

        if (poll(fds, (nfds_t)n, wait_time(c, now)) < 0) {
            continue; /* a signal */
        }
        if (fds[STOP].revents) {
            break;
        }
        serve(c, fds, pw_now());
        if (fds[LISTENER].revents) {
            accept_one(c);
        }
    }
    while (c->count > 0) {
        drop_client(c, c->count - 1);
    }
    return NULL;
}

/* ---- start and end ----------------------------------------------------- */

int pw_control_fits(const char *path)
{
    struct sockaddr_un address;

    return strlen(path) + 1 < sizeof(address.sun_path); /* and a '~' */
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    return address;
}

int pw_control_is_dead(const char *path)
{
    struct sockaddr_un address = address_of(path);
    struct stat st;
    int fd, dead;

    if (!pw_control_fits(path) || lstat(path, &st) != 0
        || !S_ISSOCK(st.st_mode)) {
        return 0;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return 0;
    }
    dead = connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0
           && errno == ECONNREFUSED;
    close(fd);
    return dead;
}

/* The socket gets its name when it listens: before that it refuses, as one does
 * whose process is gone, and who asks then takes its file away. */
static apr_status_t bind_socket(pw_control_t *c)
{
    const char *path = c->setup->path;
    struct sockaddr_un address = address_of(path);

    address.sun_path[strlen(path)] = '~';
    if (unlink(address.sun_path) != 0 && errno != ENOENT) {
        return errno;
    }
    if (bind(c->listener, (struct sockaddr *)&address, sizeof(address)) != 0
        || chmod(address.sun_path, (mode_t)c->setup->mode) != 0
        || listen(c->listener, BACKLOG) != 0
        || rename(address.sun_path, path) != 0) {
        return errno;
    }
    return APR_SUCCESS;
}

static apr_status_t start_thread(pw_control_t *c)
{
    sigset_t all, old;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&c->thread, NULL, control_main, c);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

static void close_all(const pw_control_t *c)
{
    close(c->listener);
    close(c->stop[0]);
    close(c->stop[1]);
}

apr_status_t pw_control_start(apr_pool_t *cpool,
                              const pw_control_setup_t *setup,
                              pw_control_t **control)
{
    pw_control_t *c = apr_pcalloc(cpool, sizeof(*c));
    apr_status_t rv;

    *control = NULL;
    if (!pw_control_fits(setup->path)) {
        return APR_ENAMETOOLONG;
    }
    c->setup = setup;
    if (pipe2(c->stop, O_CLOEXEC) != 0) {
        return errno;
    }
    c->listener =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    rv = c->listener < 0 ? errno : bind_socket(c);
    if (rv == APR_SUCCESS) {
        rv = start_thread(c);
    }
    if (rv != APR_SUCCESS) {
        close_all(c);
        return rv;
    }
    *control = c;
    return APR_SUCCESS;
}

void pw_control_stop(pw_control_t *c)
{
    if (!c || write(c->stop[1], "", 1) != 1) {
        return; /* it ends with the process */
    }
    pthread_join(c->thread, NULL);
    unlink(c->setup->path);
    close_all(c);
}
