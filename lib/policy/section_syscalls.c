/*
 * The section `syscalls`. Whether the names of calls exist is checked where calls are known by name (lib/modules).
 */
#include <errno.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>

#include "load.h"
#include "str.h"

#define RULES_MAX 1024
#define NAMES_MAX 512
#define ERRNO_MAX 133

/* Names for `equals`, of the arguments that rules most often look at. */
static const struct {
        const char *name;
        uint64_t value;
} constants[] = {
        { "TIOCSTI", TIOCSTI },
        { "TIOCLINUX", TIOCLINUX },
        { "TIOCSCTTY", TIOCSCTTY },
        { "AF_UNIX", AF_UNIX },
        { "AF_INET", AF_INET },
        { "AF_INET6", AF_INET6 },
        { "AF_NETLINK", AF_NETLINK },
        { "AF_PACKET", AF_PACKET },
        { "AF_VSOCK", AF_VSOCK },
        { "AF_ALG", AF_ALG },
        { "SOCK_STREAM", SOCK_STREAM },
        { "SOCK_DGRAM", SOCK_DGRAM },
        { "SOCK_RAW", SOCK_RAW },
        { "CLONE_NEWUSER", CLONE_NEWUSER },
        { "CLONE_NEWNS", CLONE_NEWNS },
        { "CLONE_NEWNET", CLONE_NEWNET },
        { "CLONE_NEWPID", CLONE_NEWPID },
        { "PR_SET_DUMPABLE", PR_SET_DUMPABLE },
        { "PR_SET_SECCOMP", PR_SET_SECCOMP },
        { "PR_SET_NAME", PR_SET_NAME },
        { "PTRACE_TRACEME", PTRACE_TRACEME },
        { "PTRACE_ATTACH", PTRACE_ATTACH },
};

/* ---- match ---- */

static int add_name(struct loader *l, struct syscall_rule *rule, const struct yaml_node *item) {
        char *name;
        int r = value_text(l, item, "match", &name);

        if (r < 0)
                return r;
        if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_*?[]-")] != 0) {
                _cleanup_free_ char *word = str_escape(name);
                return ERROR(l, item->place, "match: expected the name of a system call, or a pattern of names, found `%.80s`",
                             word ? word : "");
        }
        if (rule->n_names == NAMES_MAX)
                return ERROR(l, item->place, "match: too many names in one rule (%u at most)", NAMES_MAX);
        char **slot = arena_push(l->arena, &rule->names, &rule->n_names, sizeof(*slot));
        if (!slot)
                return -ENOMEM;
        *slot = name;
        return 0;
}

