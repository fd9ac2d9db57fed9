/*
 * Init's part of programs that enter the sandbox while it runs. Each is init's child, as the command is, so that it is born in all namespaces, in the control
 * group and under init's own bounds, and there is nothing to be entered from outside. Its client talks to init over a socket of its own, which the owner
 * has only handed on:
 *
 *   client → init     enter_request, with a file of texts and three descriptors; later LAUNCH_SIGNAL, LAUNCH_CONTINUE
 *   init → owner      LAUNCH_LISTENER, once the child has loaded the filter and waits
 *   owner → init      LAUNCH_SERVED: a worker has the listener; then the child is let go
 *   init → client     LAUNCH_READY with the pty's master, LAUNCH_STARTED, LAUNCH_STOPPED, LAUNCH_EXITED, or LAUNCH_FAILED
 *
 * When the client's end is closed, the child and its process group are killed; what else it has started stays, as long as the sandbox. The listener is kept
 * until it hangs up: while one is open calls wait, and none gets ENOSYS.
 *
 * Others are in the sandbox by now. Until its execve the child is what init is: its memory is the launcher's. So it is not dumpable, and when the broker has to
 * read the path of its execve, it has a capability left that nobody inside has (privileges_of_entering).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "start.h"
#include "str.h"
#include "sys.h"

#define REQUEST_MAX (4U << 20)
#define OTHER_POLLS 16 /* init's own, and some more */

/* Of an entry: what is polled, in this order. */
enum { POLL_CLIENT, POLL_CHANNEL, POLL_LISTENER, POLLS_EACH };

struct entered {
        bool used, served;
        uint32_t number; /* of its listener */
        int client, channel, listener, master;
        pid_t pid; /* 0: not begun, or reaped */
        int pidfd;
};

static struct entered *entries[ENTERED_MAX];
static uint32_t last_number;

static void free_if_over(struct entered *e) {
        if (e->client >= 0 || e->pid > 0 || e->listener >= 0)
                return;
        fd_close(e->channel);
        fd_close(e->master);
        fd_close(e->pidfd);
        e->used = false;
}

/* Whoever doesn't read is told nothing more: init waits for nobody. */
static void tell_client(struct entered *e, const struct launch_event *event, const int *fds, size_t n_fds) {
        if (e->client >= 0 && fd_send(e->client, event, sizeof(*event), fds, n_fds) < 0)
                e->client = fd_close(e->client);
}

static void kill_entered(const struct entered *e) {
        if (e->pid <= 0)
                return;
        (void) kill(-e->pid, SIGKILL);
        (void) kill(e->pid, SIGKILL);
}

/* The last that the client hears. */
static void fail(struct entered *e, const char *stage, int error, const char *text) {
        struct launch_event event = { .type = LAUNCH_FAILED, .error = error < 0 ? -error : error };

        snprintf(event.stage, sizeof(event.stage), "%s", stage);
        snprintf(event.text, sizeof(event.text), "%.255s", text);
        tell_client(e, &event, NULL, 0);
        e->client = fd_close(e->client);
        kill_entered(e);
}

/* ---- the request ---- */

/* Lists of the texts, in one block with them; the caller frees it. */
struct words {
        char *chdir, **argv, **environment;
        void *block;
};

static int read_words(const struct enter_request *request, int file, struct words *ret) {
        size_t pointers = (size_t) request->n_words + request->n_environment + 2, n = 0, texts = 0;

        if (request->size == 0 || request->size > REQUEST_MAX || request->n_words == 0 || request->n_words > request->size ||
            request->n_environment > request->size)
                return -EINVAL;
        char **list = malloc(pointers * sizeof(char *) + request->size);
        if (!list)
                return -ENOMEM;
        /* Copied first: whoever has the file may change it. */
        char *text = (char *) (list + pointers), *end = text + request->size;
        while (n < request->size) {
                ssize_t some = pread(file, text + n, request->size - n, n);
                if (some <= 0)
                        break;
                n += some;
        }
        for (const char *p = text; n == request->size && p < end; p++)
                texts += *p == 0;
        if (n != request->size || end[-1] != 0 || texts != (size_t) request->n_words + request->n_environment + 1) {
                free(list);
                return -EINVAL;
        }
        *ret = (struct words) { .chdir = text, .argv = list, .environment = list + request->n_words + 1, .block = list };
        for (size_t i = 0; i < request->n_words; i++)
                ret->argv[i] = text += strlen(text) + 1;
        for (size_t i = 0; i < request->n_environment; i++)
                ret->environment[i] = text += strlen(text) + 1;
        ret->argv[request->n_words] = ret->environment[request->n_environment] = NULL;
        return 0;
}

