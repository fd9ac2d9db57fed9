/*
 * Resolving a path, and what is done through its pin.
 *
 * The fast way is one openat2 without symlinks: then the path that the caller gave names the object, and nothing was passed through that it
 * doesn't name. All else is walked by hand (walk.c).
 */
#include "resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "act.h"
#include "fd.h"
#include "sys.h"
#include "walk.h"

/* ---- paths ---- */

bool path_climbs(const char *path) {
        for (const char *p = path; (p = strstr(p, "..")); p += 2)
                if ((p == path || p[-1] == '/') && (p[2] == '/' || p[2] == 0))
                        return true;
        return false;
}

int path_append(char *base, const char *rest, size_t length) {
        const char *end = rest + length;
        size_t n = strlen(base);

        if (n == 1)
                n = 0;
        while (rest < end) {
                size_t part = 0;
                while (rest < end && *rest == '/')
                        rest++;
                while (rest + part < end && rest[part] != '/')
                        part++;
                if (part > 0 && !(part == 1 && rest[0] == '.')) {
                        if (n + 1 + part > PATH_MAX - 1)
                                return -ENAMETOOLONG;
                        base[n++] = '/';
                        memcpy(base + n, rest, part);
                        n += part;
                }
                rest += part;
        }
        if (n == 0)
                base[n++] = '/';
        base[n] = 0;
        return 0;
}

/* "x (deleted)" is what the kernel calls a file x that is gone, and a file of that name. */
static bool is_deleted(int fd, const char *path) {
        static const char mark[] = " (deleted)";
        size_t n = strlen(path);
        struct stat object, named;

        if (n < sizeof(mark) || strcmp(path + n - sizeof(mark) + 1, mark) != 0)
                return false;
        if (fstat(fd, &object) < 0 || object.st_nlink == 0)
                return true;
        return fstatat(AT_FDCWD, path, &named, AT_SYMLINK_NOFOLLOW) < 0 || named.st_dev != object.st_dev || named.st_ino != object.st_ino;
}

int locate(struct receiver *r, int fd, char *path, uint64_t *ret_mount_id) {
        struct statx stx;
        char name[16];

        snprintf(name, sizeof(name), "%d", fd);
        ssize_t n = readlinkat(r->own_fds, name, path, PATH_MAX);
        if (n < 0)
                return -errno;
        if (n >= PATH_MAX)
                return -ENAMETOOLONG;
        path[n] = 0;
        if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0)
                return -errno;
        if (ret_mount_id)
                *ret_mount_id = stx.stx_mnt_id;
        if (path[0] != '/')
                return WHERE_FOREIGN;
        int e = stx.stx_mask & STATX_MNT_ID ? root_mount_known(r, stx.stx_mnt_id) : -ENOENT;
        if (e < 0)
                return e == -ENOENT ? WHERE_FOREIGN : e;
        return is_deleted(fd, path) ? WHERE_DELETED : WHERE_INSIDE;
}

/* ---- the plan ---- */

/* Which conditions hold for the program that the caller runs: it can't become another while its call waits. A caller that can't be looked at has
 * everything taken away. */
static uint64_t active_conditions(struct call *call) {
        const struct plan *plan = call->plan;
        struct receiver *r = call_receiver(call);
        uint64_t active = 0;
        struct stat st;

        if (r->conditions_known)
                return r->conditions;
        _cleanup_close_ int exe = target_open_proc(call, "exe", O_PATH);
        bool seen = exe >= 0 && fstat(exe, &st) >= 0;
        for (size_t i = 0; i < plan_conditions(plan); i++) {
                const struct plan_condition *condition = plan_condition_at(plan, i);
                if (!seen || (condition->dev == st.st_dev && condition->ino == st.st_ino))
                        active |= UINT64_C(1) << i;
        }
        r->conditions = active;
        r->conditions_known = true;
        return active;
}

struct match call_match(struct call *call, const char *path) {
        if (call_receiver(call)->worker->unsafe_match)
                return (struct match) { .state = MATCH_GRANTED, .rights = RIGHT_READ | RIGHT_APPEND | RIGHT_WRITE | RIGHT_EXEC };
        return plan_conditions(call->plan) ? plan_match_when(call->plan, active_conditions(call), path) : plan_match(call->plan, path);
}

