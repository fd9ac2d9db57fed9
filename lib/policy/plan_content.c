/*
 * The rules that put something of another kind at a path: binds, private, overlay, replace.
 */
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "str.h"
#include "tree.h"

/* Whether the parent of this path will be a directory of the host in the sandbox: then a link there is the host's, and stays. */
static bool shown_by_grant(const struct compiler *c, const char *path) {
        if (c->policy->files.unnamed == FILES_READ || c->plan->files_brokered)
                return true;
        for (size_t i = 0; i < c->policy->files.n_rules; i++) {
                const struct file_rule *rule = c->policy->files.rules + i;
                bool grants = rule->kind == FILE_READ || rule->kind == FILE_APPEND || rule->kind == FILE_WRITE || rule->kind == FILE_EXEC ||
                              rule->kind == FILE_OVERLAY || rule->kind == FILE_BIND;
                if (grants && rule->path && path_below(path, rule->path))
                        return true;
        }
        return false;
}

static int set_bind(struct compiler *c, struct tree_node *node, const struct file_rule *rule) {
        char real[PATH_MAX];
        struct stat st;

        if (!realpath(rule->from, real) || lstat(real, &st) < 0) {
                _cleanup_free_ char *from = shown(rule->from);
                return PLAN_ERROR(c, rule->place, "%s can't be bound: %s", from, strerror(errno));
        }
        node->host = arena_strdup(c->arena, real);
        if (!node->host)
                return -ENOMEM;
        node->type = S_ISDIR(st.st_mode) ? HOST_DIRECTORY : HOST_FILE;
        node->content = CONTENT_BIND;
        return 0;
}

static int set_overlay(struct compiler *c, struct tree_node *node, const struct file_rule *rule) {
        if (node->type != HOST_DIRECTORY || !node->host) {
                _cleanup_free_ char *path = shown(rule->path);
                return PLAN_ERROR(c, rule->place, "%s can't have a layer above it: %s", path,
                                  node->error                 ? strerror(node->error)
                                  : node->type == HOST_ABSENT ? "it doesn't exist; `private` gives an empty folder"
                                                              : "it is no directory; name the one that it lies in");
        }
        node->content = CONTENT_OVERLAY;
        return 0;
}

int place_content(struct compiler *c, const struct file_rule *rule) {
        if (setting_is_foreign(c->request->setting))
                return setting_refuse_content(c, rule);
        _cleanup_free_ char *path = shown(rule->path);
        bool shm = strcmp(rule->path, "/dev/shm") == 0 || strcmp(rule->path, "/dev/mqueue") == 0;

        if (built_in(rule->path) && !(rule->kind == FILE_PRIVATE && shm))
                return PLAN_ERROR(c, rule->place, "%s can't be put there: /proc and /dev are the sandbox's own (`devices` names devices)",
                                  path);
        /* An overlay shows what the host has, as a grant does. */
        bool follow = rule->kind == FILE_OVERLAY || shown_by_grant(c, rule->path);
        struct tree_node *node = tree_resolve(c, rule->path, follow, grant_link, (void *) rule);
        if (!node)
                return c->no_memory ? -ENOMEM : PLAN_ERROR(c, rule->place, "%s can't be resolved: too many symbolic links", path);
        if (!node->parent)
                return PLAN_ERROR(c, rule->place, "%s leads to /, and nothing can stand in for that", path);
        if (node->content_rule)
                return PLAN_ERROR(c, rule->place, "%s is the same place as %s (%s:%u): what is there can come from one rule only", path,
                                  node->content_rule->pattern, node->content_rule->place.file, node->content_rule->place.line);
        tree_look(c, node);
        int r = 0;
        if (rule->kind == FILE_BIND)
                r = set_bind(c, node, rule);
        else if (rule->kind == FILE_OVERLAY)
                r = set_overlay(c, node, rule);
        else
                node->content = rule->kind == FILE_PRIVATE ? CONTENT_PRIVATE : CONTENT_REPLACE;
        if (r < 0)
                return r;
        node->content_rule = rule;
        node->rights = rule_rights(rule);
        node->reopens = !rule_is_flag(rule);
        return 0;
}