/* Through a directory's descriptor openat(fd, "..") leads out of any view. */
static int check_stdio(const int stdio[3]) {
        struct stat st;

        for (int i = 0; i < 3; i++)
                if (fstat(stdio[i], &st) < 0 || S_ISDIR(st.st_mode))
                        return -EISDIR;
        return 0;
}

static int make_terminal(struct entered *e, const int stdio[3], int *ret_slave, char *text) {
        for (int i = 0; i < 3; i++)
                if (isatty(stdio[i]))
                        return pty_make(stdio[i], &e->master, ret_slave, text);
        return 0;
}

static int fork_child(struct entered *e, struct start *start, int slave) {
        int channel[2], pidfd = -1;
        struct clone_args args = { .flags = CLONE_PIDFD, .pidfd = (uintptr_t) &pidfd, .exit_signal = SIGCHLD };

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0)
                return -errno;
        /* 0 to 2 are free here, and are set by the child. */
        int end = fcntl(channel[1], F_DUPFD_CLOEXEC, 3);
        pid_t pid = end < 0 ? -1 : syscall(SYS_clone3, &args, sizeof(args));
        int r = pid < 0 ? -errno : 0;
        if (pid == 0)
                command_run(start, end, slave);
        fd_close(end);
        fd_close(channel[1]);
        if (r < 0) {
                fd_close(channel[0]);
                return r;
        }
        e->channel = channel[0];
        e->pid = pid;
        e->pidfd = pidfd;
        return 0;
}

static void begin(struct entered *e, const struct start *start, const struct enter_request *request, int file, const int stdio[3]) {
        struct launch_options options = *start->options;
        struct start own = *start;
        struct words words = {};
        _cleanup_close_ int slave = -1;
        char text[256] = "";
        int r;

        if ((r = check_stdio(stdio)) < 0) {
                fail(e, "descriptors", r, "standard input, output and error can't be directories");
                return;
        }
        if ((r = read_words(request, file, &words)) < 0) {
                fail(e, "command", r, "its words");
                return;
        }
        if ((r = make_terminal(e, stdio, &slave, text)) < 0)
                fail(e, "terminal", r, text);
        options.argv = words.argv;
        options.environment = words.environment;
        options.chdir = words.chdir;
        options.n_pass_fds = 0;
        memcpy(options.stdio, stdio, sizeof(options.stdio));
        own.options = &options;
        own.umask = request->umask & 0777;
        own.hangup_ignored = false;
        own.entering = true;
        if (r >= 0 && (r = fork_child(e, &own, slave)) < 0)
                fail(e, "command", r, "fork");
        free(words.block);
}

static void on_request(struct entered *e, const struct start *start) {
        struct enter_request request;
        int fds[4] = { -1, -1, -1, -1 };
        size_t n_fds = 0;
        ssize_t n = fd_receive(e->client, &request, sizeof(request), fds, ELEMENTSOF(fds), &n_fds);

        if (n == -EAGAIN)
                return;
        if (n != sizeof(request) || n_fds != ELEMENTSOF(fds))
                e->client = fd_close(e->client);
        else
                begin(e, start, &request, fds[0], fds + 1);
        for (size_t i = 0; i < n_fds; i++)
                fd_close(fds[i]);
}

/* ---- from the client ---- */

static void on_command(struct entered *e) {
        struct launch_command command;
        ssize_t n = fd_receive(e->client, &command, sizeof(command), NULL, 0, NULL);

        if (n == -EAGAIN)
                return;
        if (n != sizeof(command)) {
                e->client = fd_close(e->client);
                kill_entered(e);
                return;
        }
        int number = command.type == LAUNCH_CONTINUE ? SIGCONT : command.type == LAUNCH_SIGNAL ? command.signal : 0;
        /* Before it leads a group of its own there is nobody else. */
        if (number > 0 && kill(-e->pid, number) < 0)
                (void) kill(e->pid, number);
}

static void on_client(struct entered *e, const struct start *start) {
        if (e->pid == 0 && e->listener < 0)
                on_request(e, start);
        else
                on_command(e);
}

void enter_begin(int descriptor) {
        _cleanup_close_ int client = descriptor;
        struct launch_event full = {
                .type = LAUNCH_FAILED, .error = EAGAIN, .stage = "number", .text = "as many as possible have entered"
        };
        int flags = fcntl(client, F_GETFL);
        struct rlimit files;
        size_t i = 0;

        if (flags < 0 || fcntl(client, F_SETFL, flags | O_NONBLOCK) < 0)
                return;
        while (i < ENTERED_MAX && entries[i] && entries[i]->used)
                i++;
        /* More than its limit on descriptors init can't poll, and then it couldn't watch at all. */
        if (i == ENTERED_MAX || getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur < OTHER_POLLS + (i + 1) * POLLS_EACH ||
            (!entries[i] && !(entries[i] = calloc(1, sizeof(*entries[i]))))) {
                (void) fd_send(client, &full, sizeof(full), NULL, 0);
                return;
        }
        *entries[i] = (struct entered) {
                .used = true, .number = ++last_number, .client = TAKE_FD(client), .channel = -1, .listener = -1, .master = -1, .pidfd = -1
        };
}

