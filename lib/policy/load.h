/*
 * Private to the loader: its state, and the typed reading of nodes. Functions that read a node return 0; -EINVAL, with the error reported, for
 * what is wrong with this node (the rest is still read, so that all errors are seen); -ENOMEM, which ends everything.
 */
#pragma once

#include "arena.h"
#include "document.h"
#include "policy.h"

/* What policy_load makes: everything that the policy points to lies in the arena. */
struct policy_storage {
        struct policy policy; /* the first, so that one pointer is the other */
        struct arena arena;
};

struct layer {
        const char *file; /* as messages name it */
        char *folder;     /* where relative paths of it begin */
        dev_t dev;
        ino_t ino;
        struct yaml_node *top; /* NULL: empty */
};

enum variable_state { VARIABLE_NEW, VARIABLE_EXPANDING, VARIABLE_READY, VARIABLE_WRONG };

struct variable {
        const char *name;
        const char *text; /* as written */
        struct place place;
        bool literal; /* --set: not expanded */
        enum variable_state state;
        char *value;
};

struct loader {
        const struct policy_request *request;
        struct policy_report *report;
        struct arena *arena;
        struct policy *policy;
        struct layer *layers; /* in the order in which they apply */
        size_t n_layers;
        const struct layer *layer; /* that is being read */
        struct variable *variables;
        size_t n_variables;
        size_t n_rules_below; /* syscall rules of earlier layers */
};

/* Reports an error at a place; its value is -EINVAL. */
#define ERROR(loader, place, ...) \
        ({ \
                policy_report_add((loader)->report, false, place, __VA_ARGS__); \
                -EINVAL; \
        })

/* ---- sources.c: finding and opening policy files ---- */

/* Loads the asked policy and all that it extends into loader->layers. -ENOENT where the asked policy itself doesn't exist. */
int sources_load(struct loader *l);
/* "; did you mean `x`?", or nothing, in a buffer. */
const char *hint_nearest(const char *word, const char *const *words, size_t n, char buffer[128]);

/* ---- variables.c ---- */

int variables_load(struct loader *l);
/* Expands ${…} in a text once; as_pattern: what comes from variables is escaped, so that it matches literally. */
int expand(struct loader *l, const char *text, struct place place, bool as_pattern, char **ret);

/* ---- value.c: typed reading ---- */

struct key {
        const char *name;
        int (*read)(struct loader *l, const struct yaml_node *value);
        const char *unbuilt; /* not NULL: a known key whose enforcement isn't built; what to do instead */
};

/* Calls the function of each key of a mapping; unknown keys are errors with the nearest known. `what` names the mapping in messages. */
int value_map(struct loader *l, const struct yaml_node *node, const char *what, const struct key *keys, size_t n_keys);
/* Calls a function for each item of a list. */
int value_list(struct loader *l, const struct yaml_node *node, const char *what,
               int (*read)(struct loader *l, const struct yaml_node *item));
const struct yaml_node *value_find(const struct yaml_node *map, const char *key);
bool value_is_null(const struct yaml_node *node);
/* A text that isn't empty, expanded. */
int value_text(struct loader *l, const struct yaml_node *node, const char *what, char **ret);
/* The same, may be empty. */
int value_any_text(struct loader *l, const struct yaml_node *node, const char *what, char **ret);
/* An absolute, normalised pattern of paths; *ret_path is NULL where it isn't literal. */
int value_pattern(struct loader *l, const struct yaml_node *node, char **ret, char **ret_path);
/* A path of the host, made absolute from the layer's folder. */
int value_host_path(struct loader *l, const struct yaml_node *node, const char *what, char **ret);
int value_bool(struct loader *l, const struct yaml_node *node, const char *what, bool *ret);
int value_word(struct loader *l, const struct yaml_node *node, const char *what, const char *const *words, size_t n, size_t *ret);
int value_number(struct loader *l, const struct yaml_node *node, const char *what, uint64_t min, uint64_t max, uint64_t *ret);
int value_size(struct loader *l, const struct yaml_node *node, const char *what, uint64_t *ret);
int value_time(struct loader *l, const struct yaml_node *node, const char *what, uint64_t *ret);

/* ---- the sections ---- */

int section_rules(struct loader *l, const struct yaml_node *node);
int section_files(struct loader *l, const struct yaml_node *node);
int section_network(struct loader *l, const struct yaml_node *node);
int section_environment(struct loader *l, const struct yaml_node *node);
int section_kernel(struct loader *l, const struct yaml_node *node);
int section_identity(struct loader *l, const struct yaml_node *node);
int section_devices(struct loader *l, const struct yaml_node *node);
int section_limits(struct loader *l, const struct yaml_node *node);
int section_syscalls(struct loader *l, const struct yaml_node *node);
int section_audit(struct loader *l, const struct yaml_node *node);
int section_on_broker_loss(struct loader *l, const struct yaml_node *node);

/* Adds a rule, or replaces the one with the same kind and pattern of an earlier layer. */
int files_add(struct loader *l, const struct file_rule *rule);
/* Refuses two content-making rules on one path. */
void files_check(struct loader *l);
/* The command line's rules, the last layer. */
int flags_apply(struct loader *l);

/* ---- accounts.c ---- */

/* The content of a passwd or group file for a sandbox: root, nobody and the caller. */
char *accounts_passwd(struct arena *arena, const struct policy_request *request);
char *accounts_group(struct arena *arena, const struct policy_request *request);

/* ---- resolvers.c ---- */

#define RESOLVERS_MAX 8

struct resolver {
        int family;
        struct in6_addr address;
};

/* The name servers of a resolv.conf; where it is missing or names none, that of the loopback, as libc does. */
size_t resolvers_read(const char *path, struct resolver ret[RESOLVERS_MAX]);
