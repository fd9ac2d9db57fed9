/*
 * The helper: a small single-threaded process beside a sandbox's workers, which outlives them and the supervisor. It holds the journal, which no
 * supervisor can keep over its own death (rings can't be sent over a socket), and from which each worker takes a copy; and it traces callers across
 * execve (exec_event.c), so that they don't die with a worker that is killed meanwhile. It has no listener, reads no caller's memory, and of the
 * rights over the sandbox keeps that of tracing alone, and of killing it where it has a lifeline.
 *
 * Requests come over one SEQPACKET socket, whose other end the supervisor keeps and gives to each worker. Each brings a socket of its own for the
 * answers, so that nobody gets those that were for a worker before.
 */
#pragma once

#include <sys/types.h>

#include "call.h"
#include "slots.h"

struct helper_options {
        int socket;
        int init_pidfd; /* with whose end the sandbox's comes; -1: it tells nothing */
        /* Of a sandbox that doesn't die by itself when nobody is left to supervise it; else -1. The other end of the lifeline is the supervisor's alone, and
         * whoever's that keeps it for the next one. When that has gone, and a worker is still there, the sandbox is killed: without a supervisor nobody
         * would replace the worker, and nobody could stop it. A byte from it says that the sandbox has ended, or is not to be killed. */
        int lifeline, victim_pidfd;
        int kill_group; /* its control group's cgroup.kill; -1: it has none */
        void (*say)(const char *text);
};

/* Runs until the sandbox's init is dead (or nobody is left who could ask, where that tells nothing), then returns 0; negative errno when it could not
 * start. The calling process must be single-threaded, in the intermediate user namespace with all capabilities there, with those in the options, 0, 1 and
 * 2 as its only fds. `say` records a line. */
int helper_run(const struct helper_options *options);

/* ---- in a worker ---- */

/* A copy of the journal; waits for a helper that is just being started. What can't be had is negative errno: see journal_new(). To be called while
 * the process has its capabilities. */
int helper_journal(int socket, int pidfd, struct journal *ret);

/* Has a caller traced that waits for its answer, and is to be told to go on with execve next. Returns a socket of this trace, the caller's: what
 * comes from it is the number of the process (pid_t) whenever that has become another program than `check`; the answer is an int32_t, not 0 where
 * that may run. It is at its end when the caller goes on, or is dead. Who closes it before has the caller held to `check`. */
int helper_trace(int socket, pid_t tid, const struct exec_check *check);
