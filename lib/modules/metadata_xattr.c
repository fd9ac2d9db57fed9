/*
 * Extended attributes, in all forms. They are reached through the link to the pin, which also the calls of old can follow.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/limits.h>
#include <linux/xattr.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "act.h"
#include "metadata.h"
#include "str.h"
#include "sys.h"

/* The object that a call means. */
struct meant {
        int dirfd;
        uint64_t path;
        int flags;
};

#define BY_PATH(call, nofollow) ((struct meant) { AT_FDCWD, CALL_ARG(call, 0), nofollow })
/* As the kernel, which takes these for setxattrat(fd, NULL, AT_EMPTY_PATH, …) since that is there. */
#define BY_DESCRIPTOR(call) ((struct meant) { CALL_INT(call, 0), 0, AT_EMPTY_PATH })
#define BY_PLACE(call) ((struct meant) { CALL_INT(call, 0), CALL_ARG(call, 1), CALL_INT(call, 2) })

struct attribute {
        struct meant place;
        char name[XATTR_NAME_MAX + 1];
        void *value; /* owned */
        size_t size;
        int flags;
        struct pin pin;
};

#define ATTRIBUTE_INIT(...) \
        { .place = __VA_ARGS__, .pin = PIN_INIT }

static void attribute_done(struct attribute *a) {
        free(a->value);
        pin_done(&a->pin);
}

/* import_xattr_name() of the kernel. */
static int read_name(struct call *call, uint64_t address, struct attribute *a) {
        ssize_t n = target_read_some(call, address, a->name, sizeof(a->name));

        if (n < 0)
                return n;
        if (!memchr(a->name, 0, n))
                return n < (ssize_t) sizeof(a->name) ? -EFAULT : -ERANGE;
        return a->name[0] ? 0 : -ERANGE;
}

static int find(struct call *call, struct attribute *a) {
        return place_resolve_new(call, a->place.dirfd, a->place.path, a->place.flags, &a->pin);
}

/* The kernel takes the current directory for no path when it sets and gets, but not when it lists and removes. */
static int find_not_cwd(struct call *call, struct attribute *a) {
        char first = 0;

        if ((a->place.flags & AT_EMPTY_PATH) && a->place.dirfd < 0) {
                int r = a->place.path ? target_read(call, a->place.path, &first, 1) : 0;
                if (r < 0 || !first)
                        return r < 0 ? r : -EBADF;
        }
        return find(call, a);
}

/* The answer to a failed look-up. */
static struct verdict failed(struct call *call, const struct attribute *a, int r) {
        return files_failed(call, &a->pin, r, false);
}

/* Enters where `link` names the object, as the caller. */
static int begin(struct call *call, const struct attribute *a, char link[64]) {
        int r = pin_enter(call, &a->pin, link);

        return r < 0 ? r : target_act_ids(call);
}

/* ---- set ---- */

static int read_value(struct call *call, uint64_t address, uint64_t size, struct attribute *a) {
        if (size > XATTR_SIZE_MAX)
                return -E2BIG;
        a->size = size;
        if (size == 0)
                return 0;
        a->value = malloc(size);
        return a->value ? target_read(call, address, a->value, size) : -ENOMEM;
}

/* The kernel's cap_inode_setxattr() and its twin, after mnt_want_write(). To be called while acting as the caller. */
static int check_security(struct call *call, const struct attribute *a) {
        struct statvfs fs;

        /* Pipes, memfds and the like are on file systems of the kernel's own, where it decides by itself. */
        if ((a->pin.outside && !a->pin.deleted) || !str_starts(a->name, XATTR_SECURITY_PREFIX) || strcmp(a->name, XATTR_NAME_CAPS) == 0 ||
            target_capable(call, CAP_SYS_ADMIN))
                return 0;
        return fstatvfs(a->pin.fd, &fs) >= 0 && (fs.f_flag & ST_RDONLY) ? -EROFS : -EPERM;
}

/* The kernel lets a process itself into its /proc/PID/fd, and finds that there are no attributes. */
static int own_fds_error(struct call *call, const struct pin *pin, int r) {
        return r == -EACCES && pin_own_fds(call, pin) ? -EOPNOTSUPP : r;
}