bool pin_of_container(struct call *call, const struct pin *pin) {
        const struct statx *root = &call_receiver(call)->worker->root.identity;
        struct statx stx;

        if (call->plan->setting != PLAN_CONTAINER || pin->outside || statx(pin->fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0 ||
            !(stx.stx_mask & root->stx_mask & STATX_MNT_ID))
                return false;
        return stx.stx_mnt_id == root->stx_mnt_id || root_mount_apart(call_receiver(call), stx.stx_mnt_id);
}

static bool parent_denied(struct call *call, char *path) {
        char *slash = strrchr(path, '/');

        if (!slash || slash == path)
                return match_closes(call_match(call, "/"));
        *slash = 0;
        bool denied = match_closes(call_match(call, path));
        *slash = '/';
        return denied;
}

static int check_proc(struct call *call, const struct pin *pin) {
        struct statx stx;

        if (statx(pin->fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0)
                return -errno;
        return proc_check(call_receiver(call), pin->st.st_dev, stx.stx_mnt_id, pin->path);
}

/* What the kernel shows of itself is the same wherever it is mounted, and rules name it by its usual place: those for /proc/sys hold for a second procfs's sys
 * as well, whatever they say of the place that this one has. Only where the mounts aren't ours can there be one. */
static int match_usual(struct call *call, struct pin *pin) {
        struct receiver *r = call_receiver(call);
        const struct statx *root = &r->worker->root.identity;
        int fd = pin->fd >= 0 ? pin->fd : pin->parent;
        char usual[PATH_MAX];
        struct statx stx;

        if (fd < 0 || !setting_is_foreign(call->plan->setting))
                return 0;
        if (pin->fd >= 0 && pin->st.st_dev == makedev(root->stx_dev_major, root->stx_dev_minor))
                return 0;
        if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0)
                return -errno;
        int e = stx.stx_mask & STATX_MNT_ID ? root_usual_path(r, stx.stx_mnt_id, pin->path, usual) : -ENOENT;
        if (e <= 0)
                return e == -ENOENT ? -EACCES : e;
        struct match match = call_match(call, usual);
        if (pin->fd >= 0)
                match = match_object(match, S_ISDIR(pin->st.st_mode));
        /* The listing has shown its name. */
        if (match.state == MATCH_HIDDEN)
                match.state = MATCH_DENIED;
        pin->match = match_both(pin->match, match);
        return pin->match.state == MATCH_DENIED && parent_denied(call, usual) ? -EACCES : 0;
}

int pin_match(struct call *call, struct pin *pin, enum where where, unsigned flags) {
        if (where != WHERE_INSIDE) {
                /* No rule can name it. */
                pin->outside = true;
                pin->deleted = where == WHERE_DELETED;
                pin->match = (struct match) { .state = MATCH_DENIED };
                return 0;
        }
        pin->outside = false;
        if (pin->fd >= 0 && pin->st.st_dev == call->worker->proc_device) {
                int e = check_proc(call, pin);
                if (e < 0)
                        return e;
        }
        pin->match = call_match(call, pin->path);
        if (pin->fd >= 0)
                pin->match = match_object(pin->match, S_ISDIR(pin->st.st_mode));
        if (pin->match.state == MATCH_HIDDEN) {
                pin->fd = fd_close(pin->fd);
                return flags & RESOLVE_PARENT && pin->parent >= 0 ? 0 : -ENOENT;
        }
        if (pin->match.state == MATCH_DENIED && !pin->magic && pin->path[1] && parent_denied(call, pin->path))
                return -EACCES;
        return match_usual(call, pin);
}

/* ---- resolving ---- */

void pin_done(struct pin *pin) {
        pin->fd = fd_close(pin->fd);
        pin->parent = fd_close(pin->parent);
}

void pin_init(struct pin *pin) {
        pin->fd = pin->parent = -1;
        pin->name[0] = pin->path[0] = 0;
        pin->special = pin->magic = pin->outside = pin->deleted = false;
        pin->descriptor = -1;
        pin->match = (struct match) {};
}

/* Where the descriptor, which becomes the pin's, lies. */
static int pin_descriptor(struct call *call, int fd, struct pin *ret) {
        int where;

        ret->fd = fd;
        if (fstat(ret->fd, &ret->st) < 0)
                return -errno;
        where = locate(call_receiver(call), ret->fd, ret->path, NULL);
        if (where < 0)
                return where;
        ret->magic = true;
        return pin_match(call, ret, where, 0);
}

int resolve_copy(struct call *call, int fd, struct pin *ret) {
        int e;

        pin_init(ret);
        e = credentials_follow(call);
        if (e < 0) {
                fd_close(fd);
                return e;
        }
        e = pin_descriptor(call, fd, ret);
        if (e < 0)
                pin_done(ret);
        return e;
}

/* AT_EMPTY_PATH: the descriptor itself, whatever it is. */
static int resolve_descriptor(struct call *call, int start, struct pin *ret) {
        int e = pin_descriptor(call, start, ret);

        if (e == -ENOENT) {
                /* The caller has it open, so that it was allowed to once; what it may do with it by name, the rule decides. */
                ret->path[0] = 0;
        }
        return e;
}

static uint64_t resolve_flags(unsigned flags) {
        return (flags & RESOLVE_IN_BENEATH ? RESOLVE_BENEATH : 0) | (flags & RESOLVE_IN_ROOTED ? RESOLVE_IN_ROOT : 0) |
               (flags & RESOLVE_IN_NO_XDEV ? RESOLVE_NO_XDEV : 0);
}

/* -ELOOP: to be walked by hand. */
static int resolve_fast(struct call *call, int start, const char *path, unsigned flags, struct pin *ret) {
        bool absolute = path[0] == '/' && !(flags & RESOLVE_IN_ROOTED);
        int where = WHERE_INSIDE, e;

        ret->fd = sys_openat2(start, path, O_PATH | O_CLOEXEC | (flags & RESOLVE_FOLLOW ? 0 : O_NOFOLLOW), 0,
                              RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | resolve_flags(flags));
        if (ret->fd < 0) {
                e = -errno;
                /* Not a directory on the way: whether that may be told depends on what it is. No right on the way: to one's own descriptors in
                 * /proc there is one all the same. */
                if (!absolute || e == -ELOOP || e == -EAGAIN || e == -ENOTDIR || e == -EACCES || (e == -ENOENT && (flags & RESOLVE_PARENT)))
                        return -ELOOP;
                strcpy(ret->path, "/");
                if (path_append(ret->path, path, strlen(path)) < 0)
                        return e;
                int hidden = pin_match(call, ret, WHERE_INSIDE, 0);
                return hidden < 0 ? hidden : e;
        }
        if (fstat(ret->fd, &ret->st) < 0)
                return -errno;
        if (absolute) {
                strcpy(ret->path, "/");
                e = path_append(ret->path, path, strlen(path));
        } else
                e = where = locate(call_receiver(call), ret->fd, ret->path, NULL);
        if (e < 0)
                return e;
        /* What was found by its name has one: it only looks removed (is_deleted) where the way to it from the root is barred. */
        if (where == WHERE_DELETED && ret->st.st_nlink > 0) {
                ret->fd = fd_close(ret->fd);
                return -ELOOP;
        }
        /* From a directory that is none of the sandbox's, nothing is reached. */
        if (where == WHERE_FOREIGN) {
                ret->fd = fd_close(ret->fd);
                pin_match(call, ret, where, 0);
                return -EACCES;
        }
        return pin_match(call, ret, where, flags);
}

int resolve(struct call *call, int dirfd, const char *path, unsigned flags, struct pin *ret) {
        _cleanup_close_ int start = -1;
        bool from_root = path[0] == '/' && !(flags & RESOLVE_IN_ROOTED);
        int root, e;

        pin_init(ret);
        if (path[0] == 0 && !(flags & RESOLVE_EMPTY))
                return -ENOENT;
        e = flags & RESOLVE_REAL_IDS ? target_act_real_ids(call) : credentials_follow(call);
        if (e < 0)
                return e;
        e = root_of_caller(call, &root);
        if (e < 0)
                return e;
        if (!from_root) {
                start = dirfd == AT_FDCWD ? target_cwd(call) : target_fd(call, dirfd);
                if (start < 0)
                        return start;
        } else if (flags & RESOLVE_IN_BENEATH)
                return -EXDEV;
        else if (root >= 0) {
                /* Never from the sandbox's own. */
                start = fcntl(root, F_DUPFD_CLOEXEC, 3);
                if (start < 0)
                        return -errno;
                path += strspn(path, "/");
                path = path[0] ? path : ".";
        }
        if (path[0] == 0) {
                e = resolve_descriptor(call, start, ret);
                start = -1;
        } else {
                e = -ELOOP;
                if (!(flags & RESOLVE_WANT_PARENT) && !path_climbs(path))
                        e = resolve_fast(call, start, path, flags, ret);
                if (e == -ELOOP)
                        e = walk(call, start, root, path, flags, ret);
        }
        if (e < 0)
                pin_done(ret);
        return e;
}

/* ---- through the pin ---- */

int pin_link(struct call *call, const struct pin *pin, int *ret_dirfd, char ret_path[64]) {
        if (pin->fd < 0)
                return -ENOENT;
        snprintf(ret_path, 64, "%d", pin->fd);
        *ret_dirfd = call_receiver(call)->own_fds;
        return 0;
}

/* To truncate a file is a side effect; anything else has nothing to be truncated. */
static int open_link(struct call *call, const struct pin *pin, int dirfd, const char *name, int flags) {
        if ((flags & O_TRUNC) && S_ISREG(pin->st.st_mode))
                return act_openat(call, dirfd, name, flags, 0);
        if (S_ISFIFO(pin->st.st_mode) && call_receiver(call)->block != BLOCK_NONE)
                return act_open_waiting(call, dirfd, name, flags);
        int fd = openat(dirfd, name, flags);
        return fd < 0 ? -errno : fd;
}

int pin_open(struct call *call, const struct pin *pin, int flags) {
        char name[64];
        int dirfd, e;

        e = pin_link(call, pin, &dirfd, name);
        if (e < 0)
                return e;
        /* What makes a file takes a mode and a umask. */
        if ((flags & O_TMPFILE) == O_TMPFILE)
                return -EOPNOTSUPP;
        e = credentials_follow(call);
        if (e >= 0)
                e = proc_check_open(call_receiver(call), pin);
        if (e < 0)
                return e;
        /* The link itself must be followed, and the object is there. The worker has no use for a terminal of its own. */
        flags = (flags & ~(O_NOFOLLOW | O_EXCL | O_CREAT)) | O_CLOEXEC | O_NOCTTY;
        e = open_link(call, pin, dirfd, name, flags);
        struct receiver *r = call_receiver(call);
        if (e == -EACCES && pin_own_fds(call, pin) && rights_raise(r)) {
                e = open_link(call, pin, dirfd, name, flags);
                rights_lower(r);
        }
        return e;
}
