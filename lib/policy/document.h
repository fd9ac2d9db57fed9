/*
 * A YAML file as a tree of nodes, each with its place. The only user of libyaml.
 *
 * Bounded in size, depth and number of nodes while it is parsed; no tags; aliases are copies, and count as nodes; duplicate keys are errors.
 */
#pragma once

#include "arena.h"
#include "policy.h"

#define DOCUMENT_SIZE_MAX (1U << 20)
#define DOCUMENT_DEPTH_MAX 16
#define DOCUMENT_NODES_MAX 20000
#define DOCUMENT_KEYS_MAX 2000

enum yaml_type { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
        enum yaml_type type;
        struct place place;
        bool plain; /* SCALAR: written without quotes */
        char *text; /* SCALAR: without NUL in it */
        size_t length;
        struct yaml_node **keys; /* MAP: scalars */
        struct yaml_node **items;
        size_t n_keys, n;
        char *anchor;
};

/* Parses the text of a file into nodes of the arena. `file` must live as long as these. Returns 0 and the top node (NULL: an empty document), or
 * -EINVAL with errors in the report, or -ENOMEM. */
int document_parse(struct arena *arena, const char *file, const char *text, size_t size, struct yaml_node **ret,
                   struct policy_report *report);
