/*
 * Our own parent process where no service manager keeps descriptors for us: it speaks the part of the service manager's protocol that the daemon
 * uses (NOTIFY_SOCKET with FDSTORE, FDSTOREREMOVE and BARRIER; LISTEN_FDS), and starts the daemon anew when it was killed. SIGTERM and SIGINT end
 * both; SIGHUP has the daemon executed anew, from the file where the program is by then, with all sandboxes kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syslog.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "sandboxd.h"
#include "str.h"

#define BACKOFF_USEC 100000
#define QUICK_SECONDS 1
#define MESSAGE_FDS 8

struct kept {
        char *name;
        int fd;
};

struct keeper {
        char program[PATH_MAX];
        char **argv;
        int socket, signals;
        char address[64]; /* as NOTIFY_SOCKET has it */
        struct kept *kept;
        size_t n_kept;
        pid_t child;
        time_t started;
        bool stopping, last; /* last: no other daemon comes after this one */
};

static _noreturn_ void fail(const char *what, int error) {
        log_record(LOG_ERR, MESSAGE_DAEMON, NULL, "%s: %s", what, strerror(error));
        exit(1);
}

/* ---- what is kept ---- */

static void keep(struct keeper *k, const char *name, int fd) {
        struct kept *larger = reallocarray(k->kept, k->n_kept + 1, sizeof(*larger));
        char *copy = strdup(name);

        if (larger)
                k->kept = larger;
        if (!larger || !copy) {
                free(copy);
                fd_close(fd);
                return;
        }
        k->kept[k->n_kept++] = (struct kept) { .name = copy, .fd = fd };
}

static void let_go(struct keeper *k, const char *name) {
        size_t n = 0;

        for (size_t i = 0; i < k->n_kept; i++) {
                if (str_equal(k->kept[i].name, name)) {
                        fd_close(k->kept[i].fd);
                        free(k->kept[i].name);
                } else
                        k->kept[n++] = k->kept[i];
        }
        k->n_kept = n;
}

/* The value of a line KEY=…, in a buffer; NULL: there is none. */
static const char *line_value(const char *text, const char *key, char *buffer, size_t size) {
        size_t n = strlen(key);

        for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
                if (strncmp(p, key, n) == 0 && p[n] == '=') {
                        snprintf(buffer, size, "%.*s", (int) strcspn(p + n + 1, "\n"), p + n + 1);
                        return buffer;
                }
        return NULL;
}

static void take_message(struct keeper *k, const char *text, int *fds, size_t n) {
        char name[256], flag[8];

        if (!line_value(text, "FDNAME", name, sizeof(name)))
                strcpy(name, "stored");
        if (line_value(text, "FDSTOREREMOVE", flag, sizeof(flag)))
                let_go(k, name);
        if (!line_value(text, "FDSTORE", flag, sizeof(flag)))
                return;
        for (size_t i = 0; i < n; i++)
                keep(k, name, TAKE_FD(fds[i]));
}

/* Only the daemon itself is listened to: anybody can send to a socket's name. */
static void read_messages(struct keeper *k) {
        for (;;) {
                char text[1024];
                union {
                        struct cmsghdr header;
                        char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(MESSAGE_FDS * sizeof(int))];
                } control;
                struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) - 1 };
                struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
                int fds[MESSAGE_FDS];
                size_t n_fds = 0;
                pid_t from = 0;

                ssize_t n = recvmsg(k->socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
                if (n < 0)
                        return;
                text[n] = 0;
                for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
                        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
                                from = ((struct ucred *) CMSG_DATA(c))->pid;
                        else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
                                n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                                memcpy(fds, CMSG_DATA(c), n_fds * sizeof(int));
                        }
                if (from == k->child && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
                        take_message(k, text, fds, n_fds);
                for (size_t i = 0; i < n_fds; i++)
                        fd_close(fds[i]);
        }
}

/* ---- the daemon as a child ---- */

