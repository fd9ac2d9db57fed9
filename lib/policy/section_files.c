/*
 * The section `files`.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "glob.h"
#include "load.h"
#include "str.h"

#define RULES_MAX 4096

static const char *const kind_names[] = {
        [FILE_READ] = "read", [FILE_APPEND] = "append",   [FILE_WRITE] = "write",     [FILE_EXEC] = "exec",       [FILE_DENY] = "deny",
        [FILE_HIDE] = "hide", [FILE_PRIVATE] = "private", [FILE_OVERLAY] = "overlay", [FILE_REPLACE] = "replace", [FILE_BIND] = "binds",
};

const char *file_kind_name(enum file_kind kind) {
        return kind_names[kind];
}

int files_add(struct loader *l, const struct file_rule *rule) {
        struct policy_files *files = &l->policy->files;

        for (size_t i = 0; i < files->n_rules; i++)
                if (files->rules[i].kind == rule->kind && strcmp(files->rules[i].pattern, rule->pattern) == 0) {
                        files->rules[i] = *rule;
                        return 0;
                }
        if (files->n_rules == RULES_MAX)
                return ERROR(l, rule->place, "the policy has too many file rules (%u at most)", RULES_MAX);
        struct file_rule *slot = arena_push(l->arena, &files->rules, &files->n_rules, sizeof(*slot));
        if (!slot)
                return -ENOMEM;
        *slot = *rule;
        return 0;
}

static int add_pattern(struct loader *l, const struct yaml_node *item, enum file_kind kind) {
        struct file_rule rule = { .place = item->place, .kind = kind };
        int r = value_pattern(l, item, &rule.pattern, &rule.path);

        if (r < 0)
                return r;
        if (kind == FILE_EXEC && !rule.path)
                return ERROR(l, item->place, "exec rules take literal paths only: what may be executed has to be known at the start");
        return files_add(l, &rule);
}

static int read_rule(struct loader *l, const struct yaml_node *item) {
        return add_pattern(l, item, FILE_READ);
}

static int append_rule(struct loader *l, const struct yaml_node *item) {
        return add_pattern(l, item, FILE_APPEND);
}

static int write_rule(struct loader *l, const struct yaml_node *item) {
        return add_pattern(l, item, FILE_WRITE);
}

static int exec_rule(struct loader *l, const struct yaml_node *item) {
        return add_pattern(l, item, FILE_EXEC);
}

static int deny_rule(struct loader *l, const struct yaml_node *item) {
        return add_pattern(l, item, FILE_DENY);
}

static int hide_rule(struct loader *l, const struct yaml_node *item) {
        return add_pattern(l, item, FILE_HIDE);
}

static int literal_pattern(struct loader *l, const struct yaml_node *node, const char *what, struct file_rule *rule) {
        int r = value_pattern(l, node, &rule->pattern, &rule->path);

        if (r >= 0 && !rule->path)
                return ERROR(l, node->place, "%s takes literal paths only", what);
        if (r >= 0 && rule->path[1] == 0)
                return ERROR(l, node->place, "%s can't stand in for /", what);
        return r;
}

/* A path, or { path: PATH, size: SIZE }. */
static int private_rule(struct loader *l, const struct yaml_node *item) {
        struct file_rule rule = { .place = item->place, .kind = FILE_PRIVATE };
        const struct yaml_node *path = item;

        if (item->type == YAML_MAP) {
                path = value_find(item, "path");
                const struct yaml_node *size = value_find(item, "size");
                if (!path || item->n != (size ? 2 : 1))
                        return ERROR(l, item->place, "private: expected a path, or { path: PATH, size: SIZE }");
                if (size && value_size(l, size, "size", &rule.size) < 0)
                        return -EINVAL;
        }
        int r = literal_pattern(l, path, "private", &rule);
        return r < 0 ? r : files_add(l, &rule);
}

static int overlay_rule(struct loader *l, const struct yaml_node *item) {
        struct file_rule rule = { .place = item->place, .kind = FILE_OVERLAY };
        int r = literal_pattern(l, item, "overlay", &rule);

        return r < 0 ? r : files_add(l, &rule);
}

static int replace_make(struct loader *l, const struct yaml_node *make, struct file_rule *rule) {
        static const char *const words[] = { "passwd", "group" };
        size_t which;
        int r = value_word(l, make, "make", words, ELEMENTSOF(words), &which);

        if (r < 0)
                return r;
        rule->content = which == 0 ? accounts_passwd(l->arena, l->request) : accounts_group(l->arena, l->request);
        if (!rule->content)
                return -ENOMEM;
        rule->content_size = strlen(rule->content);
        return 0;
}

static int replace_rule(struct loader *l, const struct yaml_node *key, const struct yaml_node *value) {
        struct file_rule rule = { .place = key->place, .kind = FILE_REPLACE };
        const struct yaml_node *content = value_find(value, "content"), *from = value_find(value, "from"),
                               *make = value_find(value, "make");
        int r = literal_pattern(l, key, "replace", &rule);

        if (r < 0)
                return r;
        if (value->type != YAML_MAP || value->n != 1 || !(content || from || make))
                return ERROR(l, value->place, "replace: expected { content: TEXT }, { from: FILE } or { make: passwd | group }");
        if (make)
                r = replace_make(l, make, &rule);
        else if (from)
                r = value_host_path(l, from, "from", &rule.from);
        else {
                r = value_any_text(l, content, "content", &rule.content);
                if (r >= 0)
                        rule.content_size = strlen(rule.content);
        }
        return r < 0 ? r : files_add(l, &rule);
}

