/*
 * Rules with patterns. Like all rules they hold where objects lie after resolution, so the components before the first wildcard are resolved at the
 * start; what wildcards stand for is not, and a link that one matches leads nowhere by that.
 */
#include <errno.h>

#include "str.h"
#include "tree.h"

/* A pattern that matches what lies at `path` and then goes on with `rest`. */
static char *join_pattern(struct compiler *c, const char *path, const char *rest) {
        struct strbuf b = {};

        if (path[1] || !*rest)
                glob_escape(&b, path);
        strbuf_puts(&b, rest);
        char *text = b.failed ? NULL : arena_copy(c->arena, b.text, b.length);
        strbuf_done(&b);
        return text;
}

/* `moved`: a link has led to this pattern. */
static int add_glob(struct compiler *c, struct glob_list *list, const struct file_rule *rule, const char *pattern, bool moved) {
        for (size_t i = 0; i < list->n; i++)
                if (list->list[i].rule == rule && strcmp(list->list[i].pattern, pattern) == 0)
                        return 0;
        struct glob_rule *glob = arena_push(c->arena, &list->list, &list->n, sizeof(*glob));
        if (!glob)
                return -ENOMEM;
        /* { } count as one wildcard of the pattern as it was written. */
        *glob = (struct glob_rule) {
                .rule = rule,
                .pattern = pattern,
                .glob = glob_new(c->arena, pattern),
                .rank = glob_rank(moved ? pattern : rule->pattern),
                .rights = rule_rights(rule),
                .by_link = moved && rule_rights(rule),
        };
        return glob->glob ? 0 : -ENOMEM;
}

static int too_many_links(struct compiler *c, const struct file_rule *rule) {
        _cleanup_free_ char *path = shown(rule->pattern);

        return c->no_memory ? -ENOMEM : PLAN_ERROR(c, rule->place, "%s can't be resolved: too many symbolic links", path);
}

/* --overlay, --dry-run: the directory in which a pattern grants changes gets a layer as a whole. */
static int mark_layer(struct compiler *c, const struct file_rule *rule, struct tree_node *node) {
        if (!c->request->overlay_writes || !(rule_rights(rule) & (RIGHT_WRITE | RIGHT_APPEND)) || node->type == HOST_ABSENT)
                return 0;
        if (node->parent && node->type == HOST_DIRECTORY) {
                node->layer = rule;
                return 0;
        }
        _cleanup_free_ char *path = shown(rule->pattern);
        return PLAN_ERROR(c, rule->place,
                          "%s can't be granted with a layer above it: the pattern has to begin with a directory other than /", path);
}

/* One alternative of a pattern that grants: where the literal beginning leads to. */
static int place_grant(struct compiler *c, struct glob_list *list, const struct file_rule *rule, const char *beginning, const char *rest) {
        if (!setting_is_foreign(c->request->setting) && (strcmp(beginning, "/dev") == 0 || path_below(beginning, "/dev")))
                return PLAN_ERROR(c, rule->place,
                                  "a pattern can't name devices: /dev is the sandbox's own, and `devices` says what it has");
        struct tree_node *node = tree_resolve(c, beginning, true, NULL, NULL);
        if (!node)
                return too_many_links(c, rule);
        tree_look(c, node);
        /* The way there is shown only where it leads somewhere. */
        if (node->type != HOST_ABSENT || node->content != CONTENT_NONE)
                (void) tree_resolve(c, beginning, true, grant_link, (void *) rule);
        char *resolved = join_pattern(c, node->path, rest);
        int r = resolved ? add_glob(c, list, rule, resolved, strcmp(node->path, beginning) != 0) : -ENOMEM;
        return r < 0 ? r : mark_layer(c, rule, node);
}

/* One that hides or denies: link and target, as for a literal path. */
static int place_refusal(struct compiler *c, struct glob_list *list, const struct file_rule *rule, const char *beginning,
                         const char *rest) {
        /* Where it is no more than a beginning, a link in its last component leads on, and the name itself is not meant. */
        struct tree_node *node = tree_resolve(c, beginning, *rest, NULL, NULL), *target = tree_resolve(c, beginning, true, NULL, NULL);

        if (!node || !target)
                return too_many_links(c, rule);
        const char *places[] = { beginning, node->path, target->path };
        int r = 0;
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(places); i++) {
                char *pattern = join_pattern(c, places[i], rest);
                r = pattern ? add_glob(c, list, rule, pattern, i > 0) : -ENOMEM;
        }
        return r;
}

int glob_place(struct compiler *c, struct glob_list *list, const struct file_rule *rule) {
        size_t n = 0;
        char **patterns = glob_expand(c->arena, rule->pattern, &n);
        int r = patterns ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < n; i++) {
                size_t length = glob_literal_length(patterns[i]);
                char *beginning = arena_copy(c->arena, length ? patterns[i] : "/", length ? length : 1);
                if (beginning)
                        beginning = glob_unescape(c->arena, beginning);
                if (!beginning)
                        return -ENOMEM;
                const char *rest = patterns[i] + length;
                r = rule_rights(rule) ? place_grant(c, list, rule, beginning, rest) : place_refusal(c, list, rule, beginning, rest);
        }
        return r;
}

/* What stays out is opened by a literal path alone, and a pattern that begins below it grants nothing. */
void globs_warn(struct compiler *c) {
        for (size_t i = 0; i < c->matcher->globs.n; i++) {
                const struct glob_rule *g = c->matcher->globs.list + i;
                const struct tree_node *node = c->matcher->root, *out = NULL;
                size_t length = glob_literal_length(g->pattern);
                for (const char *p = g->pattern; g->rights && node && p < g->pattern + length;) {
                        size_t n = strcspn(++p, "/");
                        node = tree_child(node, p, n);
                        out = node && node->stays_out ? node : node && node->rights ? NULL : out;
                        p += n;
                }
                if (!out)
                        continue;
                _cleanup_free_ char *path = shown(out->path);
                policy_report_add(c->report, true, g->rule->place,
                                  "%s stays out unless it, or something below it, is named without wildcards", path);
        }
}

/* Grants that came over links last: what they would take away has to be known. */
static int sort_globs(struct compiler *c) {
        struct glob_list *globs = &c->matcher->globs;
        struct glob_rule *sorted = arena_alloc(c->arena, globs->n * sizeof(*sorted));
        size_t n = 0;

        if (!sorted)
                return -ENOMEM;
        for (int by_link = 0; by_link < 2; by_link++)
                for (size_t i = 0; i < globs->n; i++)
                        if (globs->list[i].by_link == by_link)
                                sorted[n++] = globs->list[i];
        globs->list = sorted;
        return 0;
}

int globs_place(struct compiler *c) {
        int result = 0;

        for (size_t i = 0; i < c->policy->files.n_rules; i++) {
                const struct file_rule *rule = c->policy->files.rules + i;
                int r = rule->path ? 0 : glob_place(c, &c->matcher->globs, rule);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        int r = c->matcher->globs.n ? sort_globs(c) : 0;
        return r < 0 ? r : result;
}