static int read_match(struct loader *l, struct syscall_rule *rule, const struct yaml_node *node) {
        if (node->type != YAML_LIST)
                return add_name(l, rule, node);
        if (node->n == 0)
                return ERROR(l, node->place, "match: the list is empty, so that the rule matches nothing");
        for (size_t i = 0; i < node->n; i++) {
                int r = add_name(l, rule, node->items[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- args ---- */

static int read_equals(struct loader *l, const struct yaml_node *node, uint64_t *ret) {
        const char *words[ELEMENTSOF(constants)];
        char *text, hint[128];
        int r = value_text(l, node, "equals", &text);

        if (r < 0)
                return r;
        if (text[0] >= '0' && text[0] <= '9')
                return value_number(l, node, "equals", 0, UINT64_MAX, ret);
        for (size_t i = 0; i < ELEMENTSOF(constants); i++) {
                words[i] = constants[i].name;
                if (strcmp(text, constants[i].name) == 0) {
                        *ret = constants[i].value;
                        return 0;
                }
        }
        _cleanup_free_ char *word = str_escape(text);
        return ERROR(l, node->place, "equals: expected a number or the name of a constant, found `%.80s`%s", word ? word : "",
                     hint_nearest(text, words, ELEMENTSOF(constants), hint));
}

static int read_arg(struct loader *l, struct syscall_rule *rule, const struct yaml_node *node) {
        static const char *const keys[] = { "index", "equals", "mask", "bits" };
        const struct yaml_node *index = value_find(node, "index"), *equals = value_find(node, "equals");
        const struct yaml_node *mask = value_find(node, "mask"), *bits = value_find(node, "bits");
        struct syscall_arg arg = { .mask = UINT32_MAX };
        uint64_t n;
        int r = 0;

        if (node->type != YAML_MAP || !index || !equals)
                return ERROR(l, node->place, "args: expected { index: 0 to 5, equals: VALUE }, and perhaps mask: and bits: 64");
        for (size_t i = 0; i < node->n; i++) {
                bool known = false;
                for (size_t k = 0; k < ELEMENTSOF(keys); k++)
                        known |= strcmp(keys[k], node->keys[i]->text) == 0;
                if (!known) {
                        _cleanup_free_ char *word = str_escape(node->keys[i]->text);
                        return ERROR(l, node->keys[i]->place, "args has no key `%.80s`; its keys are: index, equals, mask, bits",
                                     word ? word : "");
                }
        }
        r = value_number(l, index, "index", 0, 5, &n);
        arg.index = r < 0 ? 0 : n;
        if (r >= 0 && bits) {
                r = value_number(l, bits, "bits", 32, 64, &n);
                if (r >= 0 && n != 32 && n != 64)
                        r = ERROR(l, bits->place, "bits: expected 32 or 64");
                if (r >= 0 && n == 64)
                        arg.mask = UINT64_MAX;
        }
        if (r >= 0 && mask)
                r = value_number(l, mask, "mask", 1, arg.mask, &arg.mask);
        if (r >= 0)
                r = read_equals(l, equals, &arg.value);
        if (r >= 0 && (arg.value & ~arg.mask))
                r = ERROR(l, equals->place, "equals: the value has bits that the mask leaves out, so that the rule would match nothing%s",
                          bits || mask ? "" : " (arguments are compared as 32 bits; bits: 64 compares all)");
        if (r < 0)
                return r;
        struct syscall_arg *slot = arena_push(l->arena, &rule->args, &rule->n_args, sizeof(*slot));
        if (!slot)
                return -ENOMEM;
        *slot = arg;
        return 0;
}

static int read_args(struct loader *l, struct syscall_rule *rule, const struct yaml_node *node) {
        if (node->type != YAML_LIST)
                return ERROR(l, node->place, "args: expected a list of { index: …, equals: … }");
        if (node->n > 6)
                return ERROR(l, node->place, "args: a system call has six arguments at most");
        for (size_t i = 0; i < node->n; i++) {
                int r = read_arg(l, rule, node->items[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- action ---- */

static int errno_by_name(const char *name) {
        for (int e = 1; e <= ERRNO_MAX; e++) {
                const char *known = strerrorname_np(e);
                if (known && strcmp(known, name) == 0)
                        return e;
        }
        if (strcmp(name, "EWOULDBLOCK") == 0)
                return EWOULDBLOCK;
        return strcmp(name, "ENOTSUP") == 0 ? ENOTSUP : 0;
}

static int read_action(struct loader *l, struct syscall_rule *rule, const struct yaml_node *node) {
        const char *words[ERRNO_MAX];
        char *text, hint[128];
        size_t n = 0;
        int r = value_text(l, node, "action", &text);

        if (r < 0)
                return r;
        rule->text = text;
        if (strcmp(text, "kill") == 0) {
                rule->action = ACTION_KILL;
                return 0;
        }
        if (strcmp(text, "log") == 0) {
                rule->action = ACTION_LOG;
                return 0;
        }
        _cleanup_free_ char *word = str_escape(text);
        if (!str_starts(text, "errno "))
                return ERROR(l, node->place, "action: expected `errno NAME`, `kill` or `log`, found `%.80s` (rules only tighten)",
                             word ? word : "");
        rule->action = ACTION_ERRNO;
        rule->error = errno_by_name(text + 6);
        if (rule->error > 0)
                return 0;
        for (int e = 1; e <= ERRNO_MAX; e++)
                if (strerrorname_np(e))
                        words[n++] = strerrorname_np(e);
        return ERROR(l, node->place, "action: `%.80s` names no error%s", word ? word : "", hint_nearest(text + 6, words, n, hint));
}

/* ---- rules ---- */

/* Later layers are tried first: a rule of this layer goes before those of the layers below, behind its own layer's earlier ones. */
static int insert_rule(struct loader *l, const struct syscall_rule *rule) {
        struct policy_syscalls *s = &l->policy->syscalls;

        if (s->n_rules == RULES_MAX)
                return ERROR(l, rule->place, "the policy has too many system call rules (%u at most)", RULES_MAX);
        if (!arena_push(l->arena, &s->rules, &s->n_rules, sizeof(*rule)))
                return -ENOMEM;
        struct syscall_rule *at = s->rules + s->n_rules - 1 - l->n_rules_below;
        memmove(at + 1, at, l->n_rules_below * sizeof(*at));
        *at = *rule;
        return 0;
}

static int read_rule(struct loader *l, const struct yaml_node *node) {
        const struct yaml_node *match = value_find(node, "match"), *args = value_find(node, "args"), *action = value_find(node, "action");
        struct syscall_rule rule = { .place = node->place };

        if (node->type != YAML_MAP || !match || !action)
                return ERROR(l, node->place, "a system call rule is { match: NAMES, action: ACTION }, and perhaps args: […]");
        for (size_t i = 0; i < node->n; i++) {
                const char *key = node->keys[i]->text;
                if (strcmp(key, "match") != 0 && strcmp(key, "args") != 0 && strcmp(key, "action") != 0) {
                        _cleanup_free_ char *word = str_escape(key);
                        return ERROR(l, node->keys[i]->place, "a system call rule has no key `%.80s`; its keys are: match, args, action",
                                     word ? word : "");
                }
        }
        int r = read_match(l, &rule, match), result = r;
        if (r != -ENOMEM && args && (r = read_args(l, &rule, args)) < 0)
                result = r;
        if (r != -ENOMEM && (r = read_action(l, &rule, action)) < 0)
                result = r;
        return result < 0 ? result : insert_rule(l, &rule);
}

static int read_default(struct loader *l, const struct yaml_node *node) {
        static const char *const words[] = { "allow-known", "deny" };
        size_t which;
        int r = value_word(l, node, "syscalls: default", words, ELEMENTSOF(words), &which);

        if (r >= 0)
                l->policy->syscalls.deny_unnamed = which == 1;
        return r;
}

static int read_rules(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "rules", read_rule);
}

int section_syscalls(struct loader *l, const struct yaml_node *node) {
        static const struct key keys[] = { { "default", read_default }, { "rules", read_rules } };

        l->n_rules_below = l->policy->syscalls.n_rules;
        return value_map(l, node, "syscalls", keys, ELEMENTSOF(keys));
}
