/*
 * sandboxctl exec: runs a command in a sandbox of its own, with no daemon.
 *
 * run() reads as a list: words → policy → plan → filter → shared memory → launch → supervise → what it came to.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "config.h"
#include "ended.h"
#include "environment.h"
#include "exec_layers.h"
#include "fd.h"
#include "kernel_features.h"
#include "launch.h"
#include "message.h"
#include "modules.h"
#include "options.h"
#include "plan.h"
#include "remote.h"
#include "request.h"
#include "str.h"
#include "supervise.h"
#include "sys.h"
#include "verbs.h"
#include "why.h"
#include "worker.h"

extern char **environ;

/* Everything of one run, so that one function can let it all go. */
struct run {
        struct exec_options options;
        char cwd[PATH_MAX];
        char name[64];
        struct policy_request request;
        struct policy *policy;
        struct plan *plan;
        struct filter filter;
        struct claim *claims;
        size_t n_claims;
        struct environment environment;
        struct shared *shared;
        int shared_fd, log_fd, copy_fd;
        struct cgroup *cgroup;
        struct layers layers;
        struct remote remote; /* --daemon */
        bool wait_killable;
};

static void run_done(struct run *run) {
        remote_done(&run->remote);
        fd_close(run->log_fd);
        fd_close(run->copy_fd);
        fd_close(run->shared_fd);
        layers_done(&run->layers);
        shared_free(run->shared);
        environment_done(&run->environment);
        filter_done(&run->filter);
        free(run->claims);
        plan_free(run->plan);
        policy_free(run->policy);
        request_done(&run->request);
        exec_options_done(&run->options);
}

/* With no policy named: untrusted code that sits in the current directory. Not so where that would hand over the home, or everything. */
static int default_policy(struct run *run) {
        struct exec_options *o = &run->options;
        const char *home = run->request.home;

        if (o->policy)
                return 0;
        o->policy = "untrusted";
        if (o->root)
                return 0;
        /* --read . and the like say that the current directory is meant: then it is not ours to add. */
        for (size_t i = 0; i < o->n_flags; i++)
                if ((o->flags[i].kind == FLAG_READ || o->flags[i].kind == FLAG_WRITE || o->flags[i].kind == FLAG_EXEC) &&
                    str_equal(o->flags[i].value, run->cwd))
                        return 0;
        if (o->chdir)
                return 0;
        size_t n = strlen(run->cwd);
        if (str_equal(run->cwd, "/") || (home && strncmp(home, run->cwd, n) == 0 && (home[n] == '/' || home[n] == 0))) {
                _cleanup_free_ char *cwd = str_escape(run->cwd);
                message_fail("without --policy the sandbox may read the current directory, but this one (%s) is %s; "
                             "say --read . if you mean that, or change to the directory of the program",
                             cwd, str_equal(run->cwd, "/") ? "the whole machine" : "your home or above it");
                return -EINVAL;
        }
        /* In a layer it does no harm to change it. */
        int r = exec_options_flag(o, o->overlay || o->dry_run ? FLAG_WRITE : FLAG_READ, run->cwd);
        return r < 0 ? r : exec_options_flag(o, FLAG_EXEC, run->cwd);
}

static int load(struct run *run) {
        struct exec_options *o = &run->options;
        struct policy_report report = {};
        int r;

        r = default_policy(run);
        if (r < 0)
                return r;
        if (o->why && (r = exec_options_flag(o, FLAG_ENFORCE_BROKER, NULL)) < 0)
                return r;
        run->request.policy = o->policy;
        run->request.flags = o->flags;
        run->request.n_flags = o->n_flags;
        run->request.name = run->name;
        r = policy_load(&run->request, &run->policy, &report);
        if (r >= 0) {
                struct plan_request request = {
                        .root = o->root,
                        .home = run->request.home,
                        .uid = run->request.uid,
                        .gid = run->request.gid,
                        .overlay_writes = o->overlay || o->dry_run,
                };
                r = plan_compile(run->policy, &request, &run->plan, &report);
        }
        if (r >= 0)
                r = modules_compile(run->plan, &run->filter, &run->claims, &run->n_claims, &report);
        policy_report_print(&report, stderr);
        if (r < 0 && report.n_errors == 0)
                message_fail("the policy could not be compiled: %s", strerror(-r));
        policy_report_done(&report);
        return r;
}

