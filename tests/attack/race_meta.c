/*
 * Metadata by path: mode, owner, size, times, extended attributes, flags; and what watches a path. What is changed the referee sees.
 */
#include "race.h"

#include <sys/inotify.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <utime.h>

/* Newer than Debian 12's headers. */
enum {
        CALL_FCHMODAT2 = 452,
        CALL_SETXATTRAT = 463,
        CALL_GETXATTRAT,
        CALL_LISTXATTRAT,
        CALL_REMOVEXATTRAT,
        CALL_FILE_GETATTR = 468,
        CALL_FILE_SETATTR
};

struct xattr_args_ {
        uint64_t value __attribute__((aligned(8)));
        uint32_t size, flags;
};

struct file_attr_ {
        uint64_t xflags;
        uint32_t extsize, nextents, projid, cowextsize;
};

#define NODUMP 0x80 /* FS_XFLAG_NODUMP */

/* ---- Mode, owner, size, times ---- */

static bool try_chmod(void) {
        syscall(SYS_chmod, race_shared->path, 0640);
        return false;
}

static bool try_fchmodat(void) {
        syscall(SYS_fchmodat, AT_FDCWD, race_shared->path, 0640);
        return false;
}

static bool try_fchmodat2(void) {
        syscall(CALL_FCHMODAT2, AT_FDCWD, race_shared->path, 0640, 0);
        return false;
}

static bool try_chown(void) {
        syscall(SYS_chown, race_shared->path, getuid(), getgid());
        return false;
}

static bool try_lchown(void) {
        syscall(SYS_lchown, race_shared->path, getuid(), getgid());
        return false;
}

static bool try_fchownat(void) {
        syscall(SYS_fchownat, AT_FDCWD, race_shared->path, getuid(), getgid(), 0);
        return false;
}

static bool try_truncate(void) {
        syscall(SYS_truncate, race_shared->path, 1);
        return false;
}

static bool try_utime(void) {
        struct utimbuf times = { 1, 2 };

        syscall(SYS_utime, race_shared->path, &times);
        return false;
}

static bool try_utimes(void) {
        struct timeval times[2] = { { 1, 0 }, { 2, 0 } };

        syscall(SYS_utimes, race_shared->path, times);
        return false;
}

static bool try_futimesat(void) {
        struct timeval times[2] = { { 1, 0 }, { 2, 0 } };

        syscall(SYS_futimesat, AT_FDCWD, race_shared->path, times);
        return false;
}

static bool try_utimensat(void) {
        struct timespec times[2] = { { 1, 0 }, { 2, 0 } };

        syscall(SYS_utimensat, AT_FDCWD, race_shared->path, times, 0);
        return false;
}

/* ---- Extended attributes: user.canary and user.old are there in b alone ---- */

static int attributed = -1;

static void prepare_attributed(void) {
        attributed = openat(race_side, "file", O_RDWR);
        if (attributed < 0)
                attack_die("file");
}

static bool try_setxattr(void) {
        syscall(SYS_setxattr, race_shared->path, "user.new", "x", 1, 0);
        return false;
}

static bool try_lsetxattr(void) {
        syscall(SYS_lsetxattr, race_shared->path, "user.new", "x", 1, 0);
        return false;
}

static bool try_setxattrat(void) {
        struct xattr_args_ args = { .value = (uintptr_t) "x", .size = 1 };

        syscall(CALL_SETXATTRAT, AT_FDCWD, race_shared->path, 0, "user.new", &args, sizeof(args));
        return false;
}

static bool try_removexattr(void) {
        fsetxattr(attributed, "user.old", "x", 1, 0);
        syscall(SYS_removexattr, race_shared->path, "user.old");
        return false;
}

static bool try_lremovexattr(void) {
        fsetxattr(attributed, "user.old", "x", 1, 0);
        syscall(SYS_lremovexattr, race_shared->path, "user.old");
        return false;
}

static bool try_removexattrat(void) {
        fsetxattr(attributed, "user.old", "x", 1, 0);
        syscall(CALL_REMOVEXATTRAT, AT_FDCWD, race_shared->path, 0, "user.old");
        return false;
}

static bool try_getxattr(void) {
        char value[16];

        return syscall(SYS_getxattr, race_shared->path, "user.canary", value, sizeof(value)) >= 0;
}

static bool try_lgetxattr(void) {
        char value[16];

        return syscall(SYS_lgetxattr, race_shared->path, "user.canary", value, sizeof(value)) >= 0;
}

