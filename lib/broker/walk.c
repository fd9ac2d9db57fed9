/*
 * The walk by hand: component by component, each directory pinned, each matched against the plan before anything is looked up in it.
 *
 * It is for what the kernel can't be asked to do as a whole: symlinks and `..`, since they pass through directories that may be hidden; and
 * procfs, where what a link means depends on who follows it. `at` is always a directory that we hold; its path is kept along, and asked of
 * the kernel anew after each step that isn't one down, since somebody may have moved the directory meanwhile.
 */
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "sys.h"

#define LINKS_MAX 40 /* the kernel's MAXSYMLINKS */

struct walk {
        struct call *call;
        struct receiver *r;
        unsigned flags;
        struct pin *pin;

        int at; /* a directory, O_PATH; owned */
        enum where where;
        uint64_t mount;          /* of `at` */
        char path[PATH_MAX + 1]; /* of `at` */
        bool magic;              /* a magic link was followed */

        int scope; /* RESOLVE_IN_BENEATH, RESOLVE_IN_ROOTED: what must not be left; or the caller's root, which `..` stops at; borrowed, else -1 */
        bool chroot; /* the latter */
        char scope_path[PATH_MAX + 1];

        char *rest; /* what is left to walk, NUL terminated; owned */
        unsigned links;
        bool root_known; /* as the kernel's nd->root: only then an absolute link isn't a crossing for RESOLVE_NO_XDEV */
        bool tried_jump; /* the rest as it stands can't be passed in one step */
};

static int relocate(struct walk *w) {
        int where = locate(w->r, w->at, w->path, &w->mount);

        if (where < 0)
                return where;
        w->where = where;
        return 0;
}

/* Replaces the directory. */
static int move(struct walk *w, int fd) {
        uint64_t before = w->mount;

        fd_close(w->at);
        w->at = fd;
        int e = relocate(w);
        if (e < 0)
                return e;
        return (w->flags & RESOLVE_IN_NO_XDEV) && w->mount != before ? -EXDEV : 0;
}

static int to_root(struct walk *w) {
        int fd = w->scope >= 0 ? fcntl(w->scope, F_DUPFD_CLOEXEC, 3) : open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : move(w, fd);
}

/* What the record is to say of a name that failed. */
static int fail(struct walk *w, const char *name, size_t length, int error) {
        struct pin *pin = w->pin;

        strcpy(pin->path, w->path);
        if (w->where != WHERE_INSIDE) {
                pin->outside = true;
                return error;
        }
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                length = 0;
        if (path_append(pin->path, name, length) < 0)
                return error;
        pin->match = call_match(w->call, pin->path);
        return pin->match.state == MATCH_HIDDEN ? -ENOENT : error;
}

/* The same of a name that was found to be no directory. */
static int fail_object(struct walk *w, const char *name, int error) {
        int e = fail(w, name, strlen(name), error);

        if (w->where != WHERE_INSIDE)
                return e;
        w->pin->match = match_object(w->pin->match, false);
        return w->pin->match.state == MATCH_HIDDEN ? -ENOENT : e;
}

