/*
 * Metadata, directories, listings and watches over all combinations of flags, kinds of objects and bad pointers.
 *
 * usage: probe_meta DIR make|change|attributes|list
 * `make` fills an empty directory; the other parts put back what they change.
 */
#include <dirent.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <utime.h>

#include "probe.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const char *const targets[] = {
        "f",
        "f/",
        "d",
        "d/",
        "d/.",
        "d/..",
        ".",
        "..",
        "",
        "l",
        "l/",
        "dl",
        "dl/",
        "dl/g",
        "d/g",
        "none",
        "none/",
        "none/x",
        "f/x",
        "loop",
        "loop/x",
        "sock",
        "fifo",
        "secret",
        "dark/x",
        "dangling",
        "chain",
        "d/up/f",
        "../m/f",
        "ro",
        "/proc/self/cwd/f",
};
static const int at_flags[] = { 0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH,    AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
                                1, AT_NO_AUTOMOUNT,     AT_SYMLINK_FOLLOW };

#define BAD ((void *) 8)

static void make_file(const char *name, mode_t mode) {
        int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        if (fd < 0 || write(fd, "content\n", 8) != 8 || fchmod(fd, mode) < 0)
                abort();
        close(fd);
}

static void make_link(const char *text, const char *name) {
        (void) unlink(name);
        if (symlink(text, name) < 0)
                abort();
}

static void make_all(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "sock" };
        char name[64];
        int fd;

        umask(022);
        (void) mkdir("d", 0755);
        (void) mkdir("dark", 0755);
        (void) mkdir("many", 0755);
        make_file("f", 0644);
        make_file("ro", 0444);
        make_file("d/g", 0600);
        make_file("secret", 0000);
        make_file("dark/x", 0644);
        if (chmod("dark", 0000) < 0 || mkfifo("fifo", 0644) < 0)
                abort();
        make_link("f", "l");
        make_link("d", "dl");
        make_link("gone", "dangling");
        make_link("loop", "loop");
        make_link("l", "chain");
        make_link("..", "d/up");
        for (int i = 0; i < 300; i++) {
                snprintf(name, sizeof(name), "many/%.*s%d", i % 40, "a-name-that-gets-longer-and-longer-yet---", i);
                make_file(name, 0644);
        }
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                abort();
        close(fd);
}

/* What a change has left, of the object itself and of what a link leads to. */
static void show(const char *name) {
        struct stat st, followed;

        if (lstat(name, &st) < 0)
                return;
        printf(" %o %d:%d %lld %lld.%09ld %lld.%09ld", st.st_mode, st.st_uid, st.st_gid, (long long) st.st_size,
               st.st_mtim.tv_sec < 1000000000 ? (long long) st.st_mtim.tv_sec : -1LL,
               st.st_mtim.tv_sec < 1000000000 ? st.st_mtim.tv_nsec : 0L,
               st.st_atim.tv_sec < 1000000000 ? (long long) st.st_atim.tv_sec : -1LL,
               st.st_atim.tv_sec < 1000000000 ? st.st_atim.tv_nsec : 0L);
        if (S_ISLNK(st.st_mode) && stat(name, &followed) >= 0)
                printf(" -> %o", followed.st_mode);
}

static int here, above;

static bool is_old(const struct stat *st) {
        return st->st_mtim.tv_sec < 1000000000 || st->st_atim.tv_sec < 1000000000;
}

static void repair(void) {
        static const struct timespec now[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } };
        static const struct {
                const char *name;
                mode_t mode;
        } files[] = { { "f", 0644 },    { "d", 0755 },        { "d/g", 0600 },  { "secret", 0 }, { "dark", 0 },
                      { "sock", 0755 }, { "fifo", 0644 },     { "ro", 0444 },   { "l", 0777 },   { "dl", 0777 },
                      { "loop", 0777 }, { "dangling", 0777 }, { "chain", 0777 } };
        const int folders[] = { here, above };
        struct stat st;

        for (size_t i = 0; i < N(folders); i++) {
                /* Without the right to search them, they have no path. */
                if (fstat(folders[i], &st) < 0 || ((st.st_mode & 07777) != 0755 && fchmod(folders[i], 0755) < 0) ||
                    (is_old(&st) && futimens(folders[i], NULL) < 0))
                        abort();
        }
        for (size_t i = 0; i < N(files); i++) {
                if (lstat(files[i].name, &st) < 0)
                        continue;
                if ((st.st_mode & 07777) != files[i].mode)
                        (void) chmod(files[i].name, files[i].mode);
                if (is_old(&st))
                        (void) utimensat(AT_FDCWD, files[i].name, now, AT_SYMLINK_NOFOLLOW);
        }
        if (stat("f", &st) < 0 || st.st_size != 8)
                make_file("f", 0644);
        if (stat("d/g", &st) < 0 || st.st_size != 8)
                make_file("d/g", 0600);
}

/* ---- Descriptors of all kinds ---- */

static struct {
        const char *name;
        int fd;
} fds[16];
static size_t n_fds;

static void add_fd(const char *name, int fd) {
        fds[n_fds].name = name;
        fds[n_fds++].fd = fd;
}

