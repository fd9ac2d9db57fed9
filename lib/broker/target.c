/*
 * The caller's memory, descriptors and numbers.
 *
 * Every way to the caller goes by its tid, and a tid can be another task's as soon as the caller is dead. So each function uses it, and then
 * asks whether the notification is still valid: if it is, the caller was there all the time.
 */
#include "target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "broker.h"
#include "fd.h"
#include "sys.h"

#define PAGE 4096UL /* the smallest there is: crossing a page too often does no harm */
#define NEAR_END 256

static int still_there(struct call *call) {
        return loop_valid(call) ? 0 : -ESRCH;
}

/* ---- memory ---- */

static ssize_t transfer(struct call *call, uint64_t address, void *buffer, size_t size, bool writing) {
        struct iovec local = { buffer, size }, remote = { (void *) (uintptr_t) address, size };
        ssize_t n = writing ? process_vm_writev(call->notif->pid, &local, 1, &remote, 1, 0)
                            : process_vm_readv(call->notif->pid, &local, 1, &remote, 1, 0);

        return n < 0 ? -errno : n;
}

/* The number of bytes that were copied. -EPERM: a caller in a nested user namespace, or one whose program is not readable, can't be looked
 * into; that is no fault of its own. */
static ssize_t copy(struct call *call, uint64_t address, void *buffer, size_t size, bool writing) {
        struct receiver *r = call_receiver(call);
        ssize_t n;

        if (address > UINT64_MAX - size)
                return -EFAULT;
        n = transfer(call, address, buffer, size, writing);
        if (n == -EPERM && rights_raise(r)) {
                n = transfer(call, address, buffer, size, writing);
                rights_lower(r);
        }
        return n >= 0 || n == -EPERM || n == -ESRCH ? n : -EFAULT;
}

int target_read(struct call *call, uint64_t address, void *buffer, size_t size) {
        ssize_t n = target_read_some(call, address, buffer, size);

        return n < 0 ? n : (size_t) n < size ? -EFAULT : 0;
}

ssize_t target_read_some(struct call *call, uint64_t address, void *buffer, size_t size) {
        ssize_t n;

        if (size == 0)
                return 0;
        n = copy(call, address, buffer, size, false);
        int r = still_there(call);
        if (r < 0)
                return r;
        return n == 0 ? -EFAULT : n;
}

int target_write(struct call *call, uint64_t address, const void *buffer, size_t size) {
        ssize_t n;
        int r;

        if (size == 0)
                return 0;
        /* Before and not only after: a write must not go to another task. The kernel takes the task once for the whole call, so that what is
         * left is a caller that dies, is reaped and has its number given away between the two calls. */
        r = still_there(call);
        if (r < 0)
                return r;
        n = copy(call, address, (void *) buffer, size, true);
        r = still_there(call);
        if (r < 0)
                return r;
        return n < 0 ? n : (size_t) n < size ? -EFAULT : 0;
}

ssize_t target_read_path(struct call *call, uint64_t address, char *buffer) {
        size_t have = 0;

        /* As the kernel does, not to touch a page beyond the one that holds the NUL, except where the end is so near that a second look will be
         * needed for most paths. */
        while (have < PATH_MAX) {
                size_t chunk = PAGE - (address + have) % PAGE;
                if (chunk < NEAR_END)
                        chunk += PAGE;
                if (chunk > PATH_MAX - have)
                        chunk = PATH_MAX - have;
                ssize_t n = target_read_some(call, address + have, buffer + have, chunk);
                if (n < 0)
                        return n;
                char *end = memchr(buffer + have, 0, n);
                if (end)
                        return end - buffer;
                have += n;
        }
        buffer[PATH_MAX] = 0;
        return -ENAMETOOLONG;
}

/* ---- descriptors ---- */

static int pidfd_of_caller(struct receiver *r) {
        pid_t tid = r->call.notif->pid;

        if (r->pidfd >= 0 && r->pidfd_of == tid)
                return r->pidfd;
        r->pidfd = fd_close(r->pidfd);
        /* Of the very thread where the kernel can (6.9): a thread can have a table of its own, and a leader that has ended has none. */
        int fd = sys_pidfd_open(tid, PIDFD_THREAD);
        if (fd < 0 && errno == EINVAL) {
                struct task_status status;
                int e = task_status_read(r->worker, tid, &status);
                if (e < 0)
                        return e;
                fd = sys_pidfd_open(status.tgid, 0);
        }
        if (fd < 0)
                return -errno;
        r->pidfd = fd;
        r->pidfd_of = tid;
        return fd;
}

