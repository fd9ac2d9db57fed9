/*
 * A plan as a text: the policy, and what compiling it on this host came to, field by field. What is loaded again was compiled by nobody, so that no
 * host can be asked: one that the sandbox has changed since would give another answer.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"
#include "plan.h"
#include "record.h"
#include "str.h"
#include "tree.h"

#define SAVED_WORD "sandboxd plan"
#define SAVED_VERSION 1
#define SAVED_NESTING 16   /* of the text's arrays */
#define TREE_DEPTH_MAX 256 /* of paths: the worker walks the tree by recursion, on small stacks */
#define SAVED_ENTRIES_MAX 65536
enum { PART_POLICY = 2, PART_PLAN, PART_MATCHER, PARTS, PARTS_WITH_FLOOR = PARTS + PARTS - PART_POLICY };

/* ---- What a policy is made of ---- */

RECORD(place_record, "a place", place, TEXT(place, file), ANY_NUMBER(place, line), ANY_NUMBER(place, column));

/* `path` is the pattern's, where that is literal, and the size of a content its length. */
RECORD(file_rule_record, "a file rule", file_rule, RECORD_INSIDE(file_rule, place, place_record), TEXT(file_rule, pattern),
       NUMBER(file_rule, kind, FILE_BIND), OPTIONAL_TEXT(file_rule, from), OPTIONAL_TEXT(file_rule, content), FLAG(file_rule, write),
       ANY_NUMBER(file_rule, size));

RECORD(files_record, "files", policy_files, NUMBER(policy_files, unnamed, FILES_READ), FLAG(policy_files, enforce_broker),
       RECORDS(policy_files, rules, file_rule_record, SAVED_ENTRIES_MAX));

RECORD(when_record, "when", policy_when, RECORD_INSIDE(policy_when, place, place_record), TEXT(policy_when, pattern),
       RECORDS(policy_when, rules, file_rule_record, SAVED_ENTRIES_MAX));

RECORD(port_range_record, "ports", port_range, ANY_NUMBER(port_range, first), ANY_NUMBER(port_range, last));

RECORD(net_rule_record, "a network rule", net_rule, RECORD_INSIDE(net_rule, place, place_record), TEXT(net_rule, text),
       NUMBER(net_rule, kind, NET_UNIX), NUMBER(net_rule, family, AF_INET6), ANY_NUMBER(net_rule, address.s6_addr32[0]),
       ANY_NUMBER(net_rule, address.s6_addr32[1]), ANY_NUMBER(net_rule, address.s6_addr32[2]), ANY_NUMBER(net_rule, address.s6_addr32[3]),
       NUMBER(net_rule, prefix, 128), RECORDS(net_rule, ports, port_range_record, SAVED_ENTRIES_MAX), OPTIONAL_TEXT(net_rule, path),
       FLAG(net_rule, abstract));

RECORD(net_rules_record, "network rules", net_rules, RECORDS_AT(net_rules, rules, n, net_rule_record, SAVED_ENTRIES_MAX));

RECORD(network_record, "network", policy_network, NUMBER(policy_network, mode, NETWORK_HOST),
       RECORD_INSIDE(policy_network, connect, net_rules_record), RECORD_INSIDE(policy_network, bind, net_rules_record),
       RECORD_INSIDE(policy_network, deny, net_rules_record));

RECORD(environment_record, "environment", policy_environment, TEXTS(policy_environment, keep), TEXTS(policy_environment, set));

RECORD(kernel_record, "kernel", policy_kernel, OPTIONAL_TEXT(policy_kernel, sysname), OPTIONAL_TEXT(policy_kernel, release),
       OPTIONAL_TEXT(policy_kernel, version), OPTIONAL_TEXT(policy_kernel, machine), OPTIONAL_TEXT(policy_kernel, hostname),
       ANY_NUMBER(policy_kernel, cpus), ANY_NUMBER(policy_kernel, memory));

