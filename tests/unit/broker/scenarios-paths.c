/*
 * Resolution against the kernel's own, in a small tree.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fd.h"
#include "handlers.h"
#include "sys.h"

static char tree[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void) st, (void) type, (void) ftw;
        return remove(path);
}

static void remove_tree(struct rig *rig) {
        (void) rig;
        nftw(tree, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void file(const char *path, mode_t mode) {
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        EXPECT(fd >= 0 && fchmod(fd, mode) == 0);
        close(fd);
}

static void make_tree(struct rig *rig) {
        char name[300], link[32];

        (void) rig;
        strcpy(tree, "/tmp/broker-paths-XXXXXX");
        EXPECT(mkdtemp(tree) && chmod(tree, 0755) == 0 && chdir(tree) == 0);
        EXPECT(mkdir("a", 0755) == 0 && mkdir("a/b", 0755) == 0 && mkdir("a/b/c", 0755) == 0 && mkdir("shut", 0) == 0);
        file("file", 0644);
        file("a/b/c/deep", 0644);
        file("secret", 0);
        file("with (deleted)", 0644);
        EXPECT(symlink("a/b", "link") == 0 && symlink("link/c/deep", "link2") == 0 && symlink("nowhere", "dangling") == 0);
        EXPECT(symlink("/etc/passwd", "absolute") == 0 && symlink("loop2", "loop1") == 0 && symlink("loop1", "loop2") == 0);
        EXPECT(symlink("file/", "slashfile") == 0 && symlink("a/", "slashdir") == 0 && symlink("../..", "a/b/up2") == 0);
        EXPECT(symlink("/", "rootlink") == 0 && symlink(".", "dot") == 0 && symlink("a/../file", "climb") == 0);
        EXPECT(symlink("/proc/self/fd", "fds") == 0 && symlink("/proc/self/exe", "exe") == 0);
        for (int i = 0; i < 45; i++) {
                snprintf(name, sizeof(name), "chain%d", i);
                snprintf(link, sizeof(link), i == 0 ? "file" : "chain%d", i - 1);
                EXPECT(symlink(link, name) == 0);
        }
        memset(name, 'n', 255);
        name[255] = 0;
        file(name, 0644);
}

static const char *const paths[] = {
        "file",
        "./file",
        "a//b/./c///deep",
        "a/b/c/../c/deep",
        "../../../../../../../../etc/passwd",
        "a/b/../../file",
        "link",
        "link/",
        "link/c/deep",
        "link2",
        "link2/",
        "dangling",
        "dangling/",
        "absolute",
        "absolute/",
        "loop1",
        "loop1/x",
        "slashfile",
        "slashdir",
        "slashdir/b",
        "a/b/up2",
        "a/b/up2/file",
        "a/b/up2/a/b/up2/file",
        "rootlink",
        "rootlink/etc/passwd",
        "dot",
        "dot/dot/dot/file",
        "climb",
        "file/",
        "file/.",
        "file/..",
        "file/x",
        "a/",
        "a/.",
        "a/..",
        "a/../",
        ".",
        "..",
        "./",
        "/",
        "//",
        "/.",
        "/..",
        "/../..",
        "nothing",
        "nothing/",
        "nothing/..",
        "nothing/../file",
        "a/nothing",
        "shut",
        "shut/",
        "shut/.",
        "shut/..",
        "shut/x",
        "shut/../file",
        "secret",
        "secret/",
        "chain0",
        "chain38",
        "chain39",
        "chain40",
        "chain44",
        "with (deleted)",
        "fds",
        "fds/0",
        "fds/9",
        "exe",
        "/proc/self",
        "/proc/self/",
        "/proc/self/status",
        "/proc/thread-self",
        "/proc/thread-self/comm",
        "/proc/self/fd/0",
        "/proc/self/fd/1",
        "/proc/self/fd/7",
        "/proc/self/fd/8/file",
        "/proc/self/fd/8/../file",
        "/proc/self/fd/8/..",
        "/proc/self/fd/77",
        "/proc/self/fd/7/x",
        "/proc/self/fd/12",
        "/proc/self/fd/13",
        "/proc/self/fd/10",
        "/proc/self/cwd",
        "/proc/self/cwd/file",
        "/proc/self/cwd/link/../file",
        "/proc/self/root/etc/passwd",
        "/proc/self/root",
        "/proc/self/root/../..",
        "/proc/self/exe",
        "/proc/self/ns/net",
        "/proc/self/task/../status",
        "/proc/mounts",
        "/proc/net/dev",
        "/proc/net",
        "/dev/fd",
        "/dev/fd/0",
        "/dev/stdin",
        "/dev/stdin/",
        "/proc/1/root",
        "/proc/1/cwd/",
        "/proc/1/exe",
        "/proc/1/fd/0",
        "/proc/1/status",
        "/proc/999999999/status",
        "/proc/self/map_files",
        "/proc/self/../self/comm",
        "",
        " ",
        "file ",
        "a/b/c/deep/../deep",
};

/* What both ways say of a path has to be the same. */
static void compare_stat(int dirfd, const char *path, int flags) {
        struct stat a = {}, b = {};
        long native, ours;

        /* The kernel counts links twice when a look-up without locks fails and is done again with them: near 40 it isn't of one mind. */
        for (int i = 0; i < 5; i++) {
                native = NATIVE(__NR_newfstatat, dirfd, path, &a, flags, 0);
                ours = BROKERED(__NR_newfstatat, dirfd, path, &b, flags, 0);
                if (native != -ELOOP || ours == native)
                        break;
        }

        if (native != ours || (native == 0 && (a.st_ino != b.st_ino || a.st_dev != b.st_dev || a.st_mode != b.st_mode))) {
                fprintf(stderr, "stat(%d, \"%.60s\", %#x): native %s (inode %lu), ours %s (inode %lu)\n", dirfd, path, flags,
                        native < 0 ? strerrorname_np(-native) : "ok", a.st_ino, ours < 0 ? strerrorname_np(-ours) : "ok", b.st_ino);
                _exit(1);
        }
}

