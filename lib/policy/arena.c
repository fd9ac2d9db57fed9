#include "arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE (16U << 10)

struct arena_block {
        struct arena_block *next;
        alignas(max_align_t) char data[];
};

void *arena_alloc(struct arena *arena, size_t size) {
        if (size > SIZE_MAX / 2)
                return NULL;
        size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
        if (!arena->blocks || size > arena->room - arena->used) {
                size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
                struct arena_block *block = malloc(sizeof(*block) + room);
                if (!block)
                        return NULL;
                block->next = arena->blocks;
                arena->blocks = block;
                arena->used = 0;
                arena->room = room;
        }
        void *p = arena->blocks->data + arena->used;
        arena->used += size;
        return memset(p, 0, size);
}

char *arena_copy(struct arena *arena, const char *text, size_t length) {
        char *copy = arena_alloc(arena, length + 1);

        if (copy)
                memcpy(copy, text, length);
        return copy;
}

char *arena_strdup(struct arena *arena, const char *text) {
        return arena_copy(arena, text, strlen(text));
}

void *arena_push(struct arena *arena, void *array, size_t *n, size_t size) {
        void **list = array;

        /* Arrays grow at powers of two, so that the count alone says when the room is used up. */
        if ((*n & (*n - 1)) == 0) {
                size_t room = *n ? *n * 2 : 1;
                void *larger = arena_alloc(arena, room * size);
                if (!larger)
                        return NULL;
                if (*n)
                        memcpy(larger, *list, *n * size);
                *list = larger;
        }
        return memset((char *) *list + (*n)++ * size, 0, size);
}

void arena_done(struct arena *arena) {
        while (arena->blocks) {
                struct arena_block *next = arena->blocks->next;
                free(arena->blocks);
                arena->blocks = next;
        }
        *arena = (struct arena) {};
}
