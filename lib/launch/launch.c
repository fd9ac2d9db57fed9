/*
 * Who forks whom, and why.
 *
 *   supervisor ── fork ──▶ worker ── clone3(CLONE_PARENT) ──▶ init ── clone3 ──▶ command
 *
 * 1. The supervisor forks what will be the worker. It unshares a user namespace, the *intermediate* one, and says so; the supervisor writes
 *    the maps (for root all ids, which takes root's rights outside; for others their own id, or subordinate ones by newuidmap).
 * 2. The worker clones init into the sandbox's user namespace, a child of the intermediate one with the identical map, and into mount,
 *    pid, ipc, uts and (mode none) network namespaces of its own. So the worker has all capabilities over the sandbox and none over the
 *    host, and nothing inside can attach to it. CLONE_PARENT makes init the supervisor's child: it is reaped there and outlives the
 *    worker just as long as it takes to kill the sandbox. The worker writes init's maps, and hands init's pidfd to the supervisor.
 * 3. Init (init_setup.c) joins the control group, builds the view, makes the terminal, and clones the command. Meanwhile the worker has
 *    only to wait: its threads start when there is a listener.
 * 4. The command (command.c) sets its limits, gives up everything, loads the filter, and writes the number of its listener on a socket.
 *    Init takes a copy with pidfd_getfd (the command is dumpable; once it runs a program, only the kernel's rules for its own user
 *    apply), passes it to the worker, drops what it doesn't need, tells the supervisor that all is there (with the pty's master), and
 *    lets the command execute its program. Its end of the socket closes by that: init tells LAUNCH_STARTED.
 *
 * Who watches whom: init polls pidfds of the supervisor and the worker, and kills everybody when one is gone (PDEATHSIG would not do: it
 * fires when the forking *thread* ends, and set*uid clears it). The worker sees the listener hang up when the sandbox is gone. The
 * supervisor polls pidfds of both. No pid is used for anything but waiting for our own children.
 *
 * Failures: up to step 2 launch() itself fails. From then on init tells LAUNCH_FAILED, which stays in the socket for
 * launch_event_receive(), so that there is one place for the caller to look at.
 */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "fd.h"
#include "start.h"
#include "str.h"
#include "sys.h"

/* Through a directory's descriptor openat(fd, "..") leads out of any view. */
static int check_fd(int fd, char **error) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return launch_fail(error, -errno, "descriptor %d can't be passed into the sandbox: %s", fd, strerror(errno));
        if (S_ISDIR(st.st_mode))
                return launch_fail(error, -EISDIR,
                                   "descriptor %d is a directory, through which the sandbox could leave its view; "
                                   "open a file instead, or show the directory by a rule (--read DIR)",
                                   fd);
        return 0;
}

static int check_fds(const struct launch_options *o, char **error) {
        int r;

        for (int i = 0; i < 3; i++)
                if (o->stdio[i] >= 0 && (r = check_fd(o->stdio[i], error)) < 0)
                        return r;
        for (size_t i = 0; i < o->n_pass_fds; i++) {
                if (o->pass_fds[i] < 3)
                        return launch_fail(error, -EINVAL, "descriptor %d is passed anyway; only higher ones can be named", o->pass_fds[i]);
                if ((r = check_fd(o->pass_fds[i], error)) < 0)
                        return r;
        }
        return 0;
}

/* What is opened from here on must not get a number below 3, which the command's stdio replaces. Those that were closed stay /dev/null. */
static int open_null(char **error) {
        int fd;

        do {
                fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
                if (fd < 0)
                        return launch_fail(error, -errno, "/dev/null can't be opened: %s", strerror(errno));
        } while (fd < 3);
        return fd;
}

static void start_done(struct start *s) {
        fd_close(s->supervisor_pidfd);
        fd_close(s->sync);
        fd_close(s->control);
        fd_close(s->low_port);
        fd_close(s->null);
}

