/*
 * processes: what is to be had of processes that aren't the program's own: init, which holds the listener, and those of the host; and of
 * what they have open.
 */
#include "attack.h"

#include <dirent.h>
#include <limits.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* Opened or looked through, these give init's memory, descriptors or files. */
static void init_entries(void) {
        static const char *const files[] = { "mem",     "maps",  "smaps", "pagemap",     "environ", "auxv",
                                             "syscall", "stack", "io",    "personality", "timers" };
        static const char *const links[] = { "root", "cwd", "exe", "fd/0", "fd/1", "fd/2", "ns/mnt", "ns/user", "ns/pid", "ns/net" };
        static const char *const bases[] = { "/proc/1", "/proc/1/task/1" };
        char path[256], text[PATH_MAX];
        struct stat st;

        for (int b = 0; b < 2; b++) {
                for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
                        snprintf(path, sizeof(path), "%s/%s", bases[b], files[i]);
                        int fd = open(path, O_RDONLY);
                        /* Some can be opened and then refuse to be read. */
                        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
                        attack_expect(n <= 0, "%s: %zd bytes read", path, n);
                        if (fd >= 0)
                                close(fd);
                        attack_refused(path, open(path, O_RDWR), EACCES, EPERM, ENOENT, EISDIR, EROFS);
                }
                for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
                        snprintf(path, sizeof(path), "%s/%s", bases[b], links[i]);
                        attack_refused(path, readlink(path, text, sizeof(text)), EACCES, EPERM, ENOENT);
                        attack_refused(path, stat(path, &st), EACCES, EPERM, ENOENT);
                        attack_refused(path, open(path, O_RDONLY), EACCES, EPERM, ENOENT);
                        attack_refused(path, open(path, O_PATH), EACCES, EPERM, ENOENT);
                }
                /* Host root may list the numbers of init's descriptors, and that is all. */
                for (int fd = 0; fd < 64; fd++) {
                        snprintf(path, sizeof(path), "%s/fd/%d", bases[b], fd);
                        attack_refused(path, open(path, O_RDWR | O_NONBLOCK), EACCES, EPERM, ENOENT);
                        attack_refused(path, readlink(path, text, sizeof(text)), EACCES, EPERM, ENOENT);
                        snprintf(path, sizeof(path), "%s/fdinfo/%d", bases[b], fd);
                        attack_refused(path, open(path, O_RDONLY), EACCES, EPERM, ENOENT);
                }
        }
}

static void init_memory(void) {
        char text[16];
        struct iovec here = { text, sizeof(text) }, there = { (void *) 0x400000, sizeof(text) };
        struct rlimit limit = { 0, 0 };
        int pidfd = syscall(SYS_pidfd_open, 1, 0);

        attack_refused("attach", ptrace(PTRACE_ATTACH, 1, NULL, NULL), EPERM);
        attack_refused("seize", ptrace(PTRACE_SEIZE, 1, NULL, NULL), EPERM);
        attack_refused("process_vm_readv", process_vm_readv(1, &here, 1, &there, 1, 0), EPERM);
        attack_refused("process_vm_writev", process_vm_writev(1, &here, 1, &there, 1, 0), EPERM);
        for (int fd = 0; fd < 32; fd++)
                attack_refused("pidfd_getfd", syscall(SYS_pidfd_getfd, pidfd, fd, 0), EPERM);
        attack_refused("process_madvise", syscall(SYS_process_madvise, pidfd, &here, 1, MADV_COLD, 0), EPERM, EINVAL);
        /* Init has the program's ids, which is all that these ask for. Without descriptors it couldn't even poll. */
        attack_refused("prlimit", prlimit(1, RLIMIT_NOFILE, &limit, NULL), EPERM);
        attack_refused("prlimit with a high bit", syscall(SYS_prlimit64, 1 | 1UL << 32, RLIMIT_CPU, &limit, NULL), EPERM);
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET(0, &cpus);
        struct sched_param param = {};
        char attr[48] = { 48 };
        attack_refused("sched_setaffinity", sched_setaffinity(1, sizeof(cpus), &cpus), EPERM);
        attack_refused("sched_setscheduler", sched_setscheduler(1, SCHED_IDLE, &param), EPERM);
        attack_refused("sched_setparam", sched_setparam(1, &param), EPERM);
        attack_refused("sched_setattr", syscall(SYS_sched_setattr, 1, attr, 0), EPERM);
        attack_refused("setpriority", setpriority(PRIO_PROCESS, 1, 19), EPERM);
        attack_refused("setpriority of its group", setpriority(PRIO_PGRP, 1, 19), EPERM);
        attack_refused("ioprio_set", syscall(SYS_ioprio_set, 1, 1, 3 << 13), EPERM);
        /* A pid namespace's init takes no signal from inside that it doesn't ask for; and we are still there afterwards. */
        kill(1, SIGKILL);
        kill(1, SIGSTOP);
        kill(1, SIGTERM);
        kill(-1, SIGCONT);
        syscall(SYS_tgkill, 1, 1, SIGKILL);
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        struct stat st;
        attack_expect(stat("/", &st) == 0, "nobody answers after signals to init");
        close(pidfd);
}