static void open_fds(void) {
        int pipes[2], fd;

        if (pipe(pipes) < 0)
                abort();
        add_fd("f for reading", open("f", O_RDONLY));
        add_fd("f for writing", open("f", O_WRONLY));
        add_fd("d", open("d", O_RDONLY));
        add_fd("f by O_PATH", open("f", O_PATH));
        add_fd("l by O_PATH", open("l", O_PATH | O_NOFOLLOW));
        add_fd("d by O_PATH", open("d", O_PATH));
        add_fd("pipe", pipes[0]);
        add_fd("socket", socket(AF_UNIX, SOCK_STREAM, 0));
        add_fd("memory", syscall(SYS_memfd_create, "m", 0));
        fd = open("deleted", O_RDWR | O_CREAT, 0600);
        if (fd < 0 || unlink("deleted") < 0)
                abort();
        add_fd("deleted", fd);
        add_fd("tmpfile", open(".", O_TMPFILE | O_RDWR, 0600));
        add_fd("none", 999);
        add_fd("-1", -1);
        add_fd("cwd", AT_FDCWD);
}

static void show_fd(int fd) {
        struct stat st;

        /* The kernel doesn't set a new socket's times: they are those of another one before it. */
        if (fd >= 0 && fstat(fd, &st) >= 0)
                printf(" %o %d:%d %lld", st.st_mode & 07777, st.st_uid, st.st_gid,
                       (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) && st.st_mtim.tv_sec < 1000000000 ? (long long) st.st_mtim.tv_sec
                                                                                                      : -1LL);
        printf("\n");
        repair();
}

/* ---- chmod, chown, utimes ---- */

#define LINE(...) \
        do { \
                printf(__VA_ARGS__); \
                show(t); \
                printf("\n"); \
                repair(); \
        } while (0)

static void modes(int d) {
        static const mode_t wanted[] = { 0, 0755, 07777, 0170600 };

        for (size_t i = 0; i < N(targets); i++) {
                const char *t = targets[i];
                for (size_t m = 0; m < N(wanted); m++) {
                        LINE("chmod %s %o: %s", t, wanted[m], SHOW(syscall(SYS_chmod, t, wanted[m])));
                        LINE("fchmodat %s %o: %s", t, wanted[m], SHOW(syscall(SYS_fchmodat, AT_FDCWD, t, wanted[m])));
                }
                for (size_t f = 0; f < N(at_flags); f++) {
                        LINE("fchmodat2 %s %x: %s", t, at_flags[f], SHOW(syscall(452, AT_FDCWD, t, 0640, at_flags[f])));
                        LINE("fchmodat2 d %s %x: %s", t, at_flags[f], SHOW(syscall(452, d, t, 0640, at_flags[f])));
                        LINE("fchmodat2 999 %s %x: %s", t, at_flags[f], SHOW(syscall(452, 999, t, 0640, at_flags[f])));
                }
        }
        for (size_t i = 0; i < n_fds; i++) {
                printf("fchmod %s: %s", fds[i].name, SHOW(syscall(SYS_fchmod, fds[i].fd, 0604)));
                show_fd(fds[i].fd);
                for (size_t f = 0; f < N(at_flags); f++) {
                        printf("fchmodat2 of %s %x: %s", fds[i].name, at_flags[f], SHOW(syscall(452, fds[i].fd, "", 0640, at_flags[f])));
                        show_fd(fds[i].fd);
                }
        }
        printf("faults %s", SHOW(syscall(SYS_chmod, BAD, 0)));
        printf(" %s", SHOW(syscall(SYS_chmod, NULL, 0)));
        printf(" %s", SHOW(syscall(452, d, NULL, 0600, AT_EMPTY_PATH)));
        printf(" %s\n", SHOW(syscall(452, d, BAD, 0600, 0x4000)));
}

static void owners(int d) {
        uid_t uid = getuid();
        gid_t gid = getgid();

        for (size_t i = 0; i < N(targets); i++) {
                const char *t = targets[i];
                LINE("chown %s: %s", t, SHOW(syscall(SYS_chown, t, uid, gid)));
                LINE("chown none %s: %s", t, SHOW(syscall(SYS_chown, t, -1, -1)));
                /* In a user namespace there may be no second id. */
                if (uid == 0)
                        LINE("chown away %s: %s", t, SHOW(syscall(SYS_chown, t, uid + 1, -1)));
                LINE("lchown %s: %s", t, SHOW(syscall(SYS_lchown, t, uid, gid)));
                for (size_t f = 0; f < N(at_flags); f++) {
                        LINE("fchownat %s %x: %s", t, at_flags[f], SHOW(syscall(SYS_fchownat, AT_FDCWD, t, uid, gid, at_flags[f])));
                        LINE("fchownat d %s %x: %s", t, at_flags[f], SHOW(syscall(SYS_fchownat, d, t, uid, gid, at_flags[f])));
                }
        }
        (void) chmod("f", 06755);
        printf("setuid and chown %s", SHOW(chown("f", uid, gid)));
        show("f");
        printf("\n");
        repair();
        for (size_t i = 0; i < n_fds; i++) {
                printf("fchown %s: %s", fds[i].name, SHOW(syscall(SYS_fchown, fds[i].fd, uid, gid)));
                show_fd(fds[i].fd);
                printf("fchownat of %s: %s", fds[i].name, SHOW(syscall(SYS_fchownat, fds[i].fd, "", uid, gid, AT_EMPTY_PATH)));
                show_fd(fds[i].fd);
        }
        printf("faults %s", SHOW(syscall(SYS_chown, BAD, 0, 0)));
        printf(" %s", SHOW(syscall(SYS_fchownat, d, NULL, uid, gid, AT_EMPTY_PATH)));
        printf(" %s\n", SHOW(syscall(SYS_fchownat, d, BAD, 0, 0, 0x4000)));
}