/* May anything be looked up in `at`? Hidden directories aren't there, and denied ones aren't gone through. */
static int check_through(struct walk *w) {
        if (w->where == WHERE_FOREIGN) {
                struct stat st;
                w->pin->outside = true;
                strcpy(w->pin->path, w->path);
                return fstat(w->at, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? -EACCES : -ENOTDIR;
        }
        if (w->where == WHERE_DELETED)
                return 0; /* every name in it is absent, and `..` leads back */
        struct match match = call_match(w->call, w->path);
        if (match.state != MATCH_HIDDEN && match.state != MATCH_DENIED)
                return 0;
        strcpy(w->pin->path, w->path);
        w->pin->match = match;
        return match.state == MATCH_HIDDEN ? -ENOENT : -EACCES;
}

/* ---- links ---- */

/* The kernel's may_follow_link(), for a link that ends the path: we follow it by hand, so that it isn't asked. */
static bool follow_protected(const struct walk *w, const struct stat *link) {
        struct stat dir;

        if (!w->r->worker->protected_symlinks || link->st_uid == (uid_t) setfsuid(-1))
                return false;
        if (fstat(w->at, &dir) < 0)
                return true;
        return (dir.st_mode & (S_ISVTX | S_IWOTH)) == (S_ISVTX | S_IWOTH) && dir.st_uid != link->st_uid;
}

/* Puts the content of a link in front of the rest. */
static int expand(struct walk *w, const char *content) {
        size_t n = strlen(content), rest = strlen(w->rest);

        if (n == 0)
                return -ENOENT;
        char *longer = malloc(n + rest + 1);
        if (!longer)
                return -ENOMEM;
        memcpy(longer, content, n);
        memcpy(longer + n, w->rest, rest + 1);
        free(w->rest);
        w->rest = longer;
        w->tried_jump = false;
        if (content[0] != '/')
                return 0;
        if ((w->flags & RESOLVE_IN_BENEATH) || ((w->flags & RESOLVE_IN_NO_XDEV) && !w->root_known))
                return -EXDEV;
        w->root_known = true;
        return to_root(w);
}

static int expand_plain(struct walk *w, int link) {
        char *content = w->call->path3;
        ssize_t n = readlinkat(link, "", content, PATH_MAX);

        if (n < 0)
                return -errno;
        if (n >= PATH_MAX)
                return -ENAMETOOLONG;
        content[n] = 0;
        return expand(w, content);
}

static int finish(struct walk *w, int fd, const char *name, bool slash);

static bool last_component(const struct walk *w) {
        return w->rest[strspn(w->rest, "/")] == 0;
}

/* The number of the caller's descriptor that a link in procfs stands for, or -1. */
static int descriptor_of(const struct walk *w, const char *name, const struct proc_place *place) {
        size_t n = strlen(w->path), digits = strspn(name, "0123456789");

        if (!place->own || n < 3 || strcmp(w->path + n - 3, "/fd") != 0 || name[digits] || digits > 9)
                return -1;
        return atoi(name);
}

/* A magic link is a jump to an object, not to a path. */
static int jump_magic(struct walk *w, const char *name, const struct proc_place *place) {
        struct stat st;

        _cleanup_close_ int fd = proc_link_follow(w->r, w->at, name, place);
        if (fd < 0)
                return fd;
        if (w->flags & RESOLVE_IN_NO_MAGICLINKS)
                return -ELOOP;
        if (w->flags & (RESOLVE_IN_BENEATH | RESOLVE_IN_ROOTED))
                return -EXDEV;
        if (fstat(fd, &st) < 0)
                return -errno;
        w->magic = true;
        if (S_ISDIR(st.st_mode)) {
                int e = move(w, TAKE_FD(fd));
                if (e < 0)
                        return e;
                w->tried_jump = false;
                return 0;
        }
        if (w->rest[0])
                return -ENOTDIR;
        w->pin->descriptor = descriptor_of(w, name, place);
        int e = move(w, TAKE_FD(fd));
        if (e < 0)
                return e;
        fd = fcntl(w->at, F_DUPFD_CLOEXEC, 3);
        return fd < 0 ? -errno : finish(w, TAKE_FD(fd), NULL, false);
}

/* Returns 1 when it was the end of the path. */
static int follow(struct walk *w, int link, const struct stat *st, const char *name, bool last) {
        struct proc_place place;
        int kind, e;

        e = fail_object(w, name, 0);
        if (e < 0)
                return e;
        if (w->pin->match.state == MATCH_DENIED && w->where == WHERE_INSIDE)
                return -EACCES;
        if (w->flags & RESOLVE_IN_NO_SYMLINKS || ++w->links > LINKS_MAX)
                return -ELOOP;
        if (last && follow_protected(w, st))
                return -EACCES;
        kind = proc_link_kind(w->r, link, w->path, w->mount, name, &place);
        switch (kind) {
        case PROC_LINK_PLAIN: return expand_plain(w, link);
        case PROC_LINK_TEXT: return expand(w, place.text);
        case PROC_LINK_MAGIC: return jump_magic(w, name, &place);
        }
        return kind;
}

/* ---- steps ---- */

static int step_stay(struct walk *w) {
        /* The kernel asks for the right to search even for `.`. */
        _cleanup_close_ int fd = proc_look_up(w->r, w->at, w->path, ".");

        return fd < 0 ? fd : 0;
}

static int step_up(struct walk *w) {
        int e;

        w->root_known = true;
        if (w->scope >= 0) {
                struct statx here, top;
                unsigned mask = STATX_INO | STATX_MNT_ID;
                if (statx(w->at, "", AT_EMPTY_PATH, mask, &here) < 0 || statx(w->scope, "", AT_EMPTY_PATH, mask, &top) < 0)
                        return -errno;
                if (here.stx_ino == top.stx_ino && here.stx_mnt_id == top.stx_mnt_id && here.stx_dev_major == top.stx_dev_major &&
                    here.stx_dev_minor == top.stx_dev_minor) {
                        e = step_stay(w);
                        return e < 0 ? e : w->flags & RESOLVE_IN_BENEATH ? -EXDEV : 0;
                }
        }
        int fd = proc_look_up(w->r, w->at, w->path, "..");
        if (fd < 0)
                return fd;
        e = move(w, fd);
        if (e < 0 || w->scope < 0)
                return e;
        /* Somebody has moved the directory out of the scope: the kernel says the same. */
        size_t n = strlen(w->scope_path);
        if (n == 1)
                n = 0;
        return w->chroot || (strncmp(w->path, w->scope_path, n) == 0 && (w->path[n] == '/' || w->path[n] == 0)) ? 0 : -EAGAIN;
}

/* The last component's directory in one step, where there is nothing on the way that needs a look. Any error: step by step. */
static void try_jump(struct walk *w) {
        const char *end = w->rest + strlen(w->rest);

        w->tried_jump = true;
        while (end > w->rest && end[-1] == '/')
                end--;
        while (end > w->rest && end[-1] != '/')
                end--;
        size_t n = end - w->rest;
        if (n < 2 || n >= PATH_MAX || (w->flags & RESOLVE_IN_NO_XDEV) || w->where != WHERE_INSIDE)
                return;
        char *directory = w->call->path3;
        memcpy(directory, w->rest, n);
        directory[n] = 0;
        if (directory[0] == '/' || path_climbs(directory))
                return;
        int fd = sys_openat2(w->at, directory, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
        if (fd < 0)
                return;
        struct statx stx;
        if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0 || path_append(w->path, directory, n) < 0) {
                close(fd);
                return;
        }
        fd_close(w->at);
        w->at = fd;
        w->mount = stx.stx_mnt_id;
        memmove(w->rest, w->rest + n, strlen(w->rest + n) + 1);
}

/* Takes the directory over. */
static int descend(struct walk *w, int directory, const char *name) {
        _cleanup_close_ int fd = directory;
        struct statx stx;

        if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0)
                return -errno;
        if ((w->flags & RESOLVE_IN_NO_XDEV) && stx.stx_mnt_id != w->mount)
                return -EXDEV;
        int e = path_append(w->path, name, strlen(name));
        if (e < 0)
                return e;
        fd_close(w->at);
        w->at = TAKE_FD(fd);
        w->mount = stx.stx_mnt_id;
        return 0;
}

