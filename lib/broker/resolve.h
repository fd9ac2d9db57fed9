/*
 * Path resolution as the caller would do it: in its root, from its cwd or dirfd, with its credentials, once, pinned.
 *
 * The thread is chrooted to the caller's root. A path is resolved by the kernel where that is exact (no symlink, no `..`, no magic link in
 * it), else component by component, so that every directory on the way is matched against the plan: what is hidden is not
 * walked through, and a symlink or `..` can't tell whether it is there. Whatever is found is pinned by an O_PATH fd; what is done
 * afterwards is done through the pin, never by walking the string again.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "call.h"

enum {
        RESOLVE_FOLLOW = 1 << 0,      /* follow a symlink in the last component */
        RESOLVE_EMPTY = 1 << 1,       /* AT_EMPTY_PATH: "" means the dirfd itself */
        RESOLVE_PARENT = 1 << 2,      /* for creating, removing, renaming: pin the parent even where the name doesn't exist */
        RESOLVE_WANT_PARENT = 1 << 3, /* pin the parent as well where the name exists */
        RESOLVE_CREATE = 1 << 9,      /* O_CREAT: a last component with a slash after it, be it a link's content, is -EISDIR */
        RESOLVE_REAL_IDS = 1 << 10,   /* access(2): the caller's real ids, not those of its file system calls, search the way */
        /* openat2(2)'s, to be checked on the way: */
        RESOLVE_IN_BENEATH = 1 << 4,
        RESOLVE_IN_ROOTED = 1 << 5,
        RESOLVE_IN_NO_SYMLINKS = 1 << 6,
        RESOLVE_IN_NO_MAGICLINKS = 1 << 7,
        RESOLVE_IN_NO_XDEV = 1 << 8,
};

struct pin {
        int fd;                  /* O_PATH of the object, or -1 where it doesn't exist (RESOLVE_PARENT) */
        int parent;              /* O_PATH of the directory, or -1 */
        char name[NAME_MAX + 2]; /* last component, with the trailing slash that the caller gave */
        struct stat st;          /* of the object */
        bool special;            /* resolve_name: no name at all (`.`, `..`, nothing but slashes), so that the kernel refuses it anyway */
        bool magic;              /* reached through a magic link (/proc/self/fd/N, …): `path` is what the kernel says of it */
        bool outside;   /* no path below the root names it (pipe:[…], a deleted file, an fd from elsewhere); `match` is DENIED then */
        int descriptor; /* the caller's own that a path through /proc/self/fd, or a link to there, ended at; else -1 */
        bool deleted;   /* that is outside because it was removed, on a mount of the sandbox's */
        struct match
                match; /* what the plan says of `path`. HIDDEN comes with RESOLVE_PARENT only: the name is absent, and not to be made */
        char path[PATH_MAX + 1]; /* resolved, absolute in the caller's root; of the would-be object where it doesn't exist */
};

void pin_done(struct pin *pin);

/* Resolves `path` (as read from the caller) from `dirfd` (the caller's number, or AT_FDCWD). Returns 0; or negative errno as the caller's own call
 * would have seen it, hidden names being absent. On an error other than -ESRCH `ret->path` and `ret->match` still say, where known, which
 * name failed and whether a rule hid it, so that the record can. What lies below a denied directory is -EACCES; a denied object itself is found.
 * Nothing is reached from a directory that lies on no mount of the sandbox's (-EACCES), nor anything of the worker's own in a procfs. Call between target_act and target_act_done is not needed: it acts by itself. */
int resolve(struct call *call, int dirfd, const char *path, unsigned flags, struct pin *ret);

/* The same for a name that is to be made, removed or given to something else: its directory is resolved, and the name is looked up in it, but not
 * followed, whatever slashes come after it. `ret->parent` and `ret->name` are always there; `ret->fd` is -1 where the name is absent (also one that is
 * hidden: `match` says so), where its directory has been removed (`outside`), and where it is `special`.
 * With -ENAMETOOLONG for the name alone `ret->parent` is there all the same, since a rename looks at the other name's directory first. */
int resolve_name(struct call *call, int dirfd, const char *path, struct pin *ret);

/*
 * Rights belong to names, and a name is acted on through its pinned directory. So no directory may come under other rules between the
 * look at the name and the act on it: who makes, removes or renames names holds this lock from resolve to act, shared; a rename that
 * would change what the rules say of anything holds it alone. Nothing that can wait for other programs is done under it, and
 * readers go first: a file system that doesn't answer to one of them must not stop the others.
 */
struct call *names_lock(struct call *call, bool alone); /* returns `call`, for _cleanup_(names_unlockp) */
void names_unlock(struct call *call);

static inline void names_unlockp(struct call **held) {
        if (*held)
                names_unlock(*held);
}

/* The same for a descriptor that the worker holds, such as target_fd() gave: `ret->fd` is that descriptor, which is taken over even on error. -ENOENT
 * with `ret->path` and a match of HIDDEN: it lies where the caller is shown nothing. */
int resolve_copy(struct call *call, int fd, struct pin *ret);

/* Does it lie on the mount that a container's root is, or on a tmpfs that was made for the container? What is there comes from the image or was made
 * inside: what the host, or another container, has a part in is mounted from elsewhere. The container's own root, not one that the caller has changed to. */
bool pin_of_container(struct call *call, const struct pin *pin);

/* Is it the caller's own /proc/PID/fd? That lets its owner in whatever its mode and owner are. */
bool pin_own_fds(struct call *call, const struct pin *pin);

/* What the rules say of a path (absolute, resolved, as the sandbox sees it) for this caller: plan_match(), with what rules for its program take away. */
struct match call_match(struct call *call, const char *path);

/* A new, CLOEXEC fd of the pinned object with these open(2) flags, as the caller (its umask doesn't matter: nothing is created). May block
 * where the object is a FIFO or device: see target_block_begin. -EOPNOTSUPP for O_TMPFILE, which makes a file: that takes a mode and target_act,
 * and goes through pin_link. O_NOFOLLOW, O_EXCL and O_CREAT are left out, O_NOCTTY is added. */
int pin_open(struct call *call, const struct pin *pin, int flags);
/* The worker's /proc/thread-self/fd/N, for calls that want a path of the pinned object: a relative path that works from the fd at `*ret_dirfd`
 * (borrowed), in the same thread only. */
int pin_link(struct call *call, const struct pin *pin, int *ret_dirfd, char ret_path[64]);
