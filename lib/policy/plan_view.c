/*
 * The view: the finished tree, read off as objects to be made, parents first.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"
#include "tree.h"

#define PRIVATE_SIZE (UINT64_C(512) << 20)
#define REPLACE_MAX (16U << 20)

/* What shows at a place because of what was made above it. */
struct shows {
        enum { SHOWS_FRESH, SHOWS_BIND, SHOWS_OVERLAY, SHOWS_PRIVATE, SHOWS_OWN } kind; /* OWN: /proc, /dev, a replaced file */
        unsigned rights;
        bool covered; /* below a mask: nothing can be made here */
        const struct tree_node *node;
};

static struct node *add(struct compiler *c, enum node_kind kind, const struct tree_node *at) {
        struct node *node = arena_push(c->arena, &c->plan->nodes, &c->plan->n_nodes, sizeof(*node));

        if (!node)
                return NULL;
        node->kind = kind;
        node->path = at->path;
        node->directory = at->type == HOST_DIRECTORY;
        return node;
}

static char *escaped_path(const struct tree_node *node) {
        char *text = str_escape(node->path);

        return text ? text : strdup("?");
}

/* No view holds this rule exactly: the plan will be compiled again, for the broker. */
static int leave_to_broker(struct compiler *c, const struct file_rule *rule, const char *why) {
        if (!c->broker_why) {
                c->broker_why = why;
                c->broker_at = rule->place;
        }
        return 0;
}

/* ---- hide and deny ---- */

static int add_mask(struct compiler *c, const struct tree_node *node, const struct file_rule *rule) {
        struct node *mask = add(c, NODE_MASK, node);

        if (!mask)
                return -ENOMEM;
        mask->rule = rule;
        mask->stays_out = !rule;
        return 0;
}

static int make_hidden(struct compiler *c, const struct tree_node *node, const struct shows *above) {
        if (above->kind == SHOWS_FRESH || above->covered)
                return 0;
        return leave_to_broker(c, node->hide, "a mount can't take a name out of the listing of its directory");
}

/* Where a grant would show the name, the name stays: on the fresh root there has to be something to mask. */
static int make_denied_fresh(struct compiler *c, const struct tree_node *node) {
        if (node->visible_below || !node->rights || (node->type != HOST_DIRECTORY && node->type != HOST_FILE))
                return 0;
        struct node *under = add(c, node->type == HOST_DIRECTORY ? NODE_DIR : NODE_FILE, node);
        if (!under)
                return -ENOMEM;
        under->rule = node->deny;
        return add_mask(c, node, node->deny);
}

static int make_denied(struct compiler *c, const struct tree_node *node, const struct shows *above) {
        if (above->covered)
                return 0;
        if (above->kind == SHOWS_FRESH)
                return make_denied_fresh(c, node);
        if (node->visible_below)
                return leave_to_broker(c, node->deny, "a mount can't refuse a directory and open something below it");
        if (above->kind == SHOWS_OWN && above->node->content == CONTENT_PROC)
                return add_mask(c, node, node->deny);
        if (node->type == HOST_DIRECTORY || node->type == HOST_FILE)
                return above->kind == SHOWS_BIND || above->kind == SHOWS_OVERLAY
                               ? add_mask(c, node, node->deny)
                               : leave_to_broker(c, node->deny, "what is made in a private place can't be covered by a mount");
        /* A link's target is denied as well; an absent name below what can't be written stays absent. */
        if (node->type == HOST_LINK || !(above->rights & RIGHT_WRITE))
                return 0;
        return leave_to_broker(c, node->deny, "a mount can't keep a name from being made");
}

/* ---- What makes content ---- */

static int make_private(struct compiler *c, const struct tree_node *node) {
        struct node *n = add(c, NODE_TMPFS, node);

        if (!n)
                return -ENOMEM;
        n->directory = true;
        n->rights = node->rights;
        n->rule = node->content_rule;
        n->size = node->content_rule->size ? node->content_rule->size : PRIVATE_SIZE;
        return 0;
}

