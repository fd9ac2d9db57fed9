/*
 * carry inside|natively FOLDER [DEVICE]: whatever name a call gets, nothing is changed, made or taken away where the policy doesn't let it, and nothing gets from one place to
 * another with other rights. FOLDER/w may be written, but for what is denied and hidden in it; FOLDER/r read, FOLDER/p appended to; FOLDER/b isn't
 * named. The test compares the tree from outside afterwards: here each call must fail. Natively, where it shows that the calls succeed otherwise,
 * nothing is touched but what lies below FOLDER.
 */
#include "attack.h"

#include <limits.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

static const char *folder;
static int top; /* FOLDER/w */

static char *in_folder(char *buffer, const char *name) {
        snprintf(buffer, PATH_MAX, "%s/%s", folder, name);
        return buffer;
}

/* Any error will do. */
#define fails(name, path, call) \
        ({ \
                long _r = (long) (call); \
                attack_expect(_r < 0, "%s %s succeeded", name, path); \
                _r; \
        })

static void closed(int fd) {
        if (fd >= 0)
                close(fd);
}

/* ---- What is there, and may not be changed nor taken along ---- */

static void keep(const char *path, bool metadata) {
        char own[PATH_MAX], other[PATH_MAX];
        struct timespec times[2] = { { 1, 0 }, { 2, 0 } };

        in_folder(own, "w/taken");
        in_folder(other, "w/file");
        fails("link", path, link(path, own));
        fails("linkat, following", path, linkat(AT_FDCWD, path, AT_FDCWD, own, AT_SYMLINK_FOLLOW));
        fails("rename from", path, rename(path, own));
        fails("rename onto", path, rename(other, path));
        fails("renameat2, not replacing", path, syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, own, 1));
        fails("exchange from", path, syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, other, RENAME_EXCHANGE));
        fails("exchange onto", path, syscall(SYS_renameat2, AT_FDCWD, other, AT_FDCWD, path, RENAME_EXCHANGE));
        fails("whiteout", path, syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, own, 4));
        fails("unlink", path, unlink(path));
        fails("rmdir", path, rmdir(path));
        fails("unlinkat of a directory", path, unlinkat(AT_FDCWD, path, AT_REMOVEDIR));
        fails("truncate", path, truncate(path, 0));
        closed(fails("open for writing", path, open(path, O_WRONLY)));
        closed(fails("open for both", path, open(path, O_RDWR)));
        closed(fails("open with O_TRUNC", path, open(path, O_RDONLY | O_TRUNC)));
        closed(fails("creat", path, creat(path, 0600)));
        fails("chown", path, chown(path, getuid(), getgid()));
        fails("fchownat", path, fchownat(AT_FDCWD, path, getuid(), getgid(), 0));
        if (!metadata) {
                fails("chmod", path, chmod(path, 0600));
                fails("fchmodat2", path, syscall(452, AT_FDCWD, path, 0600, AT_SYMLINK_NOFOLLOW));
                fails("utimensat", path, utimensat(AT_FDCWD, path, times, 0));
                fails("setxattr", path, setxattr(path, "user.taken", "x", 1, 0));
                fails("lsetxattr", path, lsetxattr(path, "user.taken", "x", 1, 0));
                fails("removexattr", path, removexattr(path, "user.old"));
        }
}

/* The same name, spelled otherwise. */
static void keep_spelled(const char *name, bool metadata) {
        static const char up[] = "../../../../../../../../../../..";
        char plain[PATH_MAX], path[PATH_MAX];
        struct stat st;

        in_folder(plain, name);
        keep(plain, metadata);
        snprintf(path, sizeof(path), "%.3000s/", plain);
        keep(path, metadata);
        snprintf(path, sizeof(path), "/%.3000s", plain);
        keep(path, metadata);
        snprintf(path, sizeof(path), "%s//.///%s", folder, name);
        keep(path, metadata);
        snprintf(path, sizeof(path), "%s/w/one/.././../%s", folder, name);
        keep(path, metadata);
        snprintf(path, sizeof(path), "/proc/self/root%.3000s", plain);
        keep(path, metadata);
        snprintf(path, sizeof(path), "/proc/thread-self/cwd/%s%.3000s", up, plain);
        keep(path, metadata);
        snprintf(path, sizeof(path), "/dev/fd/%d/../%s", top, name);
        keep(path, metadata);
        snprintf(path, sizeof(path), "%s/w/way/%s", folder, name);
        keep(path, metadata);
        /* A link to it, which may be changed itself: what it leads to may not. */
        in_folder(path, "w/to-it");
        unlink(path);
        if (symlink(plain, path) < 0)
                attack_die("symlink %s", path);
        fails("truncate through a link", path, truncate(path, 0));
        closed(fails("open for writing through a link", path, open(path, O_WRONLY)));
        fails("linkat through a link", path, linkat(AT_FDCWD, path, top, "taken", AT_SYMLINK_FOLLOW));
        fails("chown through a link", path, chown(path, getuid(), getgid()));
        if (!metadata) {
                fails("chmod through a link", path, chmod(path, 0600));
                fails("setxattr through a link", path, setxattr(path, "user.taken", "x", 1, 0));
        }
        unlink(path);
        attack_expect(fstatat(top, "taken", &st, AT_SYMLINK_NOFOLLOW) < 0, "%s has been taken", name);
}

