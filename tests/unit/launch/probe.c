/*
 * Runs inside a sandbox and tries what must not work. Prints each thing that did, and exits with their number.
 *
 *   probe init        reach pid 1
 *   probe write DIR   open for writing, or change, anything below DIR but processes' own entries
 *   probe change DIR  change anything below DIR
 *   probe fds N…      have other descriptors than 0 to 2 and N…
 *   probe caps        have capabilities, or get them by being uid 0
 *   probe root        leave the root, see mounts of the host
 *   probe signals     have signals blocked or ignored
 *   probe calls       make a call that the worker answers until killed, and print ENOSYS should that be the answer
 *   probe exec DIR    execute a copy of itself made in DIR, or a memfd
 *   probe forks N     have more than N processes at once
 *   probe orphans     leave a grandchild to init, and see that it is reaped
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
/* The environment has no ASAN_OPTIONS inside. Leak detection needs a tracer, and the other handlers are seen by `probe signals`. */
const char *__asan_default_options(void);
__attribute__((visibility("default"), no_sanitize("address"))) const char *__asan_default_options(void) {
        return "detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0";
}
#endif

static int failures;
static bool writing;

static void must_fail(long result, const char *what) {
        if (result >= 0) {
                printf("worked: %s\n", what);
                failures++;
        }
}

/* The number of entries less 1. */
static int entries(const char *path) {
        DIR *dir = opendir(path);
        const struct dirent *entry;
        int n = -1;

        while (dir && (entry = readdir(dir)))
                n += entry->d_name[0] != '.';
        if (dir)
                closedir(dir);
        return n;
}

static void probe_init(void) {
        static const char *const files[] = { "mem", "environ", "maps", "syscall", "stack", "auxv", "io", "task/1/mem" };
        static const char *const links[] = { "root", "cwd", "exe", "ns/mnt", "ns/user" };
        char path[64], buffer[64], what[128];
        char remote[8];

        for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
                snprintf(path, sizeof(path), "/proc/1/%s", files[i]);
                int fd = open(path, O_RDONLY);
                /* Some can be opened and then not be read. */
                must_fail(fd < 0 ? -1 : read(fd, buffer, sizeof(buffer)) > 0 ? 0 : -1, path);
                must_fail(open(path, O_WRONLY), path);
        }
        for (int i = 0; i < 64; i++) {
                snprintf(path, sizeof(path), "/proc/1/fd/%d", i);
                must_fail(readlink(path, buffer, sizeof(buffer)), path);
                must_fail(open(path, O_RDONLY | O_NONBLOCK), path);
                snprintf(path, sizeof(path), "/proc/1/fdinfo/%d", i);
                must_fail(open(path, O_RDONLY), path);
        }
        must_fail(entries("/proc/1/map_files"), "/proc/1/map_files");
        for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
                snprintf(path, sizeof(path), "/proc/1/%s", links[i]);
                must_fail(readlink(path, buffer, sizeof(buffer)), path);
        }
        must_fail(ptrace(PTRACE_SEIZE, 1, 0, 0), "PTRACE_SEIZE");
        must_fail(ptrace(PTRACE_ATTACH, 1, 0, 0), "PTRACE_ATTACH");
        struct iovec local = { remote, sizeof(remote) }, other = { &local, sizeof(remote) };
        must_fail(process_vm_readv(1, &local, 1, &other, 1, 0), "process_vm_readv");
        must_fail(process_vm_writev(1, &local, 1, &other, 1, 0), "process_vm_writev");
        int pidfd = syscall(SYS_pidfd_open, 1, 0);
        for (int i = 0; pidfd >= 0 && i < 64; i++) {
                snprintf(what, sizeof(what), "pidfd_getfd %d", i);
                must_fail(syscall(SYS_pidfd_getfd, pidfd, i, 0), what);
        }
        must_fail(syscall(SYS_setns, pidfd, 0x00020000 /* CLONE_NEWNS */), "setns");
        (void) kill(1, SIGKILL);
        (void) kill(1, SIGSTOP);
        (void) kill(1, SIGTERM);
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        if (type == FTW_SL || type == FTW_SLN)
                return 0;
        if (strncmp(path, "/proc/", 6) == 0 && path[6] >= '0' && path[6] <= '9')
                return 0;
        if (strncmp(path, "/dev/shm", 8) == 0 || strncmp(path, "/dev/pts", 8) == 0)
                return 0;
        if (type == FTW_F && writing) {
                int fd = open(path, O_WRONLY | O_NONBLOCK);
                must_fail(fd, path);
                if (fd >= 0)
                        close(fd);
        }
        must_fail(chmod(path, st->st_mode & 07777), path);
        if (type != FTW_F) {
                char name[4096];
                snprintf(name, sizeof(name), "%s/probe", path);
                must_fail(mkdir(name, 0755), name);
                rmdir(name);
        }
        return 0;
}

static void probe_fds(int n, char **allowed) {
        DIR *dir = opendir("/proc/self/fd");
        const struct dirent *entry;

        if (!dir)
                must_fail(0, "no /proc/self/fd");
        while (dir && (entry = readdir(dir))) {
                bool expected = entry->d_name[0] == '.' || atoi(entry->d_name) < 3 || atoi(entry->d_name) == dirfd(dir);
                for (int i = 0; i < n; i++)
                        expected |= strcmp(allowed[i], entry->d_name) == 0;
                if (!expected)
                        must_fail(0, entry->d_name);
        }
}

