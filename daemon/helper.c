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
#include "str.h"
#include "sys.h"

enum { GIVEN_INIT = 3, GIVEN_USER, GIVEN_REQUESTS, GIVEN_LIFELINE };
enum { WORD_NAME = 2, WORD_FOREIGN, WORD_CGROUP, WORDS };

static _noreturn_ void run(const struct sandbox *s, int requests, int lifeline) {
        const int fds[] = { s->fds[FD_INIT], s->fds[FD_USER], requests, lifeline };
        char *argv[WORDS + 1] = { (char *) "sandboxd-helper", (char *) "--helper", s->name, (char *) (s->foreign ? "1" : "0"),
                                  (char *) (s->foreign ? s->cgroup : "") };

        owned_run(s, fds, ELEMENTSOF(fds), argv);
}

int helper_start(struct sandbox *s) {
        int pair[2], line[2] = { -1, -1 }, pidfd;
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        int r = s->foreign && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line) < 0 ? -errno : 0;
        if (r >= 0)
                r = owned_fork(&pid, &pidfd);
        if (r >= 0 && pid == 0)
                run(s, pair[1], line[1]);
        fd_close(pair[1]);
        fd_close(line[1]);
        if (r < 0) {
                fd_close(pair[0]);
                fd_close(line[0]);
                return r;
        }
        fd_close(s->fds[FD_LIFELINE]);
        s->fds[FD_LIFELINE] = line[0];
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
        bool foreign = str_equal(argv[WORD_FOREIGN], "1");
        /* By its owner's rights on the host: the starter has named it. */
        int group = foreign ? cgroup_open_kill(argv[WORD_CGROUP]) : -1;
        int r = owned_enter(GIVEN_USER, foreign);
        if (r >= 0) {
                fd_close(GIVEN_USER);
                r = helper_run(&(struct helper_options) {
                        .socket = GIVEN_REQUESTS,
                        /* The init of a foreign one can go before the others. */
                        .init_pidfd = foreign ? -1 : GIVEN_INIT,
                        .lifeline = foreign ? GIVEN_LIFELINE : -1,
                        .victim_pidfd = foreign ? GIVEN_INIT : -1,
                        .kill_group = group,
                        .say = say,
                });
        }
        if (r < 0)
                log_record(LOG_ERR, MESSAGE_WORKER_DIED, name, "its helper can't start: %s", strerror(-r));
        return r < 0 ? WORKER_CANT : WORKER_DONE;
}