/* What may be opened is not to be changed by its descriptor. */
static void keep_open(const char *name) {
        char path[PATH_MAX], link[64];
        struct timespec times[2] = { { 1, 0 }, { 2, 0 } };
        int flags = 0;

        for (int i = 0; i < 2; i++) {
                int fd = open(in_folder(path, name), i ? O_PATH : O_RDONLY);
                if (!attack_expect(fd >= 0, "%s can't be opened: %s", path, strerror(errno)))
                        return;
                snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
                fails("fchmod", path, fchmod(fd, 0600));
                fails("fchown", path, fchown(fd, getuid(), getgid()));
                fails("fchownat", path, fchownat(fd, "", getuid(), getgid(), AT_EMPTY_PATH));
                fails("fchmodat2", path, syscall(452, fd, "", 0600, AT_EMPTY_PATH));
                fails("futimens", path, syscall(SYS_utimensat, fd, NULL, times, 0));
                fails("utimensat", path, utimensat(fd, "", times, AT_EMPTY_PATH));
                fails("fsetxattr", path, fsetxattr(fd, "user.taken", "x", 1, 0));
                fails("ftruncate", path, ftruncate(fd, 0));
                fails("linkat", path, linkat(fd, "", top, "taken", AT_EMPTY_PATH));
                keep(link, false);
                if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0)
                        fails("flags", path, ioctl(fd, FS_IOC_SETFLAGS, &flags));
                fails("mapping for writing", path, (long) mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == -1 ? -1 : 0);
                close(fd);
        }
}

/* ---- What isn't there, and is not to be ---- */

static void absent(const char *name, bool append) {
        char path[PATH_MAX], own[PATH_MAX];
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        struct stat st;

        in_folder(path, name);
        in_folder(own, "w/file");
        fails("mkdir", path, mkdir(path, 0700));
        fails("mkdirat", path, mkdirat(AT_FDCWD, path, 0700));
        fails("mknod of a FIFO", path, mknod(path, S_IFIFO | 0600, 0));
        fails("mknod of a socket", path, mknod(path, S_IFSOCK | 0600, 0));
        fails("symlink", path, symlink("x", path));
        fails("link", path, link(own, path));
        fails("rename", path, rename(own, path));
        fails("renameat2, not replacing", path, syscall(SYS_renameat2, AT_FDCWD, own, AT_FDCWD, path, 1));
        fails("rename of a directory", path, rename(in_folder(own, "w/one"), path));
        int fd = openat(top, ".", O_RDWR | O_TMPFILE, 0600);
        if (fd >= 0) {
                snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
                fails("a file without a name", path, linkat(AT_FDCWD, own, AT_FDCWD, path, AT_SYMLINK_FOLLOW));
                fails("a file without a name, by its number", path, linkat(fd, "", AT_FDCWD, path, AT_EMPTY_PATH));
        }
        closed(fd);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (strlen(path) < sizeof(un.sun_path)) {
                strcpy(un.sun_path, path);
                fails("bind", path, bind(fd, (struct sockaddr *) &un, sizeof(un)));
        }
        closed(fd);
        if (!append) {
                fails("mknod of a file", path, mknod(path, S_IFREG | 0600, 0));
                closed(fails("creat", path, creat(path, 0600)));
                closed(fails("open with O_EXCL", path, open(path, O_WRONLY | O_CREAT | O_EXCL, 0600)));
                closed(fails("open with O_CREAT", path, open(path, O_RDONLY | O_CREAT, 0600)));
        }
        attack_expect(lstat(path, &st) < 0, "%s is there", path);
}

/* ---- Directories: what is below goes along ---- */

static void carried(void) {
        static const struct {
                const char *from, *to, *secret;
        } moves[] = {
                { "w/list", "w/list2", "w/list2/1.hid" },
                { "w/hidden", "w/shown", "w/shown/file" },
                { "w/denied", "w/opened", "w/opened/file" },
                { "w/list", "a/list", "a/list/1.hid" },
                { "w/list", "w/one/list", "w/one/list/1.hid" },
                { "w", "a/w", "a/w/list/1.hid" },
                { "r", "w/r", "w/r/file" },
                { "p", "w/p", "w/p/log" },
                { "b", "w/b2", "w/b2/file" },
        };
        char from[PATH_MAX], to[PATH_MAX], one[PATH_MAX];
        struct stat st;

        in_folder(one, "w/one");
        for (size_t i = 0; i < sizeof(moves) / sizeof(*moves); i++) {
                fails("rename", moves[i].from, rename(in_folder(from, moves[i].from), in_folder(to, moves[i].to)));
                if (strcmp(moves[i].from, "w") != 0)
                        fails("exchange", moves[i].from, syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, one, RENAME_EXCHANGE));
                attack_expect(lstat(in_folder(to, moves[i].secret), &st) < 0, "%s is there", to);
        }
}