static int bind_rule(struct loader *l, const struct yaml_node *key, const struct yaml_node *value) {
        struct file_rule rule = { .place = key->place, .kind = FILE_BIND };
        const struct yaml_node *from = value_find(value, "from"), *write = value_find(value, "write");
        int r = literal_pattern(l, key, "binds", &rule);

        if (r < 0)
                return r;
        if (!from || value->n != (write ? 2 : 1))
                return ERROR(l, value->place, "binds: expected { from: PATH }, and `write: true` where it may be changed");
        r = value_host_path(l, from, "from", &rule.from);
        if (r >= 0 && write)
                r = value_bool(l, write, "write", &rule.write);
        return r < 0 ? r : files_add(l, &rule);
}

static int path_map(struct loader *l, const struct yaml_node *node, const char *what,
                    int (*read)(struct loader *l, const struct yaml_node *key, const struct yaml_node *value)) {
        int result = 0;

        if (node->type != YAML_MAP)
                return ERROR(l, node->place, "%s: expected a mapping of paths (`/path: { … }`)", what);
        for (size_t i = 0; i < node->n; i++) {
                int r = read(l, node->keys[i], node->items[i]);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

static int read_default(struct loader *l, const struct yaml_node *node) {
        static const char *const words[] = { [FILES_HIDE] = "hide", [FILES_DENY] = "deny", [FILES_READ] = "read" };
        size_t which;
        int r = value_word(l, node, "files: default", words, ELEMENTSOF(words), &which);

        if (r < 0)
                return r;
        l->policy->files.unnamed = which;
        return 0;
}

static int read_list(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "read", read_rule);
}

static int append_list(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "append", append_rule);
}

static int write_list(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "write", write_rule);
}

static int exec_list(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "exec", exec_rule);
}

static int deny_list(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "deny", deny_rule);
}

static int hide_list(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "hide", hide_rule);
}

static int private_list(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "private", private_rule);
}

static int overlay_list(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "overlay", overlay_rule);
}

static int replace_map(struct loader *l, const struct yaml_node *node) {
        return path_map(l, node, "replace", replace_rule);
}

static int binds_map(struct loader *l, const struct yaml_node *node) {
        return path_map(l, node, "binds", bind_rule);
}

static int read_enforce(struct loader *l, const struct yaml_node *node) {
        static const char *const words[] = { "broker" };
        size_t which;
        int r = value_word(l, node, "files: enforce", words, 1, &which);

        if (r >= 0)
                l->policy->files.enforce_broker = true;
        return r;
}

int section_files(struct loader *l, const struct yaml_node *node) {
        static const struct key keys[] = {
                { "default", read_default }, { "read", read_list },      { "append", append_list }, { "write", write_list },
                { "exec", exec_list },       { "deny", deny_list },      { "hide", hide_list },     { "private", private_list },
                { "overlay", overlay_list }, { "replace", replace_map }, { "binds", binds_map },    { "enforce", read_enforce },
        };

        return value_map(l, node, "files", keys, ELEMENTSOF(keys));
}

static bool makes_content(const struct file_rule *rule) {
        return rule->kind == FILE_PRIVATE || rule->kind == FILE_OVERLAY || rule->kind == FILE_REPLACE || rule->kind == FILE_BIND;
}

/* The folder of a pattern that begins with everything that is in one, as /run/ and a star; NULL where it doesn't. Free it. */
static char *folder_of_all(const char *pattern) {
        size_t length = strchr(pattern, '{') ? 0 : glob_literal_length(pattern);
        const char *rest = pattern + length;
        size_t stars = *rest ? strspn(rest + 1, "*") : 0;

        return length > 0 && stars > 0 && (rest[stars + 1] == 0 || rest[stars + 1] == '/') ? strndup(pattern, length) : NULL;
}

/* Folders whose sockets lead out of the sandbox: a file rule shows them, though connecting still needs a `unix:` rule. */
static void warn_sockets(struct loader *l, const struct file_rule *rule) {
        _cleanup_free_ char *all = NULL;
        static const char *const folders[] = { "/run", "/var/run", "/run/user", "/run/dbus", "/run/systemd", "/tmp/.X11-unix" };
        const char *path = rule->kind == FILE_BIND ? rule->from : rule->path;
        bool grants = rule->kind == FILE_READ || rule->kind == FILE_APPEND || rule->kind == FILE_WRITE || rule->kind == FILE_EXEC ||
                      rule->kind == FILE_OVERLAY || rule->kind == FILE_BIND;

        if (!path)
                path = all = folder_of_all(rule->pattern);
        if (!path || !grants)
                return;
        for (size_t i = 0; i < ELEMENTSOF(folders); i++)
                if (strcmp(path, folders[i]) == 0 || (i == 2 && str_starts(path, "/run/user/") && !strchr(path + 10, '/'))) {
                        policy_report_add(l->report, true, rule->place,
                                          "%s holds sockets of the host's services; name the files that are needed instead "
                                          "(connecting to a socket needs a `unix:` rule in any case)",
                                          folders[i]);
                        return;
                }
}

void files_check(struct loader *l) {
        const struct policy_files *files = &l->policy->files;

        for (size_t i = 0; i < files->n_rules; i++) {
                const struct file_rule *rule = files->rules + i;
                warn_sockets(l, rule);
                for (size_t k = 0; k < i && makes_content(rule); k++) {
                        const struct file_rule *other = files->rules + k;
                        if (!makes_content(other) || strcmp(other->pattern, rule->pattern) != 0)
                                continue;
                        _cleanup_free_ char *path = str_escape(rule->path);
                        policy_report_add(l->report, false, rule->place,
                                          "%s has both `%s` (%s:%u) and `%s`: what is there can come from one of them only",
                                          path ? path : "", kind_names[other->kind], other->place.file, other->place.line,
                                          kind_names[rule->kind]);
                }
        }
}
