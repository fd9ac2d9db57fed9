/*
 * Raw rules: `syscalls:` in a policy. They only tighten. `errno` and `kill` refuse; `log` names a call that is recorded, and then is
 * answered as it would be without the rule: by its module, or by the table. Under `default: deny` a `log` rule is what allows a call, at most
 * as much as `allow-known` does.
 */
#include <fnmatch.h>
#include <sys/syscall.h>

#include "module.h"
#include "str.h"

static bool is_glob(const char *name) {
        return name[strcspn(name, "*?[")] != 0;
}

static bool name_matches(const char *pattern, int nr) {
        const char *name = modules_syscall_name(nr);

        return name && fnmatch(pattern, name, 0) == 0;
}

static bool rule_names(const struct syscall_rule *rule, int nr) {
        for (size_t i = 0; i < rule->n_names; i++)
                if (name_matches(rule->names[i], nr))
                        return true;
        return false;
}

bool raw_names(const struct policy *policy, int nr) {
        for (size_t i = 0; i < policy->syscalls.n_rules; i++)
                if (rule_names(policy->syscalls.rules + i, nr))
                        return true;
        return false;
}

bool raw_refuses(const struct policy *policy, int nr) {
        for (size_t i = 0; i < policy->syscalls.n_rules; i++) {
                const struct syscall_rule *rule = policy->syscalls.rules + i;
                if (!rule_names(rule, nr))
                        continue;
                if (rule->action == ACTION_LOG)
                        return false;
                if (rule->n_args == 0)
                        return true;
        }
        return policy->syscalls.deny_unnamed;
}

static bool args_match(const struct syscall_rule *rule, const struct call *call) {
        for (size_t i = 0; i < rule->n_args; i++)
                if ((CALL_ARG(call, rule->args[i].index) & rule->args[i].mask) != rule->args[i].value)
                        return false;
        return true;
}

struct verdict refuse_handle(struct call *call) {
        call->why = "not among the calls that a program without capabilities may make";
        return verdict_deny(EPERM);
}

/* The answer that the call has without raw rules. */
static struct verdict underlying(struct call *call) {
        const struct claim *claim = modules_claim(call->notif->data.nr);

        switch (known_class(call->notif->data.nr)) {
        case SYSCALL_ABSENT: return verdict_deny(ENOSYS);
        case SYSCALL_REFUSED: return refuse_handle(call);
        default:
                if (claim)
                        return claim->handle(call);
                /* proceed: the table allows the call whatever its arguments are, and raw rules look at registers only. */
                return verdict_registers();
        }
}

/* Whether the rules of one policy refuse the call. */
static bool refused(const struct policy_syscalls *syscalls, struct call *call, struct verdict *ret) {
        int nr = call->notif->data.nr;

        for (size_t i = 0; i < syscalls->n_rules; i++) {
                const struct syscall_rule *rule = syscalls->rules + i;
                if (!rule_names(rule, nr) || !args_match(rule, call))
                        continue;
                call->syscall_rule = rule;
                if (rule->action == ACTION_LOG)
                        return false;
                *ret = rule->action == ACTION_KILL ? verdict_kill() : verdict_deny(rule->error);
                return true;
        }
        if (!syscalls->deny_unnamed || known_class(nr) == SYSCALL_START)
                return false;
        call->syscall_rule = NULL;
        call->why = "syscalls: default: deny, and no `log` rule names it";
        *ret = verdict_deny(EPERM);
        return true;
}

struct verdict raw_handle(struct call *call) {
        const struct plan *plan = call->plan;
        struct verdict own, of_floor;

        bool by_own = refused(&plan->policy->syscalls, call, &own);
        const struct syscall_rule *rule = call->syscall_rule;
        if (by_own && (own.kind == VERDICT_KILL || !plan->floor))
                return own;
        /* Of two refusals the stricter: to be killed, else the policy's own. */
        if (plan->floor && refused(&plan->floor->policy->syscalls, call, &of_floor) && (!by_own || of_floor.kind == VERDICT_KILL))
                return of_floor;
        if (by_own) {
                call->syscall_rule = rule;
                return own;
        }
        struct verdict verdict = underlying(call);
        /* The record names what refused it. */
        if (verdict.denied)
                call->syscall_rule = NULL;
        return verdict;
}

/* ---- Compiling ---- */

