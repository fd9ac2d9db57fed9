/*
 * A lane of the journal: an io_uring of the supervisor's, through which one side effect at a time is done. What came of it stays in its
 * completion queue, and what was opened in its table of files, when the worker is killed.
 */
#pragma once

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>

/* Makes one with room for `files` files; `*ret_layout` is the same for all that are made by one process. An fd, or negative errno: -EPERM and -ENOSYS
 * where it is forbidden, -EOPNOTSUPP where it lacks something. */
int ring_new(unsigned files, struct io_uring_params *ret_layout);

struct ring {
        int fd;
        unsigned *sq_head, *sq_tail, *cq_head, *cq_tail, sq_mask, cq_mask;
        struct io_uring_sqe *sqes;
        struct io_uring_cqe *cqes;
};

/* Maps a ring that somebody has made. The mapping is for the process's life. */
int ring_map(struct ring *ring, int fd, const struct io_uring_params *layout);

/* Does what the entry says, whose number (`user_data`) nobody else has had, and returns its result, negative errno as the system call. The completion
 * stays until ring_forget(). With `cancel` a signal has it end, with -EINTR, where it waits; -ECANCELED else: the kernel couldn't begin it. */
int32_t ring_do(struct ring *ring, const struct io_uring_sqe *entry, bool cancel);
void ring_forget(struct ring *ring);

/* What a worker that is dead has left: the completion of the entry with this number, if there is one. */
bool ring_find(const struct ring *ring, uint64_t number, int32_t *ret);
/* Forgets completions, and what was prepared and never handed over. */
void ring_reset(struct ring *ring);

/* Puts a file in the table, or (-1) takes it out. */
int ring_park(struct ring *ring, unsigned index, int fd);
/* A descriptor of a parked file; `number` as that of an entry. */
int ring_unpark(struct ring *ring, unsigned index, uint64_t number);
