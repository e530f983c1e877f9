/* SPDX-License-Identifier: Apache-2.0
 *
 * test_control: a control socket in a directory of its own, and clients of every
 * kind, which are played by this process.
 */
#include "pw_control.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "pw_lock.h"
#include "tap.h"

#define BIG (4 * 1024 * 1024)

static apr_pool_t *pool;
static const char *path;
static int records;

static void write_log(void *where, pw_log_level_e level, const char *line)
{
    (void)where;
    (void)level;
    (void)line;
    records++;
}

static const pw_log_t test_log = {.write = write_log};

static int answering; /* atomic: a slow answer has begun */

static const char *answer(void *baton, const char *command,
                          const char *argument, pw_text_t *to)
{
    (void)baton;
    if (!strcmp(command, "big")) {
        char *text = malloc(BIG + 1);

        memset(text, 'x', BIG);
        text[BIG] = '\0';
        pw_text_json(to, text);
        free(text);
        return NULL;
    }
    if (!strcmp(command, "slow")) {
        __atomic_store_n(&answering, 1, __ATOMIC_SEQ_CST);
        apr_sleep(5 * APR_USEC_PER_SEC / 2); /* more than a line's time */
    }
    if (!strcmp(command, "no")) {
        pw_text_add(to, "half an answer");
        return "no, \"really\"";
    }
    pw_text_json(to, argument);
    return NULL;
}

static uid_t me;
static pw_control_setup_t setup = {
    .mode = 0600,
    .users = &me,
    .user_count = 1,
    .log = &test_log,
    .answer = answer,
};

static pw_control_t *start(void)
{
    pw_control_t *control = NULL;

    me = geteuid();
    setup.path = path;
    ok(pw_control_start(pool, &setup, &control) == APR_SUCCESS, "it starts");
    return control;
}

