/*
 * A worker from fork to its work. It is executed anew, so that nothing of the daemon's memory is in it; the descriptors that it gets have fixed
 * numbers. On its way it becomes the sandbox's owner, and then enters the intermediate user namespace, where it has all rights over the sandbox and
 * none over the host. Only then is anything read that a client has sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syslog.h>
#include <unistd.h>

#include "cgroup.h"
#include "fd.h"
#include "helper.h"
#include "modules.h"
#include "plan.h"
#include "sandboxd.h"
#include "str.h"
#include "sys.h"
#include "tiers.h"

/* In this order, from 3 on; what isn't there is /dev/null, and said so by a word. */
static const enum sandbox_fd given[] = { FD_PLAN, FD_INIT, FD_USER, FD_SLOTS, FD_LOG, FD_ROOT, FD_HELPER, FD_REQUESTS };
enum {
        GIVEN_PLAN = 3,
        GIVEN_INIT,
        GIVEN_USER,
        GIVEN_SLOTS,
        GIVEN_LOG,
        GIVEN_ROOT,
        GIVEN_HELPER,
        GIVEN_REQUESTS,
        GIVEN_POOL,
        GIVEN_NEW_PLAN, /* to one that checks it */
        GIVEN_LISTENERS,
        GIVEN_MAX = GIVEN_LISTENERS + LISTENERS_MAX
};
#define OUT_OF_THE_WAY 100
_Static_assert(GIVEN_MAX <= OUT_OF_THE_WAY, "what is given fits below");

/* WORD_LISTENERS: their numbers, in the order of their descriptors: 0,1,7. */
enum {
        WORD_NAME = 2,
        WORD_RECORD,
        WORD_WAIT_KILLABLE,
        WORD_LOG,
        WORD_SUCCESSOR,
        WORD_THREADS,
        WORD_FOREIGN,
        WORD_CHECK,
        WORD_PORTS,
        WORD_LISTENERS,
        WORD_CGROUP,
        WORD_CELL,
        WORDS
};

/* ---- in the daemon's child ---- */

int owner_become(const struct owner *owner) {
        if (geteuid() == 0 && setgroups(owner->n_groups, owner->groups) < 0)
                return -errno;
        if (setresgid(owner->gid, owner->gid, owner->gid) < 0 || setresuid(owner->uid, owner->uid, owner->uid) < 0)
                return -errno;
        return 0;
}

int child_prepare(const struct daemon *d, const int *fds, size_t n, int blocked, int *ret_exe) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC), high[GIVEN_MAX];
        sigset_t mask;

        sigemptyset(&mask);
        if (blocked)
                sigaddset(&mask, blocked);
        (void) sigprocmask(SIG_SETMASK, &mask, NULL);
        (void) signal(SIGPIPE, SIG_DFL);
        /* Out of each other's way first. */
        *ret_exe = fcntl(d->exe, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
        if (null < 0 || *ret_exe < 0 || n > ELEMENTSOF(high))
                return -EBADF;
        for (size_t i = 0; i < n; i++)
                if ((high[i] = fcntl(fds[i] >= 0 ? fds[i] : null, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY)) < 0)
                        return -errno;
        for (size_t i = 0; i < n; i++)
                if (dup2(high[i], 3 + i) < 0)
                        return -errno;
        /* All the daemon's are closed by the execution. */
        return 0;
}

_noreturn_ void child_execute(int exe, char **argv, char **environment) {
        syscall(SYS_execveat, exe, "", argv, environment, AT_EMPTY_PATH);
        _exit(WORKER_CANT);
}

/* What a client sends is read by the worker, and may be made to be large; what programs ask of it later, too. Shared memory doesn't count, the stacks of
 * its threads do. Nobody but the host's root can raise it again. */
static int bound_memory(const struct sandbox *s) {
#ifndef __SANITIZE_ADDRESS__
        uint64_t bytes = quota_of(s->daemon, s->owner.uid, QUOTA_SANDBOX_MEMORY);
        struct rlimit limit;

        if (getrlimit(RLIMIT_DATA, &limit) < 0)
                return -errno;
        if (limit.rlim_max > bytes)
                limit.rlim_max = bytes;
        limit.rlim_cur = limit.rlim_max;
        return setrlimit(RLIMIT_DATA, &limit) < 0 ? -errno : 0;
#else
        return 0;
#endif
}

