/*
 * Patterns of paths, as sandboxd.policy(5) describes them. A pattern is absolute and normalised; `\` escapes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"

struct glob;

enum {
        GLOB_MATCHES = 1 << 0, /* the path, or a directory above it, is matched */
        GLOB_ABOVE = 1 << 1,   /* something below the path could be matched */
};

/* How specific a pattern is: longer `prefix` wins, then fewer `wildcards`, then longer `length`. */
struct glob_rank {
        size_t prefix, wildcards, length;
};

/* Normalises a pattern: doubled and trailing slashes and `.` go. Returns NULL, or static text that says what is wrong with it. */
const char *glob_normalise(struct arena *arena, const char *pattern, char **ret);
/* Whether each name in a pattern is one that glob_normalise lets pass; what isn't must not be given to the functions below. */
bool glob_valid(const char *pattern);
/* Whether a pattern has no wildcard. */
bool glob_literal(const char *pattern);
/* A literal pattern as a path, without the escapes. */
char *glob_unescape(struct arena *arena, const char *pattern);
/* The text as a pattern that matches exactly it; to be appended to `out`. */
struct strbuf;
void glob_escape(struct strbuf *out, const char *text);

/* The patterns without { } that one stands for; NULL: out of memory. */
char **glob_expand(struct arena *arena, const char *pattern, size_t *ret_n);
/* The length of the components without wildcards with which a pattern without { } begins; 0 where there is none. */
size_t glob_literal_length(const char *pattern);

/* Compiles a normalised pattern without { }; NULL: out of memory. */
const struct glob *glob_new(struct arena *arena, const char *pattern);
unsigned glob_match(const struct glob *glob, const char *path);

#define GLOB_ALL UINT64_MAX

/* What the pattern can still match below the path: 0 is nothing, GLOB_ALL everything; and where the bits of one path have all those of another,
 * whatever is matched below the other is matched below the one. */
uint64_t glob_states(const struct glob *glob, const char *path);
struct glob_rank glob_rank(const char *pattern);
/* > 0: a is more specific. */
int glob_rank_compare(const struct glob_rank *a, const struct glob_rank *b);
