/*
 * Pid 1 of the sandbox. It executes nothing, so that its memory belongs to the user namespace in which the supervisor was started: with
 * that, and non-dumpable, no process inside may trace it, read its /proc entry or take its descriptors, whatever capabilities it had.
 *
 * It holds a dup of the listener until everybody else is dead and reaped. While a listener is open, calls wait; when the last is closed,
 * they fail with ENOSYS and the program runs on. So the order in which all ends is: kill, reap, exit.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "fd.h"
#include "start.h"
#include "sys.h"

struct init {
        struct start *start;
        pid_t command;
        int command_pidfd;
        int channel; /* to the command, until its execve */
        int signals;
        int slave; /* of the terminal, or -1 */
        int master;
        int listener;
        unsigned long arguments, arguments_end;
};

static _noreturn_ void kill_all(void) {
        /* One call reaches everybody: a fork that is under way fails when a signal is pending. */
        (void) kill(-1, SIGKILL);
        while (waitpid(-1, NULL, __WALL) >= 0 || errno == EINTR)
                ;
        _exit(0);
}

static void tell(struct init *i, const struct launch_event *event, const int *fds, size_t n_fds) {
        struct pollfd polls[] = {
                { .fd = i->start->control, .events = POLLOUT },
                { .fd = i->start->supervisor_pidfd, .events = POLLIN },
        };

        /* The socket takes a few hundred; never wait for a supervisor that is gone. */
        while (poll(polls, ELEMENTSOF(polls), -1) < 0 && errno == EINTR)
                ;
        if (!polls[1].revents)
                (void) fd_send(i->start->control, event, sizeof(*event), fds, n_fds);
}

static _noreturn_ void fail(struct init *i, const char *stage, int error, const char *text) {
        struct launch_event event = { .type = LAUNCH_FAILED, .error = error < 0 ? -error : error };

        snprintf(event.stage, sizeof(event.stage), "%s", stage);
        snprintf(event.text, sizeof(event.text), "%.255s", text);
        tell(i, &event, NULL, 0);
        kill_all();
}

/* Where the supervisor's arguments stand in memory. */
static void find_arguments(struct init *i) {
        char text[1024];
        _cleanup_close_ int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

        ssize_t n = fd < 0 ? -1 : fd_read_full(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return;
        text[n] = 0;
        /* Fields 48 and 49; the name, field 2, may hold anything, so count from behind its parenthesis. */
        char *p = strrchr(text, ')');
        for (int field = 2; p && field < 48; field++)
                p = strchr(p + 1, ' ');
        if (!p || sscanf(p, " %lu %lu", &i->arguments, &i->arguments_end) != 2)
                i->arguments = i->arguments_end = 0;
}

/* /proc/1/cmdline can be read by everybody inside, and the supervisor's arguments are nobody's business there. Only when the command has
 * been forked: its own arguments may be among them. */
static void hide_arguments(const struct init *i) {
        if (i->arguments_end <= i->arguments)
                return;
        memset((char *) i->arguments, 0, i->arguments_end - i->arguments);
        strncpy((char *) i->arguments, "sandboxd-init", i->arguments_end - i->arguments - 1);
}

static int become_init(struct init *i) {
        sigset_t all;

        sigfillset(&all);
        if (sigprocmask(SIG_SETMASK, &all, NULL) < 0 || setsid() < 0)
                return -errno;
        /* Were it ignored, as it may have been for the supervisor, there would be nothing to wait for. */
        (void) signal(SIGCHLD, SIG_DFL);
        (void) prctl(PR_SET_NAME, "sandboxd-init", 0, 0, 0);
        find_arguments(i);
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return -errno;
        sigemptyset(&all);
        sigaddset(&all, SIGCHLD);
        i->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
        return i->signals < 0 ? -errno : 0;
}

static int terminal_among(const struct launch_options *o) {
        for (int i = 0; i < 3; i++)
                if (o->stdio[i] >= 0 && isatty(o->stdio[i]))
                        return o->stdio[i];
        return -1;
}

static void set_up(struct init *i) {
        char text[256] = "";
        int r;

        if ((r = become_init(i)) < 0)
                fail(i, "init", r, "");
        for (size_t n = 0; n < n_init_steps; n++)
                if ((r = init_steps[n].run(i->start, text)) < 0)
                        fail(i, init_steps[n].name, r, text);

        int like = terminal_among(i->start->options);
        /* Init leads the session, so that the command is an ordinary job in it: in an orphaned process group Ctrl-Z would do nothing. */
        if (like >= 0 && ((r = pty_make(like, &i->master, &i->slave, text)) < 0 || (r = pty_take(i->slave)) < 0))
                fail(i, "terminal", r, text);
}

static void fork_command(struct init *i) {
        int channel[2], pidfd = -1;
        struct clone_args args = { .flags = CLONE_PIDFD, .pidfd = (uintptr_t) &pidfd, .exit_signal = SIGCHLD };

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0)
                fail(i, "command", errno, "socketpair");
        pid_t pid = syscall(SYS_clone3, &args, sizeof(args));
        if (pid < 0)
                fail(i, "command", errno, "fork");
        if (pid == 0)
                command_run(i->start, channel[1], i->slave);
        fd_close(channel[1]);
        i->channel = channel[0];
        i->command = pid;
        i->command_pidfd = pidfd;
}

