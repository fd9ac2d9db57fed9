/*
 * What the rules say of a path: a walk down the tree of literal rules, then the globs, if there are any. See sandboxd.policy(5), "Which rule wins".
 */
#include "str.h"
#include "tree.h"

bool rule_is_flag(const struct file_rule *rule) {
        return rule && rule->place.line == 0 && rule->place.file && str_starts(rule->place.file, "--");
}

static bool content_is_own(enum content content) {
        return content != CONTENT_NONE && content != CONTENT_BIND && content != CONTENT_REPLACE && content != CONTENT_OVERLAY;
}

/* What a pattern can grant below a node. */
static unsigned room_below(const struct tree_node *node, unsigned room) {
        switch (node->content) {
        case CONTENT_PROC:
        case CONTENT_DEV:
        case CONTENT_DEVICE: return 0;
        case CONTENT_REPLACE: return RIGHT_READ;
        case CONTENT_BIND: return node->content_rule->write ? RIGHTS_WRITE : RIGHT_READ;
        case CONTENT_PRIVATE:
        case CONTENT_OVERLAY: return RIGHTS_WRITE;
        case CONTENT_NONE: break;
        }
        /* A literal grant has a mount of its own where it needs one. */
        return room ? room | node->rights : 0;
}

void walk_begin(struct walk *w, const struct matcher *matcher) {
        *w = (struct walk) { .rights = matcher->unnamed == FILES_READ ? RIGHT_READ : 0, .room = RIGHTS_WRITE };
}

void walk_enter(struct walk *w, const struct tree_node *node, size_t length) {
        if (node->rights || node->content == CONTENT_DEV) {
                w->rights = node->rights;
                w->rule = node->content_rule ? node->content_rule : node->grant;
                w->own = content_is_own(node->content);
                w->rank = length;
                w->room = room_below(node, w->room);
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
        const char *pattern = NULL;
        bool found = w->rights != 0;

        for (size_t i = 0; i < matcher->globs.n; i++) {
                const struct glob_rule *g = matcher->globs.list + i;
                unsigned m = glob_match(g->glob, path), rights = g->rights & w->room;
                if (m == 0 || (g->rights && !rights))
                        continue;
                *above |= rights != 0;
                if (!(m & GLOB_MATCHES))
                        continue;
                if (g->rights == 0) {
                        if (g->rule->kind == FILE_HIDE)
                                w->hide = g->rule;
                        else
                                w->deny = g->rule;
                        continue;
                }
                /* Nobody named what a link leads to: that takes nothing from a wider rule. */
                if (g->by_link && (rights & ~w->rights) == 0)
                        continue;
                int order = found ? glob_rank_compare(&g->rank, &best) : 1;
                if (order == 0 && pattern && strcmp(pattern, g->pattern) == 0)
                        w->rights |= rights;
                else if (order > 0) {
                        w->rights = rights;
                        w->rule = g->rule;
                        best = g->rank;
                        pattern = g->pattern;
                        found = true;
                }
        }
}

static struct match granted(const struct walk *w, const struct tree_node *node) {
        struct match match = { .state = MATCH_GRANTED, .rights = w->rights, .own = w->own, .rule = w->rule };

        if (node && node->protected) {
                match.rights &= ~(unsigned) (RIGHT_WRITE | RIGHT_APPEND);
                if (!match.rights)
                        match.state = MATCH_DENIED;
        }
        return match;
}

struct match walk_result(const struct matcher *matcher, const struct walk *w, const struct tree_node *node, bool above) {
        const struct file_rule *refused = w->hide ? w->hide : w->deny;
        bool shows = matcher->unnamed == FILES_DENY;

        /* What stays out shows as a name only where a grant would show it. */
        if (refused || (w->stays_out && (w->rights || shows))) {
                enum match_state state = w->hide ? MATCH_HIDDEN : MATCH_DENIED;
                if (node && node->visible_below)
                        return (struct match) { .state = MATCH_ANCESTOR, .rights = RIGHT_READ, .otherwise = state, .rule = refused };
                return (struct match) { .state = state, .rule = refused };
        }
        if (node && node->link_shown && !w->rights)
                return (struct match) { .state = MATCH_GRANTED, .rights = RIGHT_READ, .rule = node->link };
        if (w->rights)
                return granted(w, node);
        if ((node && node->visible_below) || above || shows)
                return (struct match) {
                        .state = MATCH_ANCESTOR, .rights = RIGHT_READ, .otherwise = shows ? MATCH_DENIED : MATCH_HIDDEN, .own = w->own
                };
        return (struct match) { .state = MATCH_HIDDEN };
}

struct match matcher_match(const struct matcher *matcher, const char *path) {
        const struct tree_node *node = matcher->root;
        struct walk w;
        bool above = false;
        const char *p = path;

        walk_begin(&w, matcher);
        walk_enter(&w, node, 1);
        while (node && *(p += strspn(p, "/"))) {
                size_t n = strcspn(p, "/");
                node = tree_child(node, p, n);
                p += n;
                if (node)
                        walk_enter(&w, node, p - path);
        }
        if (matcher->globs.n)
                walk_globs(matcher, path, &w, &above);
        return walk_result(matcher, &w, node, above);
}

struct match plan_match(const struct plan *plan, const char *path) {
        struct match match = matcher_match(plan->matcher, path);

        return plan->floor ? match_both(match, plan_match(plan->floor, path)) : match;
}

/* What the rules of one condition say: nothing lifts them. */
static struct match take_away(const struct glob_list *rules, const char *path, struct match match) {
        for (size_t i = 0; i < rules->n && match.state != MATCH_HIDDEN; i++) {
                const struct glob_rule *g = rules->list + i;
                bool hides = g->rule->kind == FILE_HIDE;
                if ((hides || match.state != MATCH_DENIED) && (glob_match(g->glob, path) & GLOB_MATCHES))
                        match = (struct match) { .state = hides ? MATCH_HIDDEN : MATCH_DENIED, .rule = g->rule };
        }
        return match;
}

struct match plan_match_when(const struct plan *plan, uint64_t active, const char *path) {
        struct match match = matcher_match(plan->matcher, path);

        for (size_t i = 0; i < plan->n_conditions && match.state != MATCH_HIDDEN; i++)
                if (active & UINT64_C(1) << i)
                        match = take_away(plan->matcher->whens + i, path, match);
        if (!plan->floor)
                return match;
        uint64_t of_floor = plan->n_conditions < 64 ? active >> plan->n_conditions : 0;
        return match_both(match, plan_match_when(plan->floor, of_floor, path));
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

/* Without the floor. */
static bool alone_by_directory(const struct plan *plan) {
        return plan->matcher && plan->matcher->globs.n == 0 && plan->n_conditions == 0 && exec_by_directory(plan->matcher->root, false);
}

bool plan_exec_everywhere(const struct plan *plan) {
        return plan->matcher && (plan->matcher->root->rights & RIGHT_EXEC) && alone_by_directory(plan) &&
               (!plan->floor || plan_exec_everywhere(plan->floor));
}

bool plan_exec_by_directory(const struct plan *plan) {
        return alone_by_directory(plan) && !plan->floor;
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
