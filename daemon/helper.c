/*
 * The helper from fork to its work, on the same way as a worker (worker.c).
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/syslog.h>
#include <unistd.h>

#include "fd.h"
#include "helper.h"
#include "sandboxd.h"
#include "sys.h"

enum { GIVEN_INIT = 3, GIVEN_USER, GIVEN_REQUESTS, GIVEN_END };
enum { WORD_NAME = 2, WORDS };

int helper_start(struct sandbox *s) {
        int pair[2], pidfd;
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        int r = owned_fork(&pid, &pidfd);
        if (r >= 0 && pid == 0) {
                /* The init of a foreign one can go before the others. */
                const int fds[] = { s->foreign ? -1 : s->fds[FD_INIT], s->fds[FD_USER], pair[1] };
                char *argv[WORDS + 1] = { (char *) "sandboxd-helper", (char *) "--helper", s->name };
                owned_run(s, fds, ELEMENTSOF(fds), argv);
        }
        fd_close(pair[1]);
        if (r < 0) {
                fd_close(pair[0]);
                return r;
        }
        fd_close(s->fds[FD_HELPER]);
        fd_close(s->fds[FD_REQUESTS]);
        s->fds[FD_HELPER] = pidfd;
        s->fds[FD_REQUESTS] = pair[0];
        s->helper = pid;
        s->helper_ours = true;
        return 0;
}

/* ---- in the helper ---- */

static const char *name;

static void say(const char *text) {
        log_record(LOG_WARNING, MESSAGE_WORKER_DIED, name, "%s", text);
}

int helper_main(int argc, char **argv) {
        if (argc != WORDS)
                return WORKER_CANT;
        name = argv[WORD_NAME];
        bool foreign = !owned_given(GIVEN_INIT);
        int r = owned_enter(GIVEN_USER, foreign);
        if (r >= 0) {
                fd_close(GIVEN_USER);
                r = helper_run(GIVEN_REQUESTS, foreign ? -1 : GIVEN_INIT, say);
        }
        if (r < 0)
                log_record(LOG_ERR, MESSAGE_WORKER_DIED, name, "its helper can't start: %s", strerror(-r));
        return r < 0 ? WORKER_CANT : WORKER_DONE;
}
