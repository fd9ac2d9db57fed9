/*
 * The open, stat, access and readlink families over all combinations of flags and kinds of objects.
 *
 * usage: probe_files DIR make|look|open
 * `make` fills an empty directory, `look` only reads, `open` creates, truncates and repairs.
 */
#include <linux/openat2.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "probe.h"

static const char *const targets[] = {
        "f",    "f/",     "./f",    "d",     "d/",       "d/.",       "d/..", ".",     "..",     "",       "l",    "l/",
        "dl",   "dl/",    "dl/g",   "d/g",   "dangling", "dangling/", "nope", "nope/", "nope/x", "f/x",    "loop", "loop/x",
        "sock", "secret", "dark/x", "chain", "d/up/f",   "out/nope",  "new",  "new/",  "nope//", "../x/f",
};

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
        int fd;

        umask(022);
        (void) mkdir("d", 0755);
        (void) mkdir("dark", 0755);
        make_file("f", 0644);
        make_file("d/g", 0600);
        make_file("secret", 0000);
        make_file("dark/x", 0644);
        if (chmod("dark", 0000) < 0)
                abort();
        make_link("f", "l");
        make_link("d", "dl");
        make_link("gone", "dangling");
        make_link("loop", "loop");
        make_link("l", "chain");
        make_link("..", "d/up");
        make_link("d", "out");
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        (void) unlink("sock");
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                abort();
        close(fd);
}

/* Puts back what an open may have changed. */
static void repair(void) {
        struct stat st;

        (void) unlink("nope");
        (void) unlink("new");
        (void) unlink("gone");
        (void) unlink("d/nope");
        if (stat("f", &st) < 0 || st.st_size != 8)
                make_file("f", 0644);
        if (stat("d/g", &st) < 0 || st.st_size != 8)
                make_file("d/g", 0600);
}

static void describe(int fd) {
        struct stat st;
        int flags = fcntl(fd, F_GETFL);

        if (fstat(fd, &st) < 0)
                abort();
        /* O_NOFOLLOW can't be kept by an injected descriptor; nothing depends on it afterwards. */
        printf("flags %o cloexec %d mode %o size %lld links %d offset %lld\n", flags & ~O_NOFOLLOW, fcntl(fd, F_GETFD), st.st_mode,
               S_ISREG(st.st_mode) ? (long long) st.st_size : 0LL, S_ISDIR(st.st_mode) ? 0 : (int) st.st_nlink,
               S_ISREG(st.st_mode) && !(flags & O_PATH) ? (long long) lseek(fd, 0, SEEK_CUR) : 0LL);
        close(fd);
}

static void open_all(void) {
        static const int bits[] = {
                O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NOFOLLOW, O_DIRECTORY, O_PATH, O_CLOEXEC, O_TMPFILE & ~O_DIRECTORY
        };

        for (size_t t = 0; t < sizeof(targets) / sizeof(targets[0]); t++)
                for (unsigned combination = 0; combination < 1U << 9; combination++)
                        for (int access = 0; access < 4; access++) {
                                int flags = access | O_NONBLOCK;
                                for (unsigned i = 0; i < 9; i++)
                                        if (combination & (1U << i))
                                                flags |= bits[i];
                                int fd = open(targets[t], flags, 0666);
                                printf("open %s %o: %s ", targets[t], flags, SHOW(fd));
                                if (fd >= 0)
                                        describe(fd);
                                else
                                        printf("\n");
                                if (fd >= 0 || (flags & (O_CREAT | O_TRUNC)))
                                        repair();
                        }
}

static void modes(void) {
        static const mode_t masks[] = { 0, 022, 077, 0777 }, wanted[] = { 0, 0600, 0666, 0777, 04755, 07777, 0170644 };

        for (size_t m = 0; m < 4; m++)
                for (size_t w = 0; w < 7; w++) {
                        umask(masks[m]);
                        int fd = openat(AT_FDCWD, "new", O_RDWR | O_CREAT, wanted[w]);
                        printf("umask %o mode %o: %s ", masks[m], wanted[w], SHOW(fd));
                        if (fd >= 0)
                                describe(fd);
                        (void) unlink("new");
                        fd = creat("new", wanted[w]);
                        printf("creat %s ", SHOW(fd));
                        if (fd >= 0)
                                describe(fd);
                        (void) unlink("new");
                }
        umask(022);
}