static void times(int d) {
        static const struct timespec given[][2] = {
                { { 1, 2 }, { 3, 4 } },           { { 5, UTIME_OMIT }, { 6, 7 } },
                { { 8, 9 }, { 10, UTIME_OMIT } }, { { 8, UTIME_OMIT }, { 10, UTIME_OMIT } },
                { { 1, UTIME_NOW }, { 11, 12 } }, { { 1, 1000000000 }, { 1, 1 } },
                { { 1, 1 }, { 1, -5 } },          { { -7, 0 }, { -8, 5 } },
        };
        static const struct timeval values[][2] = { { { 1, 2 }, { 3, 4 } }, { { 1, 1000000 }, { 1, 1 } }, { { 1, 1 }, { 1, -1 } } };
        static const struct utimbuf buffer = { 20, 21 };

        for (size_t i = 0; i < N(targets); i++) {
                const char *t = targets[i];
                for (size_t g = 0; g < N(given); g++)
                        LINE("utimensat %s %zu: %s", t, g, SHOW(syscall(SYS_utimensat, AT_FDCWD, t, given[g], 0)));
                for (size_t f = 0; f < N(at_flags); f++) {
                        LINE("utimensat %s %x: %s", t, at_flags[f], SHOW(syscall(SYS_utimensat, AT_FDCWD, t, given[0], at_flags[f])));
                        LINE("utimensat d %s %x: %s", t, at_flags[f], SHOW(syscall(SYS_utimensat, d, t, given[0], at_flags[f])));
                }
                LINE("utimensat now %s: %s", t, SHOW(syscall(SYS_utimensat, AT_FDCWD, t, NULL, 0)));
                LINE("utimensat fault %s: %s", t, SHOW(syscall(SYS_utimensat, AT_FDCWD, t, BAD, 0)));
                for (size_t v = 0; v < N(values); v++) {
                        LINE("utimes %s %zu: %s", t, v, SHOW(syscall(SYS_utimes, t, values[v])));
                        LINE("futimesat %s %zu: %s", t, v, SHOW(syscall(SYS_futimesat, d, t, values[v])));
                }
                LINE("utimes %s: %s", t, SHOW(syscall(SYS_utimes, t, NULL)));
                LINE("utime %s: %s", t, SHOW(syscall(SYS_utime, t, &buffer)));
                LINE("utime now %s: %s", t, SHOW(syscall(SYS_utime, t, NULL)));
                LINE("utime fault %s: %s", t, SHOW(syscall(SYS_utime, t, BAD)));
        }
        for (size_t i = 0; i < n_fds; i++) {
                for (size_t g = 0; g < N(given); g++) {
                        printf("utimensat of %s %zu: %s", fds[i].name, g, SHOW(syscall(SYS_utimensat, fds[i].fd, NULL, given[g], 0)));
                        show_fd(fds[i].fd);
                }
                for (size_t f = 0; f < N(at_flags); f++) {
                        printf("utimensat of %s %x: %s", fds[i].name, at_flags[f],
                               SHOW(syscall(SYS_utimensat, fds[i].fd, NULL, given[0], at_flags[f])));
                        printf(" %s", SHOW(syscall(SYS_utimensat, fds[i].fd, "", given[0], at_flags[f])));
                        show_fd(fds[i].fd);
                }
                printf("futimesat of %s: %s", fds[i].name, SHOW(syscall(SYS_futimesat, fds[i].fd, NULL, values[0])));
                show_fd(fds[i].fd);
        }
        printf("faults %s", SHOW(syscall(SYS_utime, BAD, NULL)));
        printf(" %s", SHOW(syscall(SYS_utime, NULL, NULL)));
        printf(" %s\n", SHOW(syscall(SYS_utimensat, AT_FDCWD, NULL, NULL, AT_EMPTY_PATH)));
}

/* ---- truncate ---- */

#define LIMIT (1L << 30) /* more than what is printed takes */

static volatile sig_atomic_t signals;

static void on_signal(int signal) {
        (void) signal;
        signals++;
}

/* Making files larger and smaller by a descriptor. */
static void spaces(const char *name, int fd) {
        static const int kinds[] = { 0,
                                     FALLOC_FL_KEEP_SIZE,
                                     FALLOC_FL_ZERO_RANGE,
                                     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                     FALLOC_FL_PUNCH_HOLE,
                                     FALLOC_FL_COLLAPSE_RANGE,
                                     0x1000 };
        static const long at[][2] = {
                { 0, 3 }, { 4, 4096 }, { LIMIT - 2, 1 }, { LIMIT - 2, 4 }, { -1, 4 }, { 1, 0 }, { 1L << 62, 1L << 62 }
        };
        static const long lengths[] = { 0, 9, LIMIT, LIMIT + 1, -1 };

        for (size_t n = 0; n < N(lengths); n++) {
                signals = 0;
                int r = syscall(SYS_ftruncate, fd, lengths[n]);
                printf("ftruncate of %s %ld: %s %d", name, lengths[n], SHOW(r), (int) signals);
                show_fd(fd);
        }
        for (size_t k = 0; k < N(kinds); k++)
                for (size_t n = 0; n < N(at); n++) {
                        signals = 0;
                        int r = syscall(SYS_fallocate, fd, kinds[k], at[n][0], at[n][1]);
                        printf("fallocate of %s %x %ld %ld: %s %d", name, kinds[k], at[n][0], at[n][1], SHOW(r), (int) signals);
                        show_fd(fd);
                        if (r >= 0)
                                (void) !ftruncate(fd, 8);
                }
        int flags = fcntl(fd, F_GETFL);
        printf("fcntl of %s: %s %o\n", name, SHOW(fcntl(fd, F_SETFL, flags & ~O_APPEND)), fcntl(fd, F_GETFL) & ~O_NOFOLLOW);
}