/* The supervisor's ends go to `ret`, the others to `s`, and the worker's end of the start to `*ret_sync`. */
static int make_sockets(struct start *s, struct launched *ret, int *ret_sync) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        s->sync = pair[0];
        *ret_sync = pair[1];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        ret->control = pair[0];
        s->control = pair[1];
        if (s->options->plan->n_low_ports == 0)
                return 0;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        ret->low_port_socket = pair[0];
        s->low_port = pair[1];
        return 0;
}

static int prepare(struct start *s, char **error) {
        const struct launch_options *o = s->options;
        struct sigaction action;
        int r;

        if ((r = check_fds(o, error)) < 0)
                return r;
        if ((s->null = open_null(error)) < 0)
                return s->null;
        if ((r = maps_plan(o, &s->maps, error)) < 0)
                return r;
        s->umask = umask(0);
        umask(s->umask);
        s->hangup_ignored = sigaction(SIGHUP, NULL, &action) >= 0 && action.sa_handler == SIG_IGN;
        s->group_processes = cgroup_holds(o->cgroup, CGROUP_PROCESSES);
        s->group_memory = cgroup_holds(o->cgroup, CGROUP_MEMORY);
        s->supervisor_pidfd = sys_pidfd_open(getpid(), 0);
        return s->supervisor_pidfd < 0 ? launch_fail(error, -errno, "no pidfd: %s (Linux 5.12 or later is needed)", strerror(errno)) : 0;
}

static int receive(struct start *s, struct start_message *message, int type, int *ret_fds, size_t n_fds, char **error) {
        size_t n = 0;
        ssize_t size = fd_receive(s->sync, message, sizeof(*message), ret_fds, n_fds, &n);

        if (size != sizeof(*message))
                return launch_fail(error, -EPIPE, "the broker's process died while the sandbox was started");
        if (message->type == START_FAILED) {
                *error = start_error(message->step, message->error);
                return -message->error;
        }
        return (int) message->type == type && n == n_fds
                       ? 0
                       : launch_fail(error, -EPROTO, "the sandbox could not be started: unexpected answer");
}

/* The supervisor's part of steps 1 and 2. */
static int raise_sandbox(struct start *s, struct launched *ret, char **error) {
        struct start_message message;
        int r = receive(s, &message, START_UNSHARED, NULL, 0, error);

        if (r < 0)
                return r;
        if ((r = maps_write_outer(&s->maps, ret->worker, error)) < 0)
                return r;
        message = (struct start_message) { .type = START_MAPPED };
        if ((r = fd_send(s->sync, &message, sizeof(message), NULL, 0)) < 0)
                return launch_fail(error, r, "the broker's process died while the sandbox was started");
        if ((r = receive(s, &message, START_CLONED, &ret->init_pidfd, 1, error)) < 0)
                return r;
        ret->init = message.init;
        return 0;
}

/* Waits until the command may run, or a failure can be received as an event. */
static int wait_ready(struct launched *ret, bool *ret_ready, char **error) {
        struct launch_event event;
        int fds[2];
        size_t n = 0, used = 0;
        ssize_t size;

        do
                size = recv(ret->control, &event, sizeof(event), MSG_PEEK);
        while (size < 0 && errno == EINTR);
        if (size != sizeof(event))
                return launch_fail(error, -EPIPE, "the sandbox's init was killed while it started");
        *ret_ready = (int) event.type == LAUNCH_READY;
        if (!*ret_ready)
                return 0;
        if (fd_receive(ret->control, &event, sizeof(event), fds, 2, &n) < 0)
                return -EPROTO;
        if ((event.status & READY_PTY) && used < n)
                ret->pty = fds[used++];
        if ((event.status & READY_LAYERS) && used < n)
                ret->layers = fds[used++];
        return 0;
}

static void reap(pid_t pid, int pidfd) {
        if (pid <= 0)
                return;
        (void) sys_pidfd_send_signal(pidfd, SIGKILL);
        sys_reap(pid, NULL);
}