static _noreturn_ void become_daemon(struct keeper *k, pid_t parent) {
        struct strbuf names = {};
        char number[16];
        sigset_t child;

        /* Its sandboxes shall not go on with nobody to keep them: SIGTERM ends them in order. */
        if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0 || getppid() != parent)
                _exit(1);
        for (size_t i = 0; i < k->n_kept; i++) {
                /* Out of each other's way first. */
                k->kept[i].fd = fcntl(k->kept[i].fd, F_DUPFD_CLOEXEC, 3 + (int) k->n_kept);
                if (k->kept[i].fd < 0)
                        fail("what was kept can't be handed on", errno);
                strbuf_printf(&names, "%s%s", i > 0 ? ":" : "", k->kept[i].name);
        }
        for (size_t i = 0; i < k->n_kept; i++)
                if (dup2(k->kept[i].fd, 3 + i) < 0)
                        fail("what was kept can't be handed on", errno);
        /* None at all is said by saying nothing. */
        if (k->n_kept > 0) {
                snprintf(number, sizeof(number), "%d", getpid());
                setenv("LISTEN_PID", number, 1);
                snprintf(number, sizeof(number), "%zu", k->n_kept);
                setenv("LISTEN_FDS", number, 1);
                setenv("LISTEN_FDNAMES", names.text ?: "", 1);
        }
        setenv("NOTIFY_SOCKET", k->address, 1);
        setenv("SANDBOXD_KEEPER", "1", 1);
        /* The others stay blocked until it takes them, so that none ends it before it has what is kept. */
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        (void) sigprocmask(SIG_UNBLOCK, &child, NULL);
        execv(k->program, k->argv);
        fail(k->program, errno);
}

static void start_daemon(struct keeper *k) {
        pid_t parent = getpid();

        k->started = time(NULL);
        k->child = fork();
        if (k->child < 0)
                fail("no process can be forked", errno);
        if (k->child == 0)
                become_daemon(k, parent);
}

static void on_child(struct keeper *k) {
        struct timespec pause = { .tv_nsec = BACKOFF_USEC * 1000 };
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
                if (pid != k->child)
                        continue;
                /* What it has sent last is to be kept as well. */
                read_messages(k);
                /* Killed just before it was to stop: one more, for the sandboxes that are left. */
                if (k->stopping && (WIFEXITED(status) || k->last))
                        exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
                k->last = k->stopping;
                /* A daemon that can't even begin says so by its exit status; there is nothing to be kept for it then. */
                if (WIFEXITED(status) && WEXITSTATUS(status) != 0 && k->n_kept == 0)
                        exit(WEXITSTATUS(status));
                if (WIFSIGNALED(status))
                        log_record(LOG_WARNING, MESSAGE_DAEMON, NULL, "the daemon was killed (signal %d) and is started anew",
                                   WTERMSIG(status));
                if (time(NULL) - k->started <= QUICK_SECONDS && !k->stopping)
                        nanosleep(&pause, NULL);
                start_daemon(k);
                if (k->stopping)
                        (void) kill(k->child, SIGTERM);
        }
}

static void on_signals(struct keeper *k) {
        struct signalfd_siginfo info;

        while (read(k->signals, &info, sizeof(info)) == sizeof(info)) {
                if (info.ssi_signo == SIGCHLD)
                        continue;
                k->stopping = k->stopping || info.ssi_signo != SIGHUP;
                (void) kill(k->child, info.ssi_signo == SIGHUP ? SIGHUP : SIGTERM);
        }
        on_child(k);
}

static void open_all(struct keeper *k) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        sigset_t set;
        struct rlimit files;
        int on = 1;

        /* As many as the daemon may have: all of them are kept here. */
        if (getrlimit(RLIMIT_NOFILE, &files) >= 0) {
                files.rlim_cur = files.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &files);
        }
        k->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        /* The kernel gives it a name that nobody has. */
        socklen_t size = sizeof(sa_family_t);
        if (k->socket < 0 || bind(k->socket, (struct sockaddr *) &address, size) < 0)
                fail("no socket", errno);
        size = sizeof(address);
        if (getsockname(k->socket, (struct sockaddr *) &address, &size) < 0 ||
            setsockopt(k->socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
                fail("no socket", errno);
        snprintf(k->address, sizeof(k->address), "@%.*s", (int) (size - offsetof(struct sockaddr_un, sun_path) - 1), address.sun_path + 1);
        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || (k->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
                fail("signals", errno);
}

void keeper_run(char **argv) {
        struct keeper k = { .argv = argv };

        ssize_t n = readlink("/proc/self/exe", k.program, sizeof(k.program) - 1);
        if (n < 0)
                fail("/proc/self/exe", errno);
        k.program[n] = 0;
        open_all(&k);
        (void) prctl(PR_SET_NAME, "sandboxd-keeper", 0, 0, 0);
        /* Workers outlive the daemon, and are to be reaped. */
        (void) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        start_daemon(&k);
        for (;;) {
                struct pollfd polls[] = { { .fd = k.socket, .events = POLLIN }, { .fd = k.signals, .events = POLLIN } };

                if (poll(polls, ELEMENTSOF(polls), -1) < 0 && errno != EINTR)
                        fail("poll", errno);
                read_messages(&k);
                on_signals(&k);
        }
}
