/* SPDX-License-Identifier: Apache-2.0
 *
 * test_growth: when a pool grows and shrinks, by a clock of the test's own; and
 * how many processors control groups allow.
 */
#include "pw_growth.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pw_cores.h"
#include "tap.h"

enum { LEAST = 1, MOST = 3 };

static pw_growth_t growth;
static pw_pool_look_t look;
static pw_instant_t now;
static apr_uint64_t waited;

static void begin(int instances)
{
    now = 1000 * APR_USEC_PER_SEC;
    waited = 12345;
    growth = (pw_growth_t){.looked = now, .pressed = now, .waited = waited};
    look = (pw_pool_look_t){
        .members = instances, .serving = instances, .target = instances};
}

/* So many looks, in each of which so many requests wait for a GIL all the time.
 * What the first one that wants a change says, and at which; else 0. */
static int looks(int count, double waiting, int *at)
{
    for (int i = 1; i <= count; i++) {
        int to;

        now += PW_GROWTH_LOOK;
        waited += (apr_uint64_t)(waiting * PW_GROWTH_LOOK);
        to = pw_growth_judge(&growth, &look, waited, LEAST, MOST, now);
        if (to) {
            *at = i;
            return to;
        }
    }
    return 0;
}

static void test_growth(void)
{
    int at = 0;

    begin(1);
    ok(looks(2000, 0.4, &at) == 0, "less than one waits for two instances");
    begin(1);
    ok(looks(100, 1.5, &at) == 2 && at == 10,
       "one and a half: one more after half a second (%d)", at);
    begin(2);
    ok(looks(100, 3, &at) == 3 && at == 5, "three for two: sooner (%d)", at);
    begin(2);
    ok(looks(1000, 0.9, &at) == 0, "of two instances twice as many may wait");
    begin(1);
    ok(looks(5, 1.5, &at) == 0 && looks(100, 0, &at) == 0
           && looks(9, 1.5, &at) == 0,
       "bursts with a pause between them do not add up");
    begin(MOST);
    ok(looks(2000, 10, &at) == 0, "never more than the most");
    begin(1);
    look.members = 2;
    ok(looks(100, 10, &at) == 0, "not while one is loading");
    begin(2);
    look.members = look.serving = 1;
    ok(looks(100, 10, &at) == 0, "nor while one is still to come");
}

static void test_crowd(void)
{
    int at = 0;

    begin(1);
    look.starving = 1;
    ok(looks(100, 0, &at) == 2 && at == PW_GROWTH_CROWDED,
       "a request without a place in ten looks in a row (%d)", at);
    begin(1);
    for (int i = 0; i < 20; i++) {
        look.starving = i % 10 != 9;
        if (looks(1, 0, &at)) {
            ok(0, "not where one look in ten finds a place");
        }
    }
}

static void test_shrinking(void)
{
    int quiet = (int)(PW_GROWTH_QUIET / PW_GROWTH_LOOK), at = 0;

    begin(3);
    ok(looks(quiet + 1, 0, &at) == 2 && at == quiet,
       "after a minute without a wait one ends (%d)", at);
    look.target = look.members = look.serving = 2;
    ok(looks(quiet + 1, 0, &at) == 1 && at == quiet,
       "the next after another one (%d)", at);
    look.target = look.members = look.serving = 1;
    ok(looks(3 * quiet, 0, &at) == 0, "never fewer than the least");
    begin(2);
    ok(looks(quiet - 1, 0, &at) == 0 && looks(1, 2, &at) == 0
           && looks(quiet - 1, 0, &at) == 0,
       "a request that waited begins the minute anew");
    begin(2);
    look.draining = 1;
    ok(looks(2 * quiet, 0, &at) == 0, "not while one is ending");
}

static void test_cores(void)
{
    static const struct {
        const char *line;
        int cores;
    } cases[] = {{"100000 100000", 1},
                 {"150000 100000", 2},
                 {"200000 100000", 2},
                 {"1000 100000", 1},
                 {"800000 50000", 16},
                 {"max 100000", 0},
                 {"", 0},
                 {"100000", 0},
                 {"100000 0", 0},
                 {"-1 100000", 0},
                 {"x y", 0},
                 {"100000 x", 0},
                 {"9223372036854775807 1", 0}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int cores = pw_cores_of_quota(cases[i].line);

        ok(cores == cases[i].cores, "\"%s\" is %d processors (%d)",
           cases[i].line, cases[i].cores, cores);
    }
    ok(pw_cores() >= 1, "here there are %d", pw_cores());
}

static void put(const char *directory, const char *name, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    if (!text) {
        mkdir(path, 0700);
        return;
    }
    file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}

/* Hierarchies of both versions, in files of the test's own. */
static void test_groups(void)
{
    static const struct {
        const char *name, *process, *above, *own, *quota;
        int cores;
    } cases[] = {
        {"no bound", "0::/a/b\n", "max 100000\n", "max 100000\n", "-1\n", 8},
        {"its own", "0::/a/b\n", "max 100000\n", "300000 100000\n", "-1\n", 3},
        {"one above", "0::/a/b\n", "200000 100000\n", "300000 100000\n", "-1\n",
         2},
        {"more than there are", "0::/a/b\n", "max 100000\n", "1600000 100000\n",
         "-1\n", 8},
        {"beside version 1", "4:cpu:/x\n1:name=systemd:/y\n0::/a/b\n",
         "max 100000\n", "300000 100000\n", "-1\n", 3},
        {"version 1", "4:cpu:/x\n", "100000 100000\n", "100000 100000\n",
         "250000\n", 3},
        {"another group", "0::/c\n", "100000 100000\n", "100000 100000\n",
         "-1\n", 8},
        {"nothing", "", "100000 100000\n", "100000 100000\n", "-1\n", 8}};
    char directory[] = "/tmp/pw-test-growth-XXXXXX", process[64], command[64];

    if (!mkdtemp(directory)) {
        ok(0, "a directory");
        return;
    }
    put(directory, "a", NULL);
    put(directory, "a/b", NULL);
    put(directory, "cpu", NULL);
    put(directory, "cpu/cpu.cfs_period_us", "100000\n");
    snprintf(process, sizeof(process), "%s/process", directory);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        put(directory, "process", cases[i].process);
        put(directory, "a/cpu.max", cases[i].above);
        put(directory, "a/b/cpu.max", cases[i].own);
        put(directory, "cpu/cpu.cfs_quota_us", cases[i].quota);
        ok(pw_cores_of_groups(process, directory, 8) == cases[i].cores,
           "of 8 processors a group has %d: %s", cases[i].cores, cases[i].name);
    }
    ok(pw_cores_of_groups("/nowhere", "/nowhere", 8) == 8, "no groups at all");
    snprintf(command, sizeof(command), "rm -r %s", directory);
    ok(system(command) == 0, "removed");
}

int main(void)
{
    test_growth();
    test_crowd();
    test_shrinking();
    test_cores();
    test_groups();
    return tap_done();
}