/* ---- openat2 ---- */

static int openat2_raw(int dirfd, const char *path, const void *how, size_t size) {
        return syscall(SYS_openat2, dirfd, path, how, size);
}

static void show_openat2(const char *what, int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
        struct open_how how = { flags, mode, resolve };
        int fd = openat2_raw(dirfd, path, &how, sizeof(how));

        printf("openat2 %s %s %llo %llo %llx: %s ", what, path, (unsigned long long) flags, (unsigned long long) mode,
               (unsigned long long) resolve, SHOW(fd));
        if (fd >= 0)
                describe(fd);
        else
                printf("\n");
        repair();
}

static void openat2_all(void) {
        static const char *const paths[] = { "f",    "l",        "d/up/f", "dl/g", "../x", "/usr/bin/env", "d/../f", "/proc/self/fd/0",
                                             "nope", "dangling", "." };
        static const uint64_t resolves[] = { 0,
                                             RESOLVE_NO_XDEV,
                                             RESOLVE_NO_MAGICLINKS,
                                             RESOLVE_NO_SYMLINKS,
                                             RESOLVE_BENEATH,
                                             RESOLVE_IN_ROOT,
                                             RESOLVE_BENEATH | RESOLVE_IN_ROOT,
                                             RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
                                             0x40,
                                             1ULL << 40 };
        int here = open(".", O_PATH | O_DIRECTORY), d = open("d", O_RDONLY | O_DIRECTORY);
        struct {
                struct open_how how;
                char more[4200];
        } big = { .how.flags = O_RDONLY };

        for (size_t p = 0; p < sizeof(paths) / sizeof(paths[0]); p++)
                for (size_t r = 0; r < sizeof(resolves) / sizeof(resolves[0]); r++) {
                        /* Another mount inside, maybe the same outside. */
                        if (paths[p][0] == '/' && resolves[r] == RESOLVE_NO_XDEV)
                                continue;
                        show_openat2("here", here, paths[p], O_RDONLY | O_NONBLOCK, 0, resolves[r]);
                        show_openat2("d", d, paths[p], O_RDONLY | O_NONBLOCK, 0, resolves[r]);
                        show_openat2("cwd", AT_FDCWD, paths[p], O_RDONLY | O_NONBLOCK, 0, resolves[r]);
                }
        show_openat2("mode", AT_FDCWD, "f", O_RDONLY, 0644, 0);
        show_openat2("mode", AT_FDCWD, "new", O_RDWR | O_CREAT, 0644, 0);
        show_openat2("mode", AT_FDCWD, "new", O_RDWR | O_CREAT, 010644, 0);
        show_openat2("unknown flag", AT_FDCWD, "f", 1ULL << 35, 0, 0);
        show_openat2("unknown flag", AT_FDCWD, "f", 1ULL << 30, 0, 0);
        show_openat2("path and write", AT_FDCWD, "f", O_PATH | O_RDWR, 0, 0);
        show_openat2("path and creat", AT_FDCWD, "f", O_PATH | O_CREAT, 0, 0);
        show_openat2("largefile", AT_FDCWD, "f", 0100000, 0, 0);
        for (size_t size = 0; size < 64; size++) {
                int fd = openat2_raw(AT_FDCWD, "f", &big, size);
                printf("openat2 size %zu: %s\n", size, SHOW(fd));
                if (fd >= 0)
                        close(fd);
        }
        big.more[40] = 1;
        static const size_t sizes[] = { 64, 65, 66, 300, 4095, 4096, 4097 };
        for (size_t i = 0; i < 7; i++)
                printf("openat2 trailing %zu: %s\n", sizes[i], SHOW(openat2_raw(AT_FDCWD, "f", &big, sizes[i])));
        char *edge = probe_page_end(24);
        memset(edge, 0, 24);
        printf("openat2 edge %s %s\n", SHOW(openat2_raw(AT_FDCWD, "f", edge, 24)), SHOW(openat2_raw(AT_FDCWD, "f", edge, 32)));
        printf("openat2 fault %s\n", SHOW(openat2_raw(AT_FDCWD, "f", NULL, 24)));
        close(here);
        close(d);
}

