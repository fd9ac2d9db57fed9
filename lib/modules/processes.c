/*
 * Calls on other processes, where the sandbox has no pid namespace of its own (a wrapped service, a container in the host's). Its programs can have the
 * right to do such things to anybody, sandboxd among them, and a process that is steered from here makes calls that nobody decides on.
 *
 * What a signal does to another process is the kernel's to allow, as before; that the supervisor and its workers are spared is all that is seen to here.
 */
#include <errno.h>
#include <linux/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "module.h"
#include "target.h"

/* A number, and a process group by its leader's. */
static struct verdict spare_ours(struct call *call, pid_t number) {
        int r = target_check_process(call, number < 0 ? -number : number);

        if (r == -EPERM) {
                call->why = "sandboxd's own processes are nobody's to change";
                return verdict_deny(EPERM);
        }
        /* proceed: the process's number is a register. */
        return r < 0 ? verdict_from(r) : verdict_registers();
}

static struct verdict handle_kill(struct call *call) {
        int r = target_check_process(call, getpid());

        if (r == -ESRCH)
                return verdict_gone();
        /* -1 is everybody whom the caller may signal. */
        if (r != 0 && CALL_INT(call, 0) == -1) {
                call->why = "a signal for all processes would reach those outside of the sandbox as well";
                return verdict_deny(EPERM);
        }
        return spare_ours(call, CALL_INT(call, 0));
}

/* The process is the first argument, or with tgkill and its like the thread the second: a thread of ours is in a process of ours. */
static struct verdict handle_first(struct call *call) {
        return spare_ours(call, CALL_INT(call, 0));
}

static struct verdict handle_second(struct call *call) {
        return spare_ours(call, CALL_INT(call, 1));
}

static struct verdict handle_pidfd(struct call *call) {
        pid_t number = target_pidfd_number(call, CALL_INT(call, 0));

        if (number == -ESRCH)
                return verdict_gone();
        /* proceed: a number that is no pidfd is the kernel's error. Which process it means can be changed meanwhile, and only by somebody who has a
         * pidfd of ours. */
        return number <= 0 ? verdict_registers() : spare_ours(call, number);
}

static struct verdict handle_traced(struct call *call, pid_t number) {
        int r = target_check_process(call, number);

        if (r < 0 && r != -EPERM)
                return verdict_from(r);
        if (r == 0)
                /* proceed: the number is a register, and its pid namespace has nobody in it but the sandbox. */
                return verdict_registers();
        call->why = "a process of this number can lie outside of the sandbox";
        return verdict_deny(EPERM);
}

static struct verdict handle_ptrace(struct call *call) {
        if (CALL_ARG(call, 0) == PTRACE_TRACEME)
                /* proceed: the request is a register; the parent can do what it could before. */
                return verdict_registers();
        return handle_traced(call, CALL_INT(call, 1));
}

static struct verdict handle_memory(struct call *call) {
        return handle_traced(call, CALL_INT(call, 0));
}

static const struct claim claims[] = {
        { __NR_kill, "kill", handle_kill },
        { __NR_tkill, "tkill", handle_first },
        { __NR_tgkill, "tgkill", handle_second },
        { __NR_rt_sigqueueinfo, "rt_sigqueueinfo", handle_first },
        { __NR_rt_tgsigqueueinfo, "rt_tgsigqueueinfo", handle_second },
        { __NR_pidfd_open, "pidfd_open", handle_first },
        { __NR_pidfd_send_signal, "pidfd_send_signal", handle_pidfd },
        { __NR_ptrace, "ptrace", handle_ptrace },
        { __NR_process_vm_readv, "process_vm_readv", handle_memory },
        { __NR_process_vm_writev, "process_vm_writev", handle_memory },
        {},
};

/* Which of guard.c's calls name a process, and where. The number 0 is the caller itself, and the filter lets that pass. */
static const struct {
        int nr;
        unsigned number;
} shared[] = {
        { __NR_prlimit64, 0 },     { __NR_sched_setaffinity, 0 }, { __NR_sched_setparam, 0 }, { __NR_sched_setscheduler, 0 },
        { __NR_sched_setattr, 0 }, { __NR_setpriority, 1 },       { __NR_ioprio_set, 1 },
};

struct verdict processes_handle(struct call *call) {
        for (size_t i = 0; i < ELEMENTSOF(shared); i++)
                if (shared[i].nr == call->notif->data.nr)
                        return spare_ours(call, CALL_INT(call, shared[i].number));
        return verdict_deny(EPERM);
}

static int compile(const struct plan *plan, struct filter_builder *filter, struct policy_report *report) {
        int r = 0;

        (void) report;
        if (!setting_is_foreign(plan->setting))
                return 0;
        r = rule_claims(filter, claims);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(shared); i++)
                r = filter_builder_notify(filter, shared[i].nr, &(struct filter_arg) { .index = shared[i].number, .nonzero = true }, 1);
        return r;
}

const struct module processes_module = { .name = "processes", .claims = claims, .only_decides = true, .compile = compile };
