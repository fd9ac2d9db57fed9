#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgroup.h"
#include "fd.h"
#include "start.h"
#include "sys.h"

static _noreturn_ void give_up(struct start *s, const char *step, int error) {
        struct start_message message = { .type = START_FAILED, .error = error };

        snprintf(message.step, sizeof(message.step), "%s", step);
        (void) fd_send(s->sync, &message, sizeof(message), NULL, 0);
        _exit(1);
}

/* Clones init, whose parent is the supervisor. */
static pid_t clone_init(struct start *s, int *ret_pidfd) {
        int pidfd = -1;
        struct clone_args args = {
                .flags = CLONE_PARENT | CLONE_PIDFD | CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
                         (s->options->plan->policy->network.mode == NETWORK_NONE ? CLONE_NEWNET : 0),
                .pidfd = (uintptr_t) &pidfd,
        };
        /* Born there, it needs not be moved, which takes a lock against all forks and exits of the host. */
        _cleanup_close_ int group = cgroup_open(s->options->cgroup);

        if (group >= 0) {
                args.flags |= CLONE_INTO_CGROUP;
                args.cgroup = group;
        }
        pid_t pid = syscall(SYS_clone3, &args, sizeof(args));
        s->in_group = group >= 0 && pid >= 0;
        if (pid < 0 && group >= 0) {
                /* Was it the group? Then init says so when it can't join. */
                args.flags &= ~CLONE_INTO_CGROUP;
                pid = syscall(SYS_clone3, &args, sizeof(args));
        }
        if (pid < 0)
                return -errno;
        *ret_pidfd = pidfd;
        return pid;
}

/* Makes init and its maps, and hands its pidfd to the supervisor. */
static void make_init(struct start *s, int handover, int *ret_pidfd) {
        struct start_message message = { .type = START_CLONED };
        int pidfd, r;

        pid_t pid = clone_init(s, &pidfd);
        if (pid == 0) {
                fd_close(handover);
                fd_close(s->sync);
                fd_close(s->low_port);
                init_run(s);
        }
        if (pid < 0)
                give_up(s, "namespaces", -pid);
        r = maps_write_inner(&s->maps, pid);
        if (r >= 0)
                r = fd_write_full(handover, "", 1);
        if (r < 0) {
                /* Nobody else knows of it yet. */
                (void) sys_pidfd_send_signal(pidfd, SIGKILL);
                give_up(s, "maps", -r);
        }
        message.init = pid;
        if (fd_send(s->sync, &message, sizeof(message), &pidfd, 1) < 0)
                _exit(1);
        *ret_pidfd = pidfd;
}

/* All that is left to do where somebody else is to be the worker. The namespace stays: init's is its child. */
static _noreturn_ void hand_over(struct start *s, int handover) {
        struct start_message message = { .type = START_LISTENING };
        int fds[2] = { -1, open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC) };
        size_t n = 0;
        char byte;

        if (fds[1] < 0)
                give_up(s, "user namespace", errno);
        /* Init ends where it could not go on, and tells the supervisor itself. */
        if (fd_receive(handover, &byte, 1, &fds[0], 1, &n) <= 0 || n != 1)
                _exit(1);
        _exit(fd_send(s->sync, &message, sizeof(message), fds, 2) < 0);
}

_noreturn_ void intermediate_run(struct start *s) {
        struct launch_worker worker = { .listener = -1, .wait_killable = s->options->wait_killable, .low_port_socket = s->low_port };
        struct start_message message = { .type = START_UNSHARED };
        int handover[2];
        size_t n = 0;
        char byte;

        (void) prctl(PR_SET_NAME, "sandboxd-worker", 0, 0, 0);
        if (unshare(CLONE_NEWUSER) < 0)
                give_up(s, "user namespace", errno);
        if (fd_send(s->sync, &message, sizeof(message), NULL, 0) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, handover) < 0)
                _exit(1);
        s->worker_pidfd = sys_pidfd_open(getpid(), 0);
        if (s->worker_pidfd < 0)
                give_up(s, "pidfd", errno);
        /* 0: the supervisor is gone, or could not write the maps and says so itself. */
        if (fd_receive(s->sync, &message, sizeof(message), NULL, 0, NULL) <= 0)
                _exit(1);

        s->handover = handover[1];
        s->worker_done = mmap(NULL, sizeof(*s->worker_done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (s->worker_done == MAP_FAILED)
                give_up(s, "memory", errno);
        make_init(s, handover[0], &worker.init_pidfd);
        fd_close(handover[1]);
        if (s->options->handed_over)
                hand_over(s, handover[0]);
        fd_close(s->sync);
        fd_close(s->control);
        fd_close(s->worker_pidfd);
        fd_close(s->supervisor_pidfd);
        fd_close(s->null);
        /* A directory of the host's: nothing for a process that reads hostile memory. */
        if (s->options->layers > 2)
                fd_close(s->options->layers);

        /* Init ends where it could not go on, and tells the supervisor itself. */
        if (fd_receive(handover[0], &byte, 1, &worker.listener, 1, &n) <= 0 || n != 1)
                _exit(1);
        fd_close(handover[0]);
        /* Like the daemon's workers: what happens to the terminal or the job is the supervisor's, and a kernel that shares the processors between
         * sessions (CONFIG_SCHED_AUTOGROUP) doesn't have one sandbox's worker wait for another's. */
        (void) setsid();
        int status = s->options->worker(s->options->userdata, &worker);
        *s->worker_done = status == 0;
        _exit(status);
}
