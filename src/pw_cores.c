/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_cores: reads what the kernel says of this process.
 */
#include "pw_cores.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_affinity(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* The first line of a file that begins so, without its end. 0; -1: there is
 * none. */
static int read_line(const char *path, const char *begin, char *buf, int size)
{
    FILE *file = fopen(path, "r");
    int rc = -1;

    while (file && rc < 0 && fgets(buf, size, file)) {
        rc = strncmp(buf, begin, strlen(begin)) == 0 ? 0 : -1;
    }
    if (rc == 0) {
        buf[strcspn(buf, "\n")] = '\0';
    }
    if (file) {
        fclose(file);
    }
    return rc;
}

static int divide_up(long long quota, long long period)
{
    return quota > 0 && period > 0 && quota / period < INT_MAX
               ? (int)((quota + period - 1) / period)
               : 0;
}

int pw_cores_of_quota(const char *line)
{
    char *end;
    long long quota = strtoll(line, &end, 10);

    return end == line || *end != ' '
               ? 0
               : divide_up(quota, strtoll(end, NULL, 10));
}

static int less(int cores, int bound)
{
    return bound > 0 && bound < cores ? bound : cores;
}

/* This process's group and all above it. */
static int by_cgroup2(const char *process, const char *mount, int cores)
{
    char group[PATH_MAX], path[2 * PATH_MAX], line[128];
    char *slash;

    /* Where there is v1 beside it, not the first line. */
    if (read_line(process, "0::/", group, sizeof(group)) < 0) {
        return cores;
    }
    for (;;) {
        snprintf(path, sizeof(path), "%s%s/cpu.max", mount, group + 3);
        if (read_line(path, "", line, sizeof(line)) == 0) {
            cores = less(cores, pw_cores_of_quota(line));
        }
        slash = strrchr(group + 3, '/');
        if (!slash) {
            return cores;
        }
        *slash = '\0';
    }
}

static int by_cgroup1(const char *mount, int cores)
{
    char path[PATH_MAX], quota[64], period[64];

    snprintf(path, sizeof(path), "%s/cpu/cpu.cfs_quota_us", mount);
    if (read_line(path, "", quota, sizeof(quota)) < 0) {
        return cores;
    }
    snprintf(path, sizeof(path), "%s/cpu/cpu.cfs_period_us", mount);
    if (read_line(path, "", period, sizeof(period)) < 0) {
        return cores;
    }
    return less(cores,
                divide_up(strtoll(quota, NULL, 10), strtoll(period, NULL, 10)));
}

int pw_cores_of_groups(const char *process, const char *mount, int cores)
{
    return by_cgroup1(mount, by_cgroup2(process, mount, cores));
}

int pw_cores(void)
{
    int cores = pw_cores_of_groups("/proc/self/cgroup", "/sys/fs/cgroup",
                                   by_affinity());

    return cores > 0 ? cores : 1;
}