/* ---- stat, access, readlink ---- */

static void show_stat(const char *what, const char *target, int r, const struct stat *st) {
        printf("%s %s: %s", what, target, SHOW(r));
        if (r >= 0)
                printf(" dev %llx ino %llu mode %o links %lu uid %u gid %u rdev %llx size %lld block %ld blocks %lld mtime %ld.%09ld",
                       (unsigned long long) st->st_dev, (unsigned long long) st->st_ino, st->st_mode, (unsigned long) st->st_nlink,
                       st->st_uid, st->st_gid, (unsigned long long) st->st_rdev, (long long) st->st_size, (long) st->st_blksize,
                       (long long) st->st_blocks, (long) st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
        printf("\n");
}

static void stat_all(int d) {
        static const int flags[] = { 0,      AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, 1,
                                     0x8000, AT_REMOVEDIR };
        struct statx stx;
        struct stat st;

        for (size_t t = 0; t < sizeof(targets) / sizeof(targets[0]); t++) {
                show_stat("stat", targets[t], syscall(SYS_stat, targets[t], &st), &st);
                show_stat("lstat", targets[t], syscall(SYS_lstat, targets[t], &st), &st);
                for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]); f++) {
                        int bases[] = { AT_FDCWD, d, -1, 999, 0 };
                        for (size_t b = 0; b < 4; b++) {
                                printf("%d %x ", b == 1 ? 1 : bases[b], flags[f]);
                                show_stat("fstatat", targets[t], syscall(SYS_newfstatat, bases[b], targets[t], &st, flags[f]), &st);
                                int r = statx(bases[b], targets[t], flags[f], STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, &stx);
                                printf("statx %s", SHOW(r));
                                if (r >= 0)
                                        printf(" mask %x attributes %llx ino %llu mode %o size %llu btime %lld", stx.stx_mask,
                                               (unsigned long long) stx.stx_attributes_mask, (unsigned long long) stx.stx_ino, stx.stx_mode,
                                               (unsigned long long) stx.stx_size, (long long) stx.stx_btime.tv_sec);
                                printf("\n");
                        }
                }
        }
        printf("statx reserved %s sync %s\n", SHOW(statx(AT_FDCWD, "f", 0, 0x80000000, &stx)), SHOW(statx(AT_FDCWD, "f", 0x6000, 1, &stx)));
        printf("stat fault %s\n", SHOW(syscall(SYS_stat, "f", (void *) 8)));
        printf("stat path fault %s\n", SHOW(syscall(SYS_stat, (void *) 8, &st)));
        printf("statx fault %s\n", SHOW(syscall(SYS_statx, AT_FDCWD, "f", 0, 1, (void *) 8)));
}

static void access_all(int d) {
        for (size_t t = 0; t < sizeof(targets) / sizeof(targets[0]); t++)
                for (int mode = 0; mode < 9; mode++) {
                        printf("access %s %d: %s", targets[t], mode, SHOW(syscall(SYS_access, targets[t], mode)));
                        printf(" %s", SHOW(syscall(SYS_faccessat, d, targets[t], mode)));
                        for (int flags = 0; flags < 0x2000; flags += 0x100)
                                if (!(flags & 0xc00))
                                        printf(" %s", SHOW(syscall(SYS_faccessat2, AT_FDCWD, targets[t], mode, flags)));
                        printf("\n");
                }
}

