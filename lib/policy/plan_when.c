/*
 * Rules that depend on the program: each has an identity, found at the start, and what it takes away from callers that run that program.
 */
#include <errno.h>
#include <sys/stat.h>

#include "str.h"
#include "tree.h"

/* Which program is meant: where its path leads to, as the sandbox sees it. */
static int find_program(struct compiler *c, const struct policy_when *when, struct plan_condition *ret) {
        _cleanup_free_ char *path = shown(when->exe);
        const struct tree_node *node = tree_resolve(c, when->exe, true, NULL, NULL);
        struct stat st;

        if (!node && c->no_memory)
                return -ENOMEM;
        if (!node)
                return PLAN_ERROR(c, when->place, "%s can't be resolved: too many symbolic links", path);
        if (!node->host || node->type == HOST_ABSENT || stat(node->host, &st) < 0)
                return PLAN_ERROR(c, when->place, "%s can't be told from other programs: %s", path,
                                  node->error ? strerror(node->error) : "it doesn't exist");
        if (!S_ISREG(st.st_mode))
                return PLAN_ERROR(c, when->place, "%s is no program: it is no regular file", path);
        *ret = (struct plan_condition) { .dev = st.st_dev, .ino = st.st_ino };
        return 0;
}

int whens_place(struct compiler *c) {
        const struct policy *policy = c->policy;
        int result = 0;

        if (policy->n_whens == 0)
                return 0;
        c->plan->conditions = arena_alloc(c->arena, policy->n_whens * sizeof(*c->plan->conditions));
        c->matcher->whens = arena_alloc(c->arena, policy->n_whens * sizeof(*c->matcher->whens));
        if (!c->plan->conditions || !c->matcher->whens)
                return -ENOMEM;
        c->plan->n_conditions = policy->n_whens;
        for (size_t i = 0; i < policy->n_whens; i++) {
                const struct policy_when *when = policy->whens + i;
                int r = find_program(c, when, c->plan->conditions + i);
                for (size_t k = 0; r >= 0 && k < when->n_rules; k++)
                        r = glob_place(c, c->matcher->whens + i, when->rules + k);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

/* A file that shows through a layer has another identity than the host's, and what stands in for one too. */
int whens_check(struct compiler *c) {
        int result = 0;

        for (size_t i = 0; i < c->policy->n_whens; i++) {
                const struct policy_when *when = c->policy->whens + i;
                const struct tree_node *node = tree_resolve(c, when->exe, true, NULL, NULL);
                if (!node)
                        return -ENOMEM;
                size_t k = view_shown_by(c->plan, c->plan->n_nodes, node->path);
                if (k == SIZE_MAX || c->plan->nodes[k].kind == NODE_BIND)
                        continue;
                _cleanup_free_ char *path = shown(when->exe), *at = shown(c->plan->nodes[k].path);
                result = PLAN_ERROR(c, when->place, "%s can't be told from other programs inside: %s isn't the host's own there", path, at);
        }
        return result;
}
