/*
 * What the kernel says of itself, where the policy has it say something else: uname and sysinfo. Natively otherwise.
 *
 * (sethostname and setdomainname are refused by the table: so the worker's own answer to uname, taken in the host's uts namespace, differs from
 * the sandbox's only by the hostname, which the policy gives.)
 */
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "module.h"
#include "target.h"

static bool changes_uname(const struct policy_kernel *kernel) {
        return kernel->sysname || kernel->release || kernel->version || kernel->machine;
}

static void replace(char field[65], const char *value) {
        if (value) {
                memset(field, 0, 65);
                strncpy(field, value, 64);
        }
}

static struct verdict handle_uname(struct call *call) {
        const struct policy_kernel *kernel = &call->plan->policy->kernel;
        struct utsname name;
        int r;

        if (!changes_uname(kernel))
                /* proceed: no memory was looked at, the policy has nothing to change. */
                return verdict_registers();
        if (uname(&name) < 0)
                return verdict_error(errno);
        replace(name.sysname, kernel->sysname);
        replace(name.nodename, kernel->hostname);
        replace(name.release, kernel->release);
        replace(name.version, kernel->version);
        replace(name.machine, kernel->machine);
        r = target_write(call, CALL_ARG(call, 0), &name, sizeof(name));
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

static void at_most(unsigned long *value, unsigned long bound) {
        if (*value > bound)
                *value = bound;
}

static struct verdict handle_sysinfo(struct call *call) {
        uint64_t memory = call->plan->policy->kernel.memory;
        struct sysinfo info;
        int r;

        if (memory == 0)
                /* proceed: no memory was looked at, the policy has nothing to change. */
                return verdict_registers();
        if (sysinfo(&info) < 0)
                return verdict_error(errno);
        info.totalram = memory / info.mem_unit;
        at_most(&info.freeram, info.totalram);
        at_most(&info.sharedram, info.totalram - info.freeram);
        at_most(&info.bufferram, info.totalram - info.freeram);
        info.totalswap = info.freeswap = info.totalhigh = info.freehigh = 0;
        r = target_write(call, CALL_ARG(call, 0), &info, sizeof(info));
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

static int compile(const struct plan *plan, struct filter_builder *filter, struct policy_report *report) {
        const struct policy_kernel *kernel = &plan->policy->kernel;
        int r = 0;

        if (kernel->cpus) {
                policy_report_add(report, false, (struct place) { .file = plan->policy->name },
                                  "kernel: cpus can't be enforced by this version; leave it out");
                return -EINVAL;
        }
        if (changes_uname(kernel))
                r = rule_always(filter, __NR_uname);
        if (r >= 0 && kernel->memory)
                r = rule_always(filter, __NR_sysinfo);
        return r;
}

static const struct claim claims[] = {
        { __NR_uname, "uname", handle_uname },
        { __NR_sysinfo, "sysinfo", handle_sysinfo },
        {},
};

const struct module kernel_module = { .name = "kernel", .claims = claims, .only_decides = true, .compile = compile };
