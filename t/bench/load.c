/* SPDX-License-Identifier: Apache-2.0
 *
 * load: clients over keep-alive connections to 127.0.0.1, one thread, epoll.
 *
 *   load [-c CONNECTIONS] [-t SECONDS] [-w WARM-UP] [-r RATE] [-p PID,PID]
 *        PORT FILE ...
 *
 * A FILE holds one request, byte for byte. Closed loop: each connection sends
 * its request again as soon as the answer is there. With -r an open loop: RATE
 * requests a second fall due whether or not the answers come, the files taking
 * turns, and the time of each counts from when it was due (a server that
 * stalls is not spared the requests that would have come meanwhile). The
 * answers have a Content-Length; any other, and any status but 200, is an
 * error. Prints JSON: counts and percentiles (us) of all and of each file, and
 * the CPU time (us) that the processes -p used in the measured time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 16384
#define PIDS_MAX 256
#define SECOND 1000000000ll
/* What is still unanswered so long after the end of the load is an error. */
#define PATIENCE (20 * SECOND)

typedef int64_t nanos_t;

/* What was measured of one file. */
typedef struct sample_t {
    uint32_t *us; /* grows */
    size_t count;
    size_t room;
    unsigned long errors;
} sample_t;

typedef struct kind_t {
    const char *name;
    char *bytes;
    size_t len;
    sample_t sample;
} kind_t;

typedef struct conn_t {
    int fd;
    int used;        /* an answer came over it: it may be stale */
    int waits_write; /* epoll is asked for room to write */
    kind_t *kind;    /* the request under way, or NULL */
    size_t sent;
    nanos_t begun; /* open loop: when it was due */
    char head[HEAD_MAX];
    size_t have;    /* bytes of the head */
    int64_t remain; /* bytes of the body to come; -1: the head is not whole */
    int bad;        /* not 200 */
    int closes;     /* the server said so */
} conn_t;

typedef struct load_t {
    struct sockaddr_in to;
    int epoll;
    int timer;
    int nconns;
    int nkinds; /* distinct files */
    int nturns; /* files as given */
    conn_t *conns;
    conn_t **idle; /* open loop: a stack */
    int nidle;
    kind_t *kinds;
    kind_t **turns;
    double seconds;
    double warm;
    double rate;
    nanos_t start;
    nanos_t first; /* measured from here */
    nanos_t last;  /* to here */
    int64_t due;   /* open loop: number of the next request */
    int flying;
    int pids[PIDS_MAX];
    int npids;
    nanos_t cpu_first;
    nanos_t cpu_last;
    unsigned long resent;
    char bad[64]; /* the first answer that was an error: how its head begins */
} load_t;

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static nanos_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * SECOND + ts.tv_nsec;
}

/* ---- the servers' CPU clocks ------------------------------------------- */

/* clock_getcpuclockid(3) of a process, threads that ended included. */
static nanos_t cpu_of(int pid)
{
    struct timespec ts;
    clockid_t id;

    if (clock_getcpuclockid(pid, &id) != 0 || clock_gettime(id, &ts) != 0) {
        return 0;
    }
    return ts.tv_sec * SECOND + ts.tv_nsec;
}

static nanos_t cpu_of_all(const load_t *l)
{
    nanos_t sum = 0;

    for (int i = 0; i < l->npids; i++) {
        sum += cpu_of(l->pids[i]);
    }
    return sum;
}

/* A short load of slow requests goes on until one is answered. */
static void extend(load_t *l, nanos_t t)
{
    for (int i = 0; i < l->nkinds; i++) {
        if (l->kinds[i].sample.count || l->kinds[i].sample.errors) {
            return;
        }
    }
    if (t + SECOND / 20 >= l->last && t < l->start + PATIENCE && l->rate <= 0) {
        l->last = t + SECOND / 10;
    }
}

/* Reads the clocks when the measured time begins, and when it ends. */
static void read_clocks(load_t *l, nanos_t t)
{
    if (!l->cpu_first && t >= l->first) {
        l->cpu_first = cpu_of_all(l);
        l->first = now();
    }
    if (!l->cpu_last && t >= l->last) {
        l->cpu_last = cpu_of_all(l);
        l->last = now();
    }
}

/* ---- what is measured -------------------------------------------------- */