/* As many as calls may be in flight, where three quarters of its memory have room for them. */
static uint64_t threads(const struct sandbox *s) {
        uint64_t calls = quota_of(s->daemon, s->owner.uid, QUOTA_SANDBOX_CALLS);
        uint64_t room = quota_of(s->daemon, s->owner.uid, QUOTA_SANDBOX_MEMORY) / 4 * 3 / WORKER_THREAD_MEMORY;

        return calls < room ? calls : room;
}

int owned_fork(pid_t *ret, int *ret_pidfd) {
        pid_t pid = fork();

        if (pid < 0)
                return -errno;
        *ret = pid;
        if (pid == 0) {
                /* Whatever ends the daemon's session or terminal is not for it: calls are answered while we are away. */
                (void) setsid();
                return 0;
        }
        *ret_pidfd = sys_pidfd_open(pid, 0);
        if (*ret_pidfd >= 0)
                return 0;
        /* Nobody could tell its end. */
        int r = -errno;
        (void) kill(pid, SIGKILL);
        sys_reap(pid, NULL);
        return r;
}

_noreturn_ void owned_run(const struct sandbox *s, const int *fds, size_t n_fds, char **argv) {
        const char *unsafe = getenv("SANDBOXD_UNSAFE"), *stream = getenv("JOURNAL_STREAM");
        _cleanup_free_ char *unsafe_word = NULL, *stream_word = NULL;
        char *environment[3] = {};
        size_t n_environment = 0;
        int exe;

        /* Of no meaning but in a build for tests. */
        if (unsafe && asprintf(&unsafe_word, "SANDBOXD_UNSAFE=%s", unsafe) >= 0)
                environment[n_environment++] = unsafe_word;
        /* Its records go where ours do. */
        if (stream && asprintf(&stream_word, "JOURNAL_STREAM=%s", stream) >= 0)
                environment[n_environment++] = stream_word;
        /* A worker that is asked to make way before it can do so does it once it can. */
        if (child_prepare(s->daemon, fds, n_fds, SIGTERM, &exe) < 0 || bound_memory(s) < 0 || owner_become(&s->owner) < 0)
                _exit(WORKER_CANT);
        child_execute(exe, argv, environment);
}

/* With a new plan it only checks that one. */
static _noreturn_ void run_worker(const struct sandbox *s, int new_plan) {
        char numbers[8][16], cell[16], listeners[LISTENERS_MAX * 11 + 1] = "0";
        char *argv[WORDS + 1] = { (char *) "sandboxd-worker", (char *) "--worker", s->name };
        int fds[GIVEN_MAX];
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(given); i++)
                fds[n++] = s->fds[given[i]];
        fds[n++] = pool_fd(s);
        fds[n++] = new_plan;
        fds[n++] = s->fds[FD_LISTENER];
        for (size_t i = 0, length = 1; i < s->n_listeners; i++) {
                fds[n++] = s->listeners[i].fd;
                length += snprintf(listeners + length, sizeof(listeners) - length, ",%u", s->listeners[i].number);
        }
        snprintf(numbers[0], sizeof(numbers[0]), "%u", s->stored->record);
        snprintf(numbers[1], sizeof(numbers[1]), "%u", s->stored->wait_killable);
        snprintf(numbers[2], sizeof(numbers[2]), "%d", s->fds[FD_LOG] >= 0);
        snprintf(numbers[3], sizeof(numbers[3]), "%d", s->stored->workers > 0);
        snprintf(numbers[4], sizeof(numbers[4]), "%" PRIu64, threads(s));
        snprintf(numbers[5], sizeof(numbers[5]), "%d", s->foreign);
        snprintf(numbers[6], sizeof(numbers[6]), "%d", new_plan >= 0);
        snprintf(numbers[7], sizeof(numbers[7]), "%d", s->owner.low_ports);
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                argv[WORD_RECORD + i] = numbers[i];
        argv[WORD_LISTENERS] = listeners;
        /* A group that a foreign one is in is not ours to remove. */
        argv[WORD_CGROUP] = s->foreign ? (char *) "" : (char *) s->cgroup;
        snprintf(cell, sizeof(cell), "%d", s->cell);
        argv[WORD_CELL] = cell;
        owned_run(s, fds, n, argv);
}

