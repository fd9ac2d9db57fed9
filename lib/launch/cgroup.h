/*
 * The control group of one sandbox, for `limits: processes, memory`: one in the unified hierarchy (v2), or one in each of the hierarchies
 * `pids` and `memory` (v1), below the group that the supervisor is in itself. Its name is sandboxd-<pid>-<start time> of the supervisor.
 *
 * The sandbox's init joins it before it forks; the worker stays outside. A small guard process waits for the supervisor's end and removes
 * the group where the supervisor was killed. Should both be killed, the next cgroup_new of the same owner does.
 */
#pragma once

#include <stdbool.h>

#include "policy.h"

struct cgroup;

enum cgroup_limit { CGROUP_PROCESSES, CGROUP_MEMORY };

/* Makes a group and sets those limits that are not 0. Returns 0, or negative errno where none can be made; `*why_not` (the caller frees)
 * then says why. A limit that the group can't hold makes no group: all or nothing. */
int cgroup_new(const struct policy_limits *limits, struct cgroup **ret, char **why_not);

/* The group's paths (two with v1, separated by ", "), for launch_options.cgroup. */
const char *cgroup_path(const struct cgroup *cgroup);
/* Whether a group by these paths holds this limit; `path` may be NULL. To be asked where the host's file system is seen. */
bool cgroup_holds(const char *path, enum cgroup_limit limit);
/* Moves the calling process there. */
int cgroup_join(const char *path);
/* With v2, an fd for CLONE_INTO_CGROUP; -1 where the group is to be joined instead. */
int cgroup_open(const char *path);

/* One line that names the limits that were reached, or NULL. The caller frees. */
char *cgroup_events(const struct cgroup *cgroup, const struct policy_limits *limits);

/* Removes the group by its paths, for whoever outlives the one that has made it. */
void cgroup_remove(const char *path);
/* Leaves the group to whoever that is, and frees the rest. */
struct cgroup *cgroup_leave(struct cgroup *cgroup);
/* Removes the group; nobody may be in it any more. */
struct cgroup *cgroup_free(struct cgroup *cgroup);
