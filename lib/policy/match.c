/*
 * What the rules say of a path: a walk down the tree of literal rules, then the globs, if there are any. See sandboxd.policy(5), "Which rule wins".
 */
#include "str.h"
#include "tree.h"

bool rule_is_flag(const struct file_rule *rule) {
        return rule && rule->place.line == 0 && rule->place.file && str_starts(rule->place.file, "--");
}

/* What is known at a point of the walk. */
struct walk {
        unsigned rights;
        const struct file_rule *rule;
        bool own;
        size_t rank; /* the length of the literal pattern that gives the rights */
        const struct file_rule *hide, *deny;
        bool stays_out;
};

static bool content_is_own(enum content content) {
        return content != CONTENT_NONE && content != CONTENT_BIND && content != CONTENT_REPLACE;
}

static void walk_enter(struct walk *w, const struct tree_node *node, size_t length) {
        if (node->rights || node->content == CONTENT_DEV) {
                w->rights = node->rights;
                w->rule = node->content_rule ? node->content_rule : node->grant;
                w->own = content_is_own(node->content);
                w->rank = length;
                w->stays_out = false;
                if (node->reopens)
                        w->hide = w->deny = NULL;
        }
        if (node->hide)
                w->hide = node->hide;
        if (node->deny)
                w->deny = node->deny;
        if (node->stays_out)
                w->stays_out = true;
}

/* Globs that hide or deny always do; a glob that grants does where it is more specific than the literal rule. */
static void walk_globs(const struct matcher *matcher, const char *path, struct walk *w, bool *above) {
        struct glob_rank best = { .prefix = w->rank, .length = w->rank };
        bool found = w->rights != 0;

        for (size_t i = 0; i < matcher->n_globs; i++) {
                const struct glob_rule *g = matcher->globs + i;
                unsigned m = glob_match(g->glob, path);
                if (g->rights && (m & GLOB_ABOVE))
                        *above = true;
                if (!(m & GLOB_MATCHES))
                        continue;
                if (g->rights == 0) {
                        if (g->rule->kind == FILE_HIDE)
                                w->hide = g->rule;
                        else
                                w->deny = g->rule;
                        continue;
                }
                int order = found ? glob_rank_compare(&g->rank, &best) : 1;
                if (order == 0 && w->rule && strcmp(w->rule->pattern, g->rule->pattern) == 0)
                        w->rights |= g->rights;
                else if (order > 0) {
                        w->rights = g->rights;
                        w->rule = g->rule;
                        best = g->rank;
                        found = true;
                }
        }
}

static struct match walk_result(const struct walk *w, const struct tree_node *node, bool above) {
        const struct file_rule *refused = w->hide ? w->hide : w->deny;

        /* What stays out shows as a name only where a grant would show it. */
        if (refused || (w->stays_out && w->rights)) {
                if (node && node->visible_below)
                        return (struct match) { .state = MATCH_ANCESTOR, .rule = refused };
                return (struct match) { .state = w->hide ? MATCH_HIDDEN : MATCH_DENIED, .rule = refused };
        }
        if (node && node->link_shown && !w->rights)
                return (struct match) { .state = MATCH_GRANTED, .rights = RIGHT_READ, .rule = node->link };
        if (w->rights)
                return (struct match) { .state = MATCH_GRANTED, .rights = w->rights, .own = w->own, .rule = w->rule };
        if ((node && node->visible_below) || above)
                return (struct match) { .state = MATCH_ANCESTOR, .own = w->own };
        return (struct match) { .state = MATCH_HIDDEN };
}

struct match matcher_match(const struct matcher *matcher, const char *path) {
        const struct tree_node *node = matcher->root;
        struct walk w = {};
        bool above = false;
        const char *p = path;

        if (matcher->read_unnamed) {
                w.rights = RIGHT_READ;
                w.rank = 0;
        }
        walk_enter(&w, node, 1);
        while (node && *(p += strspn(p, "/"))) {
                size_t n = strcspn(p, "/");
                node = tree_child(node, p, n);
                p += n;
                if (node)
                        walk_enter(&w, node, p - path);
        }
        if (matcher->n_globs)
                walk_globs(matcher, path, &w, &above);
        return walk_result(&w, node, above);
}

struct match plan_match(const struct plan *plan, const char *path) {
        return matcher_match(plan->matcher, path);
}

bool plan_same_below(const struct plan *plan, const char *from, const char *to) {
        const struct tree_node *node = plan->matcher->root;

        (void) to;
        for (const char *p = from; node && *(p += strspn(p, "/")); p += strcspn(p, "/"))
                node = tree_child(node, p, strcspn(p, "/"));
        return (!node || node->n_children == 0) && plan->matcher->n_globs == 0;
}

/* `given`: a directory above may be executed from. */
static bool exec_by_directory(const struct tree_node *node, bool given) {
        bool exec = node->rights & RIGHT_EXEC;

        if (given && (node->hide || node->deny || node->stays_out || (node->rights && !exec)))
                return false;
        for (size_t i = 0; i < node->n_children; i++)
                if (!exec_by_directory(node->children[i], given || exec))
                        return false;
        return true;
}

bool plan_exec_by_directory(const struct plan *plan) {
        return plan->matcher && plan->matcher->n_globs == 0 && exec_by_directory(plan->matcher->root, false);
}

static bool mark(struct compiler *c, struct tree_node *node) {
        bool below = false;

        for (size_t i = 0; i < node->n_children; i++)
                below |= mark(c, node->children[i]);
        /* Before the mark is set the match can't be ANCESTOR by what is below. */
        node->visible_below = false;
        enum match_state state = node->rights || node->link_shown ? matcher_match(c->matcher, node->path).state : MATCH_HIDDEN;
        bool own = state == MATCH_GRANTED || (state == MATCH_DENIED && node->rights);
        node->visible_below = below;
        return below || own || node->content == CONTENT_DEV;
}

void matcher_finish(struct compiler *c) {
        mark(c, c->matcher->root);
}
