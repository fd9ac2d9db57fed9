/*
 * semantics FOLDER: what a broker that acts for others gets wrong easily: whose directory, whose /proc/self, whose umask and limits, and
 * the exact errno of odd paths and flags.
 */
#include "attack.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const char *folder;

__attribute__((format(printf, 1, 2))) static const char *in_folder(const char *format, ...) {
        static char path[4096];
        int n = snprintf(path, sizeof(path), "%s/", folder);
        va_list ap;

        va_start(ap, format);
        vsnprintf(path + n, sizeof(path) - n, format, ap);
        va_end(ap);
        return path;
}

static ssize_t first_line(const char *path, char *text, size_t size) {
        int fd = open(path, O_RDONLY);
        ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

        close(fd);
        text[n < 0 ? 0 : n] = 0;
        text[strcspn(text, "\n")] = 0;
        return n;
}

/* ---- A thread that shares memory but neither directory nor umask ---- */

static char thread_text[64], thread_cwd[4096];
static mode_t thread_mode;
static _Atomic int thread_done;

static int own_fs(void *unused) {
        struct stat st;

        (void) unused;
        umask(0);
        if (chdir(in_folder("r")) == 0)
                first_line("file", thread_text, sizeof(thread_text));
        ssize_t n = readlink("/proc/thread-self/cwd", thread_cwd, sizeof(thread_cwd) - 1);
        thread_cwd[n < 0 ? 0 : n] = 0;
        int fd = open(in_folder("w/by-thread"), O_WRONLY | O_CREAT | O_EXCL, 0666);
        thread_mode = fd >= 0 && fstat(fd, &st) == 0 ? st.st_mode & 0777 : 0;
        close(fd);
        thread_done = 1;
        syscall(SYS_exit, 0);
        return 0;
}

static void own_directory(void) {
        char *stack = mmap(NULL, 262144, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), text[64];
        struct stat st;

        umask(027);
        unlink(in_folder("w/by-thread"));
        unlink(in_folder("w/by-main"));
        if (chdir(in_folder("a")) < 0 || stack == MAP_FAILED)
                attack_die("a thread of its own");
        if (clone(own_fs, stack + 262144, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_FILES | CLONE_SYSVSEM, NULL) < 0)
                attack_die("clone");
        for (int i = 0; i < 5000 && !thread_done; i++)
                usleep(1000);
        attack_expect(thread_done && strcmp(thread_text, "readonly") == 0, "the thread's own directory: '%s'", thread_text);
        attack_expect(strcmp(thread_cwd, in_folder("r")) == 0, "the thread's /proc/thread-self/cwd: %s", thread_cwd);
        attack_expect(thread_mode == 0666, "the thread's own umask: %o", thread_mode);
        first_line("file", text, sizeof(text));
        attack_expect(strcmp(text, "allowed") == 0, "the process's directory: '%s'", text);
        int fd = open(in_folder("w/by-main"), O_WRONLY | O_CREAT | O_EXCL, 0666);
        attack_expect(fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0640, "the process's umask: %o", st.st_mode);
        close(fd);
}

/* ---- Who is self ---- */

static void *thread_self(void *unused) {
        char text[64] = "", expected[64], name[64];

        ssize_t n = readlink("/proc/thread-self", text, sizeof(text) - 1);
        text[n < 0 ? 0 : n] = 0;
        snprintf(expected, sizeof(expected), "%d/task/%d", getpid(), gettid());
        attack_expect(strcmp(text, expected) == 0, "/proc/thread-self is %s, not %s", text, expected);
        pthread_setname_np(pthread_self(), "second");
        first_line("/proc/thread-self/comm", name, sizeof(name));
        attack_expect(strcmp(name, "second") == 0, "/proc/thread-self/comm is %s", name);
        first_line("/proc/self/comm", name, sizeof(name));
        attack_expect(strcmp(name, "semantics") == 0, "/proc/self/comm is %s", name);
        return unused;
}