/* A group that init is in, or all that is its user's, can be named without its number. */
static void init_by_group(void) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                errno = 0;
                setpriority(PRIO_USER, 0, 11);
                setpgid(0, 1);
                setpriority(PRIO_PGRP, 0, 12);
                syscall(SYS_ioprio_set, 2, 0, 3 << 13);
                syscall(SYS_ioprio_set, 3, 0, 3 << 13);
                attack_expect(getpriority(PRIO_PROCESS, 1) == 0, "init's priority is %d", getpriority(PRIO_PROCESS, 1));
                attack_expect(syscall(SYS_ioprio_get, 1, 1) >> 13 != 3, "init's I/O is done last");
                signal(SIGUSR1, SIG_IGN);
                signal(SIGTERM, SIG_IGN);
                kill(0, SIGUSR1);
                kill(0, SIGTERM);
                kill(0, SIGCONT);
                struct stat st;
                attack_expect(stat("/", &st) == 0, "nobody answers after signals to init's group");
                _exit(attack_bad);
        }
        waitpid(pid, &status, 0);
        attack_expect(status == 0, "init's group: %#x", status);
}

/* Its threads, should it ever have any, are in /proc/1/task. */
static void others(void) {
        unsigned found = 0;
        DIR *proc = opendir("/proc");
        const struct dirent *entry;

        while (proc && (entry = readdir(proc))) {
                int pid = atoi(entry->d_name);
                if (pid > 0 && pid != 1 && pid != getpid()) {
                        found++;
                        attack_expect(false, "/proc shows process %d", pid);
                }
        }
        attack_expect(proc != NULL, "no /proc");
        if (proc)
                closedir(proc);
        for (int pid = 2; pid < 70000; pid++)
                if (pid != getpid() && kill(pid, 0) == 0)
                        attack_expect(false, "process %d can be signalled", pid);
        attack_expect(getppid() == 1, "the parent is %d", getppid());
        attack_expect(found == 0, "%u other processes", found);
}

/* 0 to 2, and what looks at them. */
static void descriptors(void) {
        DIR *fds = opendir("/proc/self/fd");
        const struct dirent *entry;
        char link[64], text[PATH_MAX];

        while (fds && (entry = readdir(fds))) {
                int fd = atoi(entry->d_name);
                if (entry->d_name[0] == '.' || fd == dirfd(fds))
                        continue;
                attack_expect(fd <= 2, "descriptor %d came in", fd);
                snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
                ssize_t n = readlink(link, text, sizeof(text) - 1);
                text[n < 0 ? 0 : n] = 0;
                attack_expect(n > 0 && !strstr(text, "seccomp") && !strstr(text, "anon_inode") && !strstr(text, "memfd"),
                              "descriptor %d is %s", fd, text);
        }
        attack_expect(fds != NULL, "no /proc/self/fd");
        if (fds)
                closedir(fds);
        for (int fd = 3; fd < 1024; fd++)
                if (fcntl(fd, F_GETFD) >= 0)
                        attack_expect(false, "descriptor %d is open", fd);
}

/* A sibling's memory is the program's own business; but a tracer must not get a tracee's calls around the broker. */
static void tracer(void) {
        int status = 0;
        pid_t pid = fork();

        if (pid == 0) {
                ptrace(PTRACE_TRACEME, 0, NULL, NULL);
                raise(SIGSTOP);
                /* The tracer makes an unshare of this. */
                long r = syscall(SYS_getppid);
                _exit(r == -1 && (errno == EPERM || errno == ENOSYS) ? 0 : 1);
        }
#ifdef __x86_64__
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) || ptrace(PTRACE_SYSCALL, pid, NULL, NULL) < 0) {
                attack_expect(false, "a child can't be traced: %s", strerror(errno));
                return;
        }
        waitpid(pid, &status, 0); /* on its way into the call: before the filter */
        ptrace(PTRACE_POKEUSER, pid, (void *) (15 * 8L) /* orig_rax */, (void *) SYS_unshare);
        ptrace(PTRACE_POKEUSER, pid, (void *) (14 * 8L) /* rdi */, (void *) 0x10000000 /* CLONE_NEWUSER */);
        ptrace(PTRACE_DETACH, pid, NULL, NULL);
#endif
        waitpid(pid, &status, 0);
        attack_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a tracer got a call past the filter: %#x", status);
}

int main(void) {
        setvbuf(stdout, NULL, _IONBF, 0);
        descriptors();
        others();
        init_entries();
        init_memory();
        init_by_group();
        tracer();
        attack_end();
}
