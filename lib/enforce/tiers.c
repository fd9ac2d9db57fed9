#include "tiers.h"

#include <inttypes.h>

#include "landlock_rules.h"
#include "sys.h"

static void add_line(struct strbuf *out, const char *section, const char *mechanisms, const char *word) {
        strbuf_printf(out, "%s\t%s\t%s\n", section, mechanisms, word);
}

static bool landlock_holds(void) {
        return landlock_abi() >= LANDLOCK_ABI_NEEDED && !sys_unsafe("landlock");
}

static void describe_files(const struct plan *plan, struct strbuf *out) {
        char word[512] = "";
        bool landlock = !setting_is_foreign(plan->setting) && landlock_holds();

        if (!plan->files_brokered) {
                add_line(out, "files", landlock ? "view, landlock" : "view", "by mounts, at no cost a call");
                return;
        }
        if (plan->brokered_why) {
                _cleanup_free_ char *file = str_escape(plan->brokered_at.file ?: "");
                snprintf(word, sizeof(word), "%s (%.300s:%u)", plan->brokered_why, file ?: "", plan->brokered_at.line);
        }
        add_line(out, "files", landlock ? "broker, landlock" : "broker", word[0] ? word : "enforce: broker");
}

static void describe_network(const struct plan *plan, struct strbuf *out) {
        bool unix_rules = false;

        for (size_t i = 0; i < plan->policy->network.connect.n; i++)
                unix_rules = unix_rules || plan->policy->network.connect.rules[i].kind == NET_UNIX;
        if (plan->policy->network.mode == NETWORK_HOST)
                add_line(out, "network", "broker", "connect, bind, and sending to an address");
        else
                add_line(out, "network", unix_rules ? "netns, broker" : "netns", "none but its own loopback");
}

static void describe_kernel(const struct plan *plan, struct strbuf *out) {
        const struct policy_kernel *k = &plan->policy->kernel;
        bool brokered = k->sysname || k->release || k->version || k->machine || k->memory;

        if (brokered || k->hostname)
                add_line(out, "kernel", brokered ? "broker" : "namespace", brokered ? "uname, sysinfo" : "the host name");
}

static void describe_limits(const struct plan *plan, bool cgroup, struct strbuf *out) {
        const struct policy_limits *l = &plan->policy->limits;
        struct strbuf mechanisms = {};

        if ((l->processes || l->memory) && cgroup)
                strbuf_puts(&mechanisms, "cgroup");
        if (((l->processes || l->memory) && !cgroup) || l->open_files || l->file_size)
                strbuf_printf(&mechanisms, "%srlimit", mechanisms.length > 0 ? ", " : "");
        if (l->time_usec)
                strbuf_printf(&mechanisms, "%stimer", mechanisms.length > 0 ? ", " : "");
        if (mechanisms.length > 0)
                add_line(out, "limits", mechanisms.text, (l->processes || l->memory) && !cgroup ? "without a control group" : "");
        strbuf_done(&mechanisms);
}

void tiers_describe(const struct plan *plan, bool cgroup, struct strbuf *out) {
        const struct policy *policy = plan->policy;

        describe_files(plan, out);
        if (policy->n_whens > 0)
                add_line(out, "rules", "broker", "rules for single programs");
        describe_network(plan, out);
        describe_kernel(plan, out);
        add_line(out, "syscalls", policy->syscalls.deny_unnamed ? "broker, filter" : "filter, broker",
                 policy->syscalls.deny_unnamed ? "default: deny" : "what is refused is counted by the broker");
        if (policy->n_devices > 0)
                add_line(out, "devices", "view", "");
        describe_limits(plan, cgroup, out);
        if (plan->floor) {
                _cleanup_free_ char *name = str_escape(plan->floor->policy->name), *word = NULL;
                if (asprintf(&word, "the policy '%s' holds as well: what both allow is allowed", name ?: "?") >= 0)
                        add_line(out, "floor", "broker, filter", word);
        }
}