RECORD(limits_record, "limits", policy_limits, ANY_NUMBER(policy_limits, processes), ANY_NUMBER(policy_limits, open_files),
       ANY_NUMBER(policy_limits, file_size), ANY_NUMBER(policy_limits, memory), ANY_NUMBER(policy_limits, time_usec));

RECORD(syscall_arg_record, "an argument of a call", syscall_arg, NUMBER(syscall_arg, index, 5), ANY_NUMBER(syscall_arg, value),
       ANY_NUMBER(syscall_arg, mask));

RECORD(syscall_rule_record, "a syscall rule", syscall_rule, RECORD_INSIDE(syscall_rule, place, place_record), TEXT(syscall_rule, text),
       TEXTS(syscall_rule, names), NUMBER(syscall_rule, action, ACTION_LOG), NUMBER(syscall_rule, error, 4095),
       RECORDS(syscall_rule, args, syscall_arg_record, 64));

RECORD(syscalls_record, "syscalls", policy_syscalls, FLAG(policy_syscalls, deny_unnamed),
       RECORDS(policy_syscalls, rules, syscall_rule_record, SAVED_ENTRIES_MAX));

RECORD(policy_record, "a policy", policy, TEXT(policy, name), OPTIONAL_TEXT(policy, description),
       RECORD_INSIDE(policy, files, files_record), RECORDS(policy, whens, when_record, CONDITIONS_MAX),
       RECORD_INSIDE(policy, network, network_record), RECORD_INSIDE(policy, environment, environment_record),
       RECORD_INSIDE(policy, kernel, kernel_record), RECORD_INSIDE(policy, limits, limits_record),
       RECORD_INSIDE(policy, syscalls, syscalls_record), TEXTS(policy, devices), FLAG(policy, subordinate_ids),
       NUMBER(policy, audit, AUDIT_NONE), FLAG(policy, kill_on_broker_loss), TEXTS(policy, sources));

/* ---- What a plan is made of ---- */

#define RIGHTS_ALL (RIGHT_READ | RIGHT_APPEND | RIGHT_WRITE | RIGHT_EXEC)

RECORD(node_record, "an object of the view", node, TEXT(node, path), NUMBER(node, kind, NODE_OVERLAY), NUMBER(node, rights, RIGHTS_ALL),
       OPTIONAL_RULE(node, rule), FLAG(node, directory), OPTIONAL_TEXT(node, source), FLAG(node, stays_out), ANY_NUMBER(node, size),
       OPTIONAL_TEXT(node, text));

RECORD(condition_record, "a condition", plan_condition, ANY_NUMBER(plan_condition, dev), ANY_NUMBER(plan_condition, ino));

struct low_port {
        uint16_t port;
};

RECORD(low_port_record, "a low port", low_port, ANY_NUMBER(low_port, port));

RECORD(plan_record, "a plan", plan, OPTIONAL_TEXT(plan, root), FLAG(plan, files_brokered), OPTIONAL_TEXT(plan, brokered_why),
       OPTIONAL_TEXT(plan, brokered_at.file), ANY_NUMBER(plan, brokered_at.line), ANY_NUMBER(plan, brokered_at.column),
       RECORDS(plan, conditions, condition_record, CONDITIONS_MAX), RECORDS(plan, low_ports, low_port_record, 1024),
       RECORDS(plan, nodes, node_record, SAVED_ENTRIES_MAX), NUMBER(plan, setting, PLAN_CONTAINER), FLAG(plan, starting));

/* A node of the tree, in a list in which each comes after its parent and the siblings before it. */
struct saved_node {
        struct tree_node node;
        uint32_t parent; /* its index; the root is the first */
        size_t depth;
};