static struct verdict set(struct call *call, const struct meant *place, uint64_t name, uint64_t value, uint64_t size, int flags) {
        _cleanup_(attribute_done) struct attribute a = ATTRIBUTE_INIT(*place);
        struct verdict verdict;
        char link[64];
        int r;

        if ((a.place.flags & ~PLACE_FLAGS) || (flags & ~(XATTR_CREATE | XATTR_REPLACE)))
                return verdict_error(EINVAL);
        r = read_name(call, name, &a);
        if (r >= 0)
                r = read_value(call, value, size, &a);
        if (r < 0)
                return verdict_from(r);
        r = find(call, &a);
        if (r < 0)
                return failed(call, &a, r);
        if (!pin_changeable(call, &a.pin, RIGHT_WRITE, EACCES, &verdict))
                return verdict;
        r = begin(call, &a, link);
        if (r < 0)
                return verdict_from(r);
        r = check_security(call, &a);
        if (r >= 0)
                r = ACT(call, setxattr(link, a.name, a.value, a.size, flags));
        target_act_done(call);
        return r < 0 ? verdict_error(own_fds_error(call, &a.pin, r)) : verdict_value(0);
}

struct verdict handle_setxattr(struct call *call) {
        return set(call, &BY_PATH(call, 0), CALL_ARG(call, 1), CALL_ARG(call, 2), CALL_ARG(call, 3), CALL_INT(call, 4));
}

struct verdict handle_lsetxattr(struct call *call) {
        return set(call, &BY_PATH(call, AT_SYMLINK_NOFOLLOW), CALL_ARG(call, 1), CALL_ARG(call, 2), CALL_ARG(call, 3), CALL_INT(call, 4));
}

struct verdict handle_fsetxattr(struct call *call) {
        return set(call, &BY_DESCRIPTOR(call), CALL_ARG(call, 1), CALL_ARG(call, 2), CALL_ARG(call, 3), CALL_INT(call, 4));
}

struct verdict handle_setxattrat(struct call *call) {
        struct sys_xattr_args args;
        int r = files_read_struct(call, CALL_ARG(call, 4), CALL_ARG(call, 5), &args, sizeof(args));

        return r < 0 ? verdict_from(r) : set(call, &BY_PLACE(call), CALL_ARG(call, 3), args.value, args.size, args.flags);
}

/* ---- get and list ---- */

/* Hands the caller what a call gave: `r` bytes, or only their number where it gave no room. */
static struct verdict give(struct call *call, const struct attribute *a, uint64_t address, ssize_t r) {
        if (r < 0)
                return verdict_error(r);
        if (a->size > 0) {
                int e = target_write(call, address, a->value, r);
                if (e < 0)
                        return verdict_from(e);
        }
        return verdict_value(r);
}

static int make_room(struct attribute *a, uint64_t size, size_t max) {
        a->size = size > max ? max : size;
        if (a->size == 0)
                return 0;
        a->value = malloc(a->size);
        return a->value ? 0 : -ENOMEM;
}

/* What users keep in attributes is content, and the kernel asks for the right to read it; all others tell what stat tells, or nothing. */
static bool may_get(const struct attribute *a) {
        if (!str_starts(a->name, XATTR_USER_PREFIX) || a->pin.outside)
                return true;
        return match_reads(a->pin.match);
}

static struct verdict get(struct call *call, const struct meant *place, uint64_t name, uint64_t value, uint64_t size) {
        _cleanup_(attribute_done) struct attribute a = ATTRIBUTE_INIT(*place);
        char link[64];
        int r;

        if (a.place.flags & ~PLACE_FLAGS)
                return verdict_error(EINVAL);
        r = read_name(call, name, &a);
        if (r < 0)
                return verdict_from(r);
        r = find(call, &a);
        if (r < 0)
                return failed(call, &a, r);
        if (!may_get(&a))
                return files_refuse(call, &a.pin.match, EACCES, "read");
        r = make_room(&a, size, XATTR_SIZE_MAX);
        if (r >= 0)
                r = begin(call, &a, link);
        if (r < 0)
                return verdict_from(r);
        ssize_t n = getxattr(link, a.name, a.value, a.size);
        n = n < 0 ? own_fds_error(call, &a.pin, -errno) : n;
        target_act_done(call);
        return give(call, &a, value, n);
}

