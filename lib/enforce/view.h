/*
 * The view: the sandbox's file system, made from a plan.
 */
#pragma once

#include "plan.h"

/* Where the layers of the plan's overlays lie: in the n-th folder, n/upper and n/work for the n-th. What is missing is made. */
struct view_layers {
        const char *path; /* a folder of the host, without a link in it; NULL: a tmpfs that ends with the sandbox */
        int directory;    /* the same folder, opened outside, so that no other is taken for it */
        int fd;           /* set by view_enter where there are overlays, and the caller's to close; -1 otherwise */
};

/* Builds the plan's nodes below a new root and makes it the root of the calling process, which must be alone in a new mount and pid
 * namespace, with all capabilities in their user namespace. Mounts a procfs of the pid namespace and a devpts of its own. uid and gid own
 * what is made. `proc_ready`, unless NULL, is called with an fd of the sandbox's procfs while it can still be written to; where the plan
 * has none, it isn't called.
 * On an error, `what` (256 bytes) says which object failed. */
int view_enter(const struct plan *plan, uid_t uid, gid_t gid, struct view_layers *layers,
               int (*proc_ready)(int proc, void *userdata, char *what), void *userdata, char *what);
