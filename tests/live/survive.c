/*
 * A supervisor that kills its worker all the time: runs a command in a sandbox, as the daemon does, and sends SIGKILL to whoever answers its calls.
 *
 *   survive [--kills N] [--low USEC] [--high USEC] [--no-journal] [--retire] POLICY OUTSIDER CMD…
 *
 * --retire asks the worker to make way instead.
 * After the last kill a file called `stop` is made in the current directory; OUTSIDER is run outside meanwhile, with --outside. The exit status
 * is the command's; standard error gets one line of counters.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "kernel_features.h"
#include "launch.h"
#include "modules.h"
#include "policy.h"
#include "sys.h"
#include "worker.h"

static struct policy *policy;
static struct plan *plan;
static struct filter filter;
static struct claim *claims;
static size_t n_claims;
static struct launched launched = LAUNCHED_INIT;
static struct shared *shared;
static struct journal journal;
static bool journaled = true, retire;

#define RETIRED 4 /* the exit status of such a worker */

static _noreturn_ void die(const char *what, int r) {
        fprintf(stderr, "survive: %s: %s\n", what, strerror(-r));
        exit(99);
}

static void load(const char *name) {
        const char *folder = getenv("SANDBOXD_POLICIES");
        _cleanup_free_ char *cwd = get_current_dir_name();
        struct policy_request request = {
                .policy = name,
                .folders = &folder,
                .n_folders = 1,
                .trust_last = true,
                .uid = getuid(),
                .gid = getgid(),
                .user = "user",
                .home = "/root",
                .cwd = cwd,
                .name = "survive",
                .environment = environ,
        };
        struct plan_request plan_request = { .home = "/root", .uid = getuid(), .gid = getgid() };
        struct policy_report report = {};
        int r = policy_load(&request, &policy, &report);

        if (r >= 0)
                r = plan_compile(policy, &plan_request, &plan, &report);
        if (r >= 0)
                r = modules_compile(plan, &filter, &claims, &n_claims, &report);
        policy_report_print(&report, stderr);
        if (r < 0)
                die("the policy", r);
}

static void start(char **command) {
        _cleanup_free_ char *error = NULL;
        _cleanup_free_ char *cwd = get_current_dir_name();
        char *environment[] = { (char *) "PATH=/usr/bin:/bin", NULL };
        struct launch_options options = {
                .plan = plan,
                .filter = &filter,
                .wait_killable = true,
                .name = "survive",
                .argv = command,
                .environment = environment,
                .chdir = cwd,
                .stdio = { 0, 1, 2 },
                .layers = -1,
                .uid = getuid(),
                .gid = getgid(),
                .handed_over = true,
        };
        int r = launch(&options, &launched, &error);

        if (r < 0)
                die(error ?: "launch", r);
}

static _noreturn_ void work(bool successor) {
        const struct worker_listener listener = { .fd = launched.listener };
        struct worker_options options = {
                .name = "survive",
                .plan = plan,
                .claims = claims,
                .n_claims = n_claims,
                .shared = shared,
                .listeners = &listener,
                .n_listeners = 1,
                .wait_killable = true,
                .init_pidfd = launched.init_pidfd,
                .log_fd = 2,
                .record = AUDIT_NONE,
                .low_port_socket = -1,
                .journal = journaled ? &journal : NULL,
                .successor = successor,
                .retires = true,
        };

        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setns(launched.user_namespace, CLONE_NEWUSER) < 0)
                _exit(98);
        int r = worker_run(&options);
        if (r < 0)
                fprintf(stderr, "worker: %s\n", strerror(-r));
        _exit(r < 0 ? 1 : r > 0 ? RETIRED : 0);
}

/* Ends the worker in the way that is asked for; false: it has ended by itself. */
static bool end_worker(pid_t worker, int *ret_status) {
        if (kill(worker, retire ? SIGTERM : SIGKILL) < 0 || waitpid(worker, ret_status, 0) != worker)
                die("kill", -errno);
        if (retire)
                return WIFEXITED(*ret_status) && WEXITSTATUS(*ret_status) == RETIRED;
        slots_strike(shared, *ret_status);
        return WIFSIGNALED(*ret_status) && WTERMSIG(*ret_status) == SIGKILL;
}

static pid_t fork_worker(bool successor) {
        pid_t pid = fork();

        if (pid < 0)
                die("fork", -errno);
        if (pid == 0)
                work(successor);
        return pid;
}