/* ---- the end ---- */

static int keep_parent(struct walk *w, const char *name, bool slash) {
        if (!name || !(w->flags & (RESOLVE_PARENT | RESOLVE_WANT_PARENT)))
                return 0;
        w->pin->parent = fcntl(w->at, F_DUPFD_CLOEXEC, 3);
        if (w->pin->parent < 0)
                return -errno;
        snprintf(w->pin->name, sizeof(w->pin->name), "%s%s", name, slash ? "/" : "");
        return 0;
}

/* The path has ended with `fd` (owned; -1: a name that doesn't exist), which is called `name` in `at`, or is `at` itself where name is NULL. */
static int finish(struct walk *w, int fd, const char *name, bool slash) {
        struct pin *pin = w->pin;
        enum where where = w->where;
        int e;

        pin->fd = fd;
        pin->magic = w->magic;
        if (fd >= 0 && fstat(fd, &pin->st) < 0)
                return -errno;
        e = keep_parent(w, name, slash);
        if (e < 0)
                return e;
        strcpy(pin->path, w->path);
        if (name && (e = path_append(pin->path, name, strlen(name))) < 0)
                return e;
        if (name && where == WHERE_INSIDE && (w->flags & RESOLVE_IN_NO_XDEV) && fd >= 0) {
                struct statx stx;
                if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0)
                        return -errno;
                if (stx.stx_mnt_id != w->mount)
                        return -EXDEV;
        }
        e = pin_match(w->call, pin, where, w->flags);
        return e < 0 ? e : 1;
}

