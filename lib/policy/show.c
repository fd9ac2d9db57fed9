/*
 * A merged policy as YAML: one layer, variables expanded, each rule with the place that it came from. What is written loads again to the same policy.
 */
#include <errno.h>
#include <inttypes.h>

#include "arena.h"
#include "digest.h"
#include "policy.h"
#include "str.h"

/* A text in double quotes, on one line; `expanded`: it is read with variables, so that ${ must not look like one. */
static void quote_text(struct strbuf *out, const char *text, bool expanded) {
        strbuf_puts(out, "\"");
        for (const char *p = text; *p; p++) {
                const char *end = p + strcspn(p, "\"$");
                struct strbuf part = {};
                strbuf_escape(&part, p, end - p);
                strbuf_puts(out, part.text ? part.text : "");
                strbuf_done(&part);
                if (*end == '"')
                        strbuf_puts(out, "\\\"");
                else if (*end == '$')
                        strbuf_puts(out, expanded && end[1] == '{' ? "$$" : "$");
                else
                        break;
                p = end;
        }
        strbuf_puts(out, "\"");
}

static void quote(struct strbuf *out, const char *text) {
        quote_text(out, text, true);
}

static void origin(struct strbuf *out, const struct place *place) {
        if (!place->file)
                return;
        strbuf_puts(out, "  # ");
        strbuf_escape(out, place->file, strlen(place->file));
        if (place->line > 0)
                strbuf_printf(out, ":%u", place->line);
}

static void text_list(struct strbuf *out, const char *indent, const char *key, char *const *list, size_t n) {
        if (n == 0)
                return;
        strbuf_printf(out, "%s%s: [", indent, key);
        for (size_t i = 0; i < n; i++) {
                if (i > 0)
                        strbuf_puts(out, ", ");
                quote(out, list[i]);
        }
        strbuf_puts(out, "]\n");
}

static void file_rule(struct strbuf *out, const struct file_rule *rule) {
        if (rule->kind == FILE_REPLACE || rule->kind == FILE_BIND) {
                strbuf_puts(out, "    ");
                quote(out, rule->pattern);
                strbuf_puts(out, rule->from ? ": { from: " : ": { content: ");
                quote(out, rule->from ? rule->from : rule->content);
                strbuf_puts(out, rule->write ? ", write: true }" : " }");
        } else if (rule->kind == FILE_PRIVATE && rule->size > 0) {
                strbuf_puts(out, "    - { path: ");
                quote(out, rule->pattern);
                strbuf_printf(out, ", size: %" PRIu64 " }", rule->size);
        } else {
                strbuf_puts(out, "    - ");
                quote(out, rule->pattern);
        }
        origin(out, &rule->place);
        strbuf_puts(out, "\n");
}

static void show_files(const struct policy_files *files, struct strbuf *out) {
        strbuf_printf(out, "files:\n  default: %s\n",
                      files->unnamed == FILES_READ   ? "read"
                      : files->unnamed == FILES_DENY ? "deny"
                                                     : "hide");
        if (files->enforce_broker)
                strbuf_puts(out, "  enforce: broker\n");
        for (enum file_kind kind = FILE_READ; kind <= FILE_BIND; kind++) {
                bool any = false;
                for (size_t i = 0; i < files->n_rules; i++) {
                        if (files->rules[i].kind != kind)
                                continue;
                        if (!any)
                                strbuf_printf(out, "  %s:\n", file_kind_name(kind));
                        any = true;
                        file_rule(out, files->rules + i);
                }
        }
}

