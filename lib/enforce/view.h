/*
 * The view: the sandbox's file system, made from a plan.
 */
#pragma once

#include "plan.h"

/* Builds the plan's nodes below a new root and makes it the root of the calling process, which must be alone in a new mount and pid
 * namespace, with all capabilities in their user namespace. Mounts a procfs of the pid namespace and a devpts of its own. uid and gid own
 * what is made. `proc_ready`, unless NULL, is called with an fd of the sandbox's procfs while it can still be written to; where the plan
 * has none, it isn't called. On an error, `what` (256 bytes) says which object failed. */
int view_enter(const struct plan *plan, uid_t uid, gid_t gid, int (*proc_ready)(int proc, void *userdata, char *what), void *userdata,
               char *what);
