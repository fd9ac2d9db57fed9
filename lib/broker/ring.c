#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"

#define ENTRIES 4

/* Since 6.8; Debian 12's headers are older. */
#define OP_FIXED_FD_INSTALL 54

static const uint8_t needed[] = { IORING_OP_OPENAT, IORING_OP_SENDMSG,   IORING_OP_MKDIRAT,  IORING_OP_UNLINKAT,
                                  IORING_OP_LINKAT, IORING_OP_SYMLINKAT, IORING_OP_RENAMEAT, OP_FIXED_FD_INSTALL };

static int ring_register(int fd, unsigned operation, const void *argument, unsigned n) {
        int r = syscall(__NR_io_uring_register, fd, operation, argument, n);

        return r < 0 ? -errno : r;
}

static bool has_needed(int fd) {
        struct {
                struct io_uring_probe probe;
                struct io_uring_probe_op ops[256];
        } p = {};

        if (ring_register(fd, IORING_REGISTER_PROBE, &p, 256) < 0)
                return false;
        for (unsigned i = 0; i < sizeof(needed); i++)
                if (needed[i] > p.probe.last_op || !(p.ops[needed[i]].flags & IO_URING_OP_SUPPORTED))
                        return false;
        return true;
}

int ring_new(unsigned files, struct io_uring_params *ret_layout) {
        struct io_uring_params params = {};
        struct io_uring_rsrc_register table = { .nr = files, .flags = IORING_RSRC_REGISTER_SPARSE };
        _cleanup_close_ int fd = syscall(__NR_io_uring_setup, ENTRIES, &params);
        int r;

        if (fd < 0)
                return -errno;
        if (!(params.features & IORING_FEAT_SINGLE_MMAP) || !has_needed(fd))
                return -EOPNOTSUPP;
        r = ring_register(fd, IORING_REGISTER_FILES2, &table, sizeof(table));
        if (r < 0)
                return r;
        *ret_layout = params;
        return TAKE_FD(fd);
}

int ring_map(struct ring *ring, int fd, const struct io_uring_params *layout) {
        const struct io_uring_params p = *layout;
        size_t cq_size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
        size_t sq_size = p.sq_off.array + p.sq_entries * sizeof(unsigned);
        char *base = mmap(NULL, cq_size > sq_size ? cq_size : sq_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
                          IORING_OFF_SQ_RING);
        if (base == MAP_FAILED)
                return -errno;
        ring->sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
                          IORING_OFF_SQES);
        if (ring->sqes == MAP_FAILED)
                return -errno;
        ring->fd = fd;
        ring->sq_head = (unsigned *) (base + p.sq_off.head);
        ring->sq_tail = (unsigned *) (base + p.sq_off.tail);
        ring->sq_mask = p.sq_entries - 1;
        ring->cq_head = (unsigned *) (base + p.cq_off.head);
        ring->cq_tail = (unsigned *) (base + p.cq_off.tail);
        ring->cq_mask = p.cq_entries - 1;
        ring->cqes = (struct io_uring_cqe *) (base + p.cq_off.cqes);
        unsigned *array = (unsigned *) (base + p.sq_off.array);
        for (unsigned i = 0; i < p.sq_entries; i++)
                array[i] = i;
        return 0;
}

/* What else is there is of an entry that a worker before us has handed over, and that was given up after its death. */
static bool completed(struct ring *ring, uint64_t number, int32_t *ret) {
        for (unsigned head = *ring->cq_head; head != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);) {
                const struct io_uring_cqe *cqe = &ring->cqes[head & ring->cq_mask];
                if (cqe->user_data == number) {
                        *ret = cqe->res;
                        return true;
                }
                __atomic_store_n(ring->cq_head, ++head, __ATOMIC_RELEASE);
        }
        return false;
}

/* Until the entry is complete, one way or the other. */
static void ring_cancel(struct ring *ring, uint64_t number) {
        struct io_uring_sync_cancel_reg cancel = { .addr = number, .fd = -1, .timeout = { -1, -1 } };

        (void) ring_register(ring->fd, IORING_REGISTER_SYNC_CANCEL, &cancel, 1);
}

int32_t ring_do(struct ring *ring, const struct io_uring_sqe *entry, bool cancel) {
        unsigned tail = *ring->sq_tail;
        unsigned submit = 1;
        int32_t result;

        ring->sqes[tail & ring->sq_mask] = *entry;
        __atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
        while (!completed(ring, entry->user_data, &result)) {
                long n = syscall(__NR_io_uring_enter, ring->fd, submit, 1, IORING_ENTER_GETEVENTS, NULL, 0);
                bool interrupted = n < 0 && errno == EINTR;
                if (interrupted && cancel)
                        ring_cancel(ring, entry->user_data);
                if (n >= 0 || interrupted) {
                        submit = *ring->sq_tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
                        continue;
                }
                if (__atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE) != *ring->sq_tail) {
                        /* Not even begun, for want of memory and the like. */
                        __atomic_store_n(ring->sq_tail, tail, __ATOMIC_RELEASE);
                        return -ECANCELED;
                }
                submit = 0;
        }
        return cancel && result == -ECANCELED ? -EINTR : result;
}

void ring_forget(struct ring *ring) {
        __atomic_store_n(ring->cq_head, __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
}

bool ring_find(const struct ring *ring, uint64_t number, int32_t *ret) {
        for (unsigned i = *ring->cq_head; i != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE); i++)
                if (ring->cqes[i & ring->cq_mask].user_data == number) {
                        *ret = ring->cqes[i & ring->cq_mask].res;
                        return true;
                }
        return false;
}

void ring_reset(struct ring *ring) {
        ring_forget(ring);
        __atomic_store_n(ring->sq_tail, __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
}

int ring_park(struct ring *ring, unsigned index, int fd) {
        struct io_uring_files_update update = { .offset = index, .fds = (uintptr_t) &fd };
        int r = ring_register(ring->fd, IORING_REGISTER_FILES_UPDATE, &update, 1);

        return r < 0 ? r : 0;
}

int ring_unpark(struct ring *ring, unsigned index, uint64_t number) {
        const struct io_uring_sqe entry = { .opcode = OP_FIXED_FD_INSTALL, .flags = IOSQE_FIXED_FILE, .fd = index, .user_data = number };
        int fd = ring_do(ring, &entry, false);

        ring_forget(ring);
        return fd;
}
