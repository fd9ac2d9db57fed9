/*
 * File descriptors: closing, moving, passing over sockets. Errors are negative errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cleanup.h"

/* Closes fd if it is one and returns -1. errno is kept. */
int fd_close(int fd);

static inline void fd_closep(int *fd) {
        fd_close(*fd);
}

#define _cleanup_close_ _cleanup_(fd_closep)

/* Reads or writes all of the buffer, through EINTR and short transfers. fd_read_full returns the number of bytes
 * read, less than `size` only at the end of file. */
ssize_t fd_read_full(int fd, void *buffer, size_t size);
int fd_write_full(int fd, const void *buffer, size_t size);

/* Sends one message with up to 8 fds over a Unix socket; never raises SIGPIPE. */
int fd_send(int socket, const void *data, size_t size, const int *fds, size_t n_fds);

/* Receives one message. Returns its length (0: the other side is gone). `fds` has room for `max_fds` and receives
 * `*n_fds` CLOEXEC fds that the caller then owns; more than fit are closed and -EMSGSIZE is returned. */
ssize_t fd_receive(int socket, void *data, size_t size, int *fds, size_t max_fds, size_t *n_fds);

/* Makes an fd inheritable or not. */
int fd_cloexec(int fd, bool cloexec);

/* A sealed memfd with this content, positioned at its start. */
int fd_memfd(const char *name, const void *data, size_t size);

/* Reads all of a regular file of at most `max` bytes; the buffer is NUL terminated beyond `*ret_size`, the caller frees it. -EFBIG if
 * it is larger. */
int fd_read_file(int fd, size_t max, char **ret, size_t *ret_size);
