#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "fd.h"
#include "sys.h"

#define WORKER_END_MSEC 10000

const struct rig_rule *rig_rules;
struct shared *rig_shared;
unsigned rig_number;

/* The tests' own plan and names, in place of lib/policy. */
struct match plan_match(const struct plan *plan, const char *path) {
        struct match best = { .state = MATCH_GRANTED, .rights = RIGHT_READ | RIGHT_WRITE | RIGHT_APPEND | RIGHT_EXEC };
        size_t longest = 0;

        (void) plan;
        for (const struct rig_rule *rule = rig_rules; rule && rule->path; rule++) {
                size_t n = strlen(rule->path);
                if (n > longest && strncmp(path, rule->path, n) == 0 && (path[n] == '/' || path[n] == 0)) {
                        longest = n;
                        best.state = rule->state;
                }
        }
        return best;
}

struct match plan_match_when(const struct plan *plan, uint64_t active, const char *path) {
        (void) active;
        return plan_match(plan, path);
}

const char *file_kind_name(enum file_kind kind) {
        (void) kind;
        return "read";
}

long rig_call(long nr, long a, long b, long c, long d, long e, long f) {
        long r = syscall(nr, a, b, c, d, e, f);
        int error = errno;

        /* The mark must not stay in its register for the calls of the C library. */
        if (f)
                (void) syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
        return r < 0 ? -error : r;
}

#define MAX_CLAIMS 32

static int load_filter(const struct rig *rig, bool killable) {
        struct sock_filter code[MAX_CLAIMS + 6];
        struct sock_fprog program = { .filter = code };
        unsigned n = 0, calls = rig->n_claims + 1;

        if (rig->n_claims > MAX_CLAIMS)
                return -E2BIG;
        code[n++] = (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
        for (unsigned i = 0; i < calls; i++)
                /* The last one nobody claims. */
                code[n++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, i < rig->n_claims ? rig->claims[i].nr : __NR_getuid,
                                                          calls - i, 0);
        code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        code[n++] = (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5]));
        code[n++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RIG_MAGIC, 0, 1);
        code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
        code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        program.len = n;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        int fd = sys_seccomp(SECCOMP_SET_MODE_FILTER,
                             SECCOMP_FILTER_FLAG_NEW_LISTENER | (killable ? SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV : 0), &program);
        return fd < 0 ? -errno : fd;
}

pid_t rig_fork(void) {
        pid_t pid = fork();

        if (pid == 0)
                prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        return pid;
}

static int drop_capabilities(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = {};

        return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static void run_caller(const struct rig *rig, int number, int go) {
        char c;
        int r = 0;

        if (rig->no_capabilities) {
                r = drop_capabilities();
                prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        }
        int fd = r < 0 ? r : load_filter(rig, !rig->not_killable);
        if (write(number, &fd, sizeof(fd)) != sizeof(fd) || read(go, &c, 1) != 1)
                _exit(120);
        close(fd);
        close(number);
        close(go);
        _exit(rig->body());
}

static void run_worker(const struct rig *rig, const struct worker_listener *listeners, unsigned n, int pidfd) {
        static const struct policy policy;
        static struct plan plan = { .policy = &policy };
        struct worker_options options = {
                .name = "rig",
                .plan = &plan,
                .claims = rig->claims,
                .n_claims = rig->n_claims,
                .shared = rig->shared,
                .listeners = listeners,
                .n_listeners = n,
                .wait_killable = !rig->not_killable,
                .init_pidfd = pidfd,
                .log_fd = rig->log_fd > 0 ? rig->log_fd : -1,
                .record = rig->record,
                .low_port_socket = -1,
                .receivers = rig->receivers,
                .max_threads = rig->max_threads,
        };
        int r = worker_run(&options);

        if (r < 0)
                fprintf(stderr, "worker: %s\n", strerror(-r));
        _exit(r < 0 ? 1 : 0);
}

/* The worker has to end by itself when its last caller is gone. */
static int wait_worker(struct rig *rig) {
        _cleanup_close_ int pidfd = sys_pidfd_open(rig->worker, 0);
        struct pollfd p = { .fd = pidfd, .events = POLLIN };

        if (rig->kill_worker || poll(&p, 1, WORKER_END_MSEC) <= 0) {
                if (!rig->kill_worker)
                        fprintf(stderr, "the worker doesn't end\n");
                kill(rig->worker, SIGKILL);
        }
        return waitpid(rig->worker, &rig->worker_status, 0) < 0 ? -errno : 0;
}

struct caller {
        pid_t pid;
        int pidfd, listener, go;
};

/* Until its filter is loaded; then it waits for `go`. */
static int start_caller(const struct rig *rig, unsigned number, struct caller *ret) {
        int there = -1, tell[2], go[2];

        if (pipe2(tell, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0)
                return 1;
        ret->pid = rig_fork();
        if (ret->pid == 0) {
                rig_number = number;
                run_caller(rig, tell[1], go[0]);
        }
        close(tell[1]);
        close(go[0]);
        ret->go = go[1];
        if (ret->pid < 0 || read(tell[0], &there, sizeof(there)) != sizeof(there) || there < 0) {
                fprintf(stderr, "no filter: %s\n", strerror(-there));
                return 1;
        }
        close(tell[0]);
        ret->pidfd = sys_pidfd_open(ret->pid, 0);
        ret->listener = sys_pidfd_getfd(ret->pidfd, there);
        if (ret->listener < 0) {
                perror("pidfd_getfd");
                return 1;
        }
        return 0;
}

int rig_run(struct rig *rig) {
        struct caller callers[RIG_CALLERS];
        struct worker_listener listeners[RIG_CALLERS];
        unsigned n = rig->n_callers ? rig->n_callers : 1;
        int shared_fd = -1, status;

        if (shared_new(&rig->shared, &shared_fd) < 0)
                return 1;
        close(shared_fd);
        rig_shared = rig->shared;
        for (unsigned i = 0; i < n; i++) {
                if (start_caller(rig, i, &callers[i]) != 0)
                        return 1;
                listeners[i] = (struct worker_listener) { .fd = callers[i].listener, .number = 3 * i };
        }
        rig->worker = rig_fork();
        if (rig->worker == 0)
                run_worker(rig, listeners, n, callers[0].pidfd);
        for (unsigned i = 0; i < n; i++) {
                close(callers[i].listener);
                if (write(callers[i].go, "g", 1) != 1)
                        return 1;
                close(callers[i].go);
        }
        for (unsigned i = 0; i < n; i++) {
                if (waitpid(callers[i].pid, &status, 0) < 0)
                        return 1;
                if (rig->caller_status == 0)
                        rig->caller_status = status;
                close(callers[i].pidfd);
        }
        return wait_worker(rig) < 0;
}
