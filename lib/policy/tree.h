/*
 * Private to the plan: the tree of paths that rules name, as the sandbox sees them, with what the host has there. The compiler builds it, the view
 * is read off it, and the matcher walks it; after plan_compile nothing in it changes.
 */
#pragma once

#include "arena.h"
#include "glob.h"
#include "plan.h"

#define RIGHTS_WRITE (RIGHT_READ | RIGHT_APPEND | RIGHT_WRITE)
#define RIGHTS_EXEC (RIGHT_READ | RIGHT_EXEC)

enum host_type { HOST_UNKNOWN, HOST_ABSENT, HOST_DIRECTORY, HOST_FILE, HOST_LINK };

enum content {
        CONTENT_NONE,
        CONTENT_PRIVATE,
        CONTENT_REPLACE,
        CONTENT_BIND,
        CONTENT_OVERLAY,
        CONTENT_PROC,
        CONTENT_DEV,
        CONTENT_DEVICE, /* a node or link below /dev */
};

struct tree_node {
        struct tree_node *parent;
        char *name;
        size_t name_length;
        char *path;                  /* inside; like `host` to `target`, and `by_link`, only while the plan is compiled */
        struct tree_node **children; /* sorted by name */
        size_t n_children;

        char *host; /* the host's path of what is there; NULL: nothing of the host can be */
        enum host_type type;
        int error;    /* why it couldn't be looked at, where that is not ENOENT */
        char *target; /* HOST_LINK */

        enum content content;
        const struct file_rule *content_rule;
        unsigned rights; /* of grants and content; 0: none */
        bool protected;  /* a file of the policy's own: never writable */
        const struct file_rule *grant;
        bool reopens; /* a grant of the policy (not of the command line) or a bind, which lifts a hide or deny of a directory above */
        const struct file_rule *hide, *deny;
        bool stays_out;
        bool by_link;                 /* the grants here came over a link only */
        const struct file_rule *link; /* HOST_LINK on the way of this grant */
        bool link_shown;
        bool visible_below;            /* something below is visible */
        const struct file_rule *layer; /* overlay_writes: patterns grant to change something below */
};

struct glob_rule {
        const struct file_rule *rule;
        const char *pattern; /* without { }, the literal beginning resolved */
        const struct glob *glob;
        struct glob_rank rank;
        unsigned rights; /* 0: hide or deny */
        bool by_link;    /* the grant came over a link */
};

struct glob_list {
        struct glob_rule *list;
        size_t n;
};

struct matcher {
        struct tree_node *root;
        struct glob_list globs;  /* grants that came over links last */
        struct glob_list *whens; /* of each condition of the plan: literal paths as well */
        enum files_default unnamed;
};

struct plan_storage {
        struct plan plan; /* the first, so that one pointer is the other */
        struct arena arena;
        struct matcher matcher;
        struct plan *floor; /* owned, with its policy, in a plan that was loaded; else NULL */
};

/* The state of a compilation. */
struct compiler {
        const struct policy *policy;
        const struct plan_request *request;
        struct policy_report *report;
        struct arena *arena;
        struct plan *plan;
        struct matcher *matcher;
        const char *root; /* prefix of host paths, "" for the host's own tree */
        bool no_memory;
        const char *broker_why; /* what no mount can do, where something was met; plan.h */
        struct place broker_at;
};

/* Reports an error at a place; its value is -EINVAL. */
#define PLAN_ERROR(compiler, place, ...) \
        ({ \
                policy_report_add((compiler)->report, false, place, __VA_ARGS__); \
                -EINVAL; \
        })

/* ---- tree.c ---- */

struct tree_node *tree_root(struct compiler *c);
/* The child of this name, or NULL. */
struct tree_node *tree_child(const struct tree_node *node, const char *name, size_t length);
struct tree_node *tree_add(struct compiler *c, struct tree_node *parent, const char *name, size_t length);
/* Looks at what the host has there, once. */
void tree_look(struct compiler *c, struct tree_node *node);
/* The node of a path after resolution on the host (or below the root), as the sandbox will resolve it. The links on the way are told to
 * `link` (may be NULL). NULL: out of memory (c->no_memory), or too many links. follow: also a link in the last component. */