struct verdict handle_getxattr(struct call *call) {
        return get(call, &BY_PATH(call, 0), CALL_ARG(call, 1), CALL_ARG(call, 2), CALL_ARG(call, 3));
}

struct verdict handle_lgetxattr(struct call *call) {
        return get(call, &BY_PATH(call, AT_SYMLINK_NOFOLLOW), CALL_ARG(call, 1), CALL_ARG(call, 2), CALL_ARG(call, 3));
}

struct verdict handle_getxattrat(struct call *call) {
        struct sys_xattr_args args;
        int r = files_read_struct(call, CALL_ARG(call, 4), CALL_ARG(call, 5), &args, sizeof(args));

        if (r < 0)
                return verdict_from(r);
        return args.flags ? verdict_error(EINVAL) : get(call, &BY_PLACE(call), CALL_ARG(call, 3), args.value, args.size);
}

static struct verdict list(struct call *call, const struct meant *place, uint64_t address, uint64_t size) {
        _cleanup_(attribute_done) struct attribute a = ATTRIBUTE_INIT(*place);
        char link[64];
        int r;

        if (a.place.flags & ~PLACE_FLAGS)
                return verdict_error(EINVAL);
        r = find_not_cwd(call, &a);
        if (r < 0)
                return failed(call, &a, r);
        r = make_room(&a, size, XATTR_LIST_MAX);
        if (r >= 0)
                r = begin(call, &a, link);
        if (r < 0)
                return verdict_from(r);
        ssize_t n = listxattr(link, a.value, a.size);
        n = n < 0 ? -errno : n;
        target_act_done(call);
        return give(call, &a, address, n);
}

struct verdict handle_listxattr(struct call *call) {
        return list(call, &BY_PATH(call, 0), CALL_ARG(call, 1), CALL_ARG(call, 2));
}

struct verdict handle_llistxattr(struct call *call) {
        return list(call, &BY_PATH(call, AT_SYMLINK_NOFOLLOW), CALL_ARG(call, 1), CALL_ARG(call, 2));
}

struct verdict handle_listxattrat(struct call *call) {
        return list(call, &BY_PLACE(call), CALL_ARG(call, 3), CALL_ARG(call, 4));
}

/* ---- remove ---- */

static struct verdict remove_attribute(struct call *call, const struct meant *place, uint64_t name) {
        _cleanup_(attribute_done) struct attribute a = ATTRIBUTE_INIT(*place);
        struct verdict verdict;
        char link[64];
        int r;

        if (a.place.flags & ~PLACE_FLAGS)
                return verdict_error(EINVAL);
        r = read_name(call, name, &a);
        if (r < 0)
                return verdict_from(r);
        r = find_not_cwd(call, &a);
        if (r < 0)
                return failed(call, &a, r);
        if (!pin_changeable(call, &a.pin, RIGHT_WRITE, EACCES, &verdict))
                return verdict;
        r = begin(call, &a, link);
        if (r < 0)
                return verdict_from(r);
        r = check_security(call, &a);
        if (r >= 0)
                r = ACT(call, removexattr(link, a.name));
        target_act_done(call);
        return r < 0 ? verdict_error(own_fds_error(call, &a.pin, r)) : verdict_value(0);
}

struct verdict handle_removexattr(struct call *call) {
        return remove_attribute(call, &BY_PATH(call, 0), CALL_ARG(call, 1));
}

struct verdict handle_lremovexattr(struct call *call) {
        return remove_attribute(call, &BY_PATH(call, AT_SYMLINK_NOFOLLOW), CALL_ARG(call, 1));
}

struct verdict handle_fremovexattr(struct call *call) {
        return remove_attribute(call, &BY_DESCRIPTOR(call), CALL_ARG(call, 1));
}

struct verdict handle_removexattrat(struct call *call) {
        return remove_attribute(call, &BY_PLACE(call), CALL_ARG(call, 3));
}
