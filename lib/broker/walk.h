/*
 * Private to path resolution: where an object lies, and the walk by hand.
 */
#pragma once

#include "broker.h"

enum where {
        WHERE_INSIDE,  /* at a path below the sandbox's root */
        WHERE_DELETED, /* on a mount of the sandbox's, but no path names it any more */
        WHERE_FOREIGN, /* on no mount of the sandbox's: a pipe, a socket, an fd from outside */
};

/* Finds out where `fd` lies. `path` (PATH_MAX + 1) is what the kernel calls it. Returns enum where, or negative errno. */
int locate(struct receiver *r, int fd, char *path, uint64_t *ret_mount_id);

/* Appends `rest` to the absolute path `base` (PATH_MAX + 1), without `.` and doubled or trailing slashes; `rest` has no `..`. */
int path_append(char *base, const char *rest, size_t length);
/* Has it a component `..`? */
bool path_climbs(const char *path);

/* Fills in what the plan says of pin->path, and what follows from it: -ENOENT for what is hidden, -EACCES for what lies below a denied directory. */
int pin_match(struct call *call, struct pin *pin, enum where where, unsigned flags);

/* Empties a pin: nothing found yet. */
void pin_init(struct pin *pin);

/* Walks `path` by hand from `start` (borrowed; -1: the root), whatever is in it. As resolve(). `root`: the caller's, where it is another than the
 * sandbox's (borrowed), else -1. */
int walk(struct call *call, int start, int root, const char *path, unsigned flags, struct pin *ret);

/* proclinks.c: links of procfs that depend on who looks. */
enum proc_link {
        PROC_LINK_PLAIN, /* an ordinary symlink with ordinary content, on procfs or elsewhere */
        PROC_LINK_TEXT,  /* self, thread-self: `text` is its content for the caller */
        PROC_LINK_MAGIC, /* leads to an object without naming it */
};
struct proc_place {
        bool own; /* below the caller's own /proc/PID */
        char text[64];
};
/* What the symlink `name` in the directory `at`, which lies at `path` on a mount, is. Returns enum proc_link or negative errno. */
int proc_link_kind(struct receiver *r, int at, const char *path, uint64_t mount_id, const char *name, struct proc_place *ret);
/* Does an object of a procfs, which lies at `path` on a mount, belong to the worker itself? -EACCES; else 0. */
int proc_check(struct receiver *r, dev_t device, uint64_t mount_id, const char *path);
/* May the caller open what is pinned, as far as procfs would ask who it is? 0 or negative errno. */
int proc_check_open(struct receiver *r, const struct pin *pin);
/* An O_PATH fd of the name in the directory `at`, which lies at `path`; negative errno. A link is not followed. */
int proc_look_up(struct receiver *r, int at, const char *path, const char *name);
/* Follows a magic link, as the caller would be allowed to: an O_PATH fd or negative errno. */
int proc_link_follow(struct receiver *r, int at, const char *name, const struct proc_place *place);