static bool try_getxattrat(void) {
        char value[16];
        struct xattr_args_ args = { .value = (uintptr_t) value, .size = sizeof(value) };

        return syscall(CALL_GETXATTRAT, AT_FDCWD, race_shared->path, 0, "user.canary", &args, sizeof(args)) >= 0;
}

static bool names_canary(const char *names, long n) {
        return n > 0 && memmem(names, n, "user.canary", sizeof("user.canary"));
}

static bool try_listxattr(void) {
        char names[4096];

        return names_canary(names, syscall(SYS_listxattr, race_shared->path, names, sizeof(names)));
}

static bool try_llistxattr(void) {
        char names[4096];

        return names_canary(names, syscall(SYS_llistxattr, race_shared->path, names, sizeof(names)));
}

static bool try_listxattrat(void) {
        char names[4096];

        return names_canary(names, syscall(CALL_LISTXATTRAT, AT_FDCWD, race_shared->path, 0, names, sizeof(names)));
}

/* ---- Flags: b's file is the one that isn't dumped ---- */

static bool try_file_getattr(void) {
        struct file_attr_ attr = {};

        return syscall(CALL_FILE_GETATTR, AT_FDCWD, race_shared->path, &attr, sizeof(attr), 0) == 0 && (attr.xflags & NODUMP);
}

static bool try_file_setattr(void) {
        struct file_attr_ attr = {};

        syscall(CALL_FILE_SETATTR, AT_FDCWD, race_shared->path, &attr, sizeof(attr), 0);
        return false;
}

/* ---- The file system: another one is mounted at /sys ---- */

static uint64_t places[2];

static void prepare_statfs(void) {
        memcpy(&places[0], "/usr\0\0\0", 8);
        memcpy(&places[1], "/sys\0\0\0", 8);
        memcpy(race_shared->path, &places[0], 8);
}

/* One store. */
static void swap_place(int which) {
        *(volatile uint64_t *) race_shared->path = places[which];
}

static bool try_statfs(void) {
        struct statfs fs = {};

        return syscall(SYS_statfs, race_shared->path, &fs) == 0 && fs.f_type == 0x62656572 /* SYSFS_MAGIC */;
}

/* ---- Watches: each object has a number of its own ---- */

static int watches, allowed_watch;

static void prepare_watch(void) {
        watches = inotify_init1(IN_NONBLOCK);
        allowed_watch = inotify_add_watch(watches, race_shared->path, IN_ALL_EVENTS);
        if (allowed_watch < 0)
                attack_die("inotify_add_watch %s", race_shared->path);
}

static bool try_watch(void) {
        int wd = syscall(SYS_inotify_add_watch, watches, race_shared->path, IN_CREATE);

        if (wd < 0 || wd == allowed_watch)
                return false;
        inotify_rm_watch(watches, wd);
        return true;
}

const struct race race_meta[] = {
        { "chmod", "file", try_chmod },
        { "fchmodat", "file", try_fchmodat },
        { "fchmodat2", "file", try_fchmodat2 },
        { "chown", "file", try_chown },
        { "lchown", "file", try_lchown },
        { "fchownat", "file", try_fchownat },
        { "truncate", "file", try_truncate },
        { "utime", "file", try_utime },
        { "utimes", "file", try_utimes },
        { "futimesat", "file", try_futimesat },
        { "utimensat", "file", try_utimensat },
        { "setxattr", "file", try_setxattr },
        { "lsetxattr", "file", try_lsetxattr },
        { "setxattrat", "file", try_setxattrat },
        { "removexattr", "file", try_removexattr, prepare_attributed },
        { "lremovexattr", "file", try_lremovexattr, prepare_attributed },
        { "removexattrat", "file", try_removexattrat, prepare_attributed },
        { "getxattr", "file", try_getxattr },
        { "lgetxattr", "file", try_lgetxattr },
        { "getxattrat", "file", try_getxattrat },
        { "listxattr", "file", try_listxattr },
        { "llistxattr", "file", try_llistxattr },
        { "listxattrat", "file", try_listxattrat },
        { "file_getattr", "file", try_file_getattr },
        { "file_setattr", "file", try_file_setattr },
        { "statfs", NULL, try_statfs, prepare_statfs, swap_place },
        { "inotify_add_watch", "", try_watch, prepare_watch },
        {},
};