static int dial(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    apr_cpystrn(address.sun_path, path, sizeof(address.sun_path));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void say(int fd, const char *bytes, size_t len)
{
    (void)!send(fd, bytes, len, MSG_NOSIGNAL);
}

/* Up to the end; the connection is closed. */
static char *hear(int fd)
{
    char *text = calloc(1, BIG + 1000);
    size_t len = 0;
    ssize_t n;

    do {
        n = recv(fd, text + len, BIG + 999 - len, 0);
        len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    close(fd);
    return text;
}

static void check(const char *line, size_t len, const char *expected)
{
    int fd = dial();
    char *text;
    char *want = apr_psprintf(pool, "{\"protocol\":1,\"pid\":%ld,%s}\n",
                              (long)getpid(), expected);

    say(fd, line, len);
    text = hear(fd);
    if (!ok(!strcmp(text, want), "answers %s", expected)) {
        printf("# it says %s", text);
    }
    free(text);
}

#define CHECK(line, expected) check(line, sizeof(line) - 1, expected)
#define VERSION_ERROR                                                          \
    "\"error\":\"not the protocol, of which this is version 1\""

static void test_lines(void)
{
    pw_control_t *c = start();
    struct stat st;

    ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "its mode");
    CHECK("1 echo some words\n", "\"echo\":\"some words\"");
    CHECK("1 echo\n", "\"echo\":\"\"");
    CHECK("1 echo a\nmore", "\"echo\":\"a\"");
    CHECK("1 no\n", "\"error\":\"no, \\\"really\\\"\"");
    CHECK("1 \"\\\n", "\"\\\"\\\\\":\"\"");
    CHECK("1\n", "\"\":\"\"");
    CHECK("2 echo\n", VERSION_ERROR);
    CHECK("\n", VERSION_ERROR);
    CHECK("1 ec\0ho\n", VERSION_ERROR);
    pw_control_stop(c);
    ok(stat(path, &st) != 0, "the socket is gone");
}

static void test_pieces(void)
{
    pw_control_t *c = start();
    char *long_line = malloc(4000);
    char *text;
    int fd = dial();

    for (const char *p = "1 echo in pieces\n"; *p; p++) {
        say(fd, p, 1);
        apr_sleep(1000);
    }
    text = hear(fd);
    ok(strstr(text, "\"in pieces\""), "a line in pieces");
    free(text);
    memset(long_line, 'x', 4000);
    fd = dial();
    say(fd, long_line, 4000);
    text = hear(fd);
    ok(strstr(text, "version 1"), "a line that does not end");
    free(text);
    free(long_line);
    fd = dial();
    say(fd, "1 echo", 6);
    shutdown(fd, SHUT_WR);
    text = hear(fd);
    ok(strstr(text, "version 1"), "half a line, and the end");
    free(text);
    pw_control_stop(c);
}

/* Who reads slowly, or not at all, is in nobody's way. */
static void test_big(void)
{
    pw_control_t *c = start();
    int lazy = dial(), fd = dial();
    char *text;

    say(lazy, "1 big\n", 6);
    say(fd, "1 big\n", 6);
    CHECK("1 echo x\n", "\"echo\":\"x\"");
    text = hear(fd);
    ok(strlen(text) > BIG && strstr(text, "xxx\"}\n"), "a big answer is whole");
    free(text);
    fd = dial();
    say(fd, "1 big\n", 6);
    close(fd);
    CHECK("1 echo y\n", "\"echo\":\"y\"");
    pw_control_stop(c);
    close(lazy);
}

#define SILENT 200

static int descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 1000; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

/* Many who say nothing are in nobody's way, and do not become many here. */
static void test_silence(void)
{
    pw_control_t *c = start();
    pw_instant_t from = pw_now();
    int before = descriptors();
    int idle[SILENT], most = 0;
    char byte;

    for (int i = 0; i < SILENT; i++) {
        idle[i] = dial();
        if (descriptors() - before - i - 1 > most) {
            most = descriptors() - before - i - 1;
        }
    }
    CHECK("1 echo z\n", "\"echo\":\"z\"");
    ok(pw_now() - from < 10 * APR_USEC_PER_SEC, "they wait for nobody's time");
    ok(most > 0 && most <= 32, "few are held at once: %d", most);
    ok(recv(idle[0], &byte, 1, 0) == 0, "they are sent away without a word");
    for (int i = 0; i < SILENT; i++) {
        close(idle[i]);
    }
    CHECK("1 echo z\n", "\"echo\":\"z\"");
    pw_control_stop(c);
}

/* A line in time is answered, whatever another's answer has taken. */
static void test_slow_answer(void)
{
    pw_control_t *c = start();
    int before = descriptors(), slow = dial(), other = dial();
    char *text;

    while (descriptors() < before + 4) { /* both are let in */
        sched_yield();
    }
    say(slow, "1 slow\n", 7);
    while (!__atomic_load_n(&answering, __ATOMIC_SEQ_CST)) {
        sched_yield();
    }
    say(other, "1 echo late\n", 12);
    text = hear(other);
    ok(strstr(text, "\"late\"") != NULL, "it was only waiting for its turn");
    free(text);
    text = hear(slow);
    ok(strstr(text, "\"slow\"") != NULL, "and so is the slow one");
    free(text);
    pw_control_stop(c);
}

static void test_refused(void)
{
    pw_control_t *c = start();
    int before = records;
    char *text;

    me = geteuid() + 1;
    for (int i = 0; i < 200; i++) {
        int fd = dial();

        say(fd, "1 echo secret\n", 14);
        text = hear(fd);
        if (!strstr(text, "you may not ask") || strstr(text, "secret")) {
            ok(0, "refused: %s", text);
        }
        free(text);
    }
    ok(records == before + 1, "200 are refused, with one record");
    pw_control_stop(c);
    setup.user_count = 1;
}

static void test_paths(void)
{
    pw_control_t *c = NULL;
    char *name = memset(apr_palloc(pool, 200), 'x', 199);
    int fd;

    name[199] = '\0';
    setup.path = name;
    ok(!pw_control_fits(name), "a name may be too long");
    ok(pw_control_start(pool, &setup, &c) == APR_ENAMETOOLONG && !c,
       "and then there is none");
    ok(!pw_control_is_dead(path), "no file is not dead");
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    ok(!pw_control_is_dead(path), "nor is one that is no socket");
    c = start();
    ok(!pw_control_is_dead(path), "nor one that answers");
    pw_control_stop(c);
    pw_control_stop(NULL);
    setup.path = "/nonexistent/1.sock";
    ok(pw_control_start(pool, &setup, &c) == ENOENT && !c, "no directory");
}

static int was_dead, listened;

/* In place of the C library's: looks at what others see just before. */
int listen(int fd, int backlog)
{
    listened++;
    was_dead += pw_control_is_dead(path);
    return (int)syscall(SYS_listen, fd, backlog);
}

/* Who finds a socket that refuses removes it. */
static void test_start(void)
{
    pw_control_t *c;

    listened = 0;
    c = start();
    ok(listened == 1 && was_dead == 0,
       "a socket that does not listen yet does not look dead");
    pw_control_stop(c);
}

int main(void)
{
    char dir[] = "/tmp/pw_control_XXXXXX";

    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (!mkdtemp(dir)) {
        return 1;
    }
    path = apr_pstrcat(pool, dir, "/1.sock", NULL);
    test_lines();
    test_pieces();
    test_big();
    test_silence();
    test_slow_answer();
    test_refused();
    test_start();
    test_paths();
    rmdir(dir);
    apr_terminate();
    return tap_done();
}
