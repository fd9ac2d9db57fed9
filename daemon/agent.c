/*
 * The seccomp agent of the OCI runtime specification: a socket to which runtimes send the listener of a container that they start. Only those of our own
 * user get in. What they send is text that holds whatever a container's author has put in its annotations, so that we don't read it: each connection
 * goes to a process of its own (container.c), which parses it, looks at the container, compiles the policy, and asks for adoption over the control
 * interface like any other client.
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syslog.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "sandboxd.h"
#include "str.h"
#include "sys.h"

#define AT_ONCE_MAX 64

extern char **environ;

struct taker {
        struct daemon *daemon;
        pid_t pid;
        int pidfd;
};

/* Whoever is refused is told nothing; the runtime's start fails with the calls that nobody answers. */
static void refuse(const char *why) {
        log_record(LOG_WARNING, MESSAGE_REFUSED, NULL, "a container was refused: %s", why);
}

static int on_taken(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct taker *t = userdata;
        int status = 0;

        sys_reap(t->pid, &status);
        /* Its copy of the listener went with it: nobody answers, and that container's calls fail. */
        if (WIFSIGNALED(status))
                log_record(LOG_ERR, MESSAGE_REFUSED, NULL, "a container was not taken over: the process for it was killed (signal %d)",
                           WTERMSIG(status));
        sd_event_source_disable_unref(source);
        t->daemon->n_takers--;
        close(t->pidfd);
        free(t);
        return 0;
}

static _noreturn_ void run_taker(const struct daemon *d, int connection, int bus) {
        char *argv[] = { (char *) "sandboxd-agent", (char *) "--container", (char *) d->config, NULL };
        const int fds[] = { connection, bus };
        int exe;

        if (child_prepare(d, fds, ELEMENTSOF(fds), 0, &exe) < 0)
                _exit(WORKER_CANT);
        child_execute(exe, argv, environ);
}

static int start_taker(struct daemon *d, int connection) {
        struct taker *t = calloc(1, sizeof(*t));
        sd_event_source *source;
        int pair[2];

        if (!t)
                return -ENOMEM;
        /* Its credentials are ours, and we serve nobody here but our own user. */
        int r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ? -errno : 0;
        if (r < 0) {
                free(t);
                return r;
        }
        t->daemon = d;
        r = owned_fork(&t->pid, &t->pidfd);
        if (r >= 0 && t->pid == 0)
                run_taker(d, connection, pair[1]);
        fd_close(pair[1]);
        if (r < 0) {
                fd_close(pair[0]);
                free(t);
                return r;
        }
        d->n_takers++;
        /* It sees its end where it isn't served. */
        r = peer_new(d, pair[0]);
        int e = sd_event_add_io(d->event, &source, t->pidfd, EPOLLIN, on_taken, t);
        if (e < 0)
                (void) kill(t->pid, SIGKILL);
        return r < 0 ? r : e;
}

static int on_connection(sd_event_source *source, int socket, uint32_t revents, void *userdata) {
        struct daemon *d = userdata;
        _cleanup_close_ int fd = accept4(socket, NULL, NULL, SOCK_CLOEXEC);
        struct ucred peer;
        socklen_t size = sizeof(peer);

        if (fd < 0)
                return 0;
        d->n_connections++;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != geteuid()) {
                refuse("it is another user's");
                return 0;
        }
        if (d->ending || d->stopping) {
                refuse("sandboxd is being stopped");
                return 0;
        }
        if (d->n_takers >= AT_ONCE_MAX) {
                refuse("too many are being started");
                return 0;
        }
        int r = start_taker(d, fd);
        if (r < 0)
                refuse(strerror(-r));
        return 0;
}

int agent_listen(struct daemon *d, int socket, bool ours) {
        int r = listen_with(d, socket, on_connection, ours ? d->agent : NULL);

        d->has_agent = d->has_agent || r >= 0;
        return r;
}