struct tree_node *tree_resolve(struct compiler *c, const char *path, bool follow, void (*link)(struct tree_node *node, void *userdata),
                               void *userdata);
/* The node of a path, taken literally. */
struct tree_node *tree_place(struct compiler *c, const char *path);
/* The nearest node at or above this one with content or rights of its own, or NULL. */
const struct tree_node *tree_giver(const struct tree_node *node);

/* ---- plan.c ---- */

/* The path of a rule, escaped, for a message; free it. */
char *shown(const char *path);
unsigned rule_rights(const struct file_rule *rule);
bool path_below(const char *path, const char *folder);
/* Whether the path is /proc, /dev, or below. */
bool built_in(const char *path);
/* Adds a grant at a node. */
void grant_add(struct tree_node *node, const struct file_rule *rule, unsigned rights);
void grant_link(struct tree_node *node, void *rule);

/* ---- plan_content.c ---- */

/* Puts the content that a rule makes into the tree. */
int place_content(struct compiler *c, const struct file_rule *rule);

/* ---- plan_setting.c: where the setting is not PLAN_OWN ---- */

/* Why mounts hold nothing there; static. */
const char *setting_why(enum plan_setting setting);
/* Reports a rule that makes content. */
int setting_refuse_content(struct compiler *c, const struct file_rule *rule);
/* Reports what only a launcher of ours could do. */
int setting_check(struct compiler *c);
/* What is granted of /proc and /dev without a rule; and, once the rules are placed, what no rule has named there stays out. */
int setting_add_built_in(struct compiler *c);
int setting_add_masks(struct compiler *c);

/* ---- plan_mounts.c: a container of our own runtime ---- */

/* Whether the request says that something is mounted there. */
bool mounts_point(const struct compiler *c, const char *path);
/* Reads off the finished tree what mounts have to hold, into plan->nodes; or sets c->broker_why. */
int mounts_make(struct compiler *c);

/* ---- plan_globs.c ---- */

/* Compiles the rules with patterns. */
int globs_place(struct compiler *c);
/* Warns of patterns that grant nothing. */
void globs_warn(struct compiler *c);
/* Compiles one rule, with a pattern or without, into a list. */
int glob_place(struct compiler *c, struct glob_list *list, const struct file_rule *rule);

/* ---- plan_when.c ---- */

/* Compiles the rules that depend on the program; and checks, after the view is made, that it shows the programs as they are. */
int whens_place(struct compiler *c);
int whens_check(struct compiler *c);

/* ---- plan_exec.c ---- */

/* Grants the interpreters and loaders of what exec rules name. */
int exec_close(struct compiler *c);

/* ---- match.c ---- */

/* What is known at a point of the walk down the tree. */
struct walk {
        unsigned rights;
        const struct file_rule *rule;
        bool own;
        size_t rank;   /* the length of the literal pattern that gives the rights */
        unsigned room; /* what patterns can grant here at most: a mount is the bound */
        const struct file_rule *hide, *deny;
        bool stays_out;
};

void walk_begin(struct walk *w, const struct matcher *matcher);
/* `length`: of the node's path. */
void walk_enter(struct walk *w, const struct tree_node *node, size_t length);
/* What the walk comes to at a node (NULL: below all nodes); `above`: a pattern can match something below. */
struct match walk_result(const struct matcher *matcher, const struct walk *w, const struct tree_node *node, bool above);

/* Marks the ancestors of what is visible. */
void matcher_finish(struct compiler *c);
struct match matcher_match(const struct matcher *matcher, const char *path);
bool rule_is_flag(const struct file_rule *rule);

/* ---- plan_view.c ---- */

/* Which of the first n objects of the view shows this path: the nearest at or above it; SIZE_MAX: none. */
size_t view_shown_by(const struct plan *plan, size_t n, const char *path);
/* Reads the view off the finished tree into plan->nodes. */
int view_make(struct compiler *c);
