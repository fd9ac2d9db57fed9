/*
 * The section `rules`: what depends on the program that a caller runs.
 */
#include <errno.h>

#include "load.h"

/* The item that is being read. */
static struct policy_when *current(struct loader *l) {
        return l->policy->whens + l->policy->n_whens - 1;
}

static int add_refusal(struct loader *l, const struct yaml_node *item, enum file_kind kind) {
        struct policy_when *when = current(l);
        struct file_rule rule = { .place = item->place, .kind = kind };
        int r = value_pattern(l, item, &rule.pattern, &rule.path);

        if (r < 0)
                return r;
        struct file_rule *slot = arena_push(l->arena, &when->rules, &when->n_rules, sizeof(*slot));
        if (!slot)
                return -ENOMEM;
        *slot = rule;
        return 0;
}

static int hide_rule(struct loader *l, const struct yaml_node *item) {
        return add_refusal(l, item, FILE_HIDE);
}

static int deny_rule(struct loader *l, const struct yaml_node *item) {
        return add_refusal(l, item, FILE_DENY);
}

static int hide_list(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "hide", hide_rule);
}

static int deny_list(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "deny", deny_rule);
}

/* Whoever controls a program's environment or traces it controls the program, so that what it may do must not be more than others may. */
static int refuse_grant(struct loader *l, const struct yaml_node *node) {
        return ERROR(l, node->place,
                     "`when` only takes away: `hide` and `deny` can stand here, and what all programs get stands in `files`");
}

static int read_files(struct loader *l, const struct yaml_node *node) {
        static const struct key keys[] = {
                { "hide", hide_list },       { "deny", deny_list },       { "read", refuse_grant },    { "append", refuse_grant },
                { "write", refuse_grant },   { "exec", refuse_grant },    { "default", refuse_grant }, { "private", refuse_grant },
                { "overlay", refuse_grant }, { "replace", refuse_grant }, { "binds", refuse_grant },   { "enforce", refuse_grant },
        };

        return value_map(l, node, "files", keys, ELEMENTSOF(keys));
}

static int read_exe(struct loader *l, const struct yaml_node *node) {
        char *pattern, *path;
        int r = value_pattern(l, node, &pattern, &path);

        if (r < 0)
                return r;
        if (!path)
                return ERROR(l, node->place, "exe takes a literal path only: the program is known by its device and inode at the start");
        current(l)->exe = path;
        current(l)->pattern = pattern;
        current(l)->place = node->place;
        return 0;
}

static int read_when(struct loader *l, const struct yaml_node *node) {
        static const struct key keys[] = { { "exe", read_exe } };

        return value_map(l, node, "when", keys, ELEMENTSOF(keys));
}

static int read_rule(struct loader *l, const struct yaml_node *item) {
        static const char elsewhere[] = "a rule that depends on the program is about `files` only";
        static const struct key keys[] = {
                { "when", read_when },
                { "files", read_files },
                { "network", NULL, elsewhere },
                { "syscalls", NULL, elsewhere },
                { "environment", NULL, elsewhere },
                { "limits", NULL, elsewhere },
        };

        if (l->policy->n_whens == CONDITIONS_MAX)
                return ERROR(l, item->place, "the policy has too many rules with `when` (%u at most)", CONDITIONS_MAX);
        if (!arena_push(l->arena, &l->policy->whens, &l->policy->n_whens, sizeof(*l->policy->whens)))
                return -ENOMEM;
        int r = value_map(l, item, "a rule", keys, ELEMENTSOF(keys));
        if (r >= 0 && (!current(l)->exe || !value_find(item, "files")))
                return ERROR(l, item->place, "rules: expected { when: { exe: PATH }, files: { hide: [PATH], deny: [PATH] } }");
        return r;
}

int section_rules(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "rules", read_rule);
}
