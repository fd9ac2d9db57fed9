/*
 * reach inside|natively FOLDER PATH…: tries every way to files that the policy doesn't name. FOLDER/a is one that it does. Natively, where it shows that
 * the ways lead there otherwise, nothing is changed.
 */
#include "attack.h"

#include <linux/openat2.h>
#include <sys/inotify.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

static const char *folder;
static bool natively;

static int watches;

/* Newer than Debian 12's headers. */
enum { CALL_GETXATTRAT = 464, CALL_LISTXATTRAT = 465, CALL_FILE_GETATTR = 468 };

/* ---- What is tried with each name ---- */

static void refuse_open(const char *name, const char *path, int flags) {
        int fd = open(path, flags, 0600), error = errno;

        attack_expect(fd < 0, "open(%s, %#x) %s: opened", path, flags, name);
        if (fd >= 0)
                close(fd);
        /* What nobody may know of doesn't exist; EACCES where it would be made; ELOOP for O_NOFOLLOW on a link of our own. */
        else if (error != ENOENT && error != EACCES && error != ELOOP && error != EXDEV && error != ENOTDIR && error != EISDIR &&
                 error != EPERM && error != EROFS)
                attack_expect(false, "open(%s, %#x) %s: %s", path, flags, name, strerrorname_np(error));
}

/* `link`: the last component is a symlink of our own, which may be looked at itself. */
static void refuse_all(const char *name, const char *path, bool link) {
        static const int flags[] = {
                O_RDONLY,
                O_WRONLY,
                O_RDWR,
                O_PATH,
                O_PATH | O_NOFOLLOW,
                O_RDONLY | O_NOFOLLOW,
                O_RDONLY | O_DIRECTORY,
                O_RDONLY | O_NONBLOCK,
                O_WRONLY | O_APPEND,
                O_RDWR | O_CREAT,
                O_WRONLY | O_CREAT | O_APPEND,
                O_RDONLY | O_NOATIME,
        };
        char text[4096];
        struct stat st;
        struct statx stx;
        struct open_how how = { .flags = O_RDONLY };
        char *argv[] = { (char *) "x", NULL };
        struct statfs fs;
        int mount;
        struct {
                uint64_t value;
                uint32_t size, flags;
        } args = { (uintptr_t) text, sizeof(text), 0 };

        memset(text, 0, sizeof(text));
        for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
                if (!link || !(flags[i] & O_NOFOLLOW))
                        refuse_open(name, path, flags[i]);
        attack_refused(path, syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)), ENOENT, EACCES, ENOTDIR);
        attack_refused(path, syscall(SYS_stat, path, &st), ENOENT, EACCES, ENOTDIR);
        attack_refused(path, syscall(SYS_newfstatat, AT_FDCWD, path, &st, 0), ENOENT, EACCES, ENOTDIR);
        attack_refused(path, syscall(SYS_statx, AT_FDCWD, path, 0, STATX_BASIC_STATS, &stx), ENOENT, EACCES, ENOTDIR);
        attack_refused(path, syscall(SYS_access, path, F_OK), ENOENT, EACCES, ENOTDIR);
        attack_refused(path, syscall(SYS_faccessat, AT_FDCWD, path, R_OK), ENOENT, EACCES, ENOTDIR);
        attack_refused(path, syscall(SYS_faccessat2, AT_FDCWD, path, F_OK, AT_EACCESS), ENOENT, EACCES, ENOTDIR);
        attack_refused(path, syscall(SYS_execve, path, argv, NULL), ENOENT, EACCES, ENOTDIR);
        attack_refused(path, syscall(SYS_execveat, AT_FDCWD, path, argv, NULL, 0), ENOENT, EACCES, ENOTDIR);
        attack_refused(path, syscall(SYS_getxattr, path, "user.x", text, sizeof(text)), ENOENT, EACCES, ENOTDIR);
        attack_refused(path, syscall(SYS_listxattr, path, text, sizeof(text)), ENOENT, EACCES, ENOTDIR);
        attack_refused(path, syscall(CALL_GETXATTRAT, AT_FDCWD, path, 0, "user.x", &args, sizeof(args)), ENOENT, EACCES, ENOTDIR, ENOSYS);
        attack_refused(path, syscall(CALL_LISTXATTRAT, AT_FDCWD, path, 0, text, sizeof(text)), ENOENT, EACCES, ENOTDIR, ENOSYS);
        attack_refused(path, syscall(CALL_FILE_GETATTR, AT_FDCWD, path, text, 24, 0), ENOENT, EACCES, ENOTDIR, ENOSYS);
        attack_refused(path, syscall(SYS_statfs, path, &fs), ENOENT, EACCES, ENOTDIR);
        attack_refused(path, syscall(SYS_chdir, path), ENOENT, EACCES, ENOTDIR);
        attack_refused(path, syscall(SYS_inotify_add_watch, watches, path, IN_ALL_EVENTS), ENOENT, EACCES, ENOTDIR);
        attack_refused(path, syscall(SYS_name_to_handle_at, AT_FDCWD, path, text, &mount, 0), ENOENT, EACCES, ENOTDIR, EPERM, EOVERFLOW);
        if (!link) {
                attack_refused(path, syscall(SYS_llistxattr, path, text, sizeof(text)), ENOENT, EACCES, ENOTDIR);
                attack_refused(path, syscall(SYS_lgetxattr, path, "user.x", text, sizeof(text)), ENOENT, EACCES, ENOTDIR);
                attack_refused(path, syscall(SYS_lstat, path, &st), ENOENT, EACCES, ENOTDIR);
                attack_refused(path, syscall(SYS_readlink, path, text, sizeof(text)), ENOENT, EACCES, ENOTDIR);
                attack_refused(path, syscall(SYS_readlinkat, AT_FDCWD, path, text, sizeof(text)), ENOENT, EACCES, ENOTDIR);
        }
}