static void self(void) {
        char text[PATH_MAX] = "", expected[64];
        pthread_t thread;
        struct stat a, b;

        for (int child = 0; child < 2; child++) {
                pid_t pid = child ? fork() : 0;
                if (pid == 0) {
                        ssize_t n = readlink("/proc/self", text, sizeof(text) - 1);
                        text[n < 0 ? 0 : n] = 0;
                        snprintf(expected, sizeof(expected), "%d", getpid());
                        attack_expect(strcmp(text, expected) == 0, "/proc/self is %s, not %s", text, expected);
                        n = readlink("/proc/self/exe", text, sizeof(text) - 1);
                        text[n < 0 ? 0 : n] = 0;
                        attack_expect(strstr(text, "/semantics") != NULL, "/proc/self/exe is %s", text);
                        if (child)
                                _exit(attack_bad);
                } else {
                        int status;
                        waitpid(pid, &status, 0);
                        attack_expect(status == 0, "a child's /proc/self");
                }
        }
        if (pthread_create(&thread, NULL, thread_self, NULL) != 0)
                attack_die("pthread_create");
        pthread_join(thread, NULL);
        snprintf(text, sizeof(text), "/proc/%d/stat", getpid());
        attack_expect(stat("/proc/self/stat", &a) == 0 && stat(text, &b) == 0 && a.st_ino == b.st_ino, "/proc/self/stat is another's");

        /* Magic links: a pipe, a deleted file, an O_PATH descriptor. */
        int pipes[2], deleted = open(in_folder("w/deleted"), O_RDWR | O_CREAT, 0600);
        unlink(in_folder("w/deleted"));
        if (pipe(pipes) < 0 || write(pipes[1], "pipe\n", 5) != 5 || write(deleted, "deleted\n", 8) != 8)
                attack_die("pipe");
        snprintf(text, sizeof(text), "/dev/fd/%d", pipes[0]);
        first_line(text, expected, sizeof(expected));
        attack_expect(strcmp(expected, "pipe") == 0, "%s: %s", text, expected);
        snprintf(text, sizeof(text), "/proc/thread-self/fd/%d", deleted);
        first_line(text, expected, sizeof(expected));
        attack_expect(strcmp(expected, "deleted") == 0, "%s: %s", text, expected);
        close(pipes[0]);
        close(pipes[1]);
        close(deleted);
        deleted = open(in_folder("r/file"), O_PATH);
        snprintf(text, sizeof(text), "/proc/self/fd/%d", deleted);
        first_line(text, expected, sizeof(expected));
        attack_expect(strcmp(expected, "readonly") == 0, "%s: %s", text, expected);
        /* A descriptor without rights gives none for asking again. */
        attack_refused("reopening for writing", open(text, O_RDWR), EACCES, EROFS);
        close(deleted);
        deleted = open(in_folder("r/file"), O_RDONLY);
        snprintf(text, sizeof(text), "/dev/fd/%d", deleted);
        attack_refused("reopening for writing", open(text, O_WRONLY), EACCES, EROFS);
        close(deleted);
}

/* ---- Creating ---- */