static void close_others(struct init *i) {
        int keep[] = {
                /* Held open for the lock on it. */
                i->start->options->layers,
                i->start->layers.fd,
                i->start->control,
                i->start->supervisor_pidfd,
                i->start->worker_pidfd,
                i->start->handover,
                i->channel,
                i->command_pidfd,
                i->signals,
                i->slave,
                i->master,
        };

        (void) close_range(0, 2, 0);
        fds_close_but(keep, ELEMENTSOF(keep));
}

/* Nothing runs before the owner has all that it needs to answer for it. From here on those who have started it are nothing to it. */
static void await_owner(struct init *i) {
        struct launch_command command;

        i->start->supervisor_pidfd = fd_close(i->start->supervisor_pidfd);
        i->start->worker_pidfd = fd_close(i->start->worker_pidfd);
        if (fd_receive(i->start->control, &command, sizeof(command), NULL, 0, NULL) != sizeof(command) || command.type != LAUNCH_RELEASE)
                kill_all();
}

/* Takes the listener from the command, shares it with the worker, and lets the command go. */
static void hand_over(struct init *i) {
        struct launch_event ready = { .type = LAUNCH_READY };
        struct command_report report;

        ssize_t n = fd_read_full(i->channel, &report, sizeof(report));
        if (n != sizeof(report))
                fail(i, "command", n < 0 ? -n : ECHILD, "the command's process ended before it was ready");
        if (report.failed)
                fail(i, report.stage, report.error, report.text);
        i->listener = sys_pidfd_getfd(i->command_pidfd, report.listener);
        if (i->listener < 0)
                fail(i, "listener", errno, "pidfd_getfd (is kernel.yama.ptrace_scope 3?)");
        int r = fd_send(i->start->handover, "", 1, &i->listener, 1);
        if (r < 0)
                fail(i, "listener", r, "the worker is gone");

        /* From here on it needs nothing but to kill. */
        if ((r = privileges_keep(UINT64_C(1) << CAP_KILL)) < 0)
                fail(i, "capabilities", r, "init");
        int fds[2];
        size_t n_fds = 0;
        if (i->master >= 0) {
                ready.status |= READY_PTY;
                fds[n_fds++] = i->master;
        }
        if (i->start->layers.fd >= 0) {
                ready.status |= READY_LAYERS;
                fds[n_fds++] = i->start->layers.fd;
        }
        tell(i, &ready, fds, n_fds);
        if (i->start->options->handed_over)
                await_owner(i);
        i->master = fd_close(i->master);
        i->start->layers.fd = fd_close(i->start->layers.fd);
        i->start->handover = fd_close(i->start->handover);
        i->command_pidfd = fd_close(i->command_pidfd);
        if (fd_write_full(i->channel, "", 1) < 0)
                fail(i, "command", ECHILD, "the command's process ended before it was ready");
}

/* Its end of the channel closes by a successful execve. */
static void on_channel(struct init *i) {
        struct launch_event started = { .type = LAUNCH_STARTED };
        struct command_report report;

        if (fd_read_full(i->channel, &report, sizeof(report)) == sizeof(report))
                fail(i, report.stage, report.error, report.text);
        i->channel = fd_close(i->channel);
        tell(i, &started, NULL, 0);
        /* What the supervisor had free, and is ours alone once that has gone. */
        (void) malloc_trim(0);
}