/* A directory that isn't there inside is found here, where we can say what to do about it. */
static int check_chdir(struct run *run) {
        struct exec_options *o = &run->options;

        if (o->chdir)
                return 0;
        if (o->root) {
                o->chdir = "/";
                return 0;
        }
        struct match match = plan_match(run->plan, run->cwd);
        if (!match.own && (match.state == MATCH_ANCESTOR || match.state == MATCH_GRANTED)) {
                o->chdir = run->cwd;
                return 0;
        }
        _cleanup_free_ char *cwd = str_escape(run->cwd);
        message_fail("the current directory %s isn't visible in the sandbox; start elsewhere with --chdir DIR (say --chdir /), or show it "
                     "with --read .",
                     cwd);
        return -EINVAL;
}

/* In every plan the broker connects sockets and sends messages in the caller's name: where a signal could interrupt the caller meanwhile, it
 * would be done twice. */
static int check_features(struct run *run) {
        run->wait_killable = features_wait_killable();
        if (run->wait_killable)
                return 0;
        message_fail("this kernel can't hold off signals while the broker acts for a program (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, "
                     "Linux 5.19), so "
                     "that a call could be done twice. Use a newer kernel. See sandboxctl doctor");
        return -EOPNOTSUPP;
}

/* Whether this process may bind ports below the kernel's bound; what that is, where the kernel says. */
static bool may_bind_low_ports(long *ret_bound) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
        int r = sys_read_number("/proc/sys/net/ipv4/ip_unprivileged_port_start", ret_bound);

        if (r < 0 && r != -ENOENT)
                return false;
        return syscall(SYS_capget, &header, data) == 0 && (data[0].effective & (1U << CAP_NET_BIND_SERVICE));
}

/* Low ports are bound for the sandbox by us: what we may not do ourselves is refused before anything starts. */
static int check_low_ports(struct run *run) {
        const struct plan *plan = run->plan;
        long bound = 1024;

        if (plan->n_low_ports == 0)
                return 0;
        bool may = may_bind_low_ports(&bound);
        if (may && (!run->options.daemon || getuid() == 0))
                return 0;
        for (size_t i = 0; i < plan->n_low_ports; i++)
                if (plan->low_ports[i] < bound && may) {
                        message_fail("the policy binds port %u, and sandboxd does that for root's sandboxes only: leave --daemon out",
                                     plan->low_ports[i]);
                        return -EACCES;
                } else if (plan->low_ports[i] < bound) {
                        message_fail(
                                "the policy binds port %u, and you may bind no port below %ld (CAP_NET_BIND_SERVICE): choose another port, "
                                "run it as root, or lower the sysctl net.ipv4.ip_unprivileged_port_start",
                                plan->low_ports[i], bound);
                        return -EACCES;
                }
        return 0;
}

static int open_output(const char *path) {
        if (str_equal(path, "-"))
                return fcntl(2, F_DUPFD_CLOEXEC, 3);
        return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
}

static int open_log(struct run *run) {
        if (!run->options.log && !run->options.why)
                return 0;
        run->log_fd = run->options.log ? open_output(run->options.log) : memfd_create("records", MFD_CLOEXEC);
        if (run->log_fd >= 0 && run->options.log && run->options.why) {
                /* --why reads the records of this run, and of no other, at its end: they are kept apart till then. */
                run->copy_fd = run->log_fd;
                run->log_fd = memfd_create("records", MFD_CLOEXEC);
        }
        if (run->log_fd >= 0)
                return 0;
        int r = -errno;
        _cleanup_free_ char *path = str_escape(run->options.log ?: "memory");
        message_fail("the log %s can't be opened: %s", path, strerror(-r));
        return r;
}

static void make_cgroup(struct run *run) {
        _cleanup_free_ char *why_not = NULL;
        const struct policy_limits *limits = &run->policy->limits;

        if (limits->processes == 0 && limits->memory == 0)
                return;
        /* Without one, the launcher holds both limits by weaker means; `doctor` says which. */
        (void) cgroup_new(limits, &run->cgroup, &why_not);
}

static enum audit_record what_to_record(const struct run *run) {
        return run->options.log ? AUDIT_ALL : run->policy->audit == AUDIT_NONE ? AUDIT_DENIED : run->policy->audit;
}

/* Runs in the worker process. */
static int worker_main(void *userdata, const struct launch_worker *w) {
        struct run *run = userdata;
        const struct worker_listener listener = { .fd = w->listener };
        struct worker_options options = {
                .name = run->name,
                .plan = run->plan,
                .claims = run->claims,
                .n_claims = run->n_claims,
                .shared = run->shared,
                .listeners = &listener,
                .n_listeners = 1,
                .wait_killable = w->wait_killable,
                .init_pidfd = w->init_pidfd,
                .log_fd = run->log_fd,
                .record = what_to_record(run),
                .low_port_socket = w->low_port_socket,
        };

        return worker_run(&options) < 0 ? EXIT_OURS : 0;
}

