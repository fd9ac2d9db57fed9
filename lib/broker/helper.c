#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "fd.h"
#include "sys.h"
#include "trace.h"

enum request_type { REQUEST_JOURNAL, REQUEST_TRACE };

struct request { /* with the socket for the answers */
        uint32_t type;
        pid_t tid;
        struct exec_check check;
};

struct journal_answer {
        int32_t error;
        struct journal journal; /* its fds are the helper's numbers */
};

struct trace {
        pid_t tid;
        int channel; /* -1: nobody is there to be asked */
        struct exec_check check;
        int status; /* of the stop in which it waits for what the worker says; else 0 */
        bool doomed;
};

/* Of the polls; those of the traces follow. */
enum { POLL_INIT, POLL_SIGNALS, POLL_SOCKET, POLL_LIFELINE, POLL_TRACES };

struct helper {
        struct helper_options options;
        int proc, signals;
        struct journal_answer journal;
        struct trace *traces;
        size_t n, room;
        struct pollfd *polls; /* POLL_TRACES, and one for each trace */
};

/* ---- traces ---- */

static struct trace *find(struct helper *h, pid_t tid) {
        for (size_t i = 0; i < h->n; i++)
                if (h->traces[i].tid == tid)
                        return &h->traces[i];
        return NULL;
}

static void forget(struct helper *h, struct trace *t) {
        fd_close(t->channel);
        *t = h->traces[--h->n];
}

static struct trace *add(struct helper *h, pid_t tid) {
        if (h->n == h->room) {
                size_t room = h->room ? h->room * 2 : 8;
                struct trace *traces = room <= SLOTS_MAX * 2 ? reallocarray(h->traces, room, sizeof(*traces)) : NULL;
                if (!traces)
                        return NULL;
                h->traces = traces;
                struct pollfd *polls = reallocarray(h->polls, room + POLL_TRACES, sizeof(*polls));
                if (!polls)
                        return NULL;
                h->polls = polls;
                h->room = room;
        }
        h->traces[h->n] = (struct trace) { .tid = tid, .channel = -1 };
        return &h->traces[h->n++];
}

static void kill_traced(struct trace *t) {
        t->doomed = true;
        t->status = 0;
        /* Unlike kill(), it asks for no right over the process's user. */
        (void) ptrace(PTRACE_KILL, t->tid, NULL, NULL);
}

static void let_go(struct helper *h, struct trace *t, int status) {
        trace_let_go(t->tid, status);
        forget(h, t);
}

/* It is another program than was decided on: the worker says whether that may run. */
static void ask(struct helper *h, struct trace *t, int status) {
        if (t->channel >= 0 && send(t->channel, &t->tid, sizeof(t->tid), MSG_NOSIGNAL) == sizeof(t->tid)) {
                t->status = status;
                return;
        }
        h->options.say("a process was killed: what it has executed could not be checked, since its worker was killed");
        kill_traced(t);
}

static void on_exec(struct helper *h, pid_t pid, int status) {
        unsigned long former = pid;

        /* A thread that executes becomes its process's first one, and those are gone. */
        (void) ptrace(PTRACE_GETEVENTMSG, pid, NULL, &former);
        struct trace *first = (pid_t) former == pid ? NULL : find(h, pid);
        if (first)
                forget(h, first);
        struct trace *t = find(h, former);
        if (!t) {
                /* None of ours: never left to run. */
                (void) ptrace(PTRACE_KILL, pid, NULL, NULL);
                return;
        }
        t->tid = pid;
        _cleanup_close_ int exe = trace_open_exe(h->proc, pid);
        if (trace_same(exe, &t->check))
                let_go(h, t, status);
        else
                ask(h, t, status);
}