/* ---- What is mounted in the sandbox alone ---- */

static void mounted(void) {
        static const char *const own[] = { "w/private", "w/replaced" }, *const others[] = { "/tmp",     "/proc",     "/dev",
                                                                                            "/dev/shm", "/proc/sys", "/dev/null" };
        char path[PATH_MAX], one[PATH_MAX], away[PATH_MAX];

        in_folder(away, "w/away");
        for (int i = 0; i < 2; i++) {
                bool directory = i == 0;
                in_folder(path, own[i]);
                in_folder(one, directory ? "w/one/two" : "w/file");
                if (directory)
                        attack_refused(path, rmdir(path), EBUSY, EACCES, EROFS);
                else
                        attack_refused(path, unlink(path), EBUSY, EACCES, EROFS);
                attack_refused(path, rename(path, away), EBUSY, EACCES, EROFS, EXDEV);
                attack_refused(path, rename(one, path), EBUSY, EACCES, EROFS, EXDEV, ENOTEMPTY);
                attack_refused(path, syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, one, RENAME_EXCHANGE), EBUSY, EACCES, EROFS, EXDEV);
        }
        for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
                in_folder(one, "w/one/two");
                fails("rmdir", others[i], rmdir(others[i]));
                fails("unlink", others[i], unlink(others[i]));
                fails("rename", others[i], rename(others[i], away));
                fails("rename onto", others[i], rename(one, others[i]));
                fails("exchange", others[i], syscall(SYS_renameat2, AT_FDCWD, others[i], AT_FDCWD, one, RENAME_EXCHANGE));
        }
        /* They are still there. */
        int fd = open(in_folder(path, "w/private/own"), O_WRONLY | O_CREAT | O_EXCL, 0600);
        attack_expect(fd >= 0, "%s: %s", path, strerror(errno));
        closed(fd);
        char text[8] = "";
        fd = open(in_folder(path, "w/replaced"), O_RDONLY);
        attack_expect(read(fd, text, 4) == 4 && memcmp(text, "made", 4) == 0, "%s: '%s'", path, text);
        closed(fd);
}

/* ---- Devices ---- */

static void devices(const char *of_host) {
        static const struct {
                mode_t type;
                unsigned major, minor;
        } kinds[] = { { S_IFCHR, 1, 3 }, { S_IFCHR, 1, 1 },   { S_IFCHR, 1, 11 }, { S_IFCHR, 5, 1 },
                      { S_IFBLK, 8, 0 }, { S_IFBLK, 254, 0 }, { S_IFBLK, 7, 0 } };
        char path[PATH_MAX];
        struct stat st;

        for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
                in_folder(path, "w/device");
                dev_t device = makedev(kinds[i].major, kinds[i].minor);
                attack_refused("mknod", mknod(path, kinds[i].type | 0666, device), EPERM);
                attack_refused("mknodat", mknodat(top, "device", kinds[i].type | 0666, device), EPERM);
                attack_expect(lstat(path, &st) < 0, "device %u:%u is there", kinds[i].major, kinds[i].minor);
        }
        if (!of_host)
                return;
        /* A node that lies where the policy lets everything be written. */
        static const int flags[] = { O_RDONLY | O_NONBLOCK, O_WRONLY | O_NONBLOCK, O_RDWR | O_NONBLOCK, O_RDONLY | O_CREAT | O_NONBLOCK };
        for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
                closed(fails("open of a device of the host's", of_host, open(of_host, flags[i], 0600)));
        int fd = open(of_host, O_PATH);
        if (fd >= 0) {
                snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
                closed(fails("open of a device by its number", of_host, open(path, O_RDONLY | O_NONBLOCK)));
                close(fd);
        }
        if (link(of_host, in_folder(path, "w/linked-device")) == 0)
                closed(fails("open of a device by another name", path, open(path, O_RDONLY | O_NONBLOCK)));
        unlink(path);
}

int main(int argc, char **argv) {
        static const char *const kept[] = {
                "r/file", "b/file", "b/absent", "w/hidden/file", "w/denied/file", "w/list/1.hid", "w/list/2-also-shown.hid"
        };
        static const char *const made[] = { "r/new", "b/new", "w/hidden/new", "w/denied/new", "w/list/new.hid", "b2" };
        char path[PATH_MAX];

        setvbuf(stdout, NULL, _IONBF, 0);
        if (argc < 3)
                return 2;
        folder = argv[2];
        top = open(in_folder(path, "w"), O_RDONLY | O_DIRECTORY);
        if (top < 0 || chdir(path) < 0)
                attack_die("%s", path);
        unlink("way");
        if (symlink(folder, "way") < 0)
                attack_die("symlink");
        for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
                keep_spelled(kept[i], false);
        keep_spelled("p/log", true);
        keep_open("r/file");
        for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++)
                absent(made[i], false);
        absent("p/new", true);
        carried();
        if (strcmp(argv[1], "inside") == 0) {
                mounted();
                devices(argc > 3 ? argv[3] : NULL);
        }
        unlink("way");
        attack_end();
}