static void sizes(void) {
        static const long lengths[] = { 0, 3, 8, 100, -1, LIMIT - 1, LIMIT, LIMIT + 1, 1L << 62 };
        struct rlimit limit = { LIMIT, RLIM_INFINITY }, old;

        if (getrlimit(RLIMIT_FSIZE, &old) < 0)
                abort();
        limit.rlim_max = old.rlim_max;
        signal(SIGXFSZ, on_signal);
        for (int limited = 0; limited < 2; limited++) {
                if (limited && setrlimit(RLIMIT_FSIZE, &limit) < 0)
                        abort();
                for (size_t i = 0; i < N(targets); i++)
                        for (size_t n = 0; n < N(lengths); n++) {
                                const char *t = targets[i];
                                signals = 0;
                                int r = syscall(SYS_truncate, t, lengths[n]);
                                LINE("truncate %s %ld: %s %d", t, lengths[n], SHOW(r), (int) signals);
                        }
                for (size_t i = 0; i < n_fds; i++) {
                        char name[64];
                        snprintf(name, sizeof(name), "/proc/self/fd/%d", fds[i].fd);
                        printf("truncate of %s: %s", fds[i].name, SHOW(syscall(SYS_truncate, name, 2)));
                        printf(" %s", SHOW(syscall(SYS_ftruncate, fds[i].fd, 2)));
                        show_fd(fds[i].fd);
                }
                for (size_t i = 0; i < n_fds; i++)
                        spaces(fds[i].name, fds[i].fd);
                printf("%s", SHOW(syscall(SYS_truncate, BAD, 2)));
                printf(" %s", SHOW(syscall(SYS_truncate, BAD, -2)));
                printf(" %s\n", SHOW(syscall(SYS_truncate, "/proc/self/exe", 5)));
        }
        /* The signal is the calling thread's, and ends the process. */
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
                signal(SIGXFSZ, SIG_DFL);
                (void) syscall(SYS_truncate, "f", LIMIT + 1);
                _exit(3);
        }
        int status = 0;
        if (waitpid(pid, &status, 0) < 0)
                abort();
        printf("over the limit: %x\n", status & ~0x80);
        signal(SIGXFSZ, SIG_IGN);
        printf("ignored: %s\n", SHOW(syscall(SYS_truncate, "f", LIMIT + 1)));
        if (setrlimit(RLIMIT_FSIZE, &old) < 0)
                abort();
        repair();
}

/* ---- chdir, chroot ---- */

static void directories(void) {
        char buffer[4096];

        for (size_t i = 0; i < N(targets); i++) {
                printf("chdir %s: %s", targets[i], SHOW(syscall(SYS_chdir, targets[i])));
                if (!getcwd(buffer, sizeof(buffer)) || fchdir(here) < 0)
                        abort();
                printf(" %s", strrchr(buffer, '/'));
                printf(" chroot %s\n", SHOW(syscall(SYS_chroot, targets[i])));
        }
        printf("%s", SHOW(syscall(SYS_chdir, BAD)));
        printf(" %s\n", SHOW(syscall(SYS_chroot, BAD)));
        /* A directory that is gone while somebody is in it. */
        if (mkdir("gone-soon", 0755) < 0 || chdir("gone-soon") < 0 || rmdir("../gone-soon") < 0)
                abort();
        printf("gone: %s", SHOW(chdir(".")));
        printf(" %s", SHOW(chdir("..")));
        if (fchdir(here) < 0)
                abort();
        printf(" %s\n", SHOW(chdir("gone-soon")));
}

/* ---- Extended attributes ---- */

struct xattr_args {
        uint64_t value;
        uint32_t size, flags;
};

static void show_names(const char *t, bool follow) {
        char names[512];
        ssize_t n = follow ? syscall(SYS_listxattr, t, names, sizeof(names)) : syscall(SYS_llistxattr, t, names, sizeof(names));

        printf(" list %s", SHOW(n));
        for (ssize_t i = 0; i < n; i += strlen(names + i) + 1)
                printf(" %s", names + i);
}

