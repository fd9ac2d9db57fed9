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

        if (request == TIOCSTI || request == TIOCLINUX) {
                call->why = "it types into the terminal as if the user did";
                return verdict_deny(EPERM);
        }
        /* proceed: the request is a register. */
        return verdict_registers();
}

static int compile(const struct plan *plan, struct filter_builder *filter, struct policy_report *report) {
        const struct filter_arg listener[] = {
                { .index = 0, .mask = UINT32_MAX, .value = SECCOMP_SET_MODE_FILTER },
                { .index = 1, .mask = SECCOMP_FILTER_FLAG_NEW_LISTENER, .value = SECCOMP_FILTER_FLAG_NEW_LISTENER },
        };
        int r;

        (void) plan;
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
        {},
};

const struct module guard_module = { .name = "guard", .claims = claims, .compile = compile };