int worker_start(struct sandbox *s) {
        int pidfd;
        pid_t pid;
        bool hurried = hurry_may(s);
        int r = owned_fork(&pid, &pidfd);

        if (r < 0)
                return r;
        if (pid == 0) {
                if (hurried)
                        hurry_self();
                run_worker(s, -1);
        }
        fd_close(s->fds[FD_WORKER]);
        s->fds[FD_WORKER] = pidfd;
        s->worker = pid;
        s->ours = true;
        s->stored->workers++;
        return hurried ? hurry_watch(s) : 0;
}

int worker_check(const struct sandbox *s, int plan, pid_t *ret_pid) {
        int pidfd;
        int r = owned_fork(ret_pid, &pidfd);

        if (r < 0)
                return r;
        if (*ret_pid == 0)
                run_worker(s, plan);
        return pidfd;
}

/* ---- in the worker ---- */

static _noreturn_ void cant(const char *name, const char *what, int error) {
        log_record(LOG_ERR, MESSAGE_WORKER_DIED, name, "its worker can't start: %s: %s", what, strerror(-error));
        _exit(WORKER_CANT);
}

bool owned_given(int fd) {
        struct stat st;

        return fstat(fd, &st) >= 0 && !S_ISCHR(st.st_mode);
}

int user_namespace_enter(int fd, bool foreign) {
        if (setns(fd, CLONE_NEWUSER) < 0)
                return -errno;
        if (foreign && ((setgroups(0, NULL) < 0 && errno != EPERM) || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
                return -errno;
        /* The change of ids may have undone it. */
        return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

int owned_enter(int user_namespace, bool foreign) {
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return -errno;
        if (owned_given(user_namespace)) {
                int r = user_namespace_enter(user_namespace, foreign);
                if (r < 0)
                        return r;
        } else if (!foreign)
                return -EBADF;
        return 0;
}

static void read_listeners(const char *numbers, struct worker_listener ret[LISTENERS_MAX], size_t *ret_n) {
        size_t n = 0;

        for (char *end; n < LISTENERS_MAX && *numbers; numbers = end + (*end == ',')) {
                ret[n] = (struct worker_listener) { .fd = GIVEN_LISTENERS + n, .number = strtoul(numbers, &end, 10) };
                n++;
                if (end == numbers)
                        break;
        }
        *ret_n = n;
}

/* What a plan comes to: all that is loaded with it once. */
struct compiled {
        struct policy *policy;
        struct plan *plan;
        struct filter filter;
        struct claim *claims;
        size_t n_claims;
};

/* Errors go to the daemon's own. The filter is built only where it is asked for: it is in force already. */
static int compile(int plan_fd, bool with_filter, struct compiled *ret) {
        struct policy_report report = {};
        int r = plan_load_fd(plan_fd, &ret->policy, &ret->plan, &report);

        if (r >= 0)
                r = modules_compile(ret->plan, with_filter ? &ret->filter : NULL, &ret->claims, &ret->n_claims, &report);
        policy_report_print(&report, stderr);
        policy_report_done(&report);
        return r;
}

/* What the client has compared already is not to be believed: a plan that needs another filter, or another view, would be half in force. */
static int check_plan(void) {
        _cleanup_(strbuf_done) struct strbuf differences = {};
        struct compiled old = {}, new = {};

        if (compile(GIVEN_PLAN, true, &old) < 0 || compile(GIVEN_NEW_PLAN, true, &new) < 0)
                return WORKER_CANT;
        return plan_compare(old.plan, new.plan, &differences) == 0 && filter_equal(&old.filter, &new.filter) && !differences.failed
                       ? WORKER_DONE
                       : WORKER_OTHER_PLAN;
}

/* For who asks how the sandbox is held; once for each plan. What doesn't fit is left out. */
static void note_tiers(struct shared *shared, const struct plan *plan, const char *cgroup) {
        struct strbuf text = {};

        if (shared->observed.tiers[0])
                return;
        tiers_describe(plan, cgroup[0] != 0, &text);
        /* The first letter last: by it a successor knows that the rest is there. */
        if (text.length > 0) {
                snprintf(shared->observed.tiers + 1, sizeof(shared->observed.tiers) - 1, "%s", text.text + 1);
                shared->observed.tiers[0] = text.text[0];
        }
        strbuf_done(&text);
}

/* Nobody else is there to do it once the launcher has gone. Init is the last to leave the group. */
static void remove_cgroup(const char *path, int init_pidfd) {
        struct pollfd p = { .fd = init_pidfd, .events = POLLIN };

        if (path[0] == 0)
                return;
        (void) poll(&p, 1, 2000);
        cgroup_remove(path);
}

int worker_main(int argc, char **argv) {
        struct worker_listener listeners[LISTENERS_MAX];
        struct worker_options options = { .listeners = listeners, .init_pidfd = GIVEN_INIT, .low_port_socket = -1, .retires = true };
        struct compiled compiled = {};
        struct journal journal;
        int r;

        if (argc != WORDS)
                return WORKER_CANT;
        bool foreign = atoi(argv[WORD_FOREIGN]);
        /* What it is for, its plan, is read there, and not by us before we have entered. Callers of a foreign one have the right themselves, or not. */
        if (atoi(argv[WORD_PORTS]) && !foreign && !atoi(argv[WORD_CHECK]) && (r = ports_start(GIVEN_PLAN, &options.low_port_socket)) < 0)
                cant(argv[WORD_NAME], "no process for its ports", r);
        r = owned_enter(GIVEN_USER, foreign);
        if (r < 0)
                cant(argv[WORD_NAME], "the sandbox can't be entered", r);
        if (atoi(argv[WORD_CHECK]))
                return check_plan();
        r = compile(GIVEN_PLAN, false, &compiled);
        if (r < 0)
                cant(argv[WORD_NAME], "its policy can't be compiled", r);
        if (setting_is_foreign(compiled.plan->setting) != foreign)
                cant(argv[WORD_NAME], "its plan is for a sandbox of another kind", -EINVAL);
        r = shared_map(GIVEN_SLOTS, &options.shared);
        if (r < 0)
                cant(argv[WORD_NAME], "no memory", r);
        /* Never without: it would take what is others'. */
        options.cell = atoi(argv[WORD_CELL]);
        if ((r = pool_map(GIVEN_POOL, &options.pool)) < 0 || options.cell < 0 || options.cell >= POOL_CELLS)
                cant(argv[WORD_NAME], "what its owner has in flight can't be counted", r < 0 ? r : -EINVAL);
        note_tiers(options.shared, compiled.plan, argv[WORD_CGROUP]);
        if (compiled.plan->n_low_ports == 0)
                options.low_port_socket = fd_close(options.low_port_socket);
        /* Without one more is undecidable, and nothing is wrong. */
        if (helper_journal(GIVEN_REQUESTS, GIVEN_HELPER, &journal) >= 0)
                options.journal = &journal;

        int init = fcntl(GIVEN_INIT, F_DUPFD_CLOEXEC, GIVEN_MAX);
        read_listeners(argv[WORD_LISTENERS], listeners, &options.n_listeners);
        options.name = argv[WORD_NAME];
        options.plan = compiled.plan;
        options.claims = compiled.claims;
        options.n_claims = compiled.n_claims;
        options.record = atoi(argv[WORD_RECORD]);
        options.wait_killable = atoi(argv[WORD_WAIT_KILLABLE]);
        options.successor = atoi(argv[WORD_SUCCESSOR]);
        options.max_threads = atoi(argv[WORD_THREADS]);
        options.root_fd = compiled.plan->root || foreign ? GIVEN_ROOT : 0;
        options.log_fd = atoi(argv[WORD_LOG]) ? GIVEN_LOG : -1;
        options.helper = GIVEN_REQUESTS;
        /* Most of what compiling the policy took. */
        (void) malloc_trim(0);
        r = worker_run(&options);
        if (r < 0)
                cant(argv[WORD_NAME], "calls can't be received", r);
        if (r > 0)
                return WORKER_RETIRED;
        remove_cgroup(argv[WORD_CGROUP], init);
        return WORKER_DONE;
}