static int start(struct run *run, struct launched *ret) {
        struct exec_options *o = &run->options;
        _cleanup_free_ char *error = NULL;
        struct launch_options options = {
                .plan = run->plan,
                .filter = &run->filter,
                .wait_killable = run->wait_killable,
                .name = run->name,
                .argv = o->command,
                .environment = run->environment.list,
                .chdir = o->chdir,
                .pass_fds = o->pass_fds,
                .n_pass_fds = o->n_pass_fds,
                .directories = run->environment.private,
                .n_directories = run->environment.n_private,
                .cgroup = run->cgroup ? cgroup_path(run->cgroup) : NULL,
                .layers_path = run->layers.path,
                .layers = run->layers.directory,
                .uid = run->request.uid,
                .gid = run->request.gid,
                .worker = worker_main,
                .userdata = run,
                .handed_over = o->daemon,
        };

        for (int fd = 0; fd < 3; fd++)
                options.stdio[fd] = !o->detach ? fd : fd == 0 ? -1 : run->remote.output_fd;
        supervise_block_signals();
        int r = launch(&options, ret, &error);
        if (r < 0)
                message_fail("%s; sandboxctl doctor says what this machine lacks", error ?: strerror(-r));
        return r;
}

/* 1: the command runs; 0: it could not be started. Where sandboxd doesn't take it, the sandbox dies as its control socket is closed. */
static int hand_over(struct run *run, struct launched *launched, struct ended *ended) {
        struct remote_request request = {
                .name = run->name,
                .policy = run->options.policy,
                .cgroup = run->cgroup ? cgroup_path(run->cgroup) : NULL,
                .plan = run->plan,
                .command = run->options.command,
                .log_fd = run->log_fd,
                .record = what_to_record(run),
                .time_usec = run->policy->limits.time_usec,
                .foreground = !run->options.detach,
                .kill_on_broker_loss = run->policy->kill_on_broker_loss,
                .wait_killable = run->wait_killable,
        };

        if (launched->listener < 0) {
                *ended = (struct ended) { .outcome = OUTCOME_NOT_STARTED };
                return launch_event_receive(launched, &ended->failure);
        }
        int r = remote_adopt(&run->remote, &request, launched);
        /* The daemon has its own copies: were ours kept, the sandbox would outlive it. */
        launched->control = fd_close(launched->control);
        launched->listener = fd_close(launched->listener);
        launched->user_namespace = fd_close(launched->user_namespace);
        return r;
}

/* Limits that have left a trace, one line each. */
static void say_limits(struct run *run, const struct ended *ended) {
        const struct policy_limits *limits = &run->policy->limits;
        _cleanup_free_ char *events = run->cgroup ? cgroup_events(run->cgroup, limits) : NULL;
        char size[32];

        if (events)
                message_note("%s", events);
        if (ended->outcome == OUTCOME_EXITED && limits->file_size > 0 &&
            (WIFSIGNALED(ended->status) ? WTERMSIG(ended->status) == SIGXFSZ : WEXITSTATUS(ended->status) == 128 + SIGXFSZ))
                message_note("a file reached the limit on its size, %s (limits: file-size)",
                             str_format_size(limits->file_size, size, sizeof(size)));
        if (ended->full_tmpfs[0]) {
                _cleanup_free_ char *path = str_escape(ended->full_tmpfs);
                message_note("the private file system on %s is full", path);
        }
}

static int conclude(struct run *run, const struct ended *ended) {
        struct kill_note *kill = &run->shared->kill;
        char time[64];

        if (atomic_load(&kill->set)) {
                _cleanup_free_ char *text = str_escape(kill->text);
                message_note("the sandbox was killed by its policy: %s", text);
                return 128 + SIGKILL;
        }
        if (!run->options.quiet)
                say_limits(run, ended);
        switch (ended->outcome) {
        case OUTCOME_EXITED: return ended_code(ended->status);
        case OUTCOME_NOT_STARTED: return ended_not_started(&ended->failure, run->options.command[0], "the sandbox");
        case OUTCOME_BROKER_DIED:
                if (WIFSIGNALED(ended->status))
                        return message_fail("the broker was killed (signal %d), and the sandbox with it", WTERMSIG(ended->status));
                return message_fail("the broker failed, and the sandbox was killed");
        case OUTCOME_INIT_DIED: message_note("the sandbox was killed from outside"); return 128 + SIGKILL;
        case OUTCOME_TIME:
                message_note("the time limit of %s was reached (limits: time)",
                             str_format_time(run->policy->limits.time_usec, time, sizeof(time)));
                return 128 + SIGKILL;
        }
        return EXIT_OURS;
}