static bool over(int timeout_msec) {
        struct pollfd p = { .fd = launched.init_pidfd, .events = POLLIN };

        return poll(&p, 1, timeout_msec) > 0;
}

/* Until the worker is at work: on a busy machine it would seldom be killed in a call else. */
static void await_calls(void) {
        uint64_t before = shared->counters.notified;

        for (int i = 0; i < 1000 && shared->counters.notified == before; i++)
                nanosleep(&(struct timespec) { .tv_nsec = 50000 }, NULL);
}

static long number(const char *text) {
        return strtol(text, NULL, 10);
}

int main(int argc, char **argv) {
        struct launch_event event;
        long kills = 200, low = 0, high = 2000, done = 0;
        int shared_fd, at = 1, status = 0, code = 99, r;
        sigset_t term;

        for (; at < argc && argv[at][0] == '-'; at++)
                if (strcmp(argv[at], "--no-journal") == 0)
                        journaled = false;
                else if (strcmp(argv[at], "--retire") == 0)
                        retire = true;
                else if (strcmp(argv[at], "--kills") == 0)
                        kills = number(argv[++at]);
                else if (strcmp(argv[at], "--low") == 0)
                        low = number(argv[++at]);
                else if (strcmp(argv[at], "--high") == 0)
                        high = number(argv[++at]);
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        sigprocmask(SIG_BLOCK, &term, NULL);
        load(argv[at]);
        if ((r = shared_new(&shared, &shared_fd)) < 0)
                die("memory", r);
        if (journaled && (r = journal_new(&journal)) < 0)
                die("journal", r);
        pid_t outsider = fork();
        if (outsider == 0) {
                execl(argv[at + 1], argv[at + 1], "--outside", NULL);
                _exit(127);
        }
        start(argv + at + 2);

        pid_t worker = fork_worker(false);
        if ((r = launch_command_send(&launched, &(struct launch_command) { .type = LAUNCH_RELEASE })) < 0)
                die("release", r);
        srand(time(NULL));
        while (!over(0) && done < kills) {
                if (done % 8)
                        await_calls();
                long usec = low + random() % (high - low);
                nanosleep(&(struct timespec) { .tv_sec = usec / 1000000, .tv_nsec = usec % 1000000 * 1000 }, NULL);
                if (!end_worker(worker, &status)) {
                        fprintf(stderr, "survive: the worker ended by itself: %x\n", status);
                        break;
                }
                done++;
                worker = fork_worker(true);
        }
        fd_close(open("stop", O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
        /* Whoever is hung now hangs for ever. */
        if (!over(20000)) {
                fprintf(stderr, "survive: HUNG\n");
                for (size_t i = 0; i < SLOTS_MAX; i++)
                        if (shared->slots[i].state != SLOT_FREE)
                                fprintf(stderr, "slot %zu: id %llx of %d, call %d, state %d, act %d\n", i, shared->slots[i].notif.id,
                                        shared->slots[i].notif.pid, shared->slots[i].notif.data.nr, shared->slots[i].state,
                                        shared->slots[i].act);
                (void) sys_pidfd_send_signal(launched.init_pidfd, SIGKILL);
                (void) over(-1);
                code = 97;
        }
        while (launch_event_receive(&launched, &event) >= 0)
                if (event.type == LAUNCH_EXITED && code == 99)
                        code = WIFSIGNALED(event.status) ? 128 + WTERMSIG(event.status) : WEXITSTATUS(event.status);
                else if (event.type == LAUNCH_FAILED)
                        fprintf(stderr, "survive: %s: %s: %s\n", event.stage, event.text, strerror(event.error));
        while (waitpid(worker, &status, 0) < 0 && errno == EINTR)
                ;
        (void) waitpid(launched.init, NULL, 0);
        (void) kill(outsider, SIGKILL);
        (void) waitpid(outsider, NULL, 0);
        const struct counters *c = &shared->counters;
        fprintf(stderr,
                "kills %ld notified %" PRIu64 " inherited %" PRIu64 " undecided %" PRIu64 " poisoned %" PRIu64 " failed %" PRIu64
                " gone %" PRIu64 "\n",
                done, c->notified, c->inherited, c->undecided, c->poisoned, c->failed, c->gone);
        return code;
}