RECORD(saved_node_record, "a node", saved_node, TEXT(saved_node, node.name), ANY_NUMBER(saved_node, parent),
       NUMBER(saved_node, node.rights, RIGHTS_ALL), OPTIONAL_RULE(saved_node, node.grant), FLAG(saved_node, node.visible_below),
       FLAG(saved_node, node.reopens), NUMBER(saved_node, node.content, CONTENT_DEVICE), OPTIONAL_RULE(saved_node, node.content_rule),
       OPTIONAL_RULE(saved_node, node.hide), OPTIONAL_RULE(saved_node, node.deny), FLAG(saved_node, node.stays_out),
       FLAG(saved_node, node.protected), FLAG(saved_node, node.link_shown), OPTIONAL_RULE(saved_node, node.link),
       OPTIONAL_RULE(saved_node, node.layer));

RECORD(glob_rule_record, "a pattern", glob_rule, TEXT(glob_rule, pattern), RULE(glob_rule, rule), ANY_NUMBER(glob_rule, rank.prefix),
       ANY_NUMBER(glob_rule, rank.wildcards), ANY_NUMBER(glob_rule, rank.length), NUMBER(glob_rule, rights, RIGHTS_ALL),
       FLAG(glob_rule, by_link));

RECORD(glob_list_record, "patterns", glob_list, RECORDS_AT(glob_list, list, n, glob_rule_record, SAVED_ENTRIES_MAX));

struct saved_matcher {
        struct saved_node *nodes;
        size_t n_nodes;
        struct glob_list globs, *whens;
        size_t n_whens;
};

RECORD(saved_matcher_record, "a matcher", saved_matcher, RECORDS(saved_matcher, nodes, saved_node_record, SAVED_ENTRIES_MAX),
       RECORD_INSIDE(saved_matcher, globs, glob_list_record), RECORDS(saved_matcher, whens, glob_list_record, CONDITIONS_MAX));

/* ---- Saving ---- */

