/*
 * Whether a directory can be renamed without giving what lies below it other rights: both places are compared name by name as far as literal rules
 * tell names apart, and beyond that by what the patterns can still match. In doubt the answer is no.
 */
#include "tree.h"

/* What patterns can do below the two places. */
struct patterns {
        bool same_grants; /* those that grant are at the same point in both */
        unsigned least;   /* below `from`: no pattern leaves a granted name with less than these */
        unsigned most;    /* below `to`: what patterns can grant */
        bool any_from;    /* a pattern can grant something below `from` */
};

/* One side of the comparison. */
struct side {
        const struct tree_node *node; /* NULL: no rule names anything below */
        struct walk walk;
        size_t length; /* of the path */
};

static void enter(struct side *side, const struct tree_node *node, size_t name_length) {
        side->length += name_length + 1;
        side->node = node;
        if (node)
                walk_enter(&side->walk, node, side->length);
}

static struct side find(const struct matcher *matcher, const char *path) {
        struct side side = { .node = matcher->root };

        walk_begin(&side.walk, matcher);
        walk_enter(&side.walk, side.node, 1);
        for (const char *p = path; side.node && *(p += strspn(p, "/"));) {
                size_t n = strcspn(p, "/");
                enter(&side, tree_child(side.node, p, n), n);
                p += n;
        }
        side.length = strlen(path);
        return side;
}

/* Whether a name with the match `to` is no more than one with the match `from`. */
static bool no_more(struct match to, struct match from) {
        switch (to.state) {
        case MATCH_HIDDEN: return true;
        case MATCH_DENIED: return from.state != MATCH_HIDDEN;
        case MATCH_ANCESTOR:
                if (from.state == MATCH_GRANTED)
                        return from.rights & RIGHT_READ;
                return from.state == MATCH_ANCESTOR && (to.otherwise == MATCH_HIDDEN || from.otherwise == MATCH_DENIED);
        case MATCH_GRANTED: return from.state == MATCH_GRANTED && !(to.rights & ~from.rights);
        }
        return false;
}

/* The literal rules alone, at a node or (NULL) at names that none of them tells from others. */
static bool literal_no_more(const struct matcher *m, const struct side *to, const struct side *from, bool at_node) {
        return no_more(walk_result(m, &to->walk, at_node ? to->node : NULL, false),
                       walk_result(m, &from->walk, at_node ? from->node : NULL, false));
}

/* What patterns add to the literal rules, which have been compared. */
static bool patterns_no_more(const struct patterns *p, const struct side *to_side, const struct side *from_side) {
        const struct walk *to = &to_side->walk, *from = &from_side->walk;
        unsigned added = p->most & to->room;

        if (to->hide || to->deny)
                return true;
        if (from->hide || from->deny || to->stays_out != from->stays_out)
                return !added;
        if (p->same_grants && to->rights == from->rights && to->room == from->room && (to->rank == from->rank || !p->any_from))
                return true;
        unsigned least = p->any_from ? from->rights & p->least & from->room : from->rights;
        return !((to->rights | added) & ~least);
}

static bool compare(const struct matcher *m, const struct patterns *p, const struct side *to, const struct side *from, bool top);

static bool compare_child(const struct matcher *m, const struct patterns *p, const struct side *to, const struct side *from,
                          const struct tree_node *name) {
        struct side to_child = *to, from_child = *from;

        enter(&to_child, to->node ? tree_child(to->node, name->name, name->name_length) : NULL, name->name_length);
        enter(&from_child, from->node ? tree_child(from->node, name->name, name->name_length) : NULL, name->name_length);
        return compare(m, p, &to_child, &from_child, false);
}

/* A mount below would move along, and a policy's own file is to stay where it is. */
static bool stays(const struct tree_node *node) {
        return node && (node->content != CONTENT_NONE || node->layer || node->protected);
}

static bool compare(const struct matcher *m, const struct patterns *p, const struct side *to, const struct side *from, bool top) {
        if (!top && (stays(to->node) || stays(from->node) || !literal_no_more(m, to, from, true)))
                return false;
        if (!literal_no_more(m, to, from, false) || !patterns_no_more(p, to, from))
                return false;
        for (size_t i = 0; from->node && i < from->node->n_children; i++)
                if (!compare_child(m, p, to, from, from->node->children[i]))
                        return false;
        for (size_t i = 0; to->node && i < to->node->n_children; i++) {
                const struct tree_node *name = to->node->children[i];
                bool seen = from->node && tree_child(from->node, name->name, name->name_length);
                if (!seen && !compare_child(m, p, to, from, name))
                        return false;
        }
        return true;
}

/* Collects what patterns grant; false where one that hides or denies could match less below `to` than below `from`. */
static bool collect(const struct matcher *m, const char *from, const char *to, struct patterns *ret) {
        *ret = (struct patterns) { .same_grants = true, .least = ~0U };
        for (size_t i = 0; i < m->globs.n; i++) {
                const struct glob_rule *g = m->globs.list + i;
                uint64_t here = glob_states(g->glob, from), there = glob_states(g->glob, to);
                if (!g->rights) {
                        if (here & ~there)
                                return false;
                        continue;
                }
                ret->same_grants = ret->same_grants && here == there;
                if (here) {
                        ret->any_from = true;
                        ret->least &= g->rights;
                }
                if (there)
                        ret->most |= g->rights | RIGHT_READ; /* what is above a match is listed */
        }
        return true;
}

/* A rule of a condition that takes nothing less away below `to` than below `from`: it holds for some, whoever renames. */
static bool whens_no_less(const struct plan *plan, const char *from, const char *to) {
        for (size_t i = 0; i < plan->n_conditions; i++)
                for (size_t k = 0; k < plan->matcher->whens[i].n; k++) {
                        const struct glob *glob = plan->matcher->whens[i].list[k].glob;
                        if (glob_states(glob, from) & ~glob_states(glob, to))
                                return false;
                }
        return true;
}

bool plan_same_below(const struct plan *plan, const char *from, const char *to) {
        const struct matcher *m = plan->matcher;
        struct side from_side = find(m, from), to_side = find(m, to);
        struct patterns patterns;

        /* No more by either is no more by both. */
        if (plan->floor && !plan_same_below(plan->floor, from, to))
                return false;
        return whens_no_less(plan, from, to) && collect(m, from, to, &patterns) && compare(m, &patterns, &to_side, &from_side, true);
}
