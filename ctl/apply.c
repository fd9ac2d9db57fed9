/*
 * sandboxctl policy apply: compiles a policy as exec does, holds it against the one in force, and hands it to sandboxd where the broker alone has to change.
 * sandboxd has the same looked at again by a process of its own: what is said here is for people.
 */
#include "apply.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <unistd.h>

#include "control.h"
#include "fd.h"
#include "json_print.h"
#include "message.h"
#include "modules.h"
#include "plan.h"
#include "remote.h"
#include "request.h"
#include "sandboxes.h"
#include "str.h"

/* ---- texts of rules, to tell two policies apart by ---- */

struct texts {
        char **list;
        size_t n;
        bool failed;
};

static void texts_done(struct texts *t) {
        for (size_t i = 0; i < t->n; i++)
                free(t->list[i]);
        free(t->list);
}

static _printf_(2, 3) void add(struct texts *t, const char *format, ...) {
        char **larger = reallocarray(t->list, t->n + 1, sizeof(*larger)), *text = NULL;
        va_list arguments;

        if (larger)
                t->list = larger;
        va_start(arguments, format);
        if (!larger || vasprintf(&text, format, arguments) < 0)
                t->failed = true;
        else
                t->list[t->n++] = text;
        va_end(arguments);
}

static void add_file_rules(struct texts *t, const char *where, const struct file_rule *rules, size_t n) {
        for (size_t i = 0; i < n; i++) {
                const struct file_rule *rule = rules + i;
                add(t, "%s: %s: %s%s%s", where, file_kind_name(rule->kind), rule->pattern, rule->from ? " from " : "",
                    rule->from ? rule->from : "");
        }
}

static void add_net_rules(struct texts *t, const char *list, const struct net_rules *rules) {
        for (size_t i = 0; i < rules->n; i++)
                add(t, "network: %s: %s", list, rules->rules[i].text);
}

static void add_syscall_rule(struct texts *t, const struct syscall_rule *rule) {
        struct strbuf names = {};

        for (size_t i = 0; i < rule->n_names; i++)
                strbuf_printf(&names, "%s%s", i > 0 ? ", " : "", rule->names[i]);
        for (size_t i = 0; i < rule->n_args; i++)
                strbuf_printf(&names, " with argument %u %" PRIu64 " under %" PRIu64, rule->args[i].index, rule->args[i].value,
                              rule->args[i].mask);
        add(t, "syscalls: %s: %s", names.text ? names.text : "", rule->text);
        strbuf_done(&names);
}

/* What the broker decides by; the rest is compared as a plan. What is recorded was said by exec's --log. */
static void add_policy(struct texts *t, const struct policy *policy) {
        static const char *const unnamed[] = { "hide", "deny", "read" };

        add(t, "files: default: %s", unnamed[policy->files.unnamed]);
        add_file_rules(t, "files", policy->files.rules, policy->files.n_rules);
        for (size_t i = 0; i < policy->n_whens; i++) {
                _cleanup_free_ char *where = NULL;
                if (asprintf(&where, "rules: when exe %s", policy->whens[i].exe ? policy->whens[i].exe : policy->whens[i].pattern) < 0) {
                        where = NULL;
                        t->failed = true;
                        return;
                }
                add_file_rules(t, where, policy->whens[i].rules, policy->whens[i].n_rules);
        }
        add_net_rules(t, "connect", &policy->network.connect);
        add_net_rules(t, "bind", &policy->network.bind);
        add_net_rules(t, "deny", &policy->network.deny);
        add(t, "syscalls: default: %s", policy->syscalls.deny_unnamed ? "deny" : "allow");
        for (size_t i = 0; i < policy->syscalls.n_rules; i++)
                add_syscall_rule(t, policy->syscalls.rules + i);
}

static bool has(const struct texts *t, const char *text) {
        for (size_t i = 0; i < t->n; i++)
                if (str_equal(t->list[i], text))
                        return true;
        return false;
}

