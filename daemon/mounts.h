/*
 * The mounts of a container that sandbox-runtime has prepared: where they hold the rules for its files (plan.h, plan_request.mounts), what the runtime has
 * mounted gets the attributes that the rules ask for, and is looked at once more, before the container's program is executed.
 */
#pragma once

#include "plan.h"

struct mount_line;

struct mount_list {
        struct mount_line *lines;
        size_t n;
        const char **paths; /* of those that can be reached, for plan_request.mounted */
        size_t n_paths;
};

/* The mounts of a process, as it sees them. */
int mount_list_read(pid_t pid, struct mount_list *ret);
void mount_list_done(struct mount_list *list);

/* `root`: the container's. Negative errno with `*ret_why`, a text that the caller frees: they don't hold what the plan says. */
int mounts_seal(const struct plan *plan, pid_t pid, int root, const struct mount_list *list, char **ret_why);
