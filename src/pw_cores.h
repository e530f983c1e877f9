/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_cores: how many processors this process may use: by its affinity, and by
 * the quota of its control group (cpu.max of cgroup v2, of every level above;
 * cpu.cfs_quota_us of v1), rounded up. Any thread.
 */
#ifndef PW_CORES_H
#define PW_CORES_H

/* At least 1. */
int pw_cores(void);

/* What one line of cpu.max ("150000 100000", "max 100000") allows, rounded up;
 * 0: no bound, or no such line. */
int pw_cores_of_quota(const char *line);

/* The least of `cores` and what the control groups allow: those that the file
 * `process` (/proc/self/cgroup) names, in the hierarchies under `mount`. */
int pw_cores_of_groups(const char *process, const char *mount, int cores);

#endif