/* "- files: write: /data", "+ files: read: /data". */
static int list_changes(const struct texts *old, const struct texts *new, struct texts *ret) {
        for (size_t i = 0; i < old->n; i++)
                if (!has(new, old->list[i]))
                        add(ret, "- %s", old->list[i]);
        for (size_t i = 0; i < new->n; i++)
                if (!has(old, new->list[i]))
                        add(ret, "+ %s", new->list[i]);
        return old->failed || new->failed || ret->failed ? -ENOMEM : 0;
}

/* ---- the two policies ---- */

/* A policy, and what it comes to. */
struct compiled {
        struct policy *policy;
        struct plan *plan;
        struct filter filter;
};

static void compiled_done(struct compiled *c) {
        filter_done(&c->filter);
        plan_free(c->plan);
        policy_free(c->policy);
}

static int make_filter(struct compiled *c, struct policy_report *report) {
        _cleanup_free_ struct claim *claims = NULL;
        size_t n;

        return modules_compile(c->plan, &c->filter, &claims, &n, report);
}

static int read_running(struct remote *remote, const char *name, struct compiled *ret) {
        struct policy_report report = {};
        int r = remote_plan(remote, name, &ret->policy, &ret->plan);

        if (r < 0)
                return r;
        r = make_filter(ret, &report);
        if (r < 0) {
                policy_report_print(&report, stderr);
                message_fail("the policy in force can't be read: %s", strerror(-r));
        }
        policy_report_done(&report);
        return r;
}

/* Was it made with exec's --overlay or --dry-run? Then rules that let things be written are overlays. */
static bool overlays_writes(const struct plan *plan) {
        for (size_t i = 0; i < plan->n_nodes; i++)
                if (plan->nodes[i].kind == NODE_OVERLAY && plan->nodes[i].rule && plan->nodes[i].rule->kind != FILE_OVERLAY)
                        return true;
        return false;
}

static int compile_new(const struct apply_words *w, const struct plan *running, struct policy_request *request, struct policy **ret_policy,
                       struct plan **ret_plan, struct policy_report *report) {
        const struct plan_request plan_request = {
                .root = running->root,
                .home = request->home,
                .uid = request->uid,
                .gid = request->gid,
                .overlay_writes = overlays_writes(running),
        };

        request->policy = w->policy;
        request->flags = w->flags;
        request->n_flags = w->n_flags;
        (void) control_split(w->sandbox, NULL, &request->name);
        int r = policy_load(request, ret_policy, report);
        return r < 0 ? r : plan_compile(*ret_policy, &plan_request, ret_plan, report);
}

/* As the broker is going to have it: saved, and loaded again. */
static int load_new(const struct apply_words *w, const struct plan *running, struct compiled *ret, int *ret_fd) {
        _cleanup_(request_done) struct policy_request request = {};
        _cleanup_(policy_freep) struct policy *policy = NULL;
        _cleanup_(plan_freep) struct plan *plan = NULL;
        _cleanup_free_ char *cwd = getcwd(NULL, 0);
        _cleanup_(strbuf_done) struct strbuf text = {};
        struct policy_report report = {};
        int r = request_init(&request);

        request.cwd = cwd;
        if (r >= 0)
                r = compile_new(w, running, &request, &policy, &plan, &report);
        if (r >= 0)
                r = plan_save(plan, &text);
        if (r >= 0)
                r = *ret_fd = fd_memfd("sandboxd-plan", text.text, text.length);
        if (r >= 0)
                r = plan_load_saved(text.text, text.length, &ret->policy, &ret->plan, &report);
        if (r >= 0)
                r = make_filter(ret, &report);
        policy_report_print(&report, stderr);
        if (r < 0 && report.n_errors == 0)
                message_fail("the policy can't be compiled: %s", strerror(-r));
        policy_report_done(&report);
        return r;
}

/* Lines of what only a new start can change. */
static int compare(const struct compiled *old, const struct compiled *new, struct texts *ret) {
        _cleanup_(strbuf_done) struct strbuf lines = {};
        int r = plan_compare(old->plan, new->plan, &lines);

        if (r < 0)
                return r;
        for (char *save, *line = r > 0 ? strtok_r(lines.text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save))
                add(ret, "%s", line);
        /* Where the view is another anyway, that is why. */
        if (r == 0 && !filter_equal(&old->filter, &new->filter))
                add(ret, "syscalls: other calls would be sent to the broker");
        return ret->failed ? -ENOMEM : 0;
}