static void on_children(struct helper *h) {
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
                struct trace *t = find(h, pid);
                if (WIFSTOPPED(status) && t && t->doomed)
                        (void) ptrace(PTRACE_CONT, pid, NULL, SIGKILL);
                else if (WIFSTOPPED(status) && trace_is_exec(status))
                        on_exec(h, pid, status);
                else if (WIFSTOPPED(status) && t)
                        let_go(h, t, status); /* its execve has failed */
                else if (WIFSTOPPED(status))
                        trace_let_go(pid, status);
                else if (t)
                        forget(h, t);
        }
}

static void on_channel(struct helper *h, struct trace *t) {
        int32_t allowed;

        if (recv(t->channel, &allowed, sizeof(allowed), MSG_DONTWAIT) == sizeof(allowed)) {
                if (t->status && allowed)
                        let_go(h, t, t->status);
                else if (t->status)
                        kill_traced(t);
                return;
        }
        t->channel = fd_close(t->channel);
        if (t->status)
                ask(h, t, t->status);
}

/* ---- requests ---- */

static int trace(struct helper *h, const struct request *q, int *channel) {
        struct trace *t = find(h, q->tid);
        int r = 0;

        /* For a worker that was killed before it could answer the call; its successor has decided anew. */
        if (t && (t->status || t->doomed))
                return -EBUSY;
        if (!t && !(t = add(h, q->tid)))
                return -ENOMEM;
        if (t->check.inode == 0)
                r = trace_seize(q->tid);
        if (r < 0) {
                forget(h, t);
                return r;
        }
        fd_close(t->channel);
        t->channel = TAKE_FD(*channel);
        t->check = q->check;
        return send(t->channel, &r, sizeof(r), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void on_request(struct helper *h) {
        _cleanup_close_ int channel = -1;
        struct request q;
        size_t n_fds;
        ssize_t n = fd_receive(h->options.socket, &q, sizeof(q), &channel, 1, &n_fds);

        if (n == 0)
                h->options.socket = -1; /* nobody is left to ask; the sandbox is dying */
        if (n != sizeof(q) || n_fds != 1)
                return;
        if (q.type == REQUEST_JOURNAL)
                (void) !send(channel, &h->journal, sizeof(h->journal), MSG_NOSIGNAL);
        else {
                int r = trace(h, &q, &channel);
                if (r < 0 && channel >= 0)
                        (void) !send(channel, &r, sizeof(r), MSG_NOSIGNAL);
        }
}

/* ---- the process ---- */

static int confine(struct helper *h) {
        const uint64_t kept = (UINT64_C(1) << CAP_SYS_PTRACE) | (h->options.lifeline >= 0 ? UINT64_C(1) << CAP_KILL : 0);
        struct rlimit limit = {};
        sigset_t all;

        if (prctl(PR_SET_NAME, "sandboxd-helper", 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            setrlimit(RLIMIT_CORE, &limit) < 0)
                return -errno;
        confine_bounding();
        int r = confine_permitted(kept, kept);
        if (r < 0)
                return r;
        sigfillset(&all);
        if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
                return -errno;
        sigemptyset(&all);
        sigaddset(&all, SIGCHLD);
        h->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
        h->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (h->signals < 0 || h->proc < 0)
                return -errno;
        /* So that workers get at the rings: they are in this user namespace, and have this user's ids. Whoever is in the sandbox is in neither, for the
         * one is a namespace above theirs; and there is nothing here that the user hasn't got. */
        return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* Nobody supervises us any more. Where no worker is left either, the sandbox has ended, and somebody else may be in its control group. */
static void on_lifeline(struct helper *h) {
        struct pollfd requests = { .fd = h->options.socket };
        char byte;
        ssize_t n = recv(h->options.lifeline, &byte, 1, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        h->options.lifeline = fd_close(h->options.lifeline);
        if (n > 0 || h->options.socket < 0 || (poll(&requests, 1, 0) > 0 && (requests.revents & POLLHUP)))
                return;
        h->options.say("nobody supervises it any more, and it is killed");
        (void) sys_pidfd_send_signal(h->options.victim_pidfd, SIGKILL);
        if (h->options.kill_group >= 0)
                (void) !write(h->options.kill_group, "1", 1);
}

/* False: the sandbox is gone. */
static bool round_of(struct helper *h) {
        struct signalfd_siginfo info;
        size_t n = h->n;

        h->polls[POLL_INIT] = (struct pollfd) { .fd = h->options.init_pidfd, .events = POLLIN };
        h->polls[POLL_SIGNALS] = (struct pollfd) { .fd = h->signals, .events = POLLIN };
        h->polls[POLL_SOCKET] = (struct pollfd) { .fd = h->options.socket, .events = POLLIN };
        h->polls[POLL_LIFELINE] = (struct pollfd) { .fd = h->options.lifeline, .events = POLLIN };
        for (size_t i = 0; i < n; i++)
                h->polls[POLL_TRACES + i] = (struct pollfd) { .fd = h->traces[i].channel, .events = POLLIN };
        if (poll(h->polls, POLL_TRACES + n, -1) < 0)
                return errno == EINTR;
        if (h->polls[POLL_INIT].revents)
                return false;
        /* From the last, since what is forgotten is replaced by the last. */
        for (size_t i = n; i > 0; i--)
                if (h->polls[POLL_TRACES + i - 1].revents)
                        on_channel(h, &h->traces[i - 1]);
        if (h->polls[POLL_SIGNALS].revents) {
                while (read(h->signals, &info, sizeof(info)) == sizeof(info))
                        ;
                on_children(h);
        }
        if (h->polls[POLL_SOCKET].revents)
                on_request(h);
        if (h->polls[POLL_LIFELINE].revents)
                on_lifeline(h);
        return h->options.init_pidfd >= 0 || h->options.socket >= 0 || h->n > 0;
}

int helper_run(const struct helper_options *options) {
        struct helper h = { .options = *options, .polls = calloc(POLL_TRACES, sizeof(struct pollfd)) };
        int r = h.polls ? confine(&h) : -ENOMEM;

        if (r < 0)
                return r;
        h.journal.error = journal_new(&h.journal.journal);
        while (round_of(&h))
                ;
        return 0;
}

/* ---- in a worker ---- */

/* Returns the socket for the answers. */
static int request(int socket, const struct request *q) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        int r = fd_send(socket, q, sizeof(*q), &pair[1], 1);
        fd_close(pair[1]);
        if (r < 0) {
                fd_close(pair[0]);
                return r;
        }
        return pair[0];
}

int helper_journal(int socket, int pidfd, struct journal *ret) {
        _cleanup_close_ int channel = request(socket, &(struct request) { .type = REQUEST_JOURNAL });
        struct journal_answer answer;

        if (channel < 0)
                return channel;
        ssize_t n = recv(channel, &answer, sizeof(answer), 0);
        if (n != sizeof(answer))
                return n < 0 ? -errno : -EPIPE;
        if (answer.error < 0)
                return answer.error;
        *ret = answer.journal;
        int r = 0;
        for (size_t i = 0; i < JOURNAL_LANES; i++) {
                ret->lanes[i] = r < 0 ? -1 : sys_pidfd_getfd(pidfd, answer.journal.lanes[i]);
                if (r >= 0 && ret->lanes[i] < 0)
                        r = -errno;
        }
        if (r < 0)
                journal_done(ret);
        return r;
}

int helper_trace(int socket, pid_t tid, const struct exec_check *check) {
        _cleanup_close_ int channel = request(socket, &(struct request) { .type = REQUEST_TRACE, .tid = tid, .check = *check });
        int r;

        if (channel < 0)
                return channel;
        ssize_t n = recv(channel, &r, sizeof(r), 0);
        if (n != sizeof(r))
                return n < 0 ? -errno : -EPIPE;
        return r < 0 ? r : TAKE_FD(channel);
}