static void probe_caps(void) {
        FILE *f = fopen("/proc/self/status", "re");
        char line[256];
        unsigned long long value;

        while (f && fgets(line, sizeof(line), f)) {
                if (strncmp(line, "Cap", 3) == 0 && sscanf(strchr(line, ':') + 1, "%llx", &value) == 1 && value != 0)
                        must_fail(0, line);
                if (strncmp(line, "NoNewPrivs:\t0", 13) == 0 || strncmp(line, "Seccomp:\t0", 10) == 0)
                        must_fail(0, line);
        }
        must_fail(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0), "securebits");
        must_fail(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 1, 0, 0), "ambient");
        must_fail(chroot("/tmp"), "chroot");
        must_fail(sethostname("x", 1), "sethostname");
        must_fail(mknod("/tmp/device", S_IFBLK | 0600, 0xfe00), "mknod");
}

static void probe_root(void) {
        struct stat root, above;
        FILE *f = fopen("/proc/self/mountinfo", "re");
        char line[4096];

        if (chdir("/") < 0 || stat("/", &root) < 0 || stat("/../../..", &above) < 0 || root.st_ino != above.st_ino ||
            root.st_dev != above.st_dev)
                must_fail(0, "a way above the root");
        must_fail(open("/root/probe", O_CREAT | O_WRONLY, 0600), "/root/probe");
        must_fail(mkdir("/probe.d", 0755), "/probe.d");
        must_fail(access("/sys", F_OK), "/sys");
        must_fail(access("/root", F_OK), "/root");
        must_fail(access("/etc/shadow", F_OK), "/etc/shadow");
        while (f && fgets(line, sizeof(line), f))
                if (strstr(line, " /old") || strstr(line, " /new"))
                        must_fail(0, line);
}

static void probe_signals(void) {
        struct sigaction action;
        sigset_t blocked;

        sigprocmask(SIG_BLOCK, NULL, &blocked);
        for (int i = 1; i < 32; i++) {
                if (sigismember(&blocked, i))
                        must_fail(i, "blocked signal");
                if (sigaction(i, NULL, &action) >= 0 && action.sa_handler != SIG_DFL)
                        must_fail(i, "ignored signal");
        }
}

static void probe_orphans(void) {
        struct timespec pause = { .tv_nsec = 100000000 };
        int channel[2];
        pid_t grandchild = 0;

        if (pipe(channel) < 0)
                return must_fail(0, "pipe");
        if (fork() == 0) {
                pid_t pid = fork();
                if (pid == 0)
                        _exit(0);
                _exit(write(channel[1], &pid, sizeof(pid)) != sizeof(pid));
        }
        wait(NULL);
        if (read(channel[0], &grandchild, sizeof(grandchild)) != sizeof(grandchild))
                return must_fail(0, "read");
        for (int i = 0; i < 20 && kill(grandchild, 0) >= 0; i++)
                nanosleep(&pause, NULL);
        must_fail(kill(grandchild, 0), "a zombie stays");
}

static _Noreturn void probe_calls(void) {
        struct utsname name;

        for (;;)
                if (uname(&name) >= 0 || errno == ENOSYS) {
                        if (write(1, "ENOSYS\n", 7) < 0)
                                _exit(1);
                        _exit(1);
                }
}

static void probe_exec(const char *dir) {
        char path[4096], buffer[65536];
        char *const argv[] = { (char *) "probe", NULL };
        ssize_t n;

        snprintf(path, sizeof(path), "%s/copy", dir);
        int from = open("/proc/self/exe", O_RDONLY), to = open(path, O_CREAT | O_WRONLY, 0755);
        int memfd = syscall(SYS_memfd_create, "copy", 0x10U /* MFD_EXEC */);
        if (memfd < 0)
                memfd = syscall(SYS_memfd_create, "copy", 0U);
        if (from < 0 || to < 0 || memfd < 0)
                return must_fail(0, "no copy can be made");
        while ((n = read(from, buffer, sizeof(buffer))) > 0)
                if (write(to, buffer, n) != n || write(memfd, buffer, n) != n)
                        must_fail(0, "no copy can be made");
        close(to);
        /* A program that ran would end with 100. */
        execv(path, argv);
        syscall(SYS_execveat, memfd, "", argv, NULL, 0x1000 /* AT_EMPTY_PATH */);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
        execv(path, argv);
}

static void probe_forks(int limit) {
        int n = 1;

        for (; n < 5000; n++) {
                pid_t pid = fork();
                if (pid < 0)
                        break;
                if (pid == 0)
                        for (;;)
                                pause();
        }
        must_fail(n <= limit ? -1 : 0, "more processes than the limit");
        printf("%d processes\n", n);
}

int main(int argc, char **argv) {
        const char *what = argc > 1 ? argv[1] : "";

        if (strcmp(what, "init") == 0)
                probe_init();
        else if ((strcmp(what, "write") == 0 || strcmp(what, "change") == 0) && argc > 2) {
                writing = what[0] == 'w';
                nftw(argv[2], visit, 32, FTW_PHYS);
        } else if (strcmp(what, "fds") == 0)
                probe_fds(argc - 2, argv + 2);
        else if (strcmp(what, "caps") == 0)
                probe_caps();
        else if (strcmp(what, "root") == 0)
                probe_root();
        else if (strcmp(what, "signals") == 0)
                probe_signals();
        else if (strcmp(what, "orphans") == 0)
                probe_orphans();
        else if (strcmp(what, "forks") == 0 && argc > 2)
                probe_forks(atoi(argv[2]));
        else if (strcmp(what, "calls") == 0)
                probe_calls();
        else if (strcmp(what, "exec") == 0 && argc > 2)
                probe_exec(argv[2]);
        else
                return 100;
        return failures > 90 ? 90 : failures;
}
