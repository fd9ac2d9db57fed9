/*
 * What two plans have in common that was settled when the sandbox was started: the view, Landlock, namespaces, limits. The broker can't change it for
 * programs that run, so that a plan which takes the place of another has to agree in it. Which calls are notified is compared by their filters.
 */
#include <errno.h>
#include <netinet/in.h>

#include "plan.h"
#include "str.h"

struct comparison {
        const struct plan *old, *new;
        struct strbuf *out;
        int n;
};

static void differs(struct comparison *c, const char *where, const char *what) {
        _cleanup_free_ char *escaped = str_escape(where);

        strbuf_printf(c->out, "%s: %s\n", escaped ? escaped : "?", what);
        c->n++;
}

static bool same_text(const char *a, const char *b) {
        return a == b || (a && b && str_equal(a, b));
}

/* ---- the view ---- */

/* Of a file that the view holds a plan keeps no content once it is saved; its rule has it. */
static bool same_content(const struct node *a, const struct node *b) {
        if (a->kind != NODE_FILE)
                return same_text(a->text, b->text);
        if (!a->rule || !b->rule)
                return !a->rule && !b->rule;
        return same_text(a->rule->content, b->rule->content) && same_text(a->rule->from, b->rule->from);
}

static bool same_node(const struct node *a, const struct node *b) {
        return a->kind == b->kind && str_equal(a->path, b->path) && same_text(a->source, b->source) && a->directory == b->directory &&
               a->stays_out == b->stays_out && a->rights == b->rights && a->size == b->size && same_content(a, b);
}

static bool has_node(const struct plan *plan, const struct node *node) {
        for (size_t i = 0; i < plan->n_nodes; i++)
                if (same_node(&plan->nodes[i], node))
                        return true;
        return false;
}

static bool has_path(const struct plan *plan, const char *path) {
        for (size_t i = 0; i < plan->n_nodes; i++)
                if (str_equal(plan->nodes[i].path, path))
                        return true;
        return false;
}

static void compare_view(struct comparison *c) {
        const struct plan *old = c->old, *new = c->new;
        bool same = old->n_nodes == new->n_nodes;
        int before = c->n;

        if (!same_text(old->root, new->root))
                differs(c, "--rootfs", "the view is made of another tree");
        if (old->files_brokered != new->files_brokered) {
                differs(c, "files: enforce",
                        old->files_brokered ? "the broker decides on all paths, and wouldn't"
                                            : "mounts decide on paths, and the broker would");
                return;
        }
        for (size_t i = 0; i < old->n_nodes; i++) {
                const struct node *node = &old->nodes[i];
                same = same && same_node(node, &new->nodes[i]);
                if (!has_node(new, node))
                        differs(c, node->path, has_path(new, node->path) ? "it would be shown otherwise" : "it is shown, and wouldn't be");
        }
        for (size_t i = 0; i < new->n_nodes; i++)
                if (!has_path(old, new->nodes[i].path))
                        differs(c, new->nodes[i].path, "it isn't shown, and would be");
        if (!same && c->n == before)
                differs(c, "files", "what is shown would be made in another order");
}

/* ---- what may be executed ---- */

static bool grants_execution(const struct plan *plan, const char *pattern) {
        const struct policy_files *files = &plan->policy->files;

        for (size_t i = 0; i < files->n_rules; i++)
                if (files->rules[i].kind == FILE_EXEC && str_equal(files->rules[i].pattern, pattern))
                        return true;
        return false;
}

/* Landlock holds what the rules give, and for that the broker lets the kernel read a path again. What is taken away it holds no longer; then the broker has to
 * look at what came of each execution, which it does where rules take away below a directory. */
static void compare_execution(struct comparison *c) {
        const struct policy_files *old = &c->old->policy->files, *new = &c->new->policy->files;

        if (!c->old->files_brokered || !c->new->files_brokered)
                return;
        for (size_t i = 0; i < new->n_rules; i++)
                if (new->rules[i].kind == FILE_EXEC && !grants_execution(c->old, new->rules[i].pattern))
                        differs(c, new->rules[i].pattern, "it may not be executed, and might be: Landlock can't be made wider");
        if (!plan_exec_by_directory(c->new))
                return;
        for (size_t i = 0; i < old->n_rules; i++)
                if (old->rules[i].kind == FILE_EXEC && !grants_execution(c->new, old->rules[i].pattern))
                        differs(c, old->rules[i].pattern,
                                "it may be executed, and mightn't be: Landlock can't be made narrower; deny programs in it by their paths");
}