static void keep(sample_t *s, nanos_t took)
{
    if (s->count == s->room) {
        s->room = s->room ? 2 * s->room : 4096;
        s->us = realloc(s->us, s->room * sizeof(*s->us));
        if (!s->us) {
            die("memory");
        }
    }
    s->us[s->count++] = (uint32_t)(took / 1000);
}

/* Closed loop: by when it ended. Open loop: by when it was due. */
static int counts(const load_t *l, const conn_t *c, nanos_t t)
{
    nanos_t at = l->rate > 0 ? c->begun : t;

    return at >= l->first && at < l->last;
}

static void remember(load_t *l, const conn_t *c)
{
    size_t len = strcspn(c->head, "\r\n\"\\");

    if (!l->bad[0]) {
        snprintf(l->bad, sizeof(l->bad), "%.*s", (int)(len < 60 ? len : 60),
                 c->have ? c->head : "no answer");
    }
}

static void note(load_t *l, conn_t *c, nanos_t t, int good)
{
    if (!good) {
        c->kind->sample.errors++;
        remember(l, c);
    }
    else if (counts(l, c, t)) {
        keep(&c->kind->sample, t - c->begun);
    }
}

/* ---- connections ------------------------------------------------------- */

static void watch(load_t *l, conn_t *c, int how, int writing)
{
    struct epoll_event e = {.events = EPOLLIN | (writing ? EPOLLOUT : 0),
                            .data.ptr = c};

    c->waits_write = writing;
    if (epoll_ctl(l->epoll, how, c->fd, &e) < 0) {
        die("epoll_ctl");
    }
}

static void dial(load_t *l, conn_t *c)
{
    int on = 1;

    if (c->fd >= 0) {
        close(c->fd);
    }
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0
        || connect(c->fd, (struct sockaddr *)&l->to, sizeof(l->to)) < 0) {
        die("connect");
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->used = 0;
    watch(l, c, EPOLL_CTL_ADD, 0);
}

/* 0, or -1 where the connection is gone. */
static int push(load_t *l, conn_t *c)
{
    const kind_t *k = c->kind;

    while (c->sent < k->len) {
        ssize_t n =
            send(c->fd, k->bytes + c->sent, k->len - c->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            break;
        }
        c->sent += (size_t)n;
    }
    if (c->sent < k->len && errno != EAGAIN) {
        return -1;
    }
    if (c->waits_write != (c->sent < k->len)) {
        watch(l, c, EPOLL_CTL_MOD, c->sent < k->len);
    }
    return 0;
}

static void resend(load_t *l, conn_t *c)
{
    c->sent = 0;
    c->have = 0;
    c->remain = -1;
    c->bad = 0;
    c->closes = 0;
    push(l, c); /* one that is gone shows when it is read */
}

static void begin(load_t *l, conn_t *c, kind_t *kind, nanos_t t)
{
    c->kind = kind;
    c->begun = t;
    l->flying++;
    resend(l, c);
}

/* ---- the loop's next request ------------------------------------------- */

static nanos_t due_time(const load_t *l, int64_t number)
{
    return l->start + (nanos_t)((double)number / l->rate * (double)SECOND);
}

/* Sends what has fallen due while there are idle connections. */
static void send_due(load_t *l)
{
    nanos_t t = now();

    while (l->nidle > 0) {
        nanos_t at = due_time(l, l->due);

        if (at > t || at >= l->last) {
            return;
        }
        begin(l, l->idle[--l->nidle], l->turns[l->due % l->nturns], at);
        l->due++;
    }
}