static void xattr_one(const char *t) {
        static const char *const names[] = {
                "user.a", "user.b", "trusted.a", "security.a", "security.capability", "system.posix_acl_access", "a", "", "system.x"
        };
        char value[64] = {};

        for (size_t i = 0; i < N(names); i++) {
                printf("xattr %s %s: set %s", t, names[i], SHOW(syscall(SYS_setxattr, t, names[i], "value", 5, 0)));
                show_names(t, true);
                printf(" create %s", SHOW(syscall(SYS_setxattr, t, names[i], "v", 1, XATTR_CREATE)));
                printf(" replace %s", SHOW(syscall(SYS_setxattr, t, names[i], "value2", 6, XATTR_REPLACE)));
                printf(" both %s", SHOW(syscall(SYS_setxattr, t, names[i], "v", 1, 3)));
                printf(" bits %s", SHOW(syscall(SYS_setxattr, t, names[i], "v", 1, 4)));
                int n = syscall(SYS_getxattr, t, names[i], value, sizeof(value));
                printf(" get %s %d %.*s", SHOW(n), n, n > 0 ? n : 0, value);
                printf(" size %d", (int) syscall(SYS_getxattr, t, names[i], NULL, 0));
                printf(" small %s", SHOW(syscall(SYS_getxattr, t, names[i], value, 2)));
                printf(" fault %s", SHOW(syscall(SYS_getxattr, t, names[i], BAD, 20)));
                printf(" large %d", (int) syscall(SYS_getxattr, t, names[i], value, -1L));
                printf(" list fault %s", SHOW(syscall(SYS_listxattr, t, BAD, 500)));
                printf(" list small %s", SHOW(syscall(SYS_listxattr, t, value, 1)));
                printf(" list size %d", (int) syscall(SYS_listxattr, t, NULL, 0));
                printf(" remove %s", SHOW(syscall(SYS_removexattr, t, names[i])));
                printf(" again %s", SHOW(syscall(SYS_removexattr, t, names[i])));
                printf(" lset %s", SHOW(syscall(SYS_lsetxattr, t, names[i], "value", 5, 0)));
                show_names(t, false);
                printf(" lget %s", SHOW(syscall(SYS_lgetxattr, t, names[i], value, sizeof(value))));
                printf(" lremove %s\n", SHOW(syscall(SYS_lremovexattr, t, names[i])));
        }
}

static void xattr_place(const char *what, int dirfd, const char *t) {
        struct xattr_args set = { (uintptr_t) "value", 5, 0 }, get = {};
        char value[64];

        get.value = (uintptr_t) value;
        get.size = sizeof(value);
        for (size_t f = 0; f < N(at_flags); f++) {
                printf("at %s %s %x: %s", what, t ?: "NULL", at_flags[f],
                       SHOW(syscall(463, dirfd, t, at_flags[f], "user.p", &set, sizeof(set))));
                printf(" %s", SHOW(syscall(464, dirfd, t, at_flags[f], "user.p", &get, sizeof(get))));
                printf(" %s", SHOW(syscall(465, dirfd, t, at_flags[f], value, sizeof(value))));
                printf(" %s\n", SHOW(syscall(466, dirfd, t, at_flags[f], "user.p")));
        }
}

static void attribute_edges(int d) {
        static char big[70000], name[300];
        struct xattr_args args = { (uintptr_t) "value", 5, 0 };
        struct {
                struct xattr_args args;
                char more[5000];
        } more = { .args = args };

        memset(name, 'n', sizeof(name) - 1);
        memcpy(name, "user.", 5);
        for (size_t length = 253; length < 259; length++) {
                char old = name[length];
                name[length] = 0;
                printf("name of %zu: %s", length, SHOW(setxattr("f", name, "x", 1, 0)));
                printf(" %s\n", SHOW(removexattr("f", name)));
                name[length] = old;
        }
        for (size_t n = 0; n < 8; n++) {
                char *end = probe_page_end(n);
                memcpy(end, "user.a", n < 7 ? n : 7);
                printf("name %zu before the end: %s\n", n, SHOW(getxattr("f", end, big, 10)));
        }
        static const size_t lengths[] = { 0, 1000, 65536, 65537, 1UL << 40 };
        for (size_t i = 0; i < N(lengths); i++)
                printf("value of %zu: %s\n", lengths[i], SHOW(syscall(SYS_setxattr, "f", "user.big", big, lengths[i], 0)));
        printf("orders %s", SHOW(syscall(SYS_setxattr, BAD, BAD, BAD, 5, 8)));
        printf(" %s", SHOW(syscall(SYS_setxattr, BAD, BAD, BAD, 5, 0)));
        printf(" %s", SHOW(syscall(SYS_setxattr, BAD, "", BAD, 5, 0)));
        printf(" %s", SHOW(syscall(SYS_setxattr, BAD, "user.a", BAD, 70000, 0)));
        printf(" %s", SHOW(syscall(SYS_setxattr, "none", "user.a", BAD, 5, 0)));
        printf(" %s", SHOW(syscall(SYS_setxattr, "none", "user.a", NULL, 0, 0)));
        printf(" %s", SHOW(syscall(SYS_setxattr, BAD, "user.a", "x", 1, 0)));
        printf(" %s", SHOW(syscall(SYS_getxattr, BAD, BAD, big, 5)));
        printf(" %s", SHOW(syscall(SYS_listxattr, BAD, big, 5)));
        printf(" %s\n", SHOW(syscall(SYS_removexattr, BAD, "user.a")));
        static const size_t args_sizes[] = { 0, 8, 15, 16, 17, 24, 4096, 4097 };
        for (size_t i = 0; i < N(args_sizes); i++) {
                more.more[500] = i == 6;
                printf("args of %zu: %s", args_sizes[i], SHOW(syscall(463, d, "g", 0, "user.a", &more, args_sizes[i])));
                printf(" %s\n", SHOW(syscall(464, d, "g", 0, "user.a", &more, args_sizes[i])));
        }
        args.flags = 1;
        printf("get with flags %s", SHOW(syscall(464, d, "g", 0, "user.a", &args, sizeof(args))));
        printf(" fault %s", SHOW(syscall(464, d, "g", 0, "user.a", BAD, sizeof(args))));
        printf(" order %s", SHOW(syscall(463, 999, BAD, 0x4000, BAD, BAD, sizeof(args))));
        printf(" %s", SHOW(syscall(463, 999, BAD, 0x4000, BAD, &args, sizeof(args))));
        printf(" %s\n", SHOW(syscall(466, 999, BAD, 0x4000, BAD)));
        (void) removexattr("d/g", "user.a");
        (void) removexattr("f", "user.big");
}

