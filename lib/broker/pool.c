#include "pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"

#define POOL_VERSION 1

static int map(int fd, struct pool **ret) {
        void *p = mmap(NULL, sizeof(struct pool), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (p == MAP_FAILED)
                return -errno;
        *ret = p;
        return 0;
}

int pool_new(struct pool **ret, int *ret_fd) {
        _cleanup_close_ int fd = memfd_create("sandboxd-pool", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0 || ftruncate(fd, sizeof(struct pool)) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) < 0)
                return -errno;
        int r = map(fd, ret);
        if (r < 0)
                return r;
        (*ret)->version = POOL_VERSION;
        atomic_store(&(*ret)->max, UINT32_MAX);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int pool_map(int fd, struct pool **ret) {
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size != sizeof(struct pool))
                return -EBADMSG;
        if ((r = map(fd, ret)) < 0)
                return r;
        if ((*ret)->version == POOL_VERSION)
                return 0;
        pool_free(*ret);
        *ret = NULL;
        return -EBADMSG;
}

void pool_free(struct pool *pool) {
        if (pool)
                munmap(pool, sizeof(*pool));
}

static uint32_t count(const struct pool *pool) {
        uint32_t n = atomic_load(&pool->n);

        return n < POOL_CELLS ? n : POOL_CELLS;
}

int pool_take(struct pool *pool, const char *name) {
        uint32_t n = count(pool), i;
        int free_cell = -1;

        for (i = 0; i < n; i++) {
                if (strncmp(pool->cells[i].name, name, POOL_NAME) == 0)
                        return i;
                if (free_cell < 0 && pool->cells[i].name[0] == 0)
                        free_cell = i;
        }
        if (free_cell < 0 && n == POOL_CELLS)
                return -ENOSPC;
        if (free_cell < 0) {
                free_cell = n;
                atomic_store(&pool->n, n + 1);
        }
        struct pool_cell *cell = &pool->cells[free_cell];
        atomic_store(&cell->calls, 0);
        snprintf(cell->name, sizeof(cell->name), "%s", name);
        return free_cell;
}

void pool_give_back(struct pool *pool, int cell) {
        pool->cells[cell].name[0] = 0;
        atomic_store(&pool->cells[cell].calls, 0);
}

uint64_t pool_used(const struct pool *pool) {
        uint32_t n = count(pool);
        uint64_t used = 0;

        for (uint32_t i = 0; i < n; i++)
                used += atomic_load_explicit(&pool->cells[i].calls, memory_order_relaxed);
        return used;
}

bool pool_full(const struct pool *pool) {
        uint32_t max = atomic_load(&pool->max);

        return max != UINT32_MAX && pool_used(pool) > max;
}