static void set_timer(load_t *l)
{
    nanos_t at = due_time(l, l->due);
    struct itimerspec when = {
        .it_value = {.tv_sec = at / SECOND, .tv_nsec = at % SECOND}};

    timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void go_on(load_t *l, conn_t *c, nanos_t t)
{
    if (l->rate > 0) {
        c->kind = NULL;
        l->idle[l->nidle++] = c;
    }
    else if (t < l->last) {
        begin(l, c, l->turns[(c - l->conns) % l->nturns], t);
    }
    else {
        c->kind = NULL;
    }
}

static void finish(load_t *l, conn_t *c, int good)
{
    nanos_t t = now();
    int whole = good && c->sent == c->kind->len;

    note(l, c, t, good && !c->bad);
    l->flying--;
    c->used = 1;
    if (!whole || c->closes) {
        dial(l, c);
    }
    go_on(l, c, t);
}

/* ---- answers ----------------------------------------------------------- */

/* The value of a header in a whole head, or NULL. */
static const char *header(const char *head, const char *name)
{
    const char *line = head;

    while ((line = strstr(line, "\r\n")) != NULL) {
        line += 2;
        if (strncasecmp(line, name, strlen(name)) == 0
            && line[strlen(name)] == ':') {
            line += strlen(name) + 1;
            return line + strspn(line, " \t");
        }
    }
    return NULL;
}

/* Once the head is whole: 0, or -1 for what this client cannot take. */
static int read_head(conn_t *c, const char *end)
{
    const char *length = header(c->head, "Content-Length");
    const char *connection = header(c->head, "Connection");

    if (!length || strncmp(c->head, "HTTP/1.", 7) != 0) {
        return -1;
    }
    c->bad = strncmp(c->head + 8, " 200", 4) != 0;
    c->closes = connection && strncasecmp(connection, "close", 5) == 0;
    c->remain = atoll(length) - (int64_t)(c->head + c->have - end);
    return c->remain < 0 ? -1 : 0;
}

/* -1: an answer that is none; else the bytes taken, 0 at the end of stream. */
static ssize_t take_head(conn_t *c)
{
    ssize_t n = recv(c->fd, c->head + c->have, HEAD_MAX - 1 - c->have, 0);
    const char *end;

    if (n <= 0) {
        return n;
    }
    c->have += (size_t)n;
    c->head[c->have] = 0;
    end = strstr(c->head, "\r\n\r\n");
    if (end ? read_head(c, end + 4) < 0 : c->have == HEAD_MAX - 1) {
        errno = EPROTO;
        return -1;
    }
    return n;
}

/* MSG_TRUNC: the kernel drops the bytes, nothing is copied. */
static ssize_t take_body(conn_t *c)
{
    ssize_t n = recv(c->fd, NULL, (size_t)c->remain, MSG_TRUNC);

    if (n > 0) {
        c->remain -= n;
    }
    return n;
}

/* The stream ended or broke. A server may close a connection that was idle
 * at any time, and then the request goes over another. */
static void lost(load_t *l, conn_t *c)
{
    if (c->used && c->have == 0) {
        l->resent++;
        dial(l, c);
        resend(l, c);
        return;
    }
    finish(l, c, 0);
}

static void receive(load_t *l, conn_t *c)
{
    while (c->kind && c->remain != 0) {
        ssize_t n = c->remain < 0 ? take_head(c) : take_body(c);

        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            lost(l, c);
            return;
        }
    }
    if (c->kind) {
        finish(l, c, 1);
    }
}

/* An idle connection is readable: closed by the server. */
static void react(load_t *l, conn_t *c, uint32_t events)
{
    if (!c->kind) {
        dial(l, c);
        return;
    }
    if ((events & EPOLLOUT) && push(l, c) < 0) {
        lost(l, c);
        return;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        receive(l, c);
    }
}

/* ---- the run ----------------------------------------------------------- */

static int goes_on(const load_t *l, nanos_t t)
{
    return t < l->last
           || (l->rate > 0 && l->flying > 0 && t < l->last + PATIENCE);
}

static void start(load_t *l)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};

    l->start = now();
    l->first = l->start + (nanos_t)(l->warm * (double)SECOND);
    l->last = l->first + (nanos_t)(l->seconds * (double)SECOND);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->timer, &e);
    for (int i = 0; i < l->nconns; i++) {
        l->conns[i].fd = -1;
        dial(l, &l->conns[i]);
        go_on(l, &l->conns[i], l->start);
    }
}

/* What happened, and what has fallen due. */
static void turn(load_t *l)
{
    struct epoll_event events[64];
    int n = epoll_wait(l->epoll, events, 64, 20);
    uint64_t ticks;

    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr) {
            react(l, events[i].data.ptr, events[i].events);
        }
        else if (read(l->timer, &ticks, sizeof(ticks)) < 0) {
            continue;
        }
    }
    if (l->rate > 0) {
        send_due(l);
        set_timer(l);
    }
}

static void run(load_t *l)
{
    start(l);
    for (nanos_t t = l->start; goes_on(l, t); t = now()) {
        turn(l);
        extend(l, now());
        read_clocks(l, now());
    }
    read_clocks(l, now());
    for (int i = 0; l->rate > 0 && i < l->nconns; i++) {
        if (l->conns[i].kind) {
            l->conns[i].kind->sample.errors++; /* never answered */
        }
    }
}