static int read_replacement(struct compiler *c, const struct file_rule *rule, struct node *n) {
        _cleanup_free_ char *text = NULL, *from = str_escape(rule->from);
        _cleanup_close_ int fd = open(rule->from, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        int r = fd < 0 ? -errno : fd_read_file(fd, REPLACE_MAX, &text, &n->text_size);

        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return PLAN_ERROR(c, rule->place, "%s can't be read: %s", from ? from : "?",
                                  r == -EFBIG ? "it is larger than 16M; use `binds`" : strerror(-r));
        n->text = arena_copy(c->arena, text, n->text_size);
        return n->text ? 0 : -ENOMEM;
}

static int make_replaced(struct compiler *c, const struct tree_node *node) {
        const struct file_rule *rule = node->content_rule;
        struct node *n = add(c, NODE_FILE, node);

        if (!n)
                return -ENOMEM;
        n->directory = false;
        n->rights = node->rights;
        n->rule = rule;
        if (rule->from)
                return read_replacement(c, rule, n);
        n->text = rule->content;
        n->text_size = rule->content_size;
        return 0;
}

static bool changes(unsigned rights) {
        return rights & (RIGHT_WRITE | RIGHT_APPEND);
}

/* An object of the host. */
static int make_bind(struct compiler *c, const struct tree_node *node, const struct file_rule *rule, bool overlay) {
        struct node *n = add(c, overlay ? NODE_OVERLAY : NODE_BIND, node);

        if (!n)
                return -ENOMEM;
        n->source = node->host;
        n->rights = node->rights;
        n->rule = rule;
        return 0;
}

/* What is mounted on must be there where the host's own folder shows, and be of the same kind. */
static int check_place(struct compiler *c, const struct tree_node *node, const struct shows *above) {
        const struct file_rule *rule = node->content_rule;
        bool directory = node->content == CONTENT_PRIVATE || node->content == CONTENT_OVERLAY ||
                         (node->content == CONTENT_BIND && node->type == HOST_DIRECTORY);

        if (above->covered || above->kind == SHOWS_OWN) {
                if (above->kind == SHOWS_OWN && above->node->content == CONTENT_DEV && node->content == CONTENT_PRIVATE)
                        return 0;
                _cleanup_free_ char *path = escaped_path(node);
                return PLAN_ERROR(c, rule->place, "%s lies below something that another rule puts there", path);
        }
        if (above->kind != SHOWS_BIND && above->kind != SHOWS_OVERLAY)
                return 0;
        /* A bind's node holds the type of what is bound: ask the place itself. */
        struct tree_node place = { .parent = node->parent, .name = node->name, .name_length = node->name_length };
        tree_look(c, &place);
        if (place.type == (directory ? HOST_DIRECTORY : HOST_FILE))
                return 0;
        _cleanup_free_ char *path = escaped_path(node), *from = escaped_path(above->node);
        return PLAN_ERROR(c, rule->place, "%s can't be put there: %s is the host's, and %s", path, from,
                          place.type == HOST_ABSENT      ? "has nothing of this name to mount on; make it first"
                          : place.type == HOST_LINK      ? "the name is a symbolic link; name its target"
                          : place.type == HOST_DIRECTORY ? "the name is a folder there"
                                                         : "the name is a file there");
}

/* With --overlay or --dry-run: what could be changed on the host gets a layer above it. */
static bool overlaid(const struct compiler *c, const struct tree_node *node) {
        return c->request->overlay_writes && changes(node->rights);
}

static int check_overlaid(struct compiler *c, const struct tree_node *node, const struct file_rule *rule) {
        if (!overlaid(c, node) || node->type == HOST_DIRECTORY)
                return 0;
        _cleanup_free_ char *path = escaped_path(node);
        return PLAN_ERROR(c, rule->place, "%s is a file, and a layer can only lie above a directory: name the one that it lies in", path);
}

static int make_content(struct compiler *c, const struct tree_node *node, const struct shows *above) {
        const struct file_rule *rule = node->content_rule;
        int r = check_place(c, node, above);

        if (r < 0)
                return r;
        switch (node->content) {
        case CONTENT_PRIVATE: return make_private(c, node);
        case CONTENT_REPLACE: return make_replaced(c, node);
        case CONTENT_BIND: r = check_overlaid(c, node, rule); return r < 0 ? r : make_bind(c, node, rule, overlaid(c, node));
        case CONTENT_OVERLAY: return make_bind(c, node, rule, true);
        default: return 0;
        }
}

/* ---- One place ---- */

/* The place's own rule is a grant; whether a mount is needed for it. */
static bool needs_bind(const struct compiler *c, const struct tree_node *node, const struct shows *above) {
        if (node->type == HOST_ABSENT || node->type == HOST_LINK || !node->host)
                return false;
        /* What is changed goes into the layer above already. */
        if (above->kind == SHOWS_OVERLAY && overlaid(c, node))
                return !c->plan->files_brokered && above->rights != node->rights;
        /* The broker asks for the right to each call; a mount is for other content than that of the tree above. */
        if (c->plan->files_brokered && above->kind == SHOWS_BIND)
                return overlaid(c, node);
        return above->kind != SHOWS_BIND || above->rights != node->rights;
}

static int make_grant(struct compiler *c, const struct tree_node *node, const struct shows *above, struct shows *here) {
        if (above->covered || above->kind == SHOWS_OWN)
                return 0;
        if (!needs_bind(c, node, above))
                return 0;
        int r = check_overlaid(c, node, node->grant);
        if (r < 0)
                return r;
        *here = (struct shows) { .kind = overlaid(c, node) ? SHOWS_OVERLAY : SHOWS_BIND, .rights = node->rights, .node = node };
        return make_bind(c, node, node->grant, overlaid(c, node));
}

/* The directory in which a pattern grants changes, with --overlay or --dry-run. */
static int make_layer(struct compiler *c, const struct tree_node *node, struct shows *here) {
        struct node *n = add(c, NODE_OVERLAY, node);

        if (!n)
                return -ENOMEM;
        n->source = node->host;
        n->rights = node->rights | rule_rights(node->layer);
        n->rule = node->layer;
        *here = (struct shows) { .kind = SHOWS_OVERLAY, .rights = n->rights, .node = node };
        return 0;
}

/* What has no rule of its own, but lies above something that has. */
static int make_way(struct compiler *c, const struct tree_node *node, const struct shows *above) {
        struct node *n;

        if (above->covered || (above->kind != SHOWS_FRESH && above->kind != SHOWS_PRIVATE))
                return 0;
        if (node->link_shown && node->type == HOST_LINK && node->content == CONTENT_NONE) {
                n = add(c, NODE_LINK, node);
                if (!n)
                        return -ENOMEM;
                n->text = node->target;
                n->text_size = strlen(node->target);
                n->rule = node->link;
                return 0;
        }
        if (!node->visible_below || !node->parent)
                return 0;
        n = add(c, NODE_DIR, node);
        if (!n)
                return -ENOMEM;
        n->directory = true;
        return 0;
}

static int make_own(struct compiler *c, const struct tree_node *node, struct shows *here) {
        struct node *n = add(c, node->content == CONTENT_PROC ? NODE_PROC : NODE_DEV, node);

        if (!n)
                return -ENOMEM;
        n->directory = true;
        *here = (struct shows) { .kind = SHOWS_OWN, .node = node };
        return 0;
}

static int make(struct compiler *c, const struct tree_node *node, const struct shows *above, struct shows *here) {
        struct match match = matcher_match(c->matcher, node->path);
        bool stays_out = node->stays_out && !node->rights, own = node->content == CONTENT_PROC || node->content == CONTENT_DEV;

        if (!c->plan->files_brokered && (own || node->content == CONTENT_DEVICE) && (node->hide || node->deny))
                return leave_to_broker(c, node->hide ? node->hide : node->deny, "no mount covers /proc, /dev and the devices in it");
        if (own)
                return make_own(c, node, here);
        if (node->content == CONTENT_DEVICE)
                return 0;
        if (!c->plan->files_brokered && (node->hide || node->deny || stays_out)) {
                int r = 0;
                if (node->hide)
                        r = make_hidden(c, node, above);
                else if (node->deny)
                        r = make_denied(c, node, above);
                else if ((above->kind == SHOWS_BIND || above->kind == SHOWS_OVERLAY) && !above->covered &&
                         (node->type == HOST_DIRECTORY || node->type == HOST_FILE))
                        r = add_mask(c, node, NULL);
                if (r < 0)
                        return r;
                if (above->kind == SHOWS_FRESH)
                        return node->visible_below ? make_way(c, node, above) : 0;
                here->covered = true;
                return 0;
        }
        if (match.state == MATCH_GRANTED && node->content != CONTENT_NONE) {
                bool overlay = node->content == CONTENT_OVERLAY || (node->content == CONTENT_BIND && overlaid(c, node));
                *here = (struct shows) { .kind = overlay                            ? SHOWS_OVERLAY
                                                 : node->content == CONTENT_BIND    ? SHOWS_BIND
                                                 : node->content == CONTENT_PRIVATE ? SHOWS_PRIVATE
                                                                                    : SHOWS_OWN,
                                         .rights = node->rights,
                                         .node = node };
                return make_content(c, node, above);
        }
        if (node->layer && above->kind == SHOWS_BIND)
                return make_layer(c, node, here);
        if (match.state == MATCH_GRANTED && node->rights)
                return make_grant(c, node, above, here);
        return make_way(c, node, above);
}

static int make_tree(struct compiler *c, const struct tree_node *node, const struct shows *above) {
        struct shows here = *above;
        int r = make(c, node, above, &here), result = r;

        if (r == -ENOMEM)
                return r;
        for (size_t i = 0; i < node->n_children; i++) {
                r = make_tree(c, node->children[i], &here);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

/* ---- The policy's own files ---- */

size_t view_shown_by(const struct plan *plan, size_t n, const char *path) {
        size_t best = SIZE_MAX, length = 0;

        for (size_t i = 0; i < n; i++) {
                size_t k = strlen(plan->nodes[i].path);
                bool above = strncmp(plan->nodes[i].path, path, k) == 0 && (path[k] == '/' || path[k] == 0 || k == 1);
                if (above && k >= length && plan->nodes[i].kind != NODE_DIR) {
                        best = i;
                        length = k;
                }
        }
        return best;
}

/* Puts a bind of its own over a path that the writable bind i shows, unless there is one. */
static int cover(struct compiler *c, size_t i, const struct strbuf *path, const struct strbuf *source, bool directory, unsigned rights) {
        for (size_t k = 0; k < c->plan->n_nodes; k++)
                if (strcmp(c->plan->nodes[k].path, path->text) == 0)
                        return 0;
        struct node *n = arena_push(c->arena, &c->plan->nodes, &c->plan->n_nodes, sizeof(*n));
        if (!n)
                return -ENOMEM;
        n->kind = NODE_BIND;
        n->path = arena_copy(c->arena, path->text, path->length);
        n->source = arena_copy(c->arena, source->text, source->length);
        n->directory = directory;
        n->rights = rights;
        n->rule = c->plan->nodes[i].rule;
        return n->path && n->source ? 0 : -ENOMEM;
}

/* A file of the policy that a writable bind shows gets a read-only one over it. So that it can't be moved away with its folder, and another put
 * in its place, each folder between becomes a mount point too: those can't be renamed. */
static int cover_way(struct compiler *c, size_t i, const char *rest) {
        const struct node bind = c->plan->nodes[i];
        _cleanup_(strbuf_done) struct strbuf inside = {}, outside = {};
        int r = 0;

        if (bind.path[1] != 0)
                strbuf_puts(&inside, bind.path);
        if (bind.source[1] != 0)
                strbuf_puts(&outside, bind.source);
        while (*rest && r >= 0) {
                size_t n = 1 + strcspn(rest + 1, "/");
                strbuf_add(&inside, rest, n);
                strbuf_add(&outside, rest, n);
                rest += n;
                if (inside.failed || outside.failed)
                        return -ENOMEM;
                /* In a layer a folder of the host can't be renamed in any case, and a bind would be a hole in it. */
                if (*rest && bind.kind == NODE_OVERLAY)
                        continue;
                r = cover(c, i, &inside, &outside, *rest != 0,
                          *rest ? bind.rights : bind.rights & ~(unsigned) (RIGHT_WRITE | RIGHT_APPEND));
        }
        return r;
}

static int protect(struct compiler *c, size_t n, size_t i, const char *source) {
        const struct node *bind = c->plan->nodes + i;
        size_t length = bind->source[1] ? strlen(bind->source) : 0;
        const char *rest = source + length;
        _cleanup_(strbuf_done) struct strbuf inside = {};

        if (strncmp(source, bind->source, length) != 0 || (*rest != '/' && *rest != 0))
                return 0;
        strbuf_puts(&inside, bind->path[1] ? bind->path : "");
        strbuf_puts(&inside, rest);
        if (inside.failed)
                return -ENOMEM;
        if (view_shown_by(c->plan, n, inside.text) != i)
                return 0;
        struct tree_node *node = tree_place(c, inside.text);
        if (!node)
                return -ENOMEM;
        node->protected = true;
        if (c->plan->files_brokered)
                return 0;
        if (*rest == 0) {
                c->plan->nodes[i].rights &= ~(unsigned) (RIGHT_WRITE | RIGHT_APPEND);
                return 0;
        }
        return cover_way(c, i, rest);
}

static int protect_sources(struct compiler *c) {
        size_t n = c->plan->n_nodes;

        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < c->policy->n_sources; k++) {
                        const struct node *node = c->plan->nodes + i;
                        if ((node->kind != NODE_BIND && node->kind != NODE_OVERLAY) || !changes(node->rights))
                                continue;
                        int r = protect(c, n, i, c->policy->sources[k]);
                        if (r < 0)
                                return r;
                }
        return 0;
}

static int compare_nodes(const void *a, const void *b) {
        const unsigned char *x = (const unsigned char *) ((const struct node *) a)->path,
                            *y = (const unsigned char *) ((const struct node *) b)->path;

        while (*x && *x == *y)
                x++, y++;
        /* What is masked comes before its mask. */
        if (!*x && !*y)
                return (int) ((const struct node *) a)->kind - (int) ((const struct node *) b)->kind;
        /* A slash before anything else: what is below a folder follows it at once. */
        int p = *x == '/' ? 1 : *x ? *x + 1 : 0, q = *y == '/' ? 1 : *y ? *y + 1 : 0;
        return p - q;
}

int view_make(struct compiler *c) {
        struct shows nothing = { .kind = SHOWS_FRESH };
        int r;

        if (c->plan->files_brokered || (c->matcher->unnamed == FILES_READ && !setting_is_foreign(c->request->setting))) {
                struct node *n = add(c, NODE_BIND, c->matcher->root);
                if (!n)
                        return -ENOMEM;
                n->source = c->matcher->root->host;
                n->rights = c->plan->files_brokered ? RIGHTS_WRITE | RIGHT_EXEC : RIGHT_READ;
                nothing = (struct shows) { .kind = SHOWS_BIND, .rights = n->rights, .node = c->matcher->root };
        }
        /* The rest is as whoever made the namespaces has it. */
        if (setting_is_foreign(c->request->setting))
                r = c->plan->files_brokered ? 0 : mounts_make(c);
        else
                r = make_tree(c, c->matcher->root, &nothing);
        if (r < 0)
                return r;
        /* The policy's files are the host's: where mounts hold the rules the container has none of them by their paths. */
        if (!setting_is_foreign(c->request->setting) || c->plan->files_brokered)
                r = protect_sources(c);
        if (r < 0)
                return r;
        if (c->plan->n_nodes > 0)
                qsort(c->plan->nodes, c->plan->n_nodes, sizeof(*c->plan->nodes), compare_nodes);
        return 0;
}