static void attributes(int d) {
        for (size_t i = 0; i < N(targets); i++) {
                xattr_one(targets[i]);
                xattr_place("cwd", AT_FDCWD, targets[i]);
                xattr_place("d", d, targets[i]);
                xattr_place("none", 999, targets[i]);
        }
        for (size_t i = 0; i < n_fds; i++) {
                char value[64];
                xattr_place(fds[i].name, fds[i].fd, "");
                xattr_place(fds[i].name, fds[i].fd, NULL);
                printf("f*xattr %s: %s", fds[i].name, SHOW(syscall(SYS_fsetxattr, fds[i].fd, "user.q", "value", 5, 0)));
                printf(" %s", SHOW(syscall(SYS_fsetxattr, fds[i].fd, BAD, "value", 5, 0)));
                printf(" %s", SHOW(syscall(SYS_fgetxattr, fds[i].fd, "user.q", value, 64)));
                printf(" %s", SHOW(syscall(SYS_fremovexattr, fds[i].fd, BAD)));
                printf(" %s\n", SHOW(syscall(SYS_fremovexattr, fds[i].fd, "user.q")));
                (void) fremovexattr(here, "user.q");
                (void) fremovexattr(here, "user.p");
        }
        attribute_edges(d);
}

/* ---- file_getattr, statfs, ioctl ---- */

struct file_attr {
        uint64_t xflags;
        uint32_t extsize, nextents, projid, cowextsize;
};

static void flags_of(const char *what, int dirfd, const char *t) {
        for (size_t f = 0; f < N(at_flags); f++) {
                struct file_attr attr[2] = {};
                int r = syscall(468, dirfd, t, attr, sizeof(attr[0]), at_flags[f]);
                printf("file_getattr %s %s %x: %s %llx", what, t ?: "NULL", at_flags[f], SHOW(r), (unsigned long long) attr[0].xflags);
                attr[0].nextents = 0;
                attr[0].xflags |= FS_XFLAG_NODUMP;
                r = syscall(469, dirfd, t, attr, sizeof(attr[0]), at_flags[f]);
                printf(" set %s", SHOW(r));
                r = syscall(468, dirfd, t, attr, sizeof(attr[0]), at_flags[f]);
                printf(" %llx", (unsigned long long) attr[0].xflags);
                attr[0].xflags &= ~(uint64_t) FS_XFLAG_NODUMP;
                attr[0].nextents = 0;
                printf(" unset %s\n", SHOW(syscall(469, dirfd, t, attr, sizeof(attr[0]), at_flags[f])));
        }
}