static void report_unknown(const struct syscall_rule *rule, const char *name, struct policy_report *report) {
        const char *words[SYSCALLS_MAX];
        size_t n = 0;

        _cleanup_free_ char *escaped = str_escape(name);
        if (is_glob(name)) {
                policy_report_add(report, false, rule->place, "no system call's name matches `%s`", escaped ? escaped : "?");
                return;
        }
        for (int nr = 0; nr < SYSCALLS_MAX; nr++)
                if (modules_syscall_name(nr))
                        words[n++] = modules_syscall_name(nr);
        const char *near = str_nearest(name, words, n);
        policy_report_add(report, false, rule->place, "no system call is called `%s`%s%s%s", escaped ? escaped : "?",
                          near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
}

/* The arguments as the filter compares them: the low 32 bits of at most two. What the filter can't see (64-bit masks, a third argument)
 * makes it send more than the rule names, and raw_handle compares exactly. */
static size_t filter_args(const struct syscall_rule *rule, struct filter_arg args[2]) {
        size_t n = 0;

        for (size_t i = 0; i < rule->n_args && n < 2; i++) {
                uint32_t mask = rule->args[i].mask;
                bool again = n == 1 && args[0].index == rule->args[i].index;
                if (mask == 0 || again)
                        continue;
                args[n++] = (struct filter_arg) { .index = rule->args[i].index, .mask = mask, .value = (uint32_t) rule->args[i].value };
        }
        return n;
}

static int check_args(const struct syscall_rule *rule, struct policy_report *report) {
        for (size_t i = 0; i < rule->n_args; i++) {
                const struct syscall_arg *arg = rule->args + i;
                if (arg->index > 5) {
                        policy_report_add(report, false, rule->place, "a system call has arguments 0 to 5, not %u", arg->index);
                        return -EINVAL;
                }
                if (arg->value & ~arg->mask) {
                        policy_report_add(report, false, rule->place,
                                          "argument %u can't be %#llx under the mask %#llx: the rule would never match", arg->index,
                                          (unsigned long long) arg->value, (unsigned long long) arg->mask);
                        return -EINVAL;
                }
        }
        return 0;
}

/* One call that a rule names, by its name (`exact`) or by a glob. `quiet`: to name a call that needs no rule is no mistake. */
static int compile_call(const struct syscall_rule *rule, int nr, bool exact, bool quiet, struct filter_builder *filter,
                        struct policy_report *report) {
        struct filter_arg args[2];
        size_t n = filter_args(rule, args);

        if (known_class(nr) == SYSCALL_ABSENT) {
                if (rule->action == ACTION_LOG)
                        return 0; /* ENOSYS by the filter, as without the rule */
                n = 0;            /* `known` lets it through now: no arguments may pass unseen */
        }
        /* Not even for certain arguments: they could be those of the launcher, which nobody would answer. */
        if (known_class(nr) == SYSCALL_START) {
                if (!exact)
                        return 0;
                bool log = rule->action == ACTION_LOG;
                if (!log || !quiet)
                        policy_report_add(report, log, rule->place, "`%s` can't be %s: no program could be started",
                                          modules_syscall_name(nr), log ? "recorded" : "refused");
                return log ? 0 : -EINVAL;
        }
        return filter_builder_notify(filter, nr, args, n);
}

static int compile_rule(const struct syscall_rule *rule, bool quiet, struct filter_builder *filter, struct policy_report *report) {
        bool invalid = check_args(rule, report) < 0;

        for (size_t i = 0; i < rule->n_names; i++) {
                bool any = false;
                for (int nr = 0; nr < SYSCALLS_MAX; nr++) {
                        if (!name_matches(rule->names[i], nr))
                                continue;
                        any = true;
                        int r = invalid ? 0 : compile_call(rule, nr, !is_glob(rule->names[i]), quiet, filter, report);
                        if (r == -EINVAL)
                                invalid = true;
                        else if (r < 0)
                                return r;
                }
                if (!any) {
                        report_unknown(rule, rule->names[i], report);
                        invalid = true;
                }
        }
        return invalid ? -EINVAL : 0;
}

static bool allows(const struct policy_syscalls *syscalls, int nr) {
        for (size_t i = 0; i < syscalls->n_rules; i++)
                if (syscalls->rules[i].action == ACTION_LOG && rule_names(syscalls->rules + i, nr))
                        return true;
        return false;
}

int raw_compile(const struct plan *plan, struct filter_builder *filter, struct policy_report *report) {
        const struct policy_syscalls *syscalls = &plan->policy->syscalls;
        bool invalid = false;
        int r;

        for (size_t i = 0; i < syscalls->n_rules; i++) {
                r = compile_rule(syscalls->rules + i, syscalls->deny_unnamed, filter, report);
                if (r == -EINVAL)
                        invalid = true;
                else if (r < 0)
                        return r;
        }
        if (syscalls->deny_unnamed) {
                if (!allows(syscalls, __NR_execve)) {
                        policy_report_add(
                                report, false, (struct place) { .file = plan->policy->name },
                                "syscalls: default: deny needs a rule with `action: log` that names `execve`: no program could be started");
                        invalid = true;
                }
                for (int nr = 0; nr < SYSCALLS_MAX; nr++) {
                        if (known_class(nr) != SYSCALL_ALLOWED && known_class(nr) != SYSCALL_REFUSED)
                                continue;
                        r = rule_always(filter, nr);
                        if (r < 0)
                                return r;
                }
        }
        return invalid ? -EINVAL : 0;
}