static void refuse_at(const char *name, int dirfd, const char *path, uint64_t resolve) {
        struct open_how how = { .flags = O_RDONLY, .resolve = resolve };
        struct stat st;

        attack_refused(name, syscall(SYS_openat, dirfd, path, O_RDONLY), ENOENT, EACCES, ENOTDIR);
        attack_refused(name, syscall(SYS_openat, dirfd, path, O_PATH), ENOENT, EACCES, ENOTDIR);
        attack_refused(name, syscall(SYS_openat2, dirfd, path, &how, sizeof(how)), ENOENT, EACCES, EXDEV, ELOOP, ENOTDIR);
        attack_refused(name, syscall(SYS_newfstatat, dirfd, path, &st, 0), ENOENT, EACCES, ENOTDIR);
        attack_refused(name, syscall(SYS_faccessat, dirfd, path, F_OK), ENOENT, EACCES, ENOTDIR);
}

/* ---- The names ---- */

__attribute__((format(printf, 2, 3))) static void try_name(const char *name, const char *format, ...) {
        char path[4096];
        va_list ap;

        va_start(ap, format);
        vsnprintf(path, sizeof(path), format, ap);
        va_end(ap);
        refuse_all(name, path, false);
}

static void by_name(const char *target, int dir) {
        static const char up[] = "../../../../../../../../../../..";

        try_name("itself", "%s", target);
        try_name("slashes", "//%s", target);
        try_name("dots", "/./.%s", target);
        try_name("dotdot from /", "/..%s", target);
        try_name("dotdot", "%s%s", up, target);
        try_name("dotdot from /usr", "/usr/../usr/bin/../..%s", target);
        try_name("dotdot from the folder", "%s/a/../../../../../../../../../../..%s", folder, target);
        try_name("own root", "/proc/self/root%s", target);
        try_name("own root twice", "/proc/self/root/proc/self/root%s", target);
        try_name("thread's root", "/proc/thread-self/root%s", target);
        try_name("root by number", "/proc/%d/root%s", getpid(), target);
        try_name("root of a task", "/proc/self/task/%d/root%s", getpid(), target);
        try_name("own cwd", "/proc/self/cwd/%s%s", up, target);
        try_name("init's root", "/proc/1/root%s", target);
        try_name("init's cwd", "/proc/1/cwd%s", target);
        try_name("init's cwd, up", "/proc/1/cwd/%s%s", up, target);
        try_name("/dev/fd", "/dev/fd/%d/%s%s", dir, up, target);
        try_name("own fd", "/proc/self/fd/%d/%s%s", dir, up, target);
}

static void by_link(const char *target) {
        char link[4096], text[4096], parent[4096];
        const char *last = strrchr(target, '/') + 1;

        snprintf(link, sizeof(link), "%s/a/escape", folder);
        snprintf(parent, sizeof(parent), "%.*s", (int) (last - target), target);
        for (int i = 0; i < 5; i++) {
                static const char *const forms[] = { "%s", "../../../../../../../../../../..%s", "/proc/self/root%s",
                                                     "/proc/thread-self/root%s", "//.//%s" };
                unlink(link);
                snprintf(text, sizeof(text), forms[i], target);
                if (symlink(text, link) < 0)
                        attack_die("symlink %s", link);
                refuse_all("through a link", link, true);
                char slash[4160];
                snprintf(slash, sizeof(slash), "%s/", link);
                refuse_all("through a link with a slash", slash, false);

                unlink(link);
                snprintf(text, sizeof(text), forms[i], parent);
                if (symlink(text, link) < 0)
                        attack_die("symlink %s", link);
                snprintf(text, sizeof(text), "%.3000s/%s", link, last);
                refuse_all("through a link on the way", text, false);
        }
        unlink(link);
}

