/*
 * An arena: memory that is let go all at once. A policy and a plan each own one, so that their many small texts need no frees of their own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct arena_block;

struct arena {
        struct arena_block *blocks;
        size_t used, room;
};

/* Zeroed memory, or NULL. */
void *arena_alloc(struct arena *arena, size_t size);
char *arena_copy(struct arena *arena, const char *text, size_t length);
char *arena_strdup(struct arena *arena, const char *text);
/* Makes room for one more element at the end of an array in the arena; returns it zeroed (and counts it), or NULL. */
void *arena_push(struct arena *arena, void *array, size_t *n, size_t size);
void arena_done(struct arena *arena);