static void flags_all(int d) {
        struct file_attr attr[200] = {};
        struct statfs fs;

        for (size_t i = 0; i < N(targets); i++) {
                flags_of("cwd", AT_FDCWD, targets[i]);
                flags_of("d", d, targets[i]);
                memset(&fs, 0, sizeof(fs));
                int r = syscall(SYS_statfs, targets[i], &fs);
                printf("statfs %s: %s %lx %ld %ld %ld %x\n", targets[i], SHOW(r), (long) fs.f_type, (long) fs.f_bsize, (long) fs.f_blocks,
                       (long) fs.f_namelen, fs.f_fsid.__val[0]);
        }
        for (size_t i = 0; i < n_fds; i++) {
                int value = 0, r;
                flags_of(fds[i].name, fds[i].fd, "");
                flags_of(fds[i].name, fds[i].fd, NULL);
                r = ioctl(fds[i].fd, FS_IOC_GETFLAGS, &value);
                printf("ioctl %s: get %s", fds[i].name, SHOW(r));
                printf(" %x", value);
                printf(" fault %s", SHOW(ioctl(fds[i].fd, FS_IOC_SETFLAGS, BAD)));
                value |= FS_NODUMP_FL;
                printf(" set %s", SHOW(ioctl(fds[i].fd, FS_IOC_SETFLAGS, &value)));
                (void) ioctl(fds[i].fd, FS_IOC_GETFLAGS, &value);
                printf(" %x", value);
                value &= ~FS_NODUMP_FL;
                printf(" unset %s", SHOW(ioctl(fds[i].fd, FS_IOC_SETFLAGS, &value)));
                value |= FS_IMMUTABLE_FL;
                printf(" immutable %s", SHOW(ioctl(fds[i].fd, FS_IOC_SETFLAGS, &value)));
                struct fsxattr x = {};
                printf(" fsget %s", SHOW(ioctl(fds[i].fd, FS_IOC_FSGETXATTR, &x)));
                printf(" fsset %s", SHOW(ioctl(fds[i].fd, FS_IOC_FSSETXATTR, &x)));
                printf(" fault %s", SHOW(ioctl(fds[i].fd, FS_IOC_FSSETXATTR, BAD)));
                printf(" version %s", SHOW(ioctl(fds[i].fd, FS_IOC_GETVERSION, &value)));
                printf(" set %s\n", SHOW(ioctl(fds[i].fd, FS_IOC_SETVERSION, &value)));
        }
        static const size_t lengths[] = { 0, 23, 24, 25, 32, 4096, 4097 };
        for (size_t i = 0; i < N(lengths); i++) {
                memset(attr, 0xff, sizeof(attr));
                printf("attr of %zu: %s", lengths[i], SHOW(syscall(468, AT_FDCWD, "f", attr, lengths[i], 0)));
                printf(" %x", ((unsigned char *) attr)[28]);
                memset(attr, 0, sizeof(attr));
                printf(" %s", SHOW(syscall(469, AT_FDCWD, "f", attr, lengths[i], 0)));
                ((char *) attr)[30] = 1;
                printf(" %s\n", SHOW(syscall(469, AT_FDCWD, "f", attr, lengths[i], 0)));
        }
        attr[0].xflags = 1ULL << 40;
        printf("orders %s", SHOW(syscall(469, AT_FDCWD, BAD, attr, 24, 0)));
        printf(" %s", SHOW(syscall(469, AT_FDCWD, BAD, BAD, 24, 0)));
        printf(" %s", SHOW(syscall(469, AT_FDCWD, BAD, BAD, 2, 0x4000)));
        printf(" %s", SHOW(syscall(468, AT_FDCWD, "f", BAD, 24, 0)));
        printf(" %s", SHOW(syscall(468, AT_FDCWD, BAD, BAD, 24, 0)));
        printf(" statfs %s", SHOW(syscall(SYS_statfs, "f", BAD)));
        printf(" %s\n", SHOW(syscall(SYS_statfs, BAD, &fs)));
}

/* ---- Watches ---- */

static void show_events(int fd) {
        char buffer[8192];
        ssize_t n = read(fd, buffer, sizeof(buffer));

        for (ssize_t i = 0; i < n;) {
                struct inotify_event event;
                memcpy(&event, buffer + i, sizeof(event));
                printf(" %d:%x:%s", event.wd, event.mask, event.len ? buffer + i + sizeof(event) : "");
                i += sizeof(event) + event.len;
        }
        printf("\n");
}

static void watches(void) {
        static const uint32_t masks[] = { IN_ALL_EVENTS,
                                          IN_MODIFY | IN_ONLYDIR,
                                          IN_ATTRIB | IN_DONT_FOLLOW,
                                          IN_MODIFY | IN_DONT_FOLLOW | IN_ONLYDIR,
                                          IN_MODIFY | IN_MASK_CREATE,
                                          IN_MODIFY | IN_MASK_ADD,
                                          IN_MASK_ADD | IN_MASK_CREATE,
                                          0,
                                          1U << 20,
                                          IN_ONESHOT };

        for (size_t m = 0; m < N(masks); m++) {
                int fd = inotify_init1(IN_NONBLOCK);
                for (size_t i = 0; i < N(targets); i++) {
                        int wd = inotify_add_watch(fd, targets[i], masks[m]);
                        printf("watch %s %x: %s %d", targets[i], masks[m], SHOW(wd), wd);
                        if (wd >= 0)
                                printf(" rm %s", SHOW(inotify_rm_watch(fd, wd)));
                        show_events(fd);
                }
                for (size_t i = 0; i < n_fds; i++)
                        printf("watch with %s: %s\n", fds[i].name, SHOW(inotify_add_watch(fds[i].fd, "f", masks[m])));
                printf("fault %s\n", SHOW(syscall(SYS_inotify_add_watch, fd, BAD, masks[m])));
                close(fd);
        }
        int fd = inotify_init1(IN_NONBLOCK);
        printf("watch %d", inotify_add_watch(fd, "d", IN_ALL_EVENTS & ~(IN_OPEN | IN_CLOSE_NOWRITE)));
        printf(" %d", inotify_add_watch(fd, "f", IN_ATTRIB | IN_MODIFY));
        printf(" %d", inotify_add_watch(fd, "l", IN_ATTRIB | IN_MASK_ADD));
        printf(" create %s\n", SHOW(inotify_add_watch(fd, "f", IN_ATTRIB | IN_MASK_CREATE)));
        make_file("d/watched", 0644);
        (void) chmod("d/watched", 0600);
        (void) chmod("f", 0600);
        printf("%s", SHOW(truncate("f", 3)));
        (void) setxattr("f", "user.w", "x", 1, 0);
        (void) removexattr("f", "user.w");
        (void) utimensat(AT_FDCWD, "d/watched", NULL, 0);
        (void) unlink("d/watched");
        show_events(fd);
        close(fd);
        repair();
}

/* ---- Listings ---- */