/* What procfs hasn't got can't be made there: whatever is to be done with the name, the look-up has failed. */
static bool on_proc(const struct walk *w) {
        struct stat st;

        return fstat(w->at, &st) >= 0 && root_is_proc(w->r, st.st_dev);
}

static int step_last(struct walk *w, const char *name, bool slash) {
        struct stat st;

        if (slash && (w->flags & RESOLVE_CREATE)) {
                int e = step_stay(w);
                return e < 0 ? e : fail(w, name, strlen(name), -EISDIR);
        }
        _cleanup_close_ int fd = proc_look_up(w->r, w->at, w->path, name);
        if (fd < 0) {
                if (fd == -ENOENT && (w->flags & RESOLVE_PARENT) && !on_proc(w))
                        return finish(w, -1, name, slash);
                return fail(w, name, strlen(name), fd);
        }
        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISLNK(st.st_mode) && (slash || (w->flags & RESOLVE_FOLLOW)))
                return follow(w, fd, &st, name, true);
        if (slash && !S_ISDIR(st.st_mode))
                return fail_object(w, name, -ENOTDIR);
        return finish(w, TAKE_FD(fd), name, slash);
}

static int step_down(struct walk *w, const char *name) {
        struct stat st;

        _cleanup_close_ int fd = proc_look_up(w->r, w->at, w->path, name);
        if (fd < 0)
                return fail(w, name, strlen(name), fd);
        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISLNK(st.st_mode))
                return follow(w, fd, &st, name, false);
        if (!S_ISDIR(st.st_mode))
                return fail_object(w, name, -ENOTDIR);
        return descend(w, TAKE_FD(fd), name);
}

/* Returns 1 at the end of the path. */
static int step(struct walk *w) {
        char name[PATH_MAX +
                  1]; /* one that is too long by itself is the file system's to refuse, after all that the kernel looks at first */
        int e;

        size_t skip = strspn(w->rest, "/");
        memmove(w->rest, w->rest + skip, strlen(w->rest + skip) + 1);
        if (w->rest[0] == 0) {
                int fd = fcntl(w->at, F_DUPFD_CLOEXEC, 3);
                return fd < 0 ? -errno : finish(w, fd, NULL, false);
        }
        if (!w->tried_jump)
                try_jump(w);
        e = check_through(w);
        if (e < 0)
                return e;

        size_t n = strcspn(w->rest, "/");
        if (n >= sizeof(name))
                return -ENAMETOOLONG;
        memcpy(name, w->rest, n);
        name[n] = 0;
        memmove(w->rest, w->rest + n, strlen(w->rest + n) + 1);
        if (strcmp(name, ".") == 0)
                return step_stay(w);
        if (strcmp(name, "..") == 0)
                return step_up(w);
        return last_component(w) ? step_last(w, name, w->rest[0] == '/') : step_down(w, name);
}

static void walk_done(struct walk *w) {
        fd_close(w->at);
        free(w->rest);
}

int walk(struct call *call, int start, int root, const char *path, unsigned flags, struct pin *ret) {
        _cleanup_(walk_done) struct walk w = { .call = call, .r = call_receiver(call), .flags = flags, .pin = ret, .at = -1, .scope = -1 };
        struct stat st;
        int e;

        /* Also where nothing is looked up in it, as for "//" with RESOLVE_IN_ROOT. */
        if (start >= 0 && (fstat(start, &st) < 0 || !S_ISDIR(st.st_mode)))
                return -ENOTDIR;
        w.rest = strdup(path);
        if (!w.rest)
                return -ENOMEM;
        w.at = start >= 0 ? fcntl(start, F_DUPFD_CLOEXEC, 3) : open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (w.at < 0)
                return -errno;
        e = relocate(&w);
        if (e < 0)
                return e;
        w.root_known = start < 0 || (flags & RESOLVE_IN_ROOTED);
        if (flags & (RESOLVE_IN_BENEATH | RESOLVE_IN_ROOTED)) {
                w.scope = start;
                strcpy(w.scope_path, w.path);
        } else if (root >= 0) {
                w.scope = root;
                w.chroot = true;
        }
        do
                e = step(&w);
        while (e == 0);
        return e < 0 ? e : 0;
}
