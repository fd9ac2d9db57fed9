/*
 * Reading a profile, strictly: what isn't understood might be what makes it strict.
 */
#include <ctype.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>

#include "cleanup.h"
#include "json_member.h"
#include "oci_profile.h"
#include "str.h"

#define WRONG(why, ...) \
        ({ \
                if (asprintf(why, __VA_ARGS__) < 0) \
                        *(why) = NULL; \
                -EINVAL; \
        })

static const struct {
        const char *name;
        uint32_t action;
} actions[] = {
        { "SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW },       { "SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO },
        { "SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD },  { "SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD },
        { "SCMP_ACT_LOG", SECCOMP_RET_LOG },           { "SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS },
        { "SCMP_ACT_TRACE", SECCOMP_RET_TRACE },       { "SCMP_ACT_TRAP", SECCOMP_RET_TRAP },
        { "SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF },
};

static const struct {
        const char *name;
        int op;
} operators[] = {
        { "SCMP_CMP_NE", SCMP_CMP_NE },
        { "SCMP_CMP_LT", SCMP_CMP_LT },
        { "SCMP_CMP_LE", SCMP_CMP_LE },
        { "SCMP_CMP_EQ", SCMP_CMP_EQ },
        { "SCMP_CMP_GE", SCMP_CMP_GE },
        { "SCMP_CMP_GT", SCMP_CMP_GT },
        { "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
};

int oci_profile_add(struct oci_profile *p, const struct oci_rule *rule) {
        if (p->n == p->room) {
                size_t room = p->room ? 2 * p->room : 512;
                struct oci_rule *bigger = reallocarray(p->rules, room, sizeof(*bigger));
                if (!bigger)
                        return -ENOMEM;
                p->rules = bigger;
                p->room = room;
        }
        p->rules[p->n++] = *rule;
        return 0;
}

void oci_profile_done(struct oci_profile *p) {
        free(p->rules);
        *p = (struct oci_profile) {};
}

/* Missing and null are the same to the runtimes; a value of another type is no value. */
static bool is_missing(struct json_object *o, const char *name) {
        struct json_object *value;

        return !json_object_object_get_ex(o, name, &value) || !value;
}

static int read_number(struct json_object *o, const char *name, uint64_t max, uint64_t *ret, char **why) {
        struct json_object *value = json_member(o, name, json_type_int);

        if (is_missing(o, name)) {
                *ret = 0;
                return 0;
        }
        if (!value || (json_object_get_int64(value) < 0) || json_object_get_uint64(value) > max)
                return WRONG(why, "`%s` is no number up to %llu", name, (unsigned long long) max);
        *ret = json_object_get_uint64(value);
        return 0;
}

static int read_action(struct json_object *o, const char *name, const char *errno_name, uint32_t *ret, char **why) {
        struct json_object *value = json_member(o, name, json_type_string);
        uint64_t error;

        for (size_t i = 0; value && i < ELEMENTSOF(actions); i++) {
                if (!str_equal(json_object_get_string(value), actions[i].name))
                        continue;
                *ret = actions[i].action;
                if (*ret != SECCOMP_RET_ERRNO && *ret != SECCOMP_RET_TRACE)
                        return 0;
                int r = read_number(o, errno_name, UINT16_MAX, &error, why);
                if (r < 0)
                        return r;
                /* As the kernel answers where nobody traces. The broker's answers come before a tracer's, which the profile wants to refuse. */
                if (*ret == SECCOMP_RET_TRACE)
                        *ret = SECCOMP_RET_ERRNO | ENOSYS;
                else
                        *ret |= is_missing(o, errno_name) ? EPERM : error;
                return 0;
        }
        return WRONG(why, "`%s` is no action", name);
}

static int read_arg(struct json_object *o, struct oci_arg *ret, char **why) {
        struct json_object *op = json_member(o, "op", json_type_string);
        uint64_t index;
        int r;

        ret->op = 0;
        for (size_t i = 0; op && i < ELEMENTSOF(operators); i++)
                if (str_equal(json_object_get_string(op), operators[i].name))
                        ret->op = operators[i].op;
        if (ret->op == 0)
                return WRONG(why, "an argument's `op` is no comparison");
        if ((r = read_number(o, "index", 5, &index, why)) < 0 || (r = read_number(o, "value", UINT64_MAX, &ret->value, why)) < 0 ||
            (r = read_number(o, "valueTwo", UINT64_MAX, &ret->value_two, why)) < 0)
                return r;
        ret->index = index;
        if (ret->op == SCMP_CMP_MASKED_EQ && (ret->value_two & ~ret->value))
                return WRONG(why, "an argument's `valueTwo` has bits outside of its mask `value`");
        return 0;
}

/* Sets `*ret_any` where one argument is compared twice. */
static int read_args(struct json_object *o, struct oci_rule *ret, bool *ret_any, char **why) {
        struct json_object *args = json_member(o, "args", json_type_array);
        unsigned seen = 0;

        ret->n_args = 0;
        *ret_any = false;
        if (is_missing(o, "args"))
                return 0;
        if (!args || json_object_array_length(args) > ELEMENTSOF(ret->args))
                return WRONG(why, "`args` is no list of at most 6");
        for (size_t i = 0; i < json_object_array_length(args); i++) {
                int r = read_arg(json_object_array_get_idx(args, i), ret->args + i, why);
                if (r < 0)
                        return r;
                *ret_any |= seen & (1U << ret->args[i].index);
                seen |= 1U << ret->args[i].index;
                ret->n_args++;
        }
        return 0;
}

static int add_rule(struct oci_profile *p, const struct oci_rule *rule, bool any) {
        int r = 0;

        if (!any)
                return oci_profile_add(p, rule);
        for (size_t i = 0; r >= 0 && i < rule->n_args; i++) {
                struct oci_rule one = { .nr = rule->nr, .action = rule->action, .n_args = 1, .args = { rule->args[i] } };
                r = oci_profile_add(p, &one);
        }
        return r;
}

static int read_entry(struct json_object *o, struct oci_profile *p, char **why) {
        struct json_object *names = json_member(o, "names", json_type_array);
        struct oci_rule rule;
        bool any;
        int r;

        if (!names)
                return WRONG(why, "an entry of `syscalls` has no list `names`");
        r = read_action(o, "action", "errnoRet", &rule.action, why);
        if (r < 0)
                return r;
        if (rule.action == SECCOMP_RET_USER_NOTIF)
                return WRONG(why, "it has an agent of its own (SCMP_ACT_NOTIFY), and a container can have one only");
        r = read_args(o, &rule, &any, why);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(names); i++) {
                struct json_object *name = json_object_array_get_idx(names, i);
                if (!json_object_is_type(name, json_type_string))
                        return WRONG(why, "`names` holds something else than names");
                rule.nr = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, json_object_get_string(name));
                /* Negative: none on this architecture. */
                if (rule.nr >= 0)
                        r = add_rule(p, &rule, any);
        }
        return r;
}

/* The container runs as one architecture, whatever others the profile names, and foreign ones are killed. But a name that nobody knows is a mistake, and the runtimes
 * don't start with it. */
static int check_architectures(struct json_object *json, char **why) {
        static const char prefix[] = "SCMP_ARCH_";
        struct json_object *list = json_member(json, "architectures", json_type_array);

        if (!list && !is_missing(json, "architectures"))
                return WRONG(why, "`architectures` is no list");
        for (size_t i = 0; list && i < json_object_array_length(list); i++) {
                struct json_object *value = json_object_array_get_idx(list, i);
                const char *name = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
                char lower[32];
                size_t n = 0;
                if (!name)
                        return WRONG(why, "`architectures` holds something else than names");
                for (const char *p = str_starts(name, prefix) ? name + strlen(prefix) : name; *p && n < sizeof(lower) - 1; p++)
                        lower[n++] = tolower((unsigned char) *p);
                lower[n] = 0;
                if (seccomp_arch_resolve_name(lower) == 0) {
                        _cleanup_free_ char *shown = str_escape(name);
                        return WRONG(why, "`architectures`: '%.100s' is no architecture that libseccomp knows", shown ?: "?");
                }
        }
        return 0;
}

int oci_profile_read(struct json_object *json, struct oci_profile *ret, char **ret_why) {
        _cleanup_(oci_profile_done) struct oci_profile p = {};
        struct json_object *syscalls;
        int r;

        *ret_why = NULL;
        if (!json_object_is_type(json, json_type_object))
                return WRONG(ret_why, "it is no object");
        r = read_action(json, "defaultAction", "defaultErrnoRet", &p.default_action, ret_why);
        if (r < 0)
                return r;
        if (p.default_action == SECCOMP_RET_USER_NOTIF || !is_missing(json, "listenerPath"))
                return WRONG(ret_why, "it has an agent of its own (listenerPath), and a container can have one only");
        r = check_architectures(json, ret_why);
        if (r < 0)
                return r;
        syscalls = json_member(json, "syscalls", json_type_array);
        if (!syscalls && !is_missing(json, "syscalls"))
                return WRONG(ret_why, "`syscalls` is no list");
        for (size_t i = 0; syscalls && r >= 0 && i < json_object_array_length(syscalls); i++)
                r = read_entry(json_object_array_get_idx(syscalls, i), &p, ret_why);
        if (r < 0)
                return r;
        *ret = p;
        p = (struct oci_profile) {};
        return 0;
}