static void compare_open(int dirfd, const char *path, int flags) {
        struct stat a = {}, b = {};
        int native = NATIVE(__NR_openat, dirfd, path, flags | O_NONBLOCK, 0, 0);
        if (native == -ELOOP)
                native = NATIVE(__NR_openat, dirfd, path, flags | O_NONBLOCK, 0, 0);
        if (native >= 0) {
                fstat(native, &a);
                close(native);
        }
        int ours = BROKERED(__NR_openat, dirfd, path, flags | O_NONBLOCK, 0, 0);
        if (ours >= 0) {
                fstat(ours, &b);
                close(ours);
        }
        if (native != ours || a.st_ino != b.st_ino || a.st_dev != b.st_dev) {
                fprintf(stderr, "open(%d, \"%.60s\", %#x): native %s (inode %lu), ours %s (inode %lu)\n", dirfd, path, flags,
                        native < 0 ? strerrorname_np(-native) : "ok", a.st_ino, ours < 0 ? strerrorname_np(-ours) : "ok", b.st_ino);
                _exit(1);
        }
}

/* 7: a file, 8: a directory, 10: a pipe, 11: an O_PATH directory, 12: a deleted file, 13: a memfd, 14: a socket. */
static void open_numbers(void) {
        int pipes[2];

        EXPECT(dup2(open("file", O_RDONLY), 7) == 7 && dup2(open("a/..", O_RDONLY | O_DIRECTORY), 8) == 8);
        EXPECT(pipe(pipes) == 0 && dup2(pipes[0], 10) == 10);
        EXPECT(dup2(open("a", O_PATH), 11) == 11);
        EXPECT(dup2(open("gone", O_CREAT | O_RDWR, 0644), 12) == 12 && unlink("gone") == 0);
        EXPECT(dup2(memfd_create("memory", 0), 13) == 13);
        EXPECT(dup2(socket(AF_UNIX, SOCK_STREAM, 0), 14) == 14);
}