static void show_whens(const struct policy *policy, struct strbuf *out) {
        if (policy->n_whens > 0)
                strbuf_puts(out, "rules:\n");
        for (size_t i = 0; i < policy->n_whens; i++) {
                const struct policy_when *when = policy->whens + i;
                strbuf_puts(out, "  - when: { exe: ");
                quote(out, when->pattern);
                strbuf_puts(out, " }");
                origin(out, &when->place);
                strbuf_puts(out, when->n_rules ? "\n    files:\n" : "\n    files: {}\n");
                for (enum file_kind kind = FILE_DENY; kind <= FILE_HIDE; kind++) {
                        bool any = false;
                        for (size_t k = 0; k < when->n_rules; k++) {
                                if (when->rules[k].kind != kind)
                                        continue;
                                if (!any)
                                        strbuf_printf(out, "      %s:\n", file_kind_name(kind));
                                any = true;
                                strbuf_puts(out, "    ");
                                file_rule(out, when->rules + k);
                        }
                }
        }
}

static void net_list(const char *key, const struct net_rules *rules, struct strbuf *out) {
        for (size_t i = 0; i < rules->n; i++) {
                const struct net_rule *rule = rules->rules + i;
                if (i == 0)
                        strbuf_printf(out, "  %s:\n", key);
                /* `resolvers` stands for several addresses, and is one rule. */
                if (i > 0 && strcmp(rule->text, rule[-1].text) == 0)
                        continue;
                strbuf_puts(out, "    - ");
                quote(out, rule->text);
                origin(out, &rule->place);
                strbuf_puts(out, "\n");
        }
}

static void show_environment(const struct policy_environment *e, struct strbuf *out) {
        if (e->n_keep == 0 && e->n_set == 0)
                return;
        strbuf_puts(out, "environment:\n");
        text_list(out, "  ", "keep", e->keep, e->n_keep);
        if (e->n_set > 0)
                strbuf_puts(out, "  set:\n");
        for (size_t i = 0; i < e->n_set; i++) {
                const char *value = strchr(e->set[i], '=') + 1;
                strbuf_puts(out, "    ");
                strbuf_add(out, e->set[i], value - e->set[i] - 1);
                strbuf_puts(out, ": ");
                quote(out, value);
                strbuf_puts(out, "\n");
        }
}

static void show_text(struct strbuf *out, const char *indent, const char *key, const char *value) {
        if (!value)
                return;
        strbuf_printf(out, "%s%s: ", indent, key);
        quote(out, value);
        strbuf_puts(out, "\n");
}

static void show_kernel(const struct policy_kernel *k, struct strbuf *out) {
        bool uname = k->sysname || k->release || k->version || k->machine;

        if (!uname && !k->hostname && !k->memory)
                return;
        strbuf_puts(out, "kernel:\n");
        if (uname)
                strbuf_puts(out, "  uname:\n");
        show_text(out, "    ", "sysname", k->sysname);
        show_text(out, "    ", "release", k->release);
        show_text(out, "    ", "version", k->version);
        show_text(out, "    ", "machine", k->machine);
        show_text(out, "  ", "hostname", k->hostname);
        if (k->memory)
                strbuf_printf(out, "  memory: %" PRIu64 "\n", k->memory);
}

static void show_limits(const struct policy_limits *l, struct strbuf *out) {
        char time[128];

        if (!l->processes && !l->open_files && !l->file_size && !l->memory && !l->time_usec)
                return;
        strbuf_puts(out, "limits:\n");
        if (l->processes)
                strbuf_printf(out, "  processes: %" PRIu64 "\n", l->processes);
        if (l->open_files)
                strbuf_printf(out, "  open-files: %" PRIu64 "\n", l->open_files);
        if (l->file_size)
                strbuf_printf(out, "  file-size: %" PRIu64 "\n", l->file_size);
        if (l->memory)
                strbuf_printf(out, "  memory: %" PRIu64 "\n", l->memory);
        if (l->time_usec)
                strbuf_printf(out, "  time: %s\n", str_format_time(l->time_usec, time, sizeof(time)));
}

