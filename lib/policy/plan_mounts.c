/*
 * A container whose runtime is ours: whether mounts hold the rules for its files exactly, and which. What is here is what a mount's attributes can say of
 * whole trees (read-only, no execution, no devices), at places that can't be moved away; everything else is the broker's.
 */
#include <errno.h>

#include "path.h"
#include "str.h"
#include "tree.h"

/* What an attribute of a mount can take away. */
#define HELD (RIGHT_APPEND | RIGHT_WRITE | RIGHT_EXEC)

/* What is known of the place above. */
struct above {
        unsigned rights;
        bool fixed; /* it is a mount's root, so that nobody inside can rename it */
};

static int leave(struct compiler *c, const struct file_rule *rule, const char *why) {
        if (!c->broker_why) {
                c->broker_why = why;
                c->broker_at = rule ? rule->place : (struct place) { .file = c->policy->name };
        }
        return 0;
}

bool mounts_point(const struct compiler *c, const char *path) {
        for (size_t i = 0; i < c->request->n_mounted; i++)
                if (str_equal(c->request->mounted[i], path))
                        return true;
        return false;
}

static int add(struct compiler *c, enum node_kind kind, const struct tree_node *at) {
        struct node *node = arena_push(c->arena, &c->plan->nodes, &c->plan->n_nodes, sizeof(*node));

        if (!node)
                return -ENOMEM;
        node->kind = kind;
        node->path = at->path;
        node->source = kind == NODE_BIND ? at->path : NULL;
        node->directory = at->type != HOST_FILE;
        node->stays_out = kind == NODE_MASK;
        node->rights = at->rights;
        node->rule = at->grant;
        return 0;
}

/* procfs and sysfs: nothing can be made in them, renamed, or executed. */
static bool in_kernel_tree(const struct compiler *c, const char *path, const char *root) {
        return path_covers(root, path) && mounts_point(c, root);
}

static const char *why_not(const struct compiler *c, const struct tree_node *node, const struct above *above) {
        unsigned less = above->rights & ~node->rights & HELD, more = node->rights & ~above->rights & HELD;
        bool proc = in_kernel_tree(c, node->path, "/proc"), kernel = proc || in_kernel_tree(c, node->path, "/sys");
        bool mounted = mounts_point(c, node->path), there = proc || mounted || (node->type != HOST_ABSENT && node->type != HOST_UNKNOWN);

        if (!there)
                return less && (above->rights & RIGHT_WRITE) ? "a mount can't keep a name from being made" : NULL;
        if ((less & RIGHT_EXEC) && !(node->rights & RIGHT_WRITE) && !kernel)
                return "a mount from which nothing is executed has no libraries either";
        if (less && (above->rights & RIGHT_WRITE) && !above->fixed && !kernel)
                return "the folder that it lies in could be moved away, and its mount with it";
        if (!mounted && (more || (less & RIGHT_EXEC)))
                return "it has no mount of its own: give the container a volume or tmpfs there";
        return NULL;
}

static int make(struct compiler *c, struct tree_node *node, const struct above *above, struct above *here) {
        bool proc = in_kernel_tree(c, node->path, "/proc");

        if (node->hide || node->deny)
                return leave(c, node->hide ? node->hide : node->deny, "a mount can't take a name out of the listing of its directory");
        if (node->stays_out && !node->rights) {
                if (proc)
                        return add(c, NODE_MASK, node);
                tree_look(c, node);
                return node->type == HOST_ABSENT ? 0 : leave(c, NULL, "what stays out (sandboxd's own folders) is there");
        }
        here->fixed = mounts_point(c, node->path);
        if (!node->rights)
                return 0;
        here->rights = node->rights;
        if ((node->rights & HELD) == (above->rights & HELD))
                return 0;
        /* Devices and links: which devices can be opened is held by other means, and a link's target has its own place. */
        if (path_below(node->path, "/dev") && !node->grant && !mounts_point(c, node->path)) {
                here->rights = above->rights;
                return 0;
        }
        if (!proc)
                tree_look(c, node);
        const char *why = why_not(c, node, above);
        if (why)
                return leave(c, node->grant, why);
        if (!proc && !here->fixed && (node->type == HOST_ABSENT || node->type == HOST_LINK))
                return 0;
        here->fixed = true;
        return add(c, NODE_BIND, node);
}

static int make_below(struct compiler *c, struct tree_node *node, const struct above *above) {
        struct above here = { .rights = above->rights };
        int r = make(c, node, above, &here);

        for (size_t i = 0; r >= 0 && i < node->n_children; i++)
                r = make_below(c, node->children[i], &here);
        return r;
}

int mounts_make(struct compiler *c) {
        struct tree_node *root = c->matcher->root;
        struct above whole = { .rights = root->rights, .fixed = true };
        int r;

        if (root->hide || root->deny || !(root->rights & RIGHT_READ) || !(root->rights & RIGHT_EXEC))
                return leave(c, NULL, "not everything may be read and executed, and a mount can't tell one file from another");
        if (!mounts_point(c, "/proc"))
                return leave(c, NULL, "the container has no /proc of its own");
        r = add(c, NODE_BIND, root);
        for (size_t i = 0; r >= 0 && i < root->n_children; i++)
                r = make_below(c, root->children[i], &whole);
        return r;
}