/* ---- the report -------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static unsigned long part(const sample_t *s, double share)
{
    size_t at = (size_t)(share * (double)s->count);

    return s->count ? s->us[at < s->count ? at : s->count - 1] : 0;
}

static void print_sample(sample_t *s)
{
    if (s->count) {
        qsort(s->us, s->count, sizeof(*s->us), compare);
    }
    printf("\"requests\": %zu, \"errors\": %lu, \"p50\": %lu, \"p90\": %lu, "
           "\"p99\": %lu, \"p999\": %lu, \"max\": %lu",
           s->count, s->errors, part(s, 0.5), part(s, 0.9), part(s, 0.99),
           part(s, 0.999), part(s, 1));
}

static void report(load_t *l)
{
    sample_t all = {0};

    printf("{\"seconds\": %.6f, \"cpu\": %lld, \"resent\": %lu, "
           "\"bad\": \"%s\", \"files\": [",
           (double)(l->last - l->first) / (double)SECOND,
           (long long)(l->cpu_last - l->cpu_first) / 1000, l->resent, l->bad);
    for (int i = 0; i < l->nkinds; i++) {
        sample_t *s = &l->kinds[i].sample;

        for (size_t j = 0; j < s->count; j++) {
            keep(&all, (nanos_t)s->us[j] * 1000);
        }
        all.errors += s->errors;
        printf("%s{\"file\": \"%s\", ", i ? ", " : "", l->kinds[i].name);
        print_sample(s);
        printf("}");
    }
    printf("], ");
    print_sample(&all);
    printf("}\n");
}

/* ---- the command line -------------------------------------------------- */

static void read_file(kind_t *k)
{
    FILE *f = fopen(k->name, "rb");
    struct stat st;

    if (!f || fstat(fileno(f), &st) < 0) {
        die(k->name);
    }
    k->len = (size_t)st.st_size;
    k->bytes = malloc(k->len + 1);
    if (!k->bytes || fread(k->bytes, 1, k->len, f) != k->len) {
        die(k->name);
    }
    fclose(f);
}

static kind_t *kind_named(load_t *l, const char *name)
{
    for (int i = 0; i < l->nkinds; i++) {
        if (strcmp(l->kinds[i].name, name) == 0) {
            return &l->kinds[i];
        }
    }
    l->kinds[l->nkinds].name = name;
    read_file(&l->kinds[l->nkinds]);
    return &l->kinds[l->nkinds++];
}

static void read_pids(load_t *l, char *list)
{
    for (char *p = strtok(list, ","); p && l->npids < PIDS_MAX;
         p = strtok(NULL, ",")) {
        l->pids[l->npids++] = atoi(p);
    }
}

static void read_options(load_t *l, int argc, char **argv)
{
    int c;

    while ((c = getopt(argc, argv, "c:t:w:r:p:")) != -1) {
        switch (c) {
        case 'c':
            l->nconns = atoi(optarg);
            break;
        case 't':
            l->seconds = atof(optarg);
            break;
        case 'w':
            l->warm = atof(optarg);
            break;
        case 'r':
            l->rate = atof(optarg);
            break;
        case 'p':
            read_pids(l, optarg);
            break;
        default:
            exit(2);
        }
    }
    if (argc - optind < 2 || l->nconns < 1) {
        fprintf(stderr, "load: PORT FILE ...; see the head of load.c\n");
        exit(2);
    }
}

static void read_files(load_t *l, int count, char **names)
{
    l->nturns = count;
    l->kinds = calloc((size_t)count, sizeof(kind_t));
    l->turns = calloc((size_t)count, sizeof(kind_t *));
    l->conns = calloc((size_t)l->nconns, sizeof(conn_t));
    l->idle = calloc((size_t)l->nconns, sizeof(conn_t *));
    if (!l->kinds || !l->turns || !l->conns || !l->idle) {
        die("memory");
    }
    for (int i = 0; i < count; i++) {
        l->turns[i] = kind_named(l, names[i]);
    }
}

int main(int argc, char **argv)
{
    load_t l = {.nconns = 8, .seconds = 1};

    read_options(&l, argc, argv);
    l.to.sin_family = AF_INET;
    l.to.sin_port = htons((uint16_t)atoi(argv[optind]));
    l.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    l.epoll = epoll_create1(0);
    if (l.epoll < 0) {
        die("epoll_create1");
    }
    read_files(&l, argc - optind - 1, argv + optind + 1);
    run(&l);
    report(&l);
    return 0;
}