static int getfd(struct receiver *r, int fd) {
        for (int round = 0;; round++) {
                bool kept = r->pidfd >= 0 && r->pidfd_of == (pid_t) r->call.notif->pid;
                int pidfd = pidfd_of_caller(r);
                if (pidfd < 0)
                        return pidfd;
                int got = sys_pidfd_getfd(pidfd, fd);
                if (got >= 0)
                        return got;
                if (errno != ESRCH || !kept || round > 0)
                        return -errno;
                r->pidfd = fd_close(r->pidfd);
        }
}

static int send_signal(struct receiver *r, int signal) {
        for (int round = 0;; round++) {
                bool kept = r->pidfd >= 0 && r->pidfd_of == (pid_t) r->call.notif->pid;
                int pidfd = pidfd_of_caller(r);
                if (pidfd < 0)
                        return pidfd;
                if (sys_pidfd_send_signal(pidfd, signal) >= 0)
                        return 0;
                if (errno != ESRCH || !kept || round > 0)
                        return -errno;
                r->pidfd = fd_close(r->pidfd);
        }
}

int target_signal(struct call *call, int signal) {
        struct receiver *r = call_receiver(call);
        int e;

        /* Before and not only after: it must not go to another task. */
        e = still_there(call);
        if (e < 0)
                return e;
        e = send_signal(r, signal);
        if (e == -EPERM && rights_raise(r)) {
                e = send_signal(r, signal);
                rights_lower(r);
        }
        return e;
}

int target_fd(struct call *call, int fd) {
        struct receiver *r = call_receiver(call);
        _cleanup_close_ int got = -1;
        int e;

        if (fd < 0)
                return -EBADF;
        got = getfd(r, fd);
        if (got == -EPERM && rights_raise(r)) {
                got = getfd(r, fd);
                rights_lower(r);
        }
        e = still_there(call);
        if (e < 0)
                return e;
        return got < 0 ? got : TAKE_FD(got);
}

pid_t target_pidfd_number(struct call *call, int fd) {
        char path[48], text[512];
        int number = 0;

        _cleanup_close_ int copy = target_fd(call, fd);
        if (copy < 0)
                return copy == -ESRCH ? copy : 0;
        snprintf(path, sizeof(path), "thread-self/fdinfo/%d", copy);
        _cleanup_close_ int info = openat(call->worker->proc, path, O_RDONLY | O_CLOEXEC);
        ssize_t n = info < 0 ? -1 : fd_read_full(info, text, sizeof(text) - 1);
        if (n <= 0)
                return 0;
        text[n] = 0;
        const char *line = strstr(text, "\nPid:");
        return line && sscanf(line + 5, "%d", &number) == 1 && number > 0 ? number : 0;
}

/* -EMFILE: all numbers below the limit are taken. */
static int count_fds(struct call *call, uint64_t limit) {
        uint64_t n = 0;
        int fd = target_open_proc(call, "fd", O_RDONLY | O_DIRECTORY);

        if (fd < 0)
                return fd;
        DIR *directory = fdopendir(fd);
        if (!directory) {
                fd_close(fd);
                return -ENOMEM;
        }
        for (const struct dirent *entry; (entry = readdir(directory));)
                n += entry->d_name[0] != '.' && strtoull(entry->d_name, NULL, 10) < limit;
        closedir(directory);
        return n < limit ? 0 : -EMFILE;
}

int target_fd_available(struct call *call) {
        uint64_t limit;
        int r = target_rlimit(call, RLIMIT_NOFILE, &limit);

        if (r < 0)
                return r;
        if (limit == 0)
                return -EMFILE;
        /* Where the last number is free, which costs little to see, nothing needs to be counted. */
        if (limit > INT32_MAX)
                return 0;
        _cleanup_close_ int last = target_fd(call, limit - 1);
        return last == -EBADF ? 0 : last < 0 ? last : count_fds(call, limit);
}

