/*
 * Where a call's arguments lie. Each task has a region of its own at a fixed address, so that nothing depends on the layout of the process:
 *
 *   room      what can be used as it pleases
 *   edges     a few pages each, with memory behind that can't be reached
 *   readonly  for buffers that can't be written to
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "differential.h"

#define BASE UINT64_C(0x200000000000)
#define STEP UINT64_C(0x10000000)
#define PAGE 4096
#define ROOM (256 * PAGE)
#define EDGE (20 * PAGE)
#define EDGES 4
#define PATTERN 0xa5
#define STALE (32 * PAGE)

struct memory {
        char *room, *edges[EDGES], *readonly, *nothing, *unmapped;
        size_t used, edges_used;
};

static char *map(char *at, size_t size, int protection) {
        char *p = mmap(at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

        if (p != at) {
                perror("differential: mmap");
                abort();
        }
        return p;
}

struct memory *memory_map(unsigned task) {
        static struct memory memories[TASKS_MAX];
        struct memory *m = &memories[task];
        char *at = (char *) (BASE + task * STEP);

        if (m->room)
                return m;
        m->room = map(at, ROOM, PROT_READ | PROT_WRITE);
        at += ROOM + PAGE;
        for (size_t i = 0; i < EDGES; i++) {
                m->edges[i] = map(at, EDGE, PROT_READ | PROT_WRITE);
                at += EDGE;
                /* Every other edge ends at a page that is there, but can't be reached. */
                if (i % 2)
                        map(at, PAGE, PROT_NONE);
                at += PAGE;
        }
        m->readonly = map(at, 32 * PAGE, PROT_READ);
        at += 33 * PAGE;
        m->nothing = map(at, PAGE, PROT_NONE);
        at += 2 * PAGE;
        m->unmapped = at;
        return m;
}

void memory_reset(struct memory *m) {
        /* A size that is a lie makes the kernel read what lies behind: the same on both sides. */
        memset(m->room, 0, m->used > STALE ? m->used : STALE);
        m->used = m->edges_used = 0;
}

static char *fill(char *at, const struct arg *arg, size_t size) {
        if (arg->kind >= STAT_OUT)
                memset(at, PATTERN, size);
        else if (arg->bytes)
                memcpy(at, arg->bytes, size);
        return at;
}

static char *in_room(struct memory *m, const struct arg *arg, size_t offset) {
        char *at = m->room + m->used + offset;

        m->used += (arg->size + offset + 63) & ~(size_t) 63;
        if (m->used > ROOM)
                abort();
        return fill(at, arg, arg->size);
}

static char *at_edge(struct memory *m, const struct arg *arg, size_t beyond) {
        char *end = m->edges[m->edges_used++ % EDGES] + EDGE;

        if (arg->size - beyond > EDGE)
                return in_room(m, arg, 0);
        return fill(end - (arg->size - beyond), arg, arg->size - beyond);
}

uint64_t memory_place(struct memory *m, const struct arg *arg) {
        /* A buffer as large as the call is told, where that is more than there is to be. */
        struct arg copy = *arg;

        if (arg->kind == XATTR_ARGS && arg->inner && arg->bytes) {
                uint64_t inner = memory_place(m, arg->inner);
                memcpy(copy.bytes, &inner, sizeof(inner));
        }
        switch (arg->place) {
        case IN_ROOM: return (uint64_t) in_room(m, &copy, 0);
        case AT_ODD: return (uint64_t) in_room(m, &copy, 3);
        case AT_END: return (uint64_t) at_edge(m, &copy, 0);
        case UNTERMINATED: return (uint64_t) at_edge(m, &copy, copy.size > 1);
        case ACROSS: return (uint64_t) at_edge(m, &copy, copy.size / 2);
        case IN_READONLY: return (uint64_t) m->readonly;
        case IN_NOTHING: return (uint64_t) m->nothing;
        case UNMAPPED: return (uint64_t) m->unmapped;
        case AT_NULL: return 0;
        case AT_ONE: return 1;
        case IN_KERNEL: return 0xffff888000001000;
        case NONCANONICAL: return 0x1234567800000000;
        }
        return 0;
}

bool memory_untouched(const struct arg *arg, uint64_t address) {
        const unsigned char *p = (const unsigned char *) address;
        size_t size = arg->size;

        if (arg->kind < STAT_OUT || (arg->place != IN_ROOM && arg->place != AT_ODD && arg->place != AT_END))
                return true;
        for (size_t i = 0; i < size; i++)
                if (p[i] != PATTERN)
                        return false;
        return true;
}