/* ---- from the child ---- */

/* It has loaded the filter, and waits. */
static void on_report(struct entered *e, const struct start *start, const struct command_report *report) {
        struct launch_event event = { .type = LAUNCH_LISTENER, .status = e->number };

        e->listener = sys_pidfd_getfd(e->pidfd, report->listener);
        if (e->listener < 0)
                fail(e, "listener", errno, "pidfd_getfd (is kernel.yama.ptrace_scope above 1?)");
        else if (fd_send(start->control, &event, sizeof(event), &e->listener, 1) < 0)
                fail(e, "listener", EPIPE, "the owner is gone");
}

static void on_channel(struct entered *e, const struct start *start) {
        struct launch_event started = { .type = LAUNCH_STARTED };
        struct command_report report;
        bool told = fd_read_full(e->channel, &report, sizeof(report)) == sizeof(report);

        if (told && report.failed)
                fail(e, report.stage, report.error, report.text);
        else if (told && e->listener < 0) {
                on_report(e, start, &report);
                return;
        } else if (e->listener < 0)
                fail(e, "command", ECHILD, "its process ended before it was ready");
        else
                /* Its end closes by a successful execve. */
                tell_client(e, &started, NULL, 0);
        e->channel = fd_close(e->channel);
}

void enter_served(uint32_t number, bool served) {
        struct launch_event ready = { .type = LAUNCH_READY };

        for (size_t i = 0; i < ENTERED_MAX; i++) {
                struct entered *e = entries[i];
                /* It is said twice where the owner was restarted. */
                if (!e || !e->used || e->number != number || e->channel < 0 || e->served)
                        continue;
                if (!served) {
                        fail(e, "listener", EMFILE, "sandboxd serves no more for this sandbox, or for this user");
                        continue;
                }
                e->served = true;
                ready.status = e->master >= 0 ? READY_PTY : 0;
                tell_client(e, &ready, &e->master, e->master >= 0);
                e->master = fd_close(e->master);
                (void) !write(e->channel, "", 1);
        }
}

bool enter_reaped(const struct start *start, pid_t pid, int status) {
        for (size_t i = 0; i < ENTERED_MAX; i++) {
                struct entered *e = entries[i];
                struct launch_event event = { .type = WIFSTOPPED(status) ? LAUNCH_STOPPED : LAUNCH_EXITED };
                if (!e || !e->used || e->pid != pid)
                        continue;
                event.status = WIFSTOPPED(status) ? WSTOPSIG(status) : status;
                /* What it said before it died comes first. */
                if (!WIFSTOPPED(status) && e->channel >= 0)
                        on_channel(e, start);
                tell_client(e, &event, NULL, 0);
                if (!WIFSTOPPED(status)) {
                        e->pid = 0;
                        e->client = fd_close(e->client);
                        free_if_over(e);
                }
                return true;
        }
        return false;
}

/* ---- the loop ---- */

size_t enter_polls(struct pollfd *polls) {
        size_t n = 0;

        for (size_t i = 0; i < ENTERED_MAX; i++) {
                const struct entered *e = entries[i];
                if (!e)
                        break;
                polls[n + POLL_CLIENT] = (struct pollfd) { .fd = e->used ? e->client : -1, .events = POLLIN };
                polls[n + POLL_CHANNEL] = (struct pollfd) { .fd = e->used ? e->channel : -1, .events = POLLIN };
                polls[n + POLL_LISTENER] = (struct pollfd) { .fd = e->used ? e->listener : -1 };
                n += POLLS_EACH;
        }
        return n;
}

void enter_handle(struct start *start, const struct pollfd *polls, size_t n) {
        for (size_t i = 0; i * POLLS_EACH < n; i++) {
                const struct pollfd *own = polls + i * POLLS_EACH;
                struct entered *e = entries[i];
                /* Children that were reaped since have let some go already. */
                if (!e->used)
                        continue;
                if (own[POLL_CHANNEL].revents && e->channel == own[POLL_CHANNEL].fd)
                        on_channel(e, start);
                if (own[POLL_CLIENT].revents && e->client == own[POLL_CLIENT].fd)
                        on_client(e, start);
                if (own[POLL_LISTENER].revents & (POLLHUP | POLLERR))
                        e->listener = fd_close(e->listener);
                free_if_over(e);
        }
}
