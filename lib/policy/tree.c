#include "tree.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "str.h"

#define LINKS_MAX 40 /* as the kernel's */

static char *join(struct compiler *c, const char *folder, const char *name, size_t length) {
        size_t n = strlen(folder);

        if (n == 1 && folder[0] == '/')
                n = 0;
        char *path = arena_alloc(c->arena, n + length + 2);
        if (!path) {
                c->no_memory = true;
                return NULL;
        }
        memcpy(path, folder, n);
        path[n] = '/';
        memcpy(path + n + 1, name, length);
        return path;
}

/* Where the name is, or would be put. */
static size_t child_index(const struct tree_node *node, const char *name, size_t length, bool *found) {
        size_t low = 0, high = node->n_children;

        *found = false;
        while (low < high) {
                size_t middle = (low + high) / 2;
                const struct tree_node *child = node->children[middle];
                size_t n = child->name_length < length ? child->name_length : length;
                int order = memcmp(child->name, name, n);
                if (order == 0 && child->name_length == length) {
                        *found = true;
                        return middle;
                }
                if (order < 0 || (order == 0 && child->name_length < length))
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

struct tree_node *tree_child(const struct tree_node *node, const char *name, size_t length) {
        bool found;
        size_t i = child_index(node, name, length, &found);

        return found ? node->children[i] : NULL;
}

struct tree_node *tree_add(struct compiler *c, struct tree_node *parent, const char *name, size_t length) {
        bool found;
        size_t i = child_index(parent, name, length, &found);

        if (found)
                return parent->children[i];
        struct tree_node *node = arena_alloc(c->arena, sizeof(*node));
        if (!node || !(node->name = arena_copy(c->arena, name, length)) || !(node->path = join(c, parent->path, name, length)) ||
            !arena_push(c->arena, &parent->children, &parent->n_children, sizeof(node))) {
                c->no_memory = true;
                return NULL;
        }
        node->name_length = length;
        node->parent = parent;
        memmove(parent->children + i + 1, parent->children + i, (parent->n_children - 1 - i) * sizeof(node));
        parent->children[i] = node;
        return node;
}

struct tree_node *tree_root(struct compiler *c) {
        struct tree_node *root = arena_alloc(c->arena, sizeof(*root));

        if (!root || !(root->name = arena_strdup(c->arena, "")) || !(root->path = arena_strdup(c->arena, "/")) ||
            !(root->host = arena_strdup(c->arena, *c->root ? c->root : "/"))) {
                c->no_memory = true;
                return NULL;
        }
        root->type = HOST_DIRECTORY;
        return root;
}

static void look_at(struct compiler *c, struct tree_node *node) {
        char target[PATH_MAX];
        struct stat st;

        if (lstat(node->host, &st) < 0) {
                node->type = HOST_ABSENT;
                node->error = errno == ENOENT || errno == ENOTDIR ? 0 : errno;
                return;
        }
        node->type = S_ISDIR(st.st_mode) ? HOST_DIRECTORY : HOST_FILE;
        if (!S_ISLNK(st.st_mode))
                return;
        ssize_t n = readlink(node->host, target, sizeof(target));
        if (n <= 0 || n == sizeof(target)) {
                node->type = HOST_ABSENT;
                return;
        }
        node->target = arena_copy(c->arena, target, n);
        if (!node->target)
                c->no_memory = true;
        node->type = node->target ? HOST_LINK : HOST_ABSENT;
}

void tree_look(struct compiler *c, struct tree_node *node) {
        if (node->type != HOST_UNKNOWN)
                return;
        if (node->content != CONTENT_BIND)
                tree_look(c, node->parent);
        /* /proc and /dev are the sandbox's own: what the host has there says nothing. */
        if (node->content != CONTENT_BIND && (node->parent->type != HOST_DIRECTORY || node->parent->content == CONTENT_PROC ||
                                              node->parent->content == CONTENT_DEV || !node->parent->host)) {
                node->type = HOST_ABSENT;
                return;
        }
        if (!node->host)
                node->host = join(c, node->parent->host, node->name, node->name_length);
        if (node->host)
                look_at(c, node);
        else
                node->type = HOST_ABSENT;
}

struct tree_node *tree_resolve(struct compiler *c, const char *path, bool follow, void (*link)(struct tree_node *node, void *userdata),
                               void *userdata) {
        struct tree_node *node = c->matcher->root;
        const char *rest[LINKS_MAX + 1]; /* what is left of the path and of each link's text, the innermost last */
        size_t depth = 0, links = 0;

        rest[0] = path;
        for (;;) {
                const char *p = rest[depth] + strspn(rest[depth], "/");
                size_t n = strcspn(p, "/");
                if (n == 0) {
                        if (depth == 0)
                                return node;
                        depth--;
                        continue;
                }
                rest[depth] = p + n;
                if (n == 1 && p[0] == '.')
                        continue;
                if (n == 2 && p[0] == '.' && p[1] == '.') {
                        node = node->parent ? node->parent : node;
                        continue;
                }
                struct tree_node *child = tree_add(c, node, p, n);
                if (!child)
                        return NULL;
                tree_look(c, child);
                bool last = true;
                for (size_t i = 0; i <= depth; i++)
                        last = last && rest[i][strspn(rest[i], "/")] == 0;
                if (child->type != HOST_LINK || child->content != CONTENT_NONE || (last && !follow)) {
                        node = child;
                        continue;
                }
                if (++links > LINKS_MAX)
                        return NULL;
                if (link)
                        link(child, userdata);
                if (child->target[0] == '/')
                        node = c->matcher->root;
                rest[++depth] = child->target;
        }
}

struct tree_node *tree_place(struct compiler *c, const char *path) {
        struct tree_node *node = c->matcher->root;

        for (const char *p = path; node && *(p += strspn(p, "/"));) {
                size_t n = strcspn(p, "/");
                node = tree_add(c, node, p, n);
                p += n;
        }
        return node;
}

const struct tree_node *tree_giver(const struct tree_node *node) {
        while (node && node->content == CONTENT_NONE && node->rights == 0)
                node = node->parent;
        return node;
}