static void compare_all(void) {
        static const int dirfds[] = { AT_FDCWD, 8, 7, 11, 99, -1, 10, 12, 14 };
        char path[5000], name[300];

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                compare_stat(AT_FDCWD, paths[i], 0);
                compare_stat(AT_FDCWD, paths[i], AT_SYMLINK_NOFOLLOW);
                compare_open(AT_FDCWD, paths[i], O_RDONLY);
                compare_open(AT_FDCWD, paths[i], O_RDONLY | O_DIRECTORY);
                snprintf(path, sizeof(path), "%s/%s", tree, paths[i]);
                compare_stat(AT_FDCWD, path, 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(dirfds); i++) {
                static const char *const some[] = { "", ".", "..", "file", "a/b", "b/c/deep", "/etc/passwd", "../file", "link2" };
                for (size_t j = 0; j < ELEMENTSOF(some); j++) {
                        compare_stat(dirfds[i], some[j], 0);
                        compare_stat(dirfds[i], some[j], AT_EMPTY_PATH);
                        compare_stat(dirfds[i], some[j], AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
                        compare_open(dirfds[i], some[j], O_RDONLY);
                }
        }
        memset(name, 'n', sizeof(name));
        for (int n = 253; n < 260; n++) {
                name[n] = 0;
                compare_stat(AT_FDCWD, name, 0);
                snprintf(path, sizeof(path), "link/../%s", name);
                compare_stat(AT_FDCWD, path, 0);
                name[n] = 'n';
        }
        /* A long way of short names. */
        strcpy(path, "file");
        while (strlen(path) < 4090) {
                memmove(path + 2, path, strlen(path) + 1);
                memcpy(path, "./", 2);
        }
        compare_stat(AT_FDCWD, path, 0);
        memcpy(path, "a/../dot/", 9);
        path[9] = '/';
        compare_stat(AT_FDCWD, path, 0);
}

static int body_table(void) {
        open_numbers();
        compare_all();
        return 0;
}

static int body_deleted_cwd(void) {
        EXPECT(mkdir("going", 0755) == 0 && chdir("going") == 0 && rmdir("../going") == 0);
        static const char *const some[] = { ".", "..", "x", "../file", "./x", "../a/b" };
        for (size_t i = 0; i < ELEMENTSOF(some); i++) {
                compare_stat(AT_FDCWD, some[i], 0);
                compare_open(AT_FDCWD, some[i], O_RDONLY);
        }
        return 0;
}

static void compare_how(const char *path, uint64_t resolve_bits) {
        struct open_how how = { .flags = O_RDONLY | O_NONBLOCK, .resolve = resolve_bits };
        int dirfd = open("a/..", O_RDONLY | O_DIRECTORY);
        int native = NATIVE(__NR_openat2, dirfd, path, &how, sizeof(how), 0);
        if (native == -ELOOP)
                native = NATIVE(__NR_openat2, dirfd, path, &how, sizeof(how), 0);
        close(native);
        int ours = BROKERED(__NR_openat2, dirfd, path, &how, sizeof(how), 0);
        close(ours);
        close(dirfd);
        if (native != ours) {
                fprintf(stderr, "openat2(\"%.60s\", %#lx): native %s, ours %s\n", path, resolve_bits,
                        native < 0 ? strerrorname_np(-native) : "ok", ours < 0 ? strerrorname_np(-ours) : "ok");
                _exit(1);
        }
}

static int body_openat2(void) {
        static const uint64_t bits[] = {
                0,
                RESOLVE_BENEATH,
                RESOLVE_IN_ROOT,
                RESOLVE_NO_SYMLINKS,
                RESOLVE_NO_MAGICLINKS,
                RESOLVE_NO_XDEV,
                RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
                RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS,
        };

        open_numbers();
        for (size_t i = 0; i < ELEMENTSOF(paths); i++)
                for (size_t j = 0; j < ELEMENTSOF(bits); j++)
                        compare_how(paths[i], bits[j]);
        return 0;
}

/* ---- what the plan hides ---- */

static struct rig_rule rules[8];
static char rule_texts[8][PATH_MAX];

static void hide(struct rig *rig) {
        static const struct rig_rule below[] = {
                { "hidden", MATCH_HIDDEN }, { "a/hidden", MATCH_HIDDEN }, { "denied", MATCH_DENIED }, { "hiddenlink", MATCH_HIDDEN }, {},
        };

        make_tree(rig);
        for (size_t i = 0; below[i].path; i++) {
                snprintf(rule_texts[i], PATH_MAX, "%s/%s", tree, below[i].path);
                rules[i] = (struct rig_rule) { rule_texts[i], below[i].state };
        }
        rig_rules = rules;
        EXPECT(mkdir("hidden", 0755) == 0 && mkdir("hidden/in", 0755) == 0 && mkdir("denied", 0755) == 0);
        file("hidden/in/file", 0644);
        file("a/hidden", 0644);
        file("denied/file", 0644);
        EXPECT(symlink("hidden/in", "to-hidden") == 0 && symlink("file", "hiddenlink") == 0 && symlink("hidden/../file", "through") == 0);
        EXPECT(symlink("denied/file", "to-denied") == 0);
}

static int body_hidden(void) {
        static const struct {
                const char *path;
                int error;
        } cases[] = {
                { "hidden", ENOENT },
                { "hidden/", ENOENT },
                { "hidden/.", ENOENT },
                { "hidden/..", ENOENT },
                { "hidden/in", ENOENT },
                { "hidden/in/file", ENOENT },
                { "hidden/none", ENOENT },
                { "hidden/in/file/x", ENOENT },
                { "hidden/../file", ENOENT },
                { "a/../hidden/in", ENOENT },
                { "to-hidden", ENOENT },
                { "to-hidden/file", ENOENT },
                { "to-hidden/../../file", ENOENT },
                { "through", ENOENT },
                { "hiddenlink", ENOENT },
                { "hiddenlink/x", ENOENT },
                { "a/hidden", ENOENT },
                { "a/hidden/", ENOENT },
                { "a/hidden/x", ENOENT },
                { "link/../hidden", ENOENT },
                { "denied", 0 },
                { "denied/", 0 },
                { "denied/file", EACCES },
                { "denied/none", EACCES },
                { "denied/../file", EACCES },
                { "to-denied", EACCES },
                { "a/../denied/file", EACCES },
                { "a/../denied/none", EACCES },
                { "file", 0 },
                { "a/b/../../file", 0 },
        };
        char path[PATH_MAX];
        struct stat st;

        for (int absolute = 0; absolute < 2; absolute++)
                for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                        snprintf(path, sizeof(path), "%s%s%s", absolute ? tree : "", absolute ? "/" : "", cases[i].path);
                        long r = BROKERED(__NR_newfstatat, AT_FDCWD, path, &st, 0, 0);
                        if (r != -cases[i].error) {
                                fprintf(stderr, "%s: %s, not %s\n", path, strerrorname_np(-r), strerrorname_np(cases[i].error));
                                return 1;
                        }
                }
        /* From within, as after a chdir that proceeded. */
        EXPECT(chdir("hidden") == 0);
        EXPECT_EQ(BROKERED(__NR_newfstatat, AT_FDCWD, "in", &st, 0, 0), -ENOENT);
        EXPECT_EQ(BROKERED(__NR_newfstatat, AT_FDCWD, "in/file", &st, 0, 0), -ENOENT);
        EXPECT_EQ(BROKERED(__NR_newfstatat, AT_FDCWD, "..", &st, 0, 0), -ENOENT);
        EXPECT_EQ(BROKERED(__NR_newfstatat, AT_FDCWD, "/proc/self/cwd/in", &st, 0, 0), -ENOENT);
        EXPECT_EQ(BROKERED(__NR_newfstatat, AT_FDCWD, "/proc/self/cwd", &st, 0, 0), -ENOENT);
        return 0;
}

