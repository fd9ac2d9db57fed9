/*
 * foreign NAME POLICY-FILE ROOT COMMAND [WORD…]: loads the filter of a policy into itself, in the namespaces that it is in, has sandboxd take it over,
 * and becomes the command; as a wrapped service does. SANDBOXD_SOCKET says where the daemon listens. With SANDBOXD_TEST_CGROUP that is the
 * folder whose processes are the sandbox's.
 *
 * ROOT is a folder to chroot to once the filter is loaded (a look at what is allowed then), or `-`.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "kernel_features.h"
#include "modules.h"
#include "remote.h"
#include "sys.h"

static _Noreturn void fail(const char *what) {
        perror(what);
        exit(125);
}

static struct plan *compile(const char *file, const char *name, struct filter *filter) {
        static struct policy_report report;
        char *const none[] = { NULL };
        struct policy_request request = {
                .policy = file, .uid = getuid(), .gid = getgid(), .cwd = "/", .name = name, .environment = none, .inspect = true
        };
        const struct plan_request plan_request = { .setting = PLAN_IN_PLACE, .home = "/root", .uid = getuid(), .gid = getgid() };
        struct policy *policy = NULL;
        struct plan *plan = NULL;
        struct claim *claims;
        size_t n;

        int r = policy_load(&request, &policy, &report);
        if (r >= 0)
                r = plan_compile(policy, &plan_request, &plan, &report);
        if (r >= 0)
                r = modules_compile(plan, filter, &claims, &n, &report);
        policy_report_print(&report, stderr);
        if (r < 0)
                exit(125);
        return plan;
}

/* Outside of the filter: takes the listener from the process that has loaded it, and hands it over. */
static _Noreturn void hand_over(pid_t pid, int numbers, int answer, const char *name, const struct plan *plan, char **command) {
        struct remote remote = REMOTE_INIT;
        int number;

        if (read(numbers, &number, sizeof(number)) != sizeof(number))
                _exit(1);
        int pidfd = sys_pidfd_open(pid, 0), root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        int listener = pidfd < 0 ? -1 : sys_pidfd_getfd(pidfd, number);
        if (listener < 0 || root < 0)
                fail("listener");
        const struct remote_request request = {
                .name = name,
                .policy = plan->policy->name,
                .plan = plan,
                .command = command,
                .cgroup = getenv("SANDBOXD_TEST_CGROUP"),
                .log_fd = -1,
                .record = plan->policy->audit,
                .kill_on_broker_loss = plan->policy->kill_on_broker_loss,
                .wait_killable = true,
        };
        if (remote_connect(&remote) < 0 || remote_adopt_in_place(&remote, &request, pidfd, listener, root) < 0)
                _exit(1);
        remote_done(&remote);
        _exit(write(answer, "y", 1) != 1);
}

int main(int argc, char **argv) {
        int numbers[2], answers[2];
        struct filter filter;
        char c;

        if (argc < 5)
                return 125;
        const struct plan *plan = compile(argv[2], argv[1], &filter);
        if (pipe2(numbers, O_CLOEXEC) < 0 || pipe2(answers, O_CLOEXEC) < 0)
                fail("pipe");
        pid_t self = getpid();
        pid_t child = fork();
        if (child == 0) {
                /* Nobody's child, so that the command has none that it doesn't know. */
                if (fork() == 0)
                        hand_over(self, numbers[0], answers[1], argv[1], plan, argv + 4);
                _exit(0);
        }
        waitpid(child, NULL, 0);
        close(answers[1]);
        /* Of a user's own. */
        if (getuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                fail("no_new_privs");
        int listener = filter_load(&filter, true);
        if (listener < 0 || write(numbers[1], &listener, sizeof(listener)) != sizeof(listener) || read(answers[0], &c, 1) != 1)
                _exit(125);
        close(listener);
        if (argv[3][0] != '-' && (chroot(argv[3]) < 0 || chdir("/") < 0))
                fail(argv[3]);
        execvp(argv[4], argv + 4);
        fail(argv[4]);
}