static int proc_of_caller(struct receiver *r) {
        pid_t tid = r->call.notif->pid;
        char name[16];

        if (r->proc >= 0 && r->proc_of == tid)
                return r->proc;
        r->proc = fd_close(r->proc);
        snprintf(name, sizeof(name), "%d", tid);
        int fd = openat(r->worker->proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r->proc = fd;
        r->proc_of = tid;
        return fd;
}

static int open_proc(struct receiver *r, const char *name, int flags) {
        for (int round = 0;; round++) {
                bool kept = r->proc >= 0 && r->proc_of == (pid_t) r->call.notif->pid;
                int proc = proc_of_caller(r);
                if (proc < 0)
                        return proc;
                int fd = openat(proc, name, flags | O_CLOEXEC);
                if (fd >= 0)
                        return fd;
                if ((errno != ESRCH && errno != ENOENT) || !kept || round > 0)
                        return -errno;
                r->proc = fd_close(r->proc);
        }
}

int target_open_proc(struct call *call, const char *name, int flags) {
        struct receiver *r = call_receiver(call);
        _cleanup_close_ int fd = open_proc(r, name, flags);

        /* Following a link of /proc/TID is tracing: that takes CAP_SYS_PTRACE over the sandbox's user namespace, effective, unless the worker's
         * user owns that namespace. */
        if ((fd == -EACCES || fd == -EPERM) && rights_raise(r)) {
                fd = open_proc(r, name, flags);
                rights_lower(r);
        }
        int e = still_there(call);
        if (e < 0)
                return e;
        return fd < 0 ? fd : TAKE_FD(fd);
}

int target_cwd(struct call *call) {
        return target_open_proc(call, "cwd", O_PATH | O_DIRECTORY);
}

/* ---- numbers ---- */

static int read_numbers(struct call *call) {
        struct receiver *r = call_receiver(call);
        struct task_status status;
        int e;

        if (r->tgid_inside > 0)
                return 0;
        e = target_status(call, &status);
        if (e < 0)
                return e;
        r->tgid_inside = status.tgid_inside;
        r->tid_inside = status.tid_inside;
        r->tgid_outside = status.tgid;
        return 0;
}

pid_t target_tgid_outside(struct call *call) {
        int r = read_numbers(call);

        return r < 0 ? r : call_receiver(call)->tgid_outside;
}

pid_t target_tgid_inside(struct call *call) {
        int r = read_numbers(call);

        return r < 0 ? r : call_receiver(call)->tgid_inside;
}

pid_t target_tid_inside(struct call *call) {
        int r = read_numbers(call);

        return r < 0 ? r : call_receiver(call)->tid_inside;
}

int target_status(struct call *call, struct task_status *ret) {
        struct task_status status;
        int r = task_status_read(call_receiver(call)->worker, call->notif->pid, &status);
        int e = still_there(call);

        if (e < 0)
                return e;
        if (r < 0)
                return r;
        *ret = status;
        return 0;
}

int target_umask(struct call *call, mode_t *ret) {
        struct task_status status;
        int r = target_status(call, &status);

        if (r >= 0)
                *ret = status.umask;
        return r;
}

/* The same from a file that anybody may read, for a worker that is itself without CAP_SYS_RESOURCE: that is asked for where ids differ. */
static int read_limits(struct call *call, int resource, struct rlimit *ret) {
        static const char *const names[RLIM_NLIMITS] = {
                [RLIMIT_CPU] = "\nMax cpu time ", [RLIMIT_FSIZE] = "\nMax file size ", [RLIMIT_NOFILE] = "\nMax open files "
        };
        char text[4096];

        _cleanup_close_ int fd = names[resource] ? target_open_proc(call, "limits", O_RDONLY) : -EPERM;
        if (fd < 0)
                return fd;
        ssize_t n = fd_read_full(fd, text, sizeof(text) - 1);
        if (n < 0)
                return n;
        text[n] = 0;
        const char *line = strstr(text, names[resource]);
        if (!line)
                return -ESRCH;
        line += strlen(names[resource]);
        line += strspn(line, " ");
        *ret = (struct rlimit) { .rlim_cur = strncmp(line, "unlimited", 9) == 0 ? RLIM_INFINITY : strtoull(line, NULL, 10) };
        return 0;
}

int target_rlimit(struct call *call, int resource, uint64_t *ret) {
        struct receiver *r = call_receiver(call);
        struct rlimit limit;
        int e = prlimit(call->notif->pid, resource, NULL, &limit) < 0 ? -errno : 0;

        if (e == -EPERM && rights_raise(r)) {
                e = prlimit(call->notif->pid, resource, NULL, &limit) < 0 ? -errno : 0;
                rights_lower(r);
        }
        if (e == -EPERM)
                e = read_limits(call, resource, &limit);
        int gone = still_there(call);
        if (gone < 0)
                return gone;
        if (e < 0)
                return e;
        *ret = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
        return 0;
}
