/*
 * The minimal loop, as one would write it in an afternoon: it checks nothing, decides nothing, and answers with as few calls as there can be.
 * It has SYNC_WAKE_UP, without which it would be slower by a factor; descriptors are injected by ADDFD with FLAG_SEND, and where the two
 * processes run is left to the scheduler.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "bench.h"
#include "fd.h"
#include "sys.h"

static int load_filter(void) {
        static const int calls[] = { __NR_getpgid, __NR_uname, __NR_newfstatat, __NR_openat, __NR_connect };
        struct sock_filter code[ELEMENTSOF(calls) + 3];
        struct sock_fprog program = { .len = ELEMENTSOF(code), .filter = code };
        unsigned n = 0;

        code[n++] = (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                code[n++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], ELEMENTSOF(calls) - i, 0);
        code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        int fd = sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
        return fd < 0 ? -errno : fd;
}

static void copy(pid_t pid, uint64_t address, void *buffer, size_t size, bool writing) {
        struct iovec local = { buffer, size }, remote = { (void *) (uintptr_t) address, size };

        (void) !(writing ? process_vm_writev(pid, &local, 1, &remote, 1, 0) : process_vm_readv(pid, &local, 1, &remote, 1, 0));
}

static int raw_connect(const struct seccomp_notif *n) {
        struct sockaddr_storage address;
        _cleanup_close_ int pidfd = sys_pidfd_open(n->pid, 0);
        _cleanup_close_ int fd = sys_pidfd_getfd(pidfd, n->data.args[0]);

        copy(n->pid, n->data.args[1], &address, sizeof(struct sockaddr_in), false);
        return connect(fd, (struct sockaddr *) &address, sizeof(struct sockaddr_in)) < 0 ? -errno : 0;
}

static void raw_answer(int listener, const struct seccomp_notif *n) {
        struct seccomp_notif_resp response = { .id = n->id };
        char path[256];

        switch (n->data.nr) {
        case __NR_uname: {
                struct utsname name;
                uname(&name);
                copy(n->pid, n->data.args[0], &name, sizeof(name), true);
                break;
        }
        case __NR_newfstatat: {
                struct stat st;
                copy(n->pid, n->data.args[1], path, sizeof(path), false);
                response.error = fstatat(AT_FDCWD, path, &st, 0) < 0 ? -errno : 0;
                copy(n->pid, n->data.args[2], &st, sizeof(st), true);
                break;
        }
        case __NR_openat: {
                copy(n->pid, n->data.args[1], path, sizeof(path), false);
                _cleanup_close_ int fd = sys_openat2(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0, 0);
                struct seccomp_notif_addfd add = { .id = n->id, .srcfd = fd, .newfd_flags = O_CLOEXEC, .flags = SECCOMP_ADDFD_FLAG_SEND };
                if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) >= 0)
                        return;
                response.error = -errno;
                break;
        }
        case __NR_connect: response.error = raw_connect(n); break;
        default: response.val = 1;
        }
        (void) ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

_noreturn_ static void raw_loop(int listener) {
        (void) ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
        for (;;) {
                struct seccomp_notif n = {};
                if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0) {
                        if (errno == EINTR)
                                continue;
                        _exit(0);
                }
                raw_answer(listener, &n);
        }
}

static void stay_on(int cpu) {
        cpu_set_t one;

        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        (void) sched_setaffinity(0, sizeof(one), &one);
}

pid_t raw_start(bool apart) {
        int ready[2], number;
        pid_t client = getpid(), pid;

        if (pipe2(ready, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                close(ready[1]);
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (apart)
                        stay_on(1);
                if (read(ready[0], &number, sizeof(number)) != sizeof(number))
                        _exit(1);
                int listener = sys_pidfd_getfd(sys_pidfd_open(client, 0), number);
                if (listener < 0)
                        _exit(1);
                raw_loop(listener);
        }
        if (apart)
                stay_on(0);
        number = load_filter();
        if (number < 0) {
                kill(pid, SIGKILL);
                return number;
        }
        if (write(ready[1], &number, sizeof(number)) != sizeof(number))
                return -EIO;
        close(ready[0]);
        close(ready[1]);
        /* Ours is closed only when the loop has its own: the first answer says so. */
        (void) syscall(SYS_getpgid, 0);
        close(number);
        return pid;
}