static void show_syscalls(const struct policy_syscalls *s, struct strbuf *out) {
        if (!s->deny_unnamed && s->n_rules == 0)
                return;
        strbuf_printf(out, "syscalls:\n  default: %s\n", s->deny_unnamed ? "deny" : "allow-known");
        for (size_t i = 0; i < s->n_rules; i++) {
                const struct syscall_rule *rule = s->rules + i;
                if (i == 0)
                        strbuf_puts(out, "  rules:\n");
                text_list(out, "    - ", "match", rule->names, rule->n_names);
                for (size_t k = 0; k < rule->n_args; k++)
                        strbuf_printf(out, "%s{ index: %u, equals: %" PRIu64 ", mask: %" PRIu64 ", bits: 64 }%s",
                                      k ? ", " : "      args: [", rule->args[k].index, rule->args[k].value, rule->args[k].mask,
                                      k + 1 == rule->n_args ? "]\n" : "");
                strbuf_puts(out, "      action: ");
                quote(out, rule->text);
                origin(out, &rule->place);
                strbuf_puts(out, "\n");
        }
}

void policy_show(const struct policy *policy, struct strbuf *out) {
        static const char *const records[] = { [AUDIT_DENIED] = "denied", [AUDIT_ALL] = "all", [AUDIT_NONE] = "none" };
        const struct policy_network *n = &policy->network;

        strbuf_puts(out, "version: 1\n");
        if (policy->description) {
                strbuf_puts(out, "description: ");
                quote_text(out, policy->description, false);
                strbuf_puts(out, "\n");
        }
        show_files(&policy->files, out);
        show_whens(policy, out);
        strbuf_printf(out, "network:\n  mode: %s\n", n->mode == NETWORK_HOST ? "host" : "none");
        net_list("connect", &n->connect, out);
        net_list("bind", &n->bind, out);
        net_list("deny", &n->deny, out);
        show_environment(&policy->environment, out);
        show_kernel(&policy->kernel, out);
        if (policy->subordinate_ids)
                strbuf_puts(out, "identity: { ids: subordinate }\n");
        text_list(out, "", "devices", policy->devices, policy->n_devices);
        show_limits(&policy->limits, out);
        show_syscalls(&policy->syscalls, out);
        strbuf_printf(out, "audit: { record: %s }\non-broker-loss: %s\n", records[policy->audit],
                      policy->kill_on_broker_loss ? "kill" : "wait");
}

/* ---- The digest: of the same text, without what doesn't count ---- */

/* `rules` becomes a copy without the rules' places. */
#define WITHOUT_PLACES(arena, rules, n) \
        ({ \
                typeof(rules) copy_ = arena_alloc(arena, (n) * sizeof(*(rules))); \
                for (size_t i_ = 0; copy_ && i_ < (n); i_++) { \
                        copy_[i_] = (rules)[i_]; \
                        copy_[i_].place = (struct place) {}; \
                } \
                (rules) = copy_; \
                copy_ != NULL; \
        })

static bool without_places(struct arena *arena, struct policy *p) {
        bool ok = WITHOUT_PLACES(arena, p->files.rules, p->files.n_rules) && WITHOUT_PLACES(arena, p->whens, p->n_whens) &&
                  WITHOUT_PLACES(arena, p->network.connect.rules, p->network.connect.n) &&
                  WITHOUT_PLACES(arena, p->network.bind.rules, p->network.bind.n) &&
                  WITHOUT_PLACES(arena, p->network.deny.rules, p->network.deny.n) &&
                  WITHOUT_PLACES(arena, p->syscalls.rules, p->syscalls.n_rules);

        for (size_t i = 0; ok && i < p->n_whens; i++)
                ok = WITHOUT_PLACES(arena, p->whens[i].rules, p->whens[i].n_rules);
        return ok;
}

int policy_digest(const struct policy *policy, struct digest *ret) {
        _cleanup_(arena_done) struct arena arena = {};
        _cleanup_(strbuf_done) struct strbuf text = {};
        struct policy copy = *policy;

        if (!without_places(&arena, &copy))
                return -ENOMEM;
        copy.description = NULL;
        policy_show(&copy, &text);
        if (text.failed)
                return -ENOMEM;
        digest_add(ret, text.text, text.length);
        return 0;
}