/* ---- the rest ---- */

static bool same_texts(char *const *a, size_t n_a, char *const *b, size_t n_b) {
        if (n_a != n_b)
                return false;
        for (size_t i = 0; i < n_a; i++)
                if (!str_equal(a[i], b[i]))
                        return false;
        return true;
}

static void compare_kernel(struct comparison *c) {
        const struct policy_kernel *a = &c->old->policy->kernel, *b = &c->new->policy->kernel;

        if (!same_text(a->sysname, b->sysname) || !same_text(a->release, b->release) || !same_text(a->version, b->version) ||
            !same_text(a->machine, b->machine) || !same_text(a->hostname, b->hostname) || a->cpus != b->cpus || a->memory != b->memory)
                differs(c, "kernel", "what the kernel and the machine are said to be would change");
}

static void compare_limits(struct comparison *c) {
        const struct policy_limits *a = &c->old->policy->limits, *b = &c->new->policy->limits;
        const struct {
                const char *name;
                uint64_t old, new;
        } limits[] = {
                { "limits: processes", a->processes, b->processes }, { "limits: open-files", a->open_files, b->open_files },
                { "limits: file-size", a->file_size, b->file_size }, { "limits: memory", a->memory, b->memory },
                { "limits: time", a->time_usec, b->time_usec },
        };

        for (size_t i = 0; i < ELEMENTSOF(limits); i++)
                if (limits[i].old != limits[i].new)
                        differs(c, limits[i].name, "the limit would change");
}

static void compare_floors(struct comparison *c) {
        _cleanup_(strbuf_done) struct strbuf a = {}, b = {};
        bool same = !c->old->floor == !c->new->floor;

        if (same && c->old->floor)
                same = plan_save(c->old->floor, &a) >= 0 && plan_save(c->new->floor, &b) >= 0 && str_equal(a.text, b.text);
        if (!same)
                differs(c, "oci: floor", "it is settled when a container starts");
}

/* Who has started the sandbox has shown the right to them; who has another plan put in force shows nothing. Elsewhere the callers have it, or not. */
static void compare_low_ports(struct comparison *c) {
        for (size_t i = 0; !setting_is_foreign(c->new->setting) && i < c->new->n_low_ports; i++) {
                char what[32];
                bool had = false;
                for (size_t j = 0; j < c->old->n_low_ports; j++)
                        had = had || c->old->low_ports[j] == c->new->low_ports[i];
                snprintf(what, sizeof(what), "network: bind: port %u", c->new->low_ports[i]);
                if (!had)
                        differs(c, what, "it is below 1024, and the policy in force doesn't have it");
        }
}

int plan_compare(const struct plan *old, const struct plan *new, struct strbuf *out) {
        const struct policy *a = old->policy, *b = new->policy;
        const struct policy_environment *x = &a->environment, *y = &b->environment;
        struct comparison c = { .old = old, .new = new, .out = out };

        if (old->setting != new->setting)
                differs(&c, "namespaces", "it was compiled for a sandbox of another kind");
        compare_view(&c);
        compare_execution(&c);
        if (a->network.mode != b->network.mode)
                differs(&c, "network: mode", "the network namespace would be another");
        compare_low_ports(&c);
        if (!same_texts(x->keep, x->n_keep, y->keep, y->n_keep) || !same_texts(x->set, x->n_set, y->set, y->n_set))
                differs(&c, "environment", "programs that run have theirs");
        compare_kernel(&c);
        compare_limits(&c);
        compare_floors(&c);
        if (!same_texts(a->devices, a->n_devices, b->devices, b->n_devices))
                differs(&c, "devices", "/dev would have others");
        if (a->subordinate_ids != b->subordinate_ids)
                differs(&c, "identity: ids", "the user namespace would be another");
        if (a->kill_on_broker_loss != b->kill_on_broker_loss)
                differs(&c, "on-broker-loss", "it is settled when a sandbox starts");
        return out->failed ? -ENOMEM : c.n;
}