static void by_descriptor(const char *target) {
        static const char up[] = "../../../../../../../../../../..";
        char path[4200], name[4096];
        static const char *const from[] = { "/", "/usr", "/proc", "/dev" };

        for (size_t i = 0; i < sizeof(from) / sizeof(*from) + 1; i++) {
                for (int flags = O_RDONLY | O_DIRECTORY;; flags = O_PATH | O_DIRECTORY) {
                        snprintf(name, sizeof(name), "%s", i < sizeof(from) / sizeof(*from) ? from[i] : folder);
                        if (i == sizeof(from) / sizeof(*from))
                                strcat(name, "/a");
                        int dir = open(name, flags);
                        if (attack_expect(dir >= 0, "open(%s): %s", name, strerror(errno))) {
                                snprintf(path, sizeof(path), "%s%s", up, target);
                                refuse_at("dirfd, up", dir, path, 0);
                                refuse_at("dirfd, absolute", dir, target, 0);
                                refuse_at("dirfd, in root", dir, path, RESOLVE_NO_MAGICLINKS);
                                close(dir);
                        }
                        if (flags & O_PATH)
                                break;
                }
        }
        int dir = open("/", O_PATH | O_DIRECTORY);
        refuse_at("from /", dir, target + 1, 0);
        refuse_at("from /, in root", dir, target, RESOLVE_IN_ROOT);
        refuse_at("from /, beneath", dir, target + 1, RESOLVE_BENEATH);
        close(dir);
}

static void by_cwd(const char *target) {
        char parent[4096];
        const char *last = strrchr(target, '/') + 1;
        int back = open(".", O_PATH | O_DIRECTORY);

        snprintf(parent, sizeof(parent), "%.*s", (int) (last - target), target);
        /* /etc is there: other files in it are named. */
        bool hidden = access(parent, F_OK) < 0;
        if (chdir(parent) == 0) {
                attack_expect(natively || !hidden, "chdir(%s) succeeded", parent);
                refuse_all("from its folder", last, false);
                try_name("from its folder", "./%s", last);
                try_name("from its folder", "/proc/self/cwd/%s", last);
                try_name("from its folder", "/proc/thread-self/cwd/%s", last);
                if (fchdir(back) < 0)
                        attack_die("fchdir");
        }
        close(back);
}

/* Not with the host's own files: should a broker under test ever let them go, they would be missed. */
static void by_change(const char *target) {
        char own[4096];

        if (natively || strncmp(target, "/etc/", 5) == 0)
                return;
        snprintf(own, sizeof(own), "%s/a/taken", folder);
        attack_refused("link", link(target, own), ENOENT, EACCES, EXDEV, EPERM);
        attack_refused("linkat", linkat(AT_FDCWD, target, AT_FDCWD, own, AT_SYMLINK_FOLLOW), ENOENT, EACCES, EXDEV, EPERM);
        attack_refused("rename", rename(target, own), ENOENT, EACCES, EXDEV, EPERM, EROFS);
        attack_refused("unlink", unlink(target), ENOENT, EACCES, EROFS);
        attack_refused("truncate", truncate(target, 0), ENOENT, EACCES, EROFS);
        attack_refused("chmod", chmod(target, 0777), ENOENT, EACCES, EROFS);
        snprintf(own, sizeof(own), "/proc/self/root%s", target);
        attack_refused("unlink by the root", unlink(own), ENOENT, EACCES, EROFS);
}

int main(int argc, char **argv) {
        setvbuf(stdout, NULL, _IONBF, 0);
        if (argc < 4)
                return 2;
        natively = strcmp(argv[1], "natively") == 0;
        folder = argv[2];
        char own[4096];
        struct stat st;
        snprintf(own, sizeof(own), "%s/a", folder);
        int dir = open(own, O_PATH | O_DIRECTORY);
        if (dir < 0 || chdir(own) < 0)
                attack_die("%s", own);
        watches = inotify_init1(IN_CLOEXEC);
        /* The ways exist: they lead to what is allowed. */
        snprintf(own, sizeof(own), "/proc/self/root%s/a/file", folder);
        attack_expect(stat(own, &st) == 0, "%s: %s", own, strerror(errno));
        snprintf(own, sizeof(own), "/dev/fd/%d/../../../../../../../../../..%s/a/file", dir, folder);
        attack_expect(open(own, O_RDONLY) >= 0, "%s: %s", own, strerror(errno));

        for (int i = 3; i < argc; i++) {
                by_name(argv[i], dir);
                by_link(argv[i]);
                by_descriptor(argv[i]);
                by_cwd(argv[i]);
                by_change(argv[i]);
        }
        attack_end();
}