static void on_command(struct init *i, int status) {
        struct launch_event event = { .status = status };

        if (WIFSTOPPED(status)) {
                event.type = LAUNCH_STOPPED;
                event.status = WSTOPSIG(status);
                tell(i, &event, NULL, 0);
                return;
        }
        /* What the command said before it died comes first. */
        if (i->channel >= 0)
                on_channel(i);
        event.type = LAUNCH_EXITED;
        init_find_full(i->start->options, event.text);
        tell(i, &event, NULL, 0);
        kill_all();
}

/* The listener hangs up as soon as the last task begins to exit, so the worker's end can be seen before the command's. Nobody can be hurt
 * by the signal then, and the command's status is its own. */
static void on_worker(struct init *i) {
        int status;
        pid_t pid;

        if (!*i->start->worker_done)
                kill_all();
        (void) kill(-1, SIGKILL);
        while ((pid = waitpid(-1, &status, __WALL)) >= 0 || errno == EINTR)
                if (pid == i->command)
                        on_command(i, status);
        kill_all();
}

static void on_child(struct init *i) {
        struct signalfd_siginfo info;
        int status;
        pid_t pid;

        while (read(i->signals, &info, sizeof(info)) > 0)
                ;
        while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | __WALL)) > 0)
                if (pid == i->command)
                        on_command(i, status);
                else
                        (void) enter_reaped(i->start, pid, status);
}

static void on_control(struct init *i) {
        struct launch_command command;
        _cleanup_close_ int fd = -1;
        size_t n_fds = 0;

        ssize_t n = fd_receive(i->start->control, &command, sizeof(command), &fd, 1, &n_fds);
        if (n != sizeof(command))
                kill_all();
        switch (command.type) {
        case LAUNCH_SIGNAL: (void) kill(-i->command, command.signal); break;
        case LAUNCH_CONTINUE:
                if (i->slave >= 0)
                        (void) tcsetpgrp(i->slave, i->command);
                (void) kill(-i->command, SIGCONT);
                break;
        case LAUNCH_RELEASE: break;
        case LAUNCH_ENTER:
                if (fd >= 0)
                        enter_begin(TAKE_FD(fd));
                break;
        case LAUNCH_SERVED:
        case LAUNCH_REFUSED: enter_served(command.signal, command.type == LAUNCH_SERVED); break;
        case LAUNCH_KILL: kill_all();
        }
}

#define OWN_POLLS 5

_noreturn_ void init_run(struct start *start) {
        struct init i = { .start = start, .command_pidfd = -1, .channel = -1, .signals = -1, .slave = -1, .master = -1, .listener = -1 };
        char mapped;

        /* kill(-1) must never mean anybody else's processes. */
        if (getpid() != 1)
                _exit(1);
        /* Before its map is there, it is nobody. 0: the worker is gone. */
        if (fd_receive(start->handover, &mapped, 1, NULL, 0, NULL) != 1)
                _exit(1);
        set_up(&i);
        fork_command(&i);
        hide_arguments(&i);
        close_others(&i);
        hand_over(&i);

        for (;;) {
                struct pollfd polls[OWN_POLLS + ENTERED_POLLS] = {
                        { .fd = start->supervisor_pidfd, .events = POLLIN },
                        { .fd = start->worker_pidfd, .events = POLLIN },
                        { .fd = start->control, .events = POLLIN },
                        { .fd = i.signals, .events = POLLIN },
                        { .fd = i.channel, .events = POLLIN },
                };
                size_t n = enter_polls(polls + OWN_POLLS);

                if (poll(polls, OWN_POLLS + n, -1) < 0) {
                        if (errno == EINTR)
                                continue;
                        /* Blind, it must not go on: a process with init's ids that lowers its RLIMIT_NOFILE makes poll fail. */
                        kill_all();
                }
                if (polls[0].revents)
                        kill_all();
                if (polls[4].revents)
                        on_channel(&i);
                if (polls[3].revents)
                        on_child(&i);
                if (polls[1].revents)
                        on_worker(&i);
                enter_handle(start, polls + OWN_POLLS, n);
                if (polls[2].revents)
                        on_control(&i);
        }
}
