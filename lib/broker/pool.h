/*
 * Memory that all workers of one user share: how many calls each of them has in flight, so that the bound on their sum holds whatever sandbox they are in.
 * The supervisor makes it, one for each user, and gives each sandbox a cell. A worker counts in its own cell only; what a killed one has counted is still
 * in flight, and its successor counts the slots anew. So nothing has to be undone.
 *
 * Workers write it, and one may have been taken over: it can cheat on its own user's bound, and on nobody else's.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define POOL_CELLS 100000
#define POOL_NAME 64

struct pool_cell {
        _Alignas(128) _Atomic uint32_t calls;
        char name[POOL_NAME]; /* of the sandbox; empty: free. The supervisor's, so that one that comes later finds it */
};

struct pool {
        uint32_t version;
        _Atomic uint32_t max; /* of all cells together; UINT32_MAX: no bound */
        _Atomic uint32_t n;   /* so many have ever been in use, the first ones */
        struct pool_cell cells[POOL_CELLS];
};

/* Makes the memory; `*ret_fd` is a memfd of it (CLOEXEC, the caller's). */
int pool_new(struct pool **ret, int *ret_fd);
/* Maps the memory of somebody who has made it; -EBADMSG: it is none of ours. */
int pool_map(int fd, struct pool **ret);
void pool_free(struct pool *pool);

/* The cell of this name, else a free one, which gets it; -ENOSPC. */
int pool_take(struct pool *pool, const char *name);
void pool_give_back(struct pool *pool, int cell);

uint64_t pool_used(const struct pool *pool);
/* Is more in flight than may be? Who asks has counted itself already. */
bool pool_full(const struct pool *pool);