static void creating(void) {
        char link[4096];
        struct stat st;

        strcpy(link, in_folder("a/dangling"));
        unlink(link);
        unlink(in_folder("a/made"));
        if (symlink("made", link) < 0)
                attack_die("symlink");
        attack_refused("O_EXCL on a dangling link", open(link, O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
        attack_refused("O_NOFOLLOW on a dangling link", open(link, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600), ELOOP);
        attack_refused("a dangling link", open(link, O_RDONLY), ENOENT);
        attack_expect(lstat(in_folder("a/made"), &st) < 0, "a refused open has made the file");
        int fd = open(link, O_WRONLY | O_CREAT, 0600);
        attack_expect(fd >= 0 && lstat(in_folder("a/made"), &st) == 0 && S_ISREG(st.st_mode), "O_CREAT through a dangling link: %s",
                      strerror(errno));
        close(fd);
        attack_refused("O_EXCL on a file", open(in_folder("a/made"), O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
        attack_refused("O_NOFOLLOW on a link", open(link, O_RDONLY | O_NOFOLLOW), ELOOP);
        attack_refused("O_DIRECTORY on a file", open(in_folder("a/made"), O_RDONLY | O_DIRECTORY), ENOTDIR);
        attack_refused("O_CREAT on a directory", open(in_folder("a"), O_RDWR | O_CREAT, 0600), EISDIR);
        /* A link of ours that dangles outside of what may be written. */
        unlink(link);
        if (symlink(in_folder("r/made"), link) < 0)
                attack_die("symlink");
        attack_refused("O_CREAT through a link to what may be read only", open(link, O_WRONLY | O_CREAT, 0600), EACCES, EROFS);
        unlink(link);
        if (symlink(in_folder("b/made"), link) < 0)
                attack_die("symlink");
        attack_refused("O_CREAT through a link to what isn't named", open(link, O_WRONLY | O_CREAT, 0600), EACCES, ENOENT);
        unlink(link);
}

static volatile sig_atomic_t too_large;

static void on_size(int number) {
        (void) number;
        too_large++;
}

static void limits(void) {
        struct rlimit old, small;
        int fds[64], n = 0;

        getrlimit(RLIMIT_NOFILE, &old);
        small = (struct rlimit) { 20, old.rlim_max };
        setrlimit(RLIMIT_NOFILE, &small);
        while (n < 64 && (fds[n] = open(in_folder("r/file"), O_RDONLY)) >= 0)
                n++;
        attack_expect(n < 20 && errno == EMFILE, "with RLIMIT_NOFILE 20, %d files more: %s", n, strerror(errno));
        attack_refused("creating beyond RLIMIT_NOFILE", open(in_folder("a/beyond"), O_WRONLY | O_CREAT, 0600), EMFILE);
        while (n > 0)
                close(fds[--n]);
        setrlimit(RLIMIT_NOFILE, &old);

        struct sigaction action = { .sa_handler = on_size };
        sigaction(SIGXFSZ, &action, NULL);
        getrlimit(RLIMIT_FSIZE, &old);
        small = (struct rlimit) { 4096, old.rlim_max };
        setrlimit(RLIMIT_FSIZE, &small);
        int fd = open(in_folder("a/large"), O_RDWR | O_CREAT | O_TRUNC, 0600);
        attack_expect(pwrite(fd, "x", 1, 4095) == 1, "writing below RLIMIT_FSIZE: %s", strerror(errno));
        attack_refused("writing beyond RLIMIT_FSIZE", pwrite(fd, "x", 1, 4096), EFBIG);
        attack_expect(too_large == 1, "SIGXFSZ came %d times", (int) too_large);
        setrlimit(RLIMIT_FSIZE, &old);
        close(fd);
        unlink(in_folder("a/large"));
}

/* ---- Odd paths ---- */

static void long_paths(void) {
        char path[8192];
        struct stat st;

        for (size_t length = 4094; length <= 4097; length++) {
                size_t n = snprintf(path, sizeof(path), "%s/r", folder), tail = strlen("/file");
                while (n + tail < length)
                        path[n++] = '/';
                strcpy(path + n, "/file");
                int r = stat(path, &st), error = errno;
                int fd = open(path, O_RDONLY);
                if (length < 4096)
                        attack_expect(r == 0 && fd >= 0, "a path of %zu bytes: %s", length, strerror(error));
                else
                        attack_expect(r < 0 && error == ENAMETOOLONG && fd < 0, "a path of %zu bytes: %s", length,
                                      r == 0 ? "works" : strerror(error));
                close(fd);
        }
        size_t n = snprintf(path, sizeof(path), "%s/a/", folder);
        memset(path + n, 'n', 256);
        path[n + 256] = 0;
        attack_refused("a name of 256 bytes", stat(path, &st), ENAMETOOLONG);
        attack_refused("a name of 256 bytes", open(path, O_WRONLY | O_CREAT, 0600), ENAMETOOLONG);
        path[n + 255] = 0;
        attack_refused("a name of 255 bytes", stat(path, &st), ENOENT);
}

static void edges(void) {
        const size_t page = 4096;
        char *pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        const char *file = in_folder("r/file");
        size_t length = strlen(file);
        struct stat st;

        munmap(pages + 2 * page, page);
        char *end = pages + 2 * page;
        memcpy(end - length - 1, file, length + 1);
        attack_expect(stat(end - length - 1, &st) == 0, "a path that ends with its page: %s", strerror(errno));
        int fd = open(end - length - 1, O_RDONLY);
        attack_expect(fd >= 0, "a path that ends with its page: %s", strerror(errno));
        close(fd);
        memcpy(end - length, file, length);
        attack_refused("a path without an end before an unmapped page", stat(end - length, &st), EFAULT);
        attack_refused("a path without an end before an unmapped page", open(end - length, O_RDONLY), EFAULT);
        /* Over the border of two mapped pages. */
        memcpy(pages + page - length / 2, file, length + 1);
        attack_expect(stat(pages + page - length / 2, &st) == 0, "a path over a page's border: %s", strerror(errno));
        mprotect(pages + page, page, PROT_NONE);
        attack_refused("a path into PROT_NONE", stat(pages + page - length / 2, &st), EFAULT);
        attack_refused("NULL", syscall(SYS_stat, NULL, &st), EFAULT);
        attack_refused("an address of the kernel", syscall(SYS_stat, (void *) 0xffff888000000000, &st), EFAULT);
        attack_refused("an address between", syscall(SYS_openat, AT_FDCWD, (void *) 0x800000000000, O_RDONLY), EFAULT);
        attack_refused("a buffer that isn't there", syscall(SYS_stat, file, (void *) 8), EFAULT);
        attack_refused("a buffer that can't be written", syscall(SYS_stat, in_folder("r/file"), (void *) (uintptr_t) edges), EFAULT);
        attack_refused("a descriptor that isn't there", syscall(SYS_openat, 999, "file", O_RDONLY), EBADF);
        attack_refused("an empty path", open("", O_RDONLY), ENOENT);
        munmap(pages, 2 * page);
}

static void odd_names(void) {
        static const char *const names[] = { "new\nline",           "{\"evil\":1}\n{\"record\":2}",
                                             "\xff\xfe\x80",        "\xc3(",
                                             "tab\tand\x1b[31mred", "\342\200\256bidi",
                                             "quote\"back\\slash" };
        struct stat st;

        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
                int fd = open(in_folder("a/%s", names[i]), O_WRONLY | O_CREAT | O_EXCL, 0600);
                attack_expect(fd >= 0 && stat(in_folder("a/%s", names[i]), &st) == 0, "name %zu: %s", i, strerror(errno));
                close(fd);
                unlink(in_folder("a/%s", names[i]));
                attack_refused("an odd name in what isn't named", open(in_folder("b/%s", names[i]), O_RDONLY), ENOENT, EACCES);
        }
}

int main(int argc, char **argv) {
        setvbuf(stdout, NULL, _IONBF, 0);
        if (argc != 2)
                return 2;
        folder = argv[1];
        own_directory();
        self();
        creating();
        limits();
        long_paths();
        edges();
        odd_names();
        attack_end();
}