/* What else would be the worker has ended by then. */
static int take_over(struct start *s, struct launched *ret, bool ready, char **error) {
        struct start_message message;
        int fds[2] = { -1, -1 }, r = ready ? receive(s, &message, START_LISTENING, fds, 2, error) : 0;

        if (r < 0)
                return r;
        ret->listener = fds[0];
        ret->user_namespace = fds[1];
        reap(ret->worker, ret->worker_pidfd);
        ret->worker = 0;
        ret->worker_pidfd = fd_close(ret->worker_pidfd);
        return 0;
}

static int fork_worker(struct start *s, struct launched *ret, int sync, char **error) {
        pid_t pid = fork();

        if (pid < 0)
                return launch_fail(error, -errno, "no process could be forked: %s", strerror(errno));
        if (pid == 0) {
                fd_close(s->sync);
                s->sync = sync;
                fd_close(ret->control);
                fd_close(ret->low_port_socket);
                intermediate_run(s);
        }
        ret->worker = pid;
        ret->worker_pidfd = sys_pidfd_open(pid, 0);
        return ret->worker_pidfd < 0 ? launch_fail(error, -errno, "no pidfd: %s", strerror(errno)) : 0;
}

int launch(const struct launch_options *options, struct launched *ret, char **error) {
        struct start s = {
                .options = options,
                .supervisor_pidfd = -1,
                .worker_pidfd = -1,
                .sync = -1,
                .control = -1,
                .handover = -1,
                .low_port = -1,
                .null = -1,
                .layers = { .fd = -1 },
        };
        struct launched l = LAUNCHED_INIT;
        int sync = -1;
        bool ready = false;

        *error = NULL;
        int r = prepare(&s, error);
        if (r >= 0 && (r = make_sockets(&s, &l, &sync)) < 0)
                (void) launch_fail(error, r, "no sockets: %s", strerror(-r));
        if (r >= 0)
                r = fork_worker(&s, &l, sync, error);
        /* Only the children hold the other ends from here on, so that the death of one is seen. */
        fd_close(sync);
        s.control = fd_close(s.control);
        if (r >= 0)
                r = raise_sandbox(&s, &l, error);
        if (r >= 0)
                r = wait_ready(&l, &ready, error);
        if (r >= 0 && options->handed_over)
                r = take_over(&s, &l, ready, error);
        start_done(&s);
        if (r < 0) {
                reap(l.init, l.init_pidfd);
                reap(l.worker, l.worker_pidfd);
                launched_done(&l);
                return r;
        }
        *ret = l;
        return 0;
}

int launch_command_send(const struct launched *launched, const struct launch_command *command) {
        return fd_send(launched->control, command, sizeof(*command), NULL, 0);
}

int launch_event_receive(const struct launched *launched, struct launch_event *ret) {
        return launch_event_receive_from(launched->control, false, ret);
}

int launch_event_receive_from(int control, bool peek, struct launch_event *ret) {
        ssize_t size;

        do
                size = recv(control, ret, sizeof(*ret), MSG_DONTWAIT | (peek ? MSG_PEEK : 0));
        while (size < 0 && errno == EINTR);
        if (size < 0)
                return errno == ECONNRESET ? -EPIPE : -errno;
        return size == 0 ? -EPIPE : size == sizeof(*ret) ? 0 : -EPROTO;
}

int launch_event_peek_fd(int control) {
        struct launch_event event;
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(sizeof(int))];
        } space = {};
        struct iovec iov = { .iov_base = &event, .iov_len = sizeof(event) };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof(space) };
        int fd;

        if (recvmsg(control, &message, MSG_DONTWAIT | MSG_PEEK | MSG_CMSG_CLOEXEC) < 0)
                return -errno;
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                return -EBADMSG;
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
        return fd;
}

void launched_done(struct launched *launched) {
        launched->worker_pidfd = fd_close(launched->worker_pidfd);
        launched->init_pidfd = fd_close(launched->init_pidfd);
        launched->listener = fd_close(launched->listener);
        launched->user_namespace = fd_close(launched->user_namespace);
        launched->control = fd_close(launched->control);
        launched->low_port_socket = fd_close(launched->low_port_socket);
        launched->pty = fd_close(launched->pty);
        launched->layers = fd_close(launched->layers);
}
