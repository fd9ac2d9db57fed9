/*
 * Side effects: what a handler does that can't be done twice. Each is one of these, between target_act and target_act_done where it is done as the
 * caller; so the slot says at every instant whether it has happened (the protocol is in slots.c), and the successor of a killed worker
 * neither loses nor repeats it. tools/lint has the list of system calls that a module makes in no other way.
 *
 * All return negative errno. An error means that nothing has happened.
 */
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include "slots.h"
#include "target.h"

/* A side effect by a system call of the handler's own, an expression of -1 and errno or a result. Where the worker is killed in it, the call is answered
 * with EIO, since nobody knows whether it has happened. */
#define ACT(call, expression) ACT_TRACED(call, ACT_UNKNOWN, expression)
/* One that leaves its trace, by which act_again() decides when the call is decided anew. */
#define ACT_TRACED(call, kind, expression) \
        ({ \
                act_begin((call), (kind)); \
                int64_t act_result_ = (expression); \
                act_end((call), act_result_ < 0 ? -errno : act_result_); \
        })

void act_begin(struct call *call, enum slot_act act);
int64_t act_end(struct call *call, int64_t result);
/* The call is done, and this is its answer, whatever else comes. */
void act_answer(struct call *call, int64_t result, int error);

/* Whether the predecessor was killed in such an act for this call, so that its trace may be there. */
bool act_again(const struct call *call, enum slot_act act);

/* A directory's position is about to move; where it was goes to the slot, and where a predecessor has found it comes from there (-1: there was none). */
void act_move(struct call *call, int64_t position);
int64_t act_moved(const struct call *call);

/* The system calls of these names, with O_CLOEXEC. */
int act_mkdirat(struct call *call, int dirfd, const char *name, mode_t mode);
int act_symlinkat(struct call *call, const char *text, int dirfd, const char *name);
int act_unlinkat(struct call *call, int dirfd, const char *name, int flags);
int act_renameat(struct call *call, int old_dirfd, const char *old_name, int new_dirfd, const char *new_name, unsigned flags);
int act_linkat(struct call *call, int old_dirfd, const char *old_name, int new_dirfd, const char *new_name, int flags);
/* An open that makes or truncates a regular file. The descriptor is for verdict_fd(), and nothing else comes between. */
int act_openat(struct call *call, int dirfd, const char *name, int flags, mode_t mode);
/* An open that waits for somebody else, who sees it: of a FIFO. Between target_block_begin and target_block_end. Where the bound on those that wait in this way
 * is reached it is an open like any other, which begins anew with the successor. */
int act_open_waiting(struct call *call, int dirfd, const char *name, int flags);
/* How what is opened will be injected; before either. */
void act_cloexec(struct call *call, bool cloexec);

/* A send; `before` is what has gone out by the same call. Never waits where the flags have MSG_DONTWAIT. */
ssize_t act_sendmsg(struct call *call, int fd, const struct msghdr *message, int flags, const struct slot_sent *before);
/* Whether there is a journal: who waits for long should not do so in an act, then. */
bool act_journaled(const struct call *call);