/* ---- the resolved path ---- */

static int body_names(void) {
        char native[PATH_MAX], ours[PATH_MAX];

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                if (strstr(paths[i], "/fd/") || strcmp(paths[i], "fds/0") == 0 || strstr(paths[i], "stdin") || strstr(paths[i], "ns/net"))
                        continue;
                /* realpath() takes `.` and `..` for granted. */
                if (!realpath(paths[i], native) || access(paths[i], F_OK) < 0)
                        continue;
                memset(ours, 0, sizeof(ours));
                long n = BROKERED(__NR_readlinkat, AT_FDCWD, paths[i], ours, sizeof(ours), 0);
                if (n < 0 || strcmp(native, ours) != 0) {
                        fprintf(stderr, "%s: %ld %s, not %s\n", paths[i], n, ours, native);
                        return 1;
                }
        }
        /* A name that isn't there yet. */
        char expected[PATH_MAX];
        snprintf(expected, sizeof(expected), "%s/a/b/new", tree);
        EXPECT(BROKERED(__NR_readlinkat, AT_FDCWD, "link/../b/new", ours, sizeof(ours), 0) > 0);
        EXPECT(strcmp(ours, expected) == 0);
        snprintf(expected, sizeof(expected), "%s/nowhere", tree);
        EXPECT(BROKERED(__NR_readlinkat, AT_FDCWD, "dangling", ours, sizeof(ours), 0) > 0);
        EXPECT(strcmp(ours, expected) == 0);
        return 0;
}

/* ---- creating, as the caller ---- */

static int body_create(void) {
        struct stat st;
        mode_t masks[] = { 0, 022, 077, 0777 };

        for (size_t i = 0; i < ELEMENTSOF(masks); i++) {
                umask(masks[i]);
                EXPECT_EQ(BROKERED(__NR_mknodat, AT_FDCWD, "link/new", 0666, 0, 0), 0);
                EXPECT(stat("a/b/new", &st) == 0);
                EXPECT_EQ(st.st_mode & 07777, 0666 & ~masks[i]);
                EXPECT(st.st_uid == geteuid() && st.st_gid == getegid());
                EXPECT(unlink("a/b/new") == 0);
        }
        EXPECT_EQ(BROKERED(__NR_mknodat, AT_FDCWD, "file", 0666, 0, 0), -EEXIST);
        EXPECT_EQ(BROKERED(__NR_mknodat, AT_FDCWD, "none/new", 0666, 0, 0), -ENOENT);
        EXPECT_EQ(BROKERED(__NR_mknodat, AT_FDCWD, "file/new", 0666, 0, 0), -ENOTDIR);
        return 0;
}

