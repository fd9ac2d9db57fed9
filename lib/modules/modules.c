#include "modules.h"

#include <stdlib.h>

#include "module.h"

/* The table of modules. Adding a call: its handler and row in a module's file, and a row in known.c if the number is new. */
static const struct module *const modules[] = {
        &files_module,   &names_module,   &metadata_module, &append_module, &exec_module,
        &network_module, &sockets_module, &kernel_module,   &guard_module,  &processes_module,
};

/* The row, and whose it is. */
static const struct claim *find_claim(int nr, const struct module **ret_module) {
        for (size_t i = 0; i < ELEMENTSOF(modules); i++)
                for (const struct claim *claim = modules[i]->claims; claim->name; claim++)
                        if (claim->nr == nr) {
                                *ret_module = modules[i];
                                return claim;
                        }
        return NULL;
}

const struct claim *modules_claim(int nr) {
        const struct module *module;

        return find_claim(nr, &module);
}

bool modules_acts(const struct plan *plan, const struct filter_builder *filter) {
        const struct module *module;

        for (size_t i = 0; i < filter->n_notify; i++) {
                int nr = filter->notify[i].nr;
                /* Without a row the table or a raw rule answers, from registers. */
                bool refused = raw_refuses(plan->policy, nr) || (plan->floor && raw_refuses(plan->floor->policy, nr));
                if (find_claim(nr, &module) && !module->only_decides && !refused)
                        return true;
        }
        return false;
}

/* The table's part of the filter. */
static int compile_table(struct filter_builder *filter) {
        for (int nr = 0; nr < SYSCALLS_MAX; nr++) {
                int r = 0;
                switch (known_class(nr)) {
                case SYSCALL_ALLOWED:
                case SYSCALL_START: r = filter_builder_allow(filter, nr); break;
                case SYSCALL_REFUSED: r = rule_always(filter, nr); break;
                case SYSCALL_ABSENT: break;
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Who answers a call that is notified. A raw rule comes first, then the module. */
static call_handler find_handler(const struct plan *plan, int nr) {
        const struct claim *claim = modules_claim(nr);

        for (const struct plan *of = plan; of; of = of->floor)
                if (of->policy->syscalls.deny_unnamed || raw_names(of->policy, nr))
                        return raw_handle;
        if (claim)
                return claim->handle;
        return refuse_handle;
}

static int make_claims(const struct plan *plan, const struct filter_builder *filter, struct claim **ret, size_t *ret_n) {
        _cleanup_free_ struct claim *claims = calloc(SYSCALLS_MAX, sizeof(*claims));
        size_t n = 0;

        if (!claims)
                return -ENOMEM;
        for (int nr = 0; nr < SYSCALLS_MAX; nr++)
                for (size_t i = 0; i < filter->n_notify; i++)
                        if (filter->notify[i].nr == nr) {
                                const struct claim *claim = modules_claim(nr);
                                claims[n++] =
                                        (struct claim) { nr, modules_syscall_name(nr), find_handler(plan, nr), claim && claim->executes };
                                break;
                        }
        *ret = TAKE_PTR(claims);
        *ret_n = n;
        return 0;
}

/* What one plan wants to be asked about. */
static int collect(const struct plan *plan, struct filter_builder *filter, struct policy_report *report) {
        bool invalid = false;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(modules); i++) {
                r = modules[i]->compile(plan, filter, report);
                if (r == -EINVAL)
                        invalid = true;
                else if (r < 0)
                        return r;
        }
        r = raw_compile(plan, filter, report);
        return r < 0 ? r : invalid ? -EINVAL : 0;
}

int modules_collect(const struct plan *plan, struct filter_builder *ret, struct policy_report *report) {
        _cleanup_(filter_builder_done) struct filter_builder builder = {};
        int r;

        r = compile_table(&builder);
        /* The floor first: what modules keep is of the last one, which asks its floor itself. */
        if (r >= 0 && plan->floor)
                r = collect(plan->floor, &builder, report);
        if (r >= 0)
                r = collect(plan, &builder, report);
        if (r < 0)
                return r;
        *ret = builder;
        builder = (struct filter_builder) {};
        return 0;
}

int modules_collect_profile(const struct plan *plan, struct filter_builder *ret, struct made_of *ret_of, struct policy_report *report) {
        int r = modules_collect(plan, ret, report);

        if (r >= 0)
                r = policy_digest(plan->policy, &ret_of->policy);
        if (r >= 0 && plan->floor)
                r = policy_digest(plan->floor->policy, &ret_of->policy);
        if (r >= 0)
                filter_builder_digest(ret, &ret_of->filter);
        return r;
}

int modules_compile(const struct plan *plan, struct filter *ret_filter, struct claim **ret_claims, size_t *ret_n,
                    struct policy_report *report) {
        _cleanup_(filter_builder_done) struct filter_builder builder = {};
        _cleanup_(filter_done) struct filter filter = {};
        int r;

        r = modules_collect(plan, &builder, report);
        if (r < 0)
                return r;
        r = ret_filter ? filter_build(&builder, &filter) : 0;
        if (r < 0) {
                policy_report_add(report, false, (struct place) { .file = plan->policy->name },
                                  "the filter for system calls can't be built: %s",
                                  r == -E2BIG ? "its rules need more than the kernel's 4,096 instructions: use fewer rules with arguments"
                                              : strerror(-r));
                return -EINVAL;
        }
        r = make_claims(plan, &builder, ret_claims, ret_n);
        if (r < 0)
                return r;
        if (ret_filter) {
                *ret_filter = filter;
                filter = (struct filter) {};
        }
        return 0;
}