static int list_nodes(const struct tree_node *node, uint32_t parent, struct arena *arena, struct saved_matcher *ret) {
        struct saved_node *saved = arena_push(arena, &ret->nodes, &ret->n_nodes, sizeof(*saved));
        uint32_t here = ret->n_nodes - 1;

        if (!saved)
                return -ENOMEM;
        *saved = (struct saved_node) { .node = *node, .parent = parent };
        for (size_t i = 0; i < node->n_children; i++) {
                int r = list_nodes(node->children[i], here, arena, ret);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The view is made when a plan is saved, and nobody needs the contents of its files again. */
static int without_contents(struct arena *arena, struct plan *plan) {
        struct node *nodes = arena_alloc(arena, plan->n_nodes * sizeof(*nodes));

        if (!nodes)
                return -ENOMEM;
        for (size_t i = 0; i < plan->n_nodes; i++) {
                nodes[i] = plan->nodes[i];
                if (nodes[i].kind == NODE_FILE)
                        nodes[i].text = NULL;
        }
        plan->nodes = nodes;
        return 0;
}

/* Better refused now than lost with the first worker. */
static int check_loads(const char *text, size_t size) {
        _cleanup_(policy_freep) struct policy *policy = NULL;
        _cleanup_(plan_freep) struct plan *plan = NULL;
        _cleanup_(policy_report_done) struct policy_report report = {};
        int r = plan_load_saved(text, size, &policy, &plan, &report);

        /* Of a text that we wrote, only the bounds can be wrong. */
        return r == -EINVAL ? -E2BIG : r;
}

/* The three parts of a plan. */
static int put_plan(const struct plan *plan, struct strbuf *out) {
        const struct matcher *matcher = plan->matcher;
        struct saved_matcher saved = { .globs = matcher->globs, .whens = matcher->whens, .n_whens = plan->n_conditions };
        _cleanup_(arena_done) struct arena arena = {};
        struct plan copy = *plan;

        int r = list_nodes(matcher->root, 0, &arena, &saved);
        if (r >= 0)
                r = without_contents(&arena, &copy);
        if (r < 0)
                return r;
        strbuf_puts(out, ",");
        record_put(out, &policy_record, plan->policy, plan->policy);
        strbuf_puts(out, ",");
        record_put(out, &plan_record, &copy, plan->policy);
        strbuf_puts(out, ",");
        record_put(out, &saved_matcher_record, &saved, plan->policy);
        return 0;
}

int plan_save(const struct plan *plan, struct strbuf *out) {
        size_t before = out->length;

        strbuf_printf(out, "[\"%s\",%d", SAVED_WORD, SAVED_VERSION);
        int r = put_plan(plan, out);
        /* Who doesn't know of floors doesn't take a text that has one. */
        if (r >= 0 && plan->floor)
                r = put_plan(plan->floor, out);
        if (r < 0)
                return r;
        strbuf_puts(out, "]");
        return out->failed ? -ENOMEM : check_loads(out->text + before, out->length - before);
}

/* ---- Loading ---- */

static int derive_path(const struct record_reader *reader, const char *pattern, char **ret) {
        if (pattern[0] != '/' || !glob_valid(pattern))
                return record_damaged(reader, "a path", "it is no pattern");
        if (!glob_literal(pattern))
                return 0;
        *ret = glob_unescape(reader->arena, pattern);
        return *ret ? 0 : -ENOMEM;
}

static int finish_file_rules(const struct record_reader *reader, struct file_rule *rules, size_t n) {
        for (size_t i = 0; i < n; i++) {
                if ((rules[i].kind == FILE_BIND || (rules[i].kind == FILE_REPLACE && !rules[i].content)) && !rules[i].from)
                        return record_damaged(reader, file_rule_record.what, "what it shows is missing");
                rules[i].content_size = rules[i].content ? strlen(rules[i].content) : 0;
                int r = derive_path(reader, rules[i].pattern, &rules[i].path);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int finish_whens(const struct record_reader *reader, struct policy *policy) {
        for (size_t i = 0; i < policy->n_whens; i++) {
                struct policy_when *when = policy->whens + i;
                int r = derive_path(reader, when->pattern, &when->exe);
                if (r >= 0 && !when->exe)
                        r = record_damaged(reader, when_record.what, "a program can't be a pattern");
                if (r >= 0)
                        r = finish_file_rules(reader, when->rules, when->n_rules);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_net_rules(const struct record_reader *reader, const struct net_rules *rules) {
        for (size_t i = 0; i < rules->n; i++) {
                const struct net_rule *rule = rules->rules + i;
                if (rule->kind == NET_UNIX && !rule->path)
                        return record_damaged(reader, net_rule_record.what, "the path is missing");
                if (rule->prefix > (rule->family == AF_INET ? 32 : 128))
                        return record_damaged(reader, net_rule_record.what, "the prefix is too long");
        }
        return 0;
}

static int read_policy(const struct record_reader *reader, struct json_object *value, struct policy *policy) {
        int r = record_get(reader, value, &policy_record, policy);

        if (r >= 0)
                r = finish_file_rules(reader, policy->files.rules, policy->files.n_rules);
        if (r >= 0)
                r = finish_whens(reader, policy);
        if (r >= 0)
                r = check_net_rules(reader, &policy->network.connect);
        if (r >= 0)
                r = check_net_rules(reader, &policy->network.bind);
        if (r >= 0)
                r = check_net_rules(reader, &policy->network.deny);
        for (size_t i = 0; r >= 0 && i < policy->environment.n_set; i++)
                if (!strchr(policy->environment.set[i], '='))
                        r = record_damaged(reader, environment_record.what, "a variable has no value");
        return r;
}

static int read_plan(const struct record_reader *reader, struct json_object *value, struct plan *plan) {
        int r = record_get(reader, value, &plan_record, plan);

        for (size_t i = 0; r >= 0 && i < plan->n_nodes; i++) {
                struct node *node = plan->nodes + i;
                bool has_source = node->kind == NODE_BIND || node->kind == NODE_OVERLAY;
                if ((has_source && !node->source) || (node->kind == NODE_LINK && !node->text))
                        r = record_damaged(reader, node_record.what, "what it shows is missing");
                node->text_size = node->text ? strlen(node->text) : 0;
        }
        return r;
}

/* The order in which tree_child looks for names. */
static bool name_before(const struct tree_node *a, const struct tree_node *b) {
        int order = memcmp(a->name, b->name, a->name_length < b->name_length ? a->name_length : b->name_length);

        return order < 0 || (order == 0 && a->name_length < b->name_length);
}

static int link_node(const struct record_reader *reader, struct saved_node *list, size_t i) {
        struct tree_node *node = &list[i].node;

        node->name_length = strlen(node->name);
        if (node->content == CONTENT_BIND && !node->content_rule)
                return record_damaged(reader, saved_node_record.what, "its rule is missing");
        if (i == 0)
                return 0;
        if (list[i].parent >= i)
                return record_damaged(reader, saved_node_record.what, "its parent is missing");
        struct tree_node *parent = &list[list[i].parent].node;
        list[i].depth = list[list[i].parent].depth + 1;
        if (list[i].depth > TREE_DEPTH_MAX)
                return record_damaged(reader, saved_node_record.what, "it lies too deep");
        if (node->name_length == 0 || strchr(node->name, '/') ||
            (parent->n_children > 0 && !name_before(parent->children[parent->n_children - 1], node)))
                return record_damaged(reader, saved_node_record.what, "its name is out of order");
        node->parent = parent;
        struct tree_node **slot = arena_push(reader->arena, &parent->children, &parent->n_children, sizeof(*slot));
        if (!slot)
                return -ENOMEM;
        *slot = node;
        return 0;
}

static int finish_globs(const struct record_reader *reader, struct glob_list *globs) {
        for (size_t i = 0; i < globs->n; i++) {
                struct glob_rule *glob = globs->list + i;
                if (glob->pattern[0] != '/' || !glob_valid(glob->pattern))
                        return record_damaged(reader, glob_rule_record.what, "it is none");
                glob->glob = glob_new(reader->arena, glob->pattern);
                if (!glob->glob)
                        return -ENOMEM;
        }
        return 0;
}

static int read_matcher(const struct record_reader *reader, struct json_object *value, const struct plan *plan, struct matcher *matcher) {
        struct saved_matcher saved = {};
        int r = record_get(reader, value, &saved_matcher_record, &saved);

        if (r < 0)
                return r;
        if (saved.n_nodes == 0 || saved.n_whens != plan->policy->n_whens || plan->n_conditions != plan->policy->n_whens)
                return record_damaged(reader, saved_matcher_record.what, "something is missing");
        for (size_t i = 0; r >= 0 && i < saved.n_nodes; i++)
                r = link_node(reader, saved.nodes, i);
        if (r >= 0)
                r = finish_globs(reader, &saved.globs);
        for (size_t i = 0; r >= 0 && i < saved.n_whens; i++)
                r = finish_globs(reader, saved.whens + i);
        *matcher = (struct matcher) {
                .root = &saved.nodes[0].node, .globs = saved.globs, .whens = saved.whens, .unnamed = plan->policy->files.unnamed
        };
        return r;
}

static int check_version(const struct record_reader *reader, struct json_object *top) {
        struct json_object *word = NULL, *version = NULL;

        if (json_object_is_type(top, json_type_array) &&
            (json_object_array_length(top) == PARTS || json_object_array_length(top) == PARTS_WITH_FLOOR)) {
                word = json_object_array_get_idx(top, 0);
                version = json_object_array_get_idx(top, 1);
        }
        if (!json_object_is_type(word, json_type_string) || !str_equal(json_object_get_string(word), SAVED_WORD) ||
            !json_object_is_type(version, json_type_int))
                return record_damaged(reader, "the text", "it is no saved plan");
        if (json_object_get_int64(version) == SAVED_VERSION)
                return 0;
        policy_report_add(reader->report, false, (struct place) { .file = "saved plan" },
                          "it is of version %" PRIi64 ", and this sandboxd reads version %d", json_object_get_int64(version),
                          SAVED_VERSION);
        return -EINVAL;
}

/* The three parts from `first` on. */
static int read_parts(struct json_object *top, size_t first, struct policy **ret_policy, struct plan **ret, struct policy_report *report) {
        struct policy_storage *policy_storage = calloc(1, sizeof(*policy_storage));
        _cleanup_(policy_freep) struct policy *policy = policy_storage ? &policy_storage->policy : NULL;
        struct plan_storage *plan_storage = calloc(1, sizeof(*plan_storage));
        _cleanup_(plan_freep) struct plan *plan = plan_storage ? &plan_storage->plan : NULL;

        if (!policy || !plan)
                return -ENOMEM;
        const struct record_reader of_policy = { .arena = &policy_storage->arena, .policy = policy, .report = report };
        const struct record_reader of_plan = { .arena = &plan_storage->arena, .policy = policy, .report = report };
        plan->policy = policy;
        plan->matcher = &plan_storage->matcher;
        int r = read_policy(&of_policy, json_object_array_get_idx(top, first), policy);
        if (r >= 0)
                r = read_plan(&of_plan, json_object_array_get_idx(top, first + PART_PLAN - PART_POLICY), plan);
        if (r >= 0)
                r = read_matcher(&of_plan, json_object_array_get_idx(top, first + PART_MATCHER - PART_POLICY), plan,
                                 &plan_storage->matcher);
        if (r < 0)
                return r;
        *ret_policy = TAKE_PTR(policy);
        *ret = TAKE_PTR(plan);
        return 0;
}

static int read_floor(struct json_object *top, struct plan *plan, struct policy_report *report) {
        _cleanup_(policy_freep) struct policy *policy = NULL;
        _cleanup_(plan_freep) struct plan *floor = NULL;
        int r = read_parts(top, PARTS, &policy, &floor, report);

        if (r >= 0)
                r = plan_add_floor(plan, floor, report);
        if (r < 0)
                return r;
        ((struct plan_storage *) plan)->floor = TAKE_PTR(floor);
        (void) TAKE_PTR(policy);
        return 0;
}

static void tokener_freep(struct json_tokener **tokener) {
        if (*tokener)
                json_tokener_free(*tokener);
}

static void json_putp(struct json_object **object) {
        json_object_put(*object);
}

int plan_load_saved(const char *text, size_t size, struct policy **ret_policy, struct plan **ret, struct policy_report *report) {
        const struct record_reader reader = { .report = report };
        _cleanup_(policy_freep) struct policy *policy = NULL;
        _cleanup_(plan_freep) struct plan *plan = NULL;
        _cleanup_(tokener_freep) struct json_tokener *tokener = json_tokener_new_ex(SAVED_NESTING);

        if (!tokener)
                return -ENOMEM;
        if (size > PLAN_SAVED_MAX)
                return record_damaged(&reader, "the text", "it is too long");
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
        _cleanup_(json_putp) struct json_object *top = json_tokener_parse_ex(tokener, text, size);
        if (!top || json_tokener_get_parse_end(tokener) != size)
                return record_damaged(&reader, "the text", "it isn't whole");
        int r = check_version(&reader, top);
        if (r >= 0)
                r = read_parts(top, PART_POLICY, &policy, &plan, report);
        if (r >= 0 && json_object_array_length(top) == PARTS_WITH_FLOOR)
                r = read_floor(top, plan, report);
        if (r < 0)
                return r;
        *ret_policy = TAKE_PTR(policy);
        *ret = TAKE_PTR(plan);
        return 0;
}

int plan_load_fd(int fd, struct policy **ret_policy, struct plan **ret, struct policy_report *report) {
        struct stat st;
        size_t n = 0;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size > PLAN_SAVED_MAX)
                return -E2BIG;
        _cleanup_free_ char *text = malloc(st.st_size + 1);
        if (!text)
                return -ENOMEM;
        while (n < (size_t) st.st_size) {
                ssize_t some = pread(fd, text + n, st.st_size - n, n);
                if (some < 0 && errno != EINTR)
                        return -errno;
                if (some == 0)
                        break;
                n += some > 0 ? some : 0;
        }
        text[n] = 0;
        return plan_load_saved(text, n, ret_policy, ret, report);
}