static void list_with(const char *what, int fd, size_t size, bool old) {
        static char buffer[1 << 17];
        long at = lseek(fd, 0, SEEK_SET);

        printf("%s of %s by %zu:", old ? "getdents" : "getdents64", what, size);
        for (int round = 0; round < 2000; round++) {
                long n = syscall(old ? SYS_getdents : SYS_getdents64, fd, buffer, size);
                if (n <= 0) {
                        printf(" %s %ld", SHOW(n), at >= 0 ? (long) lseek(fd, 0, SEEK_CUR) : 0);
                        break;
                }
                printf(" [%ld", n);
                for (long i = 0; i < n;) {
                        unsigned long ino;
                        long next;
                        unsigned short length;
                        memcpy(&ino, buffer + i, 8);
                        memcpy(&next, buffer + i + 8, 8);
                        memcpy(&length, buffer + i + 16, 2);
                        printf(" %lu %ld %d %s", ino, next, old ? buffer[i + length - 1] : buffer[i + 18], buffer + i + (old ? 18 : 19));
                        i += length;
                }
                printf("]");
        }
        printf("\n");
}

static void listings(void) {
        static const size_t lengths[] = { 0, 1, 23, 24, 32, 48, 100, 280, 1000, 1024, 4096, 1 << 17 };
        static const char *const folders[] = { ".", "d", "many", "/proc/self/fd", "/usr", "/proc/self/task", "/dev/shm" };
        char *end;

        for (size_t i = 0; i < N(folders); i++) {
                int fd = open(folders[i], O_RDONLY | O_DIRECTORY);
                /* Outside, others work there; numbers of processes differ. */
                bool plain = folders[i][0] != '/' || i == 4;
                for (size_t n = 0; plain && n < N(lengths); n++) {
                        list_with(folders[i], fd, lengths[n], false);
                        list_with(folders[i], fd, lengths[n], true);
                }
                if (!plain)
                        printf("%s: %s\n", folders[i], SHOW(syscall(SYS_getdents64, fd, (char[4096]) {}, 4096)));
                close(fd);
        }
        for (size_t i = 0; i < n_fds; i++)
                printf("getdents64 of %s: %s\n", fds[i].name, SHOW(syscall(SYS_getdents64, fds[i].fd, (char[4096]) {}, 4096)));
        int fd = open("many", O_RDONLY | O_DIRECTORY);
        printf("fault %s", SHOW(syscall(SYS_getdents64, fd, BAD, 4096)));
        printf(" %ld", (long) lseek(fd, 0, SEEK_CUR));
        printf(" %s\n", SHOW(syscall(SYS_getdents64, fd, NULL, 4096)));
        static const char read_only[4096] = "";
        static const long starts[] = { 0, 1, 2, 3, 1L << 31, 1L << 62, LONG_MAX - 1, LONG_MAX };
        for (size_t i = 0; i < N(starts); i++) {
                printf("from %lx: %s", starts[i], SHOW(lseek(fd, starts[i], SEEK_SET)));
                printf(" %s", SHOW(syscall(SYS_getdents64, fd, read_only, 4096)));
                printf(" %lx\n", (long) lseek(fd, 0, SEEK_CUR));
        }
        for (size_t n = 0; n < 400; n += 13) {
                end = probe_page_end(n);
                (void) lseek(fd, 0, SEEK_SET);
                long r = syscall(SYS_getdents64, fd, end, 4096);
                printf("%zu before the end: %s %ld at %ld\n", n, SHOW(r), r, (long) lseek(fd, 0, SEEK_CUR));
        }
        close(fd);

        /* Positions. */
        DIR *dir = opendir("many");
        long positions[400];
        char names[400][256];
        struct dirent *entry;
        size_t n = 0;
        for (;;) {
                positions[n] = telldir(dir);
                if (!(entry = readdir(dir)))
                        break;
                snprintf(names[n++], sizeof(names[0]), "%s", entry->d_name);
        }
        printf("%zu names\n", n);
        for (size_t i = n; i-- > 0;) {
                seekdir(dir, positions[i]);
                entry = readdir(dir);
                printf("at %ld: %s %d\n", positions[i], entry ? entry->d_name : "end", entry && strcmp(entry->d_name, names[i]) == 0);
        }
        rewinddir(dir);
        for (n = 0; readdir(dir); n++)
                ;
        printf("%zu again\n", n);
        closedir(dir);

        /* One that is removed while it is open. */
        if (mkdir("gone-soon", 0755) < 0)
                abort();
        fd = open("gone-soon", O_RDONLY | O_DIRECTORY);
        (void) rmdir("gone-soon");
        printf("removed: %s\n", SHOW(syscall(SYS_getdents64, fd, (char[4096]) {}, 4096)));
        close(fd);
}

int main(int argc, char **argv) {
        if (argc != 3 || chdir(argv[1]) < 0)
                return 2;
        probe_drop_rights();
        setvbuf(stdout, NULL, _IOFBF, 1 << 20);
        umask(022);
        if (strcmp(argv[2], "make") == 0) {
                make_all();
                return 0;
        }
        here = open(".", O_RDONLY | O_DIRECTORY);
        above = open("..", O_RDONLY | O_DIRECTORY);
        int d = open("d", O_RDONLY | O_DIRECTORY);
        open_fds();
        if (strcmp(argv[2], "change") == 0) {
                modes(d);
                owners(d);
                times(d);
                sizes();
                directories();
        } else if (strcmp(argv[2], "attributes") == 0) {
                attributes(d);
                flags_all(d);
        } else {
                listings();
                watches();
        }
        printf("end\n");
        return fflush(stdout) == 0 ? 0 : 1;
}
