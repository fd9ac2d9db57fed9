/*
 * Writing a profile, and building it as the runtimes do.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>

#include "cleanup.h"
#include "filter_program.h"
#include "oci_profile.h"

static const char *const operators[] = {
        [SCMP_CMP_NE] = "SCMP_CMP_NE",
        [SCMP_CMP_LT] = "SCMP_CMP_LT",
        [SCMP_CMP_LE] = "SCMP_CMP_LE",
        [SCMP_CMP_EQ] = "SCMP_CMP_EQ",
        [SCMP_CMP_GE] = "SCMP_CMP_GE",
        [SCMP_CMP_GT] = "SCMP_CMP_GT",
        [SCMP_CMP_MASKED_EQ] = "SCMP_CMP_MASKED_EQ",
};

static const char *action_name(uint32_t action) {
        switch (action & SECCOMP_RET_ACTION_FULL) {
        case SECCOMP_RET_KILL_PROCESS: return "SCMP_ACT_KILL_PROCESS";
        case SECCOMP_RET_TRAP: return "SCMP_ACT_TRAP";
        case SECCOMP_RET_ERRNO: return "SCMP_ACT_ERRNO";
        case SECCOMP_RET_USER_NOTIF: return "SCMP_ACT_NOTIFY";
        case SECCOMP_RET_TRACE: return "SCMP_ACT_TRACE";
        case SECCOMP_RET_LOG: return "SCMP_ACT_LOG";
        case SECCOMP_RET_ALLOW: return "SCMP_ACT_ALLOW";
        default: return "SCMP_ACT_KILL";
        }
}

static void add_action(struct json_object *o, const char *name, const char *errno_name, uint32_t action) {
        uint32_t kind = action & SECCOMP_RET_ACTION_FULL;

        json_object_object_add(o, name, json_object_new_string(action_name(action)));
        if (kind == SECCOMP_RET_ERRNO || kind == SECCOMP_RET_TRACE)
                json_object_object_add(o, errno_name, json_object_new_int64(action & SECCOMP_RET_DATA));
}

static struct json_object *write_args(const struct oci_rule *rule) {
        struct json_object *args = json_object_new_array();

        for (size_t i = 0; i < rule->n_args; i++) {
                struct json_object *o = json_object_new_object();
                json_object_object_add(o, "index", json_object_new_int64(rule->args[i].index));
                json_object_object_add(o, "value", json_object_new_uint64(rule->args[i].value));
                json_object_object_add(o, "valueTwo", json_object_new_uint64(rule->args[i].value_two));
                json_object_object_add(o, "op", json_object_new_string(operators[rule->args[i].op]));
                json_object_array_add(args, o);
        }
        return args;
}

/* Rules without arguments and with the same action share an entry. */
static struct json_object *write_rules(const struct oci_profile *p) {
        struct json_object *list = json_object_new_array();
        _cleanup_free_ bool *done = calloc(p->n + 1, sizeof(*done));

        for (size_t i = 0; done && i < p->n; i++) {
                struct json_object *entry, *names;
                if (done[i])
                        continue;
                entry = json_object_new_object();
                names = json_object_new_array();
                for (size_t j = i; j < p->n; j++) {
                        const struct oci_rule *rule = p->rules + j;
                        if (j > i && (rule->n_args > 0 || p->rules[i].n_args > 0 || rule->action != p->rules[i].action))
                                continue;
                        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, rule->nr);
                        json_object_array_add(names, json_object_new_string(name ? name : ""));
                        free(name);
                        done[j] = true;
                }
                json_object_object_add(entry, "names", names);
                add_action(entry, "action", "errnoRet", p->rules[i].action);
                if (p->rules[i].n_args > 0)
                        json_object_object_add(entry, "args", write_args(p->rules + i));
                json_object_array_add(list, entry);
        }
        return list;
}

/* The flags of the other profile, and ours. */
static struct json_object *write_flags(bool wait_killable, struct json_object *theirs) {
        struct json_object *flags = json_object_new_array(), *old = NULL;

        if (theirs && json_object_object_get_ex(theirs, "flags", &old) && json_object_is_type(old, json_type_array))
                for (size_t i = 0; i < json_object_array_length(old); i++)
                        json_object_array_add(flags, json_object_get(json_object_array_get_idx(old, i)));
        if (wait_killable)
                json_object_array_add(flags, json_object_new_string("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"));
        return flags;
}

struct json_object *oci_profile_write(const struct oci_profile *p, bool wait_killable, struct json_object *theirs) {
        struct json_object *o = json_object_new_object(), *architectures = json_object_new_array();
        struct json_object *flags = write_flags(wait_killable, theirs);

        if (!o)
                return NULL;
        add_action(o, "defaultAction", "defaultErrnoRet", p->default_action);
        json_object_array_add(architectures, json_object_new_string("SCMP_ARCH_X86_64"));
        json_object_object_add(o, "architectures", architectures);
        if (json_object_array_length(flags) > 0)
                json_object_object_add(o, "flags", flags);
        else
                json_object_put(flags);
        json_object_object_add(o, "syscalls", write_rules(p));
        return o;
}

void oci_profile_listen(struct json_object *profile, const char *path, const char *metadata) {
        json_object_object_add(profile, "listenerPath", json_object_new_string(path));
        json_object_object_add(profile, "listenerMetadata", json_object_new_string(metadata));
}

static void release_context(scmp_filter_ctx *context) {
        if (*context)
                seccomp_release(*context);
}

static uint32_t library_action(uint32_t action) {
        uint32_t data = action & SECCOMP_RET_DATA;

        switch (action & SECCOMP_RET_ACTION_FULL) {
        case SECCOMP_RET_KILL_PROCESS: return SCMP_ACT_KILL_PROCESS;
        case SECCOMP_RET_TRAP: return SCMP_ACT_TRAP;
        case SECCOMP_RET_ERRNO: return SCMP_ACT_ERRNO(data);
        case SECCOMP_RET_USER_NOTIF: return SCMP_ACT_NOTIFY;
        case SECCOMP_RET_TRACE: return SCMP_ACT_TRACE(data);
        case SECCOMP_RET_LOG: return SCMP_ACT_LOG;
        case SECCOMP_RET_ALLOW: return SCMP_ACT_ALLOW;
        default: return SCMP_ACT_KILL_THREAD;
        }
}

void oci_profile_maker(char ret[OCI_MAKER]) {
        const struct scmp_version *library = seccomp_version();

        snprintf(ret, OCI_MAKER, "%u.%u.%u", library->major, library->minor, library->micro);
}

int oci_profile_build(const struct oci_profile *p, struct sock_fprog *ret) {
        _cleanup_(release_context) scmp_filter_ctx context = seccomp_init(library_action(p->default_action));

        if (!context)
                return -ENOMEM;
        for (size_t i = 0; i < p->n; i++) {
                const struct oci_rule *rule = p->rules + i;
                struct scmp_arg_cmp args[ELEMENTSOF(rule->args)];
                /* The runtimes leave these out; the library refuses them. */
                if (rule->action == p->default_action)
                        continue;
                for (size_t j = 0; j < rule->n_args; j++)
                        args[j] = (struct scmp_arg_cmp) { rule->args[j].index, rule->args[j].op, rule->args[j].value,
                                                          rule->args[j].value_two };
                int r = seccomp_rule_add_array(context, library_action(rule->action), rule->nr, rule->n_args, args);
                if (r < 0 && r != -EEXIST)
                        return r;
        }
        return filter_export(context, ret);
}