/* A caller with rights of its own, which change: uid, gid, groups and capabilities have to be followed. */
static int body_credentials(void) {
        struct stat st;
        gid_t groups[] = { 1234, 5678 };

        if (geteuid() != 0)
                return 0;
        EXPECT(chmod(".", 0777) == 0 && chmod("secret", 0) == 0);
        EXPECT_EQ(BROKERED(__NR_newfstatat, AT_FDCWD, "shut/x", &st, 0, 0), -ENOENT); /* CAP_DAC_OVERRIDE */
        int fd = BROKERED(__NR_openat, AT_FDCWD, "secret", O_RDONLY, 0, 0);
        EXPECT(fd >= 0);
        close(fd);
        EXPECT(syscall(SYS_setgroups, 2, groups) == 0 && syscall(SYS_setresgid, 1000, 1000, 1000) == 0);
        EXPECT(syscall(SYS_setresuid, 2000, 2000, 0) == 0);
        EXPECT_EQ(BROKERED(__NR_newfstatat, AT_FDCWD, "shut/x", &st, 0, 0), -EACCES);
        EXPECT_EQ(BROKERED(__NR_openat, AT_FDCWD, "secret", O_RDONLY, 0, 0), -EACCES);
        EXPECT_EQ(BROKERED(__NR_mknodat, AT_FDCWD, "new", 0600, 0, 0), 0);
        EXPECT(stat("new", &st) == 0 && st.st_uid == 2000 && st.st_gid == 1000);
        EXPECT(syscall(SYS_setresuid, -1, 0, -1) == 0 && chown("secret", 0, 5678) == 0 && chmod("secret", 0040) == 0);
        EXPECT(syscall(SYS_setresuid, -1, 2000, -1) == 0);
        fd = BROKERED(__NR_openat, AT_FDCWD, "secret", O_RDONLY, 0, 0);
        EXPECT(fd >= 0);
        return 0;
}

/* ---- a racing rename ---- */

static _Atomic bool racing;

static void *rename_around(void *userdata) {
        (void) userdata;
        while (racing) {
                (void) rename("a/b", "hidden/b");
                (void) rename("hidden/b", "a/b");
        }
        return NULL;
}

/* What lies below hidden/ is never reached, whenever the directory moves there; ".." from it neither. */
static int body_race(void) {
        pthread_t thread;
        struct stat st, hidden;
        int seen = 0, absent = 0;

        EXPECT(stat("hidden/in/file", &hidden) == 0);
        racing = true;
        EXPECT(pthread_create(&thread, NULL, rename_around, NULL) == 0);
        for (int i = 0; i < 4000; i++) {
                long r = BROKERED(__NR_newfstatat, AT_FDCWD, i % 2 ? "a/b/../in/file" : "a/b/../../hidden/in/file", &st, 0, 0);
                EXPECT(r == -ENOENT);
                r = BROKERED(__NR_newfstatat, AT_FDCWD, "a/b/c/deep", &st, 0, 0);
                EXPECT(r == 0 || r == -ENOENT);
                seen += r == 0;
                absent += r == -ENOENT;
        }
        racing = false;
        pthread_join(thread, NULL);
        /* Else the race was none. */
        EXPECT(seen > 0 && absent > 0);
        return 0;
}

static void tree_without_capabilities(struct rig *rig) {
        make_tree(rig);
        rig->no_capabilities = true;
}

static void hide_without_capabilities(struct rig *rig) {
        hide(rig);
        rig->no_capabilities = true;
}

const struct scenario path_scenarios[] = {
        { "paths", body_table, remove_tree, make_tree },
        { "paths-without-capabilities", body_table, remove_tree, tree_without_capabilities },
        { "deleted-cwd", body_deleted_cwd, remove_tree, tree_without_capabilities },
        { "openat2", body_openat2, remove_tree, tree_without_capabilities },
        { "hidden", body_hidden, remove_tree, hide_without_capabilities },
        { "names", body_names, remove_tree, tree_without_capabilities },
        { "create", body_create, remove_tree, tree_without_capabilities },
        { "credentials", body_credentials, remove_tree, make_tree },
        { "rename-race", body_race, remove_tree, hide_without_capabilities },
        {},
};