static void write_stats(struct run *run) {
        _cleanup_(strbuf_done) struct strbuf text = {};
        _cleanup_close_ int fd = open_output(run->options.stats);

        for (size_t i = 0; i < COUNTERS_OF_ONE_WORKER; i++)
                strbuf_printf(&text, "%s\"%s\":%" PRIu64, i == 0 ? "{" : ",", counter_names[i].name,
                              *counter_at(&run->shared->counters, i));
        strbuf_puts(&text, "}\n");
        if (fd < 0 || fd_write_full(fd, text.text, text.length) < 0) {
                _cleanup_free_ char *path = str_escape(run->options.stats);
                message_note("the counters could not be written to %s: %s", path, strerror(errno));
        }
}

static void copy_records(struct run *run) {
        char buffer[65536];
        off_t at = 0;
        ssize_t n;

        while ((n = pread(run->log_fd, buffer, sizeof(buffer), at)) > 0 && fd_write_full(run->copy_fd, buffer, n) == 0)
                at += n;
}

static void say_denied(struct run *run) {
        uint64_t denied = run->shared->counters.denied;

        if (run->copy_fd >= 0)
                copy_records(run);
        if (run->options.why)
                why_print(run->log_fd);
        else if (denied > 0 && !run->options.quiet)
                message_note("%" PRIu64
                             " call%s denied by the policy (refusals by the view itself are not counted; --why lists what was denied)",
                             denied, denied == 1 ? " was" : "s were");
}

static int run_exec(struct run *run) {
        struct launched launched;
        struct ended ended;

        int r = request_init(&run->request);
        if (r < 0)
                return r == -EINVAL ? EXIT_OURS : message_fail("who you are could not be found out: %s", strerror(-r));
        run->request.cwd = run->cwd;
        if (run->options.name)
                snprintf(run->name, sizeof(run->name), "%s", run->options.name);
        else
                snprintf(run->name, sizeof(run->name), "exec-%d", getpid());

        if (load(run) < 0 || check_chdir(run) < 0 || check_features(run) < 0 || check_low_ports(run) < 0 || open_log(run) < 0 ||
            exec_layers_prepare(&run->options, run->plan, &run->layers) < 0)
                return EXIT_OURS;
        if (environment_make(run->plan, environ, run->options.environment, run->options.n_environment, &run->environment) < 0)
                return EXIT_OURS;
        r = shared_new(&run->shared, &run->shared_fd);
        if (r < 0)
                return message_fail("no memory for the broker: %s", strerror(-r));
        if (run->options.daemon && (remote_connect(&run->remote) < 0 ||
                                    (run->options.detach && remote_open_output(&run->remote, run->name, run->request.home) < 0)))
                return EXIT_OURS;
        make_cgroup(run);
        if (start(run, &launched) < 0)
                return EXIT_OURS;
        if (run->options.daemon) {
                r = hand_over(run, &launched, &ended);
                if (r > 0 && run->options.detach) {
                        layers_finish(&run->layers);
                        launched_done(&launched);
                        run->cgroup = cgroup_leave(run->cgroup);
                        printf("%s\n", run->name);
                        return 0;
                }
                if (r >= 0 && run->remote.object)
                        r = supervise_remote(&run->remote, &launched, &run->shared->counters, &run->shared->kill, &ended);
        } else
                r = supervise(&launched, run->plan, run->policy->limits.time_usec, &ended);
        layers_finish(&run->layers);
        _cleanup_close_ int made = TAKE_FD(launched.layers);
        launched_done(&launched);
        if (r < 0 && run->options.daemon && !run->remote.object)
                return EXIT_OURS; /* it was said why */
        if (r < 0)
                return message_fail("the sandbox could not be watched, and was killed: %s", strerror(-r));

        int code = conclude(run, &ended);
        if (run->options.stats)
                write_stats(run);
        if (ended.outcome != OUTCOME_NOT_STARTED)
                say_denied(run);
        if (run->options.dry_run && ended.outcome != OUTCOME_NOT_STARTED && exec_layers_show(&run->options, run->plan, made) < 0)
                return EXIT_OURS;
        return code;
}

int verb_exec(int argc, char **argv) {
        struct run run = { .log_fd = -1, .copy_fd = -1, .shared_fd = -1, .layers = { .directory = -1 }, .remote = REMOTE_INIT };

        if (!getcwd(run.cwd, sizeof(run.cwd)) || run.cwd[0] != '/')
                return message_fail("the current directory has no path (was it removed?); change to another");
        int r = exec_options_parse(argc, argv, run.cwd, &run.options);
        if (r != 0) {
                exec_options_done(&run.options);
                return r < 0 ? EXIT_OURS : 0;
        }
        int code = run_exec(&run);
        cgroup_free(run.cgroup);
        run_done(&run);
        return code;
}
