/*
 * The caller, and what the broker may want of it: memory, descriptors, ids, and the right to act in its name. This is the one way to the
 * caller; handlers use no pid and no /proc path of their own.
 *
 * All functions return negative errno. -ESRCH: the caller is gone or its call was cancelled; every function checks that the notification is
 * still valid after it used the tid, so that a result is never another task's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "call.h"

/* Copies memory of the caller. All or nothing: -EFAULT as the kernel would see it. */
int target_read(struct call *call, uint64_t address, void *buffer, size_t size);
int target_write(struct call *call, uint64_t address, const void *buffer, size_t size);
/* Copies as much as is there from `address`, at most `size` bytes; returns the number of bytes, or -EFAULT where not even one could be read. */
ssize_t target_read_some(struct call *call, uint64_t address, void *buffer, size_t size);

/* Copies a path: at most PATH_MAX bytes with its NUL into `buffer` (PATH_MAX + 1 bytes of room). Returns its length; -EFAULT, or -ENAMETOOLONG
 * as getname() in the kernel. An empty path is 0, not an error. */
ssize_t target_read_path(struct call *call, uint64_t address, char *buffer);

/* A duplicate of the caller's descriptor (O_PATH ones too), CLOEXEC, owned by the thread. -EBADF as the kernel. */
int target_fd(struct call *call, int fd);
/* Whether the caller's table and RLIMIT_NOFILE have room for one more: 0, or -EMFILE. */
int target_fd_available(struct call *call);
/* The process that a pidfd of the caller's means, as the worker's own procfs numbers it; 0: it is no pidfd, or the process is gone. */
pid_t target_pidfd_number(struct call *call, int fd);
/* The caller's current directory, as an O_PATH fd that the thread owns. */
int target_cwd(struct call *call);

/* The caller's thread group (as the caller's own /proc numbers it), for /proc/self. */
pid_t target_tgid_inside(struct call *call);
pid_t target_tid_inside(struct call *call);

/* The thread group as the worker's own procfs numbers it. */
pid_t target_tgid_outside(struct call *call);

/* What the caller would do to a process that it calls by this number: -EPERM where that is a process of sandboxd's; 1 where the number can be that of
 * a process outside the sandbox, since they share a pid namespace; else 0. */
int target_check_process(struct call *call, pid_t number);

/* A path of the sandbox's (n bytes) as the caller sees it, whose root can be another: what lies outside of that stays as it is. Returns the length, or
 * negative errno. */
ssize_t target_path_seen(struct call *call, char *path, size_t n);

/* Whether there is nothing by this absolute path in the tree that the view was taken from either, so that a refusal as absent took nothing away. */
bool target_absent_outside(struct call *call, const char *path);

/* The caller's umask. */
int target_umask(struct call *call, mode_t *ret);
/* A soft limit of the caller. */
int target_rlimit(struct call *call, int resource, uint64_t *ret);

/* Sends the calling thread a signal that the kernel would send it (before 6.9: its process). */
int target_signal(struct call *call, int signal);

/* Takes on the caller's fsuid, fsgid, groups, umask and effective capabilities (nothing where they are so already), and gives them back.
 * Everything that touches the file system in the caller's name stands between the two. Root, cwd and descriptors are to be fetched before. */
int target_act(struct call *call);
/* The same without the umask, which costs a look into /proc: for what creates nothing. */
int target_act_ids(struct call *call);
/* The same with the real ids, and the capabilities that go with them, for access(2), whatever the file system ids are. */
int target_act_real_ids(struct call *call);
/* The same as target_act, and whoever is on the other end of a Unix socket is told the caller's ids, where the namespaces aren't ours (elsewhere they can't
 * be told from the worker's); the number of the process is the worker's all the same. */
int target_act_peer(struct call *call);
/* Who sends a message, in the worker's numbers, to go with it as SCM_CREDENTIALS: the caller; or whom it names itself (`given`), as far as the kernel
 * would let it. -EOPNOTSUPP: the worker can speak for nobody but itself. */
int target_sender(struct call *call, struct ucred *credentials, bool given);
void target_act_done(struct call *call);
/* While acting as the caller: has it a capability (CAP_*)? For what the kernel asks of a file system that was mounted inside: the worker's user owns
 * the sandbox's user namespace, and has all rights over such a one whatever its capabilities are. */
bool target_capable(struct call *call, int capability);

/* Seizes the caller, so that what it executes can be looked at before it runs; to be followed by verdict_proceed_checked(). -EPERM: somebody else
 * traces it, or nobody can. */
int exec_event_begin(struct call *call, const struct exec_check *check);

/* Says that the thread may now block for long in the caller's name. Another receiver takes over (threads.h), and from here until
 * target_block_end a system call of this thread ends with EINTR when the caller dies or has a signal to take. -EAGAIN: the bound on threads
 * is reached. To be used as: r = target_block_begin(call); fd = open(…); r = target_block_end(call); where end returns -ESRCH, -ERESTART
 * (the caller has a signal to take) or 0. A system call that succeeded all the same is not undone for -ERESTART: the other end of a FIFO has
 * seen it. Its result is the answer then, and the signal is taken after it. */
int target_block_begin(struct call *call);
int target_block_end(struct call *call);