static void readlink_all(int d) {
        char buffer[64];

        for (size_t t = 0; t < sizeof(targets) / sizeof(targets[0]); t++) {
                static const int sizes[] = { -1, 0, 1, 2, 3, 64 };
                for (size_t s = 0; s < 6; s++) {
                        memset(buffer, 0, sizeof(buffer));
                        int r = syscall(SYS_readlink, targets[t], buffer, sizes[s]);
                        printf("readlink %s %d: %s %d %.63s\n", targets[t], sizes[s], SHOW(r), r < 0 ? 0 : r, r < 0 ? "" : buffer);
                        r = syscall(SYS_readlinkat, d, targets[t], buffer, sizes[s]);
                        printf("readlinkat %s\n", SHOW(r));
                }
        }
        int fd = open("l", O_PATH | O_NOFOLLOW);
        int n = readlinkat(fd, "", buffer, sizeof(buffer));
        printf("readlinkat of a link's descriptor: %s %.*s\n", SHOW(n), n < 0 ? 0 : n, buffer);
        close(fd);
        printf("readlink fault %s\n", SHOW(syscall(SYS_readlink, "l", (void *) 8, 10)));
}

/* ---- Paths at the edges ---- */

static void paths(void) {
        static char path[8192];
        struct stat st;

        for (size_t length = 4090; length < 4100; length++) {
                memset(path, '/', sizeof(path));
                memcpy(path, ".", 1);
                path[length - 1] = 'f';
                path[length] = 0;
                printf("path of %zu: %s\n", length, SHOW(stat(path, &st)));
        }
        for (size_t length = 254; length < 258; length++) {
                memset(path, 'n', length);
                path[length] = 0;
                printf("name of %zu: %s\n", length, SHOW(stat(path, &st)));
        }
        for (size_t n = 0; n < 4; n++) {
                char *end = probe_page_end(n);
                memcpy(end, "f\0\0", n < 3 ? n : 3);
                printf("%zu bytes before the end: %s\n", n, SHOW(syscall(SYS_stat, end, &st)));
        }
        printf("newline %s, not UTF-8 %s\n", SHOW(stat("a\nb", &st)), SHOW(stat("\xff\xfe", &st)));
}

static void self(void) {
        char name[64], text[256] = "", own[64];
        int fd = open("f", O_RDONLY), n;

        snprintf(own, sizeof(own), "%d", getpid());
        n = readlink("/proc/self", text, sizeof(text) - 1);
        printf("/proc/self is me: %d\n", n > 0 && strcmp(text, own) == 0);
        memset(text, 0, sizeof(text));
        n = readlink("/proc/thread-self", text, sizeof(text) - 1);
        snprintf(own, sizeof(own), "%d/task/%d", getpid(), gettid());
        printf("/proc/thread-self is me: %d\n", n > 0 && strcmp(text, own) == 0);
        snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        memset(text, 0, sizeof(text));
        printf("fd link %s", SHOW(readlink(name, text, sizeof(text) - 1)));
        printf(" %d\n", strlen(text) > 2 && strcmp(text + strlen(text) - 2, "/f") == 0);
        int again = open(name, O_RDONLY);
        printf("fd reopened %s ", SHOW(again));
        describe(again);
        again = open("/proc/self/cwd/f", O_RDONLY);
        printf("by cwd %s ", SHOW(again));
        describe(again);
        again = open("/proc/thread-self/root/proc/self/status", O_RDONLY);
        printf("own status %s\n", SHOW(again));
        close(again);
        again = open("/dev/fd/99", O_RDONLY);
        printf("no such fd %s\n", SHOW(again));
        int pipes[2];
        if (pipe(pipes) < 0)
                abort();
        snprintf(name, sizeof(name), "/dev/fd/%d", pipes[1]);
        again = open(name, O_WRONLY);
        printf("pipe %s", SHOW(again));
        printf(" %zd\n", write(again, "x", 1));
        close(again);
        int memory = syscall(SYS_memfd_create, "m", 0);
        snprintf(name, sizeof(name), "/proc/self/fd/%d", memory);
        again = open(name, O_RDWR);
        printf("memfd %s\n", SHOW(again));
        close(again);
        close(memory);
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
        if (strcmp(argv[2], "look") == 0) {
                int d = open("d", O_RDONLY | O_DIRECTORY);
                stat_all(d);
                access_all(d);
                readlink_all(d);
                paths();
                self();
        } else {
                modes();
                openat2_all();
                open_all();
        }
        printf("end\n");
        return fflush(stdout) == 0 ? 0 : 1;
}
