/*
 * System calls and constants that glibc 2.36 or the 6.1 headers of Debian 12 lack. Functions return -1 and set
 * errno as the kernel does.
 */
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, uint64_t)
#endif
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000
#endif

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif

#ifndef __NR_setxattrat
#define __NR_setxattrat 463
#define __NR_getxattrat 464
#define __NR_listxattrat 465
#define __NR_removexattrat 466
#endif
struct sys_xattr_args {
        uint64_t value;
        uint32_t size, flags;
};

#ifndef __NR_file_getattr
#define __NR_file_getattr 468
#define __NR_file_setattr 469
#endif
struct sys_file_attr {
        uint64_t xflags;
        uint32_t extsize, nextents, projid, cowextsize;
};

/* The kernel's struct sched_attr; its own header can't be included beside <sched.h>. */
struct sys_sched_attr {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period; /* nanoseconds */
        uint32_t util_min, util_max;
};

static inline int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
        struct open_how how = { .flags = flags, .mode = mode, .resolve = resolve };
        return syscall(__NR_openat2, dirfd, path, &how, sizeof(how));
}

static inline int sys_seccomp(unsigned operation, unsigned flags, void *args) {
        return syscall(__NR_seccomp, operation, flags, args);
}

static inline int sys_pidfd_open(pid_t pid, unsigned flags) {
        return syscall(__NR_pidfd_open, pid, flags);
}

static inline int sys_pidfd_getfd(int pidfd, int fd) {
        return syscall(__NR_pidfd_getfd, pidfd, fd, 0);
}

static inline int sys_pidfd_send_signal(int pidfd, int signal) {
        return syscall(__NR_pidfd_send_signal, pidfd, signal, NULL, 0);
}

/* Of the calling thread. */
static inline int sys_sched_setattr(const struct sys_sched_attr *attr) {
        return syscall(__NR_sched_setattr, 0, attr, 0);
}

/* Waits for the end of a child, whatever signals come; its status (NULL: not asked for) stays as it was where it is no child of ours. */
void sys_reap(pid_t pid, int *ret_status);

/* Whether two processes are in the same namespace of this kind (as in /proc/PID/ns): 1 or 0, or negative errno. */
int sys_same_namespace(pid_t a, pid_t b, const char *kind);

/* Reads the number that a file below /proc/sys holds. 0, or negative errno: -ENOENT where this kernel hasn't got it. */
int sys_read_number(const char *path, long *ret);

/* Whether a protection has been switched off for a self-check: only in a build with -Dunsafe_switches=true, where the
 * environment variable SANDBOXD_UNSAFE lists the names of what is off. Always 0 elsewhere. */
int sys_unsafe(const char *name);
