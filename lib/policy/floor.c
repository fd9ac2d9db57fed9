/*
 * The floor: a second policy that holds for a container besides its own. Both are compiled for themselves, and what is asked is asked of both. Nothing of the
 * two texts is merged, so that no rule of one can be read as lifting a rule of the other.
 */
#include <errno.h>

#include "plan.h"
#include "str.h"

#define FLOOR_ERROR(report, place, ...) (policy_report_add((report), false, (place), __VA_ARGS__), -EINVAL)

static int check_kinds(const struct policy *policy, struct policy_report *report) {
        const struct policy_kernel *k = &policy->kernel;
        int r = 0;

        for (size_t i = 0; i < policy->files.n_rules; i++) {
                const struct file_rule *rule = policy->files.rules + i;
                if (rule->kind < FILE_PRIVATE)
                        continue;
                _cleanup_free_ char *path = str_escape(rule->pattern);
                r = FLOOR_ERROR(
                        report, rule->place,
                        "%s: `%s` puts something into the container, which a floor (oci: floor in sandboxd.yaml) can't: it only takes away",
                        path ?: "?", file_kind_name(rule->kind));
        }
        if (k->sysname || k->release || k->version || k->machine || k->hostname || k->cpus || k->memory)
                r = FLOOR_ERROR(
                        report, ((struct place) { .file = policy->name }),
                        "`kernel` says what a container sees of it, which a floor (oci: floor in sandboxd.yaml) can't: it only takes away");
        return r;
}

int plan_add_floor(struct plan *plan, const struct plan *floor, struct policy_report *report) {
        int r = check_kinds(floor->policy, report);

        if (r < 0)
                return r;
        if (plan->setting != PLAN_CONTAINER || floor->setting != PLAN_CONTAINER || floor->floor || plan->floor)
                return FLOOR_ERROR(report, ((struct place) { .file = floor->policy->name }),
                                   "only a container has a floor, and no more than one");
        /* What mounts hold, they hold for one of them. */
        if (!plan->files_brokered || !floor->files_brokered)
                return FLOOR_ERROR(report, ((struct place) { .file = floor->policy->name }), "files: both have to be the broker's");
        if (plan->n_conditions + floor->n_conditions > CONDITIONS_MAX)
                return FLOOR_ERROR(report, ((struct place) { .file = floor->policy->name }),
                                   "rules: it has %zu conditions, and the policy '%s' has %zu: more than %d together", floor->n_conditions,
                                   plan->policy->name, plan->n_conditions, CONDITIONS_MAX);
        plan->floor = floor;
        return 0;
}

const struct plan_condition *plan_condition_at(const struct plan *plan, size_t i) {
        return i < plan->n_conditions ? plan->conditions + i : plan->floor->conditions + (i - plan->n_conditions);
}

enum audit_record plan_audit(const struct plan *plan) {
        static const int much[] = { [AUDIT_NONE] = 0, [AUDIT_DENIED] = 1, [AUDIT_ALL] = 2 };
        enum audit_record own = plan->policy->audit, of_floor = plan->floor ? plan->floor->policy->audit : own;

        return much[of_floor] > much[own] ? of_floor : own;
}

uint64_t plan_time_usec(const struct plan *plan) {
        uint64_t own = plan->policy->limits.time_usec, of_floor = plan->floor ? plan->floor->policy->limits.time_usec : 0;

        return own == 0 || (of_floor > 0 && of_floor < own) ? of_floor : own;
}

bool plan_kills_on_broker_loss(const struct plan *plan) {
        return plan->policy->kill_on_broker_loss || (plan->floor && plan->floor->policy->kill_on_broker_loss);
}

static enum match_state stricter(enum match_state a, enum match_state b) {
        return a < b ? a : b;
}

/* What an object that is no directory is there. */
static enum match_state without_directory(struct match match) {
        return match_object(match, false).state;
}

struct match match_both(struct match a, struct match b) {
        enum match_state state = stricter(a.state, b.state);
        const struct match *of = a.state <= b.state ? &a : &b;

        if (state == MATCH_HIDDEN)
                return *of;
        if (state == MATCH_DENIED) {
                struct match denied = *of;
                denied.directories = without_directory(a) == MATCH_HIDDEN || without_directory(b) == MATCH_HIDDEN;
                return denied;
        }
        /* Where both grant, the rule is that which gives less. */
        if (state == MATCH_GRANTED && (a.rights & ~b.rights))
                of = &b;
        /* Of two directories that are only passed through, that which is closed (match_closes). */
        if (state == MATCH_ANCESTOR && match_closes(b))
                of = &b;
        return (struct match) {
                .state = state,
                .rights = a.rights & b.rights,
                .otherwise = state == MATCH_ANCESTOR ? stricter(without_directory(a), without_directory(b)) : MATCH_HIDDEN,
                .own = a.own && b.own,
                .rule = of->rule,
        };
}
