/*
 * Calls that are allowed for some arguments only. All these arguments are registers, so that the filter lets the harmless ones pass by
 * itself, and what is notified is decided here once more: a raw rule may have sent the whole call.
 */
#include <asm/termbits.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "module.h"

/* As Docker: PER_LINUX, PER_LINUX32, UNAME26 and both, and the question for the present value. */
static const uint32_t personalities[] = { 0x0, 0x8, 0x20000, 0x20008, UINT32_MAX };

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

static struct verdict handle_clone(struct call *call) {
        if (CALL_ARG(call, 0) & NAMESPACES) {
                call->why = "namespaces can't be made inside a sandbox";
                return verdict_deny(EPERM);
        }
        /* proceed: the flags are a register. */
        return verdict_registers();
}

static struct verdict handle_personality(struct call *call) {
        for (size_t i = 0; i < ELEMENTSOF(personalities); i++)
                if ((uint32_t) CALL_ARG(call, 0) == personalities[i])
                        /* proceed: the value is a register. */
                        return verdict_registers();
        call->why = "this personality weakens the protections of memory";
        return verdict_deny(EPERM);
}

static struct verdict handle_seccomp(struct call *call) {
        if ((uint32_t) CALL_ARG(call, 0) == SECCOMP_SET_MODE_FILTER && (CALL_ARG(call, 1) & SECCOMP_FILTER_FLAG_NEW_LISTENER)) {
                call->why = "a filter chain holds one listener, and it is the broker's";
                return verdict_deny(EBUSY);
        }
        /* proceed: operation and flags are registers; further filters can only take away. */
        return verdict_registers();
}

static struct verdict handle_ioctl(struct call *call) {
        uint32_t request = CALL_ARG(call, 1);
        struct verdict verdict;

        if (request == TIOCSTI || request == TIOCLINUX) {
                call->why = "it types into the terminal as if the user did";
                return verdict_deny(EPERM);
        }
        if (append_refuses_ioctl(call))
                return verdict_deny(EPERM);
        if (attributes_ioctl(call, &verdict))
                return verdict;
        /* proceed: the request is a register. */
        return verdict_registers();
}

/* The kernel lets processes of the same ids change one another's limits and scheduling, dumpable or not. Init has those of the program, and
 * without descriptors or CPU time it would no longer notice that the supervisor is gone. */
static const struct {
        int nr;
        unsigned pid; /* which argument */
} of_processes[] = {
        { __NR_prlimit64, 0 },     { __NR_sched_setaffinity, 0 }, { __NR_sched_setparam, 0 }, { __NR_sched_setscheduler, 0 },
        { __NR_sched_setattr, 0 }, { __NR_setpriority, 1 },       { __NR_ioprio_set, 1 },
};

#define INIT_PID 1 /* nobody inside makes pid namespaces, so that it is the number for all callers */

static struct verdict handle_of_process(struct call *call) {
        if (setting_is_foreign(call->plan->setting))
                return processes_handle(call);
        for (size_t i = 0; i < ELEMENTSOF(of_processes); i++)
                if (of_processes[i].nr == call->notif->data.nr && CALL_INT(call, of_processes[i].pid) == INIT_PID) {
                        call->why = "the sandbox's init is nobody's to change";
                        return verdict_deny(EPERM);
                }
        /* proceed: the process's number is a register. */
        return verdict_registers();
}

static int compile(const struct plan *plan, struct filter_builder *filter, struct policy_report *report) {
        const struct filter_arg listener[] = {
                { .index = 0, .mask = UINT32_MAX, .value = SECCOMP_SET_MODE_FILTER },
                { .index = 1, .mask = SECCOMP_FILTER_FLAG_NEW_LISTENER, .value = SECCOMP_FILTER_FLAG_NEW_LISTENER },
        };
        int r;

        (void) report;
        r = rule_bits(filter, __NR_clone, 0, NAMESPACES);
        if (r < 0)
                return r;
        r = rule_unless(filter, __NR_personality, 0, UINT32_MAX, personalities, ELEMENTSOF(personalities), NULL);
        if (r < 0)
                return r;
        r = filter_builder_notify(filter, __NR_seccomp, listener, ELEMENTSOF(listener));
        if (r < 0)
                return r;
        for (size_t i = 0; !setting_is_foreign(plan->setting) && i < ELEMENTSOF(of_processes); i++) {
                r = rule_equal(filter, of_processes[i].nr, of_processes[i].pid, INIT_PID);
                if (r < 0)
                        return r;
        }
        r = rule_equal(filter, __NR_ioctl, 1, TIOCSTI);
        if (r < 0)
                return r;
        return rule_equal(filter, __NR_ioctl, 1, TIOCLINUX);
}

static const struct claim claims[] = {
        { __NR_clone, "clone", handle_clone },
        { __NR_personality, "personality", handle_personality },
        { __NR_seccomp, "seccomp", handle_seccomp },
        { __NR_ioctl, "ioctl", handle_ioctl },
        { __NR_prlimit64, "prlimit64", handle_of_process },
        { __NR_sched_setaffinity, "sched_setaffinity", handle_of_process },
        { __NR_sched_setparam, "sched_setparam", handle_of_process },
        { __NR_sched_setscheduler, "sched_setscheduler", handle_of_process },
        { __NR_sched_setattr, "sched_setattr", handle_of_process },
        { __NR_setpriority, "setpriority", handle_of_process },
        { __NR_ioprio_set, "ioprio_set", handle_of_process },
        {},
};

const struct module guard_module = { .name = "guard", .claims = claims, .only_decides = true, .compile = compile };