/* ---- saying it ---- */

static struct json_object *texts_json(const struct texts *t) {
        struct json_object *array = json_object_new_array();

        for (size_t i = 0; i < t->n; i++)
                json_object_array_add(array, json_object_new_string(t->list[i]));
        return array;
}

static void print_result(const struct apply_words *w, const struct texts *changes, const struct texts *refused, bool applied) {
        struct json_object *o = json_object_new_object();

        json_object_object_add(o, "name", json_object_new_string(w->sandbox));
        json_object_object_add(o, "policy", json_object_new_string(w->policy));
        json_object_object_add(o, "applied", json_object_new_boolean(applied));
        json_object_object_add(o, "changes", texts_json(changes));
        json_object_object_add(o, "refused", texts_json(refused));
        json_print(o);
}

static void print_texts(FILE *out, const struct texts *t, const char *indent) {
        for (size_t i = 0; i < t->n; i++) {
                _cleanup_free_ char *text = str_escape(t->list[i]);
                fprintf(out, "%s%s\n", indent, text ? text : "");
        }
}

static int put_in_force(struct remote *remote, const struct apply_words *w, int plan) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *object = NULL;
        sd_bus_message *m = NULL;
        int r = control_object(w->sandbox, &object);

        if (r >= 0)
                r = sd_bus_message_new_method_call(remote->bus, &m, NULL, object, CONTROL_SANDBOX, "Apply");
        if (r >= 0)
                r = sd_bus_message_append(m, "hs", plan, w->policy);
        if (r >= 0)
                r = sd_bus_call(remote->bus, m, UINT64_MAX, &error, NULL);
        if (r < 0)
                (void) remote_failed(r, &error, "the policy was not applied");
        sd_bus_message_unref(m);
        sd_bus_error_free(&error);
        return r;
}

static int decide(struct remote *remote, const struct apply_words *w, const struct compiled *old, const struct compiled *new, int plan) {
        _cleanup_(texts_done) struct texts before = {}, after = {}, changes = {}, refused = {};

        add_policy(&before, old->policy);
        add_policy(&after, new->policy);
        if (list_changes(&before, &after, &changes) < 0 || compare(old, new, &refused) < 0)
                return message_fail("%s", strerror(ENOMEM));
        bool applies = refused.n == 0 && !w->dry_run;
        if (applies && put_in_force(remote, w, plan) < 0)
                return EXIT_OURS;
        if (w->json)
                print_result(w, &changes, &refused, applies);
        else if (refused.n > 0) {
                message_note("the policy can't be applied to %s: only a new start can change", w->sandbox);
                print_texts(stderr, &refused, "  ");
        } else if (w->dry_run)
                print_texts(stdout, &changes, "");
        return refused.n > 0 ? 1 : 0;
}

int apply(const struct apply_words *w) {
        _cleanup_(compiled_done) struct compiled old = {}, new = {};
        _cleanup_(remote_done) struct remote remote = REMOTE_INIT;
        struct sandbox_list list;
        _cleanup_close_ int plan = -1;

        if (remote_connect(&remote) < 0 || sandboxes_read(remote.bus, w->sandbox, &list) < 0)
                return EXIT_OURS;
        uint32_t uid = list.list[0].uid;
        sandboxes_done(&list);
        /* A policy's folders, home and ids are those of who applies it. */
        if (uid != getuid())
                return message_fail("the sandbox %s is of uid %u: apply the policy as that user", w->sandbox, uid);
        if (read_running(&remote, w->sandbox, &old) < 0)
                return EXIT_OURS;
        int r = load_new(w, old.plan, &new, &plan);
        if (r < 0)
                return r == -EINVAL || r == -ENOENT ? 1 : EXIT_OURS;
        return decide(&remote, w, &old, &new, plan);
}
