/*
 * The worker: the process that answers one sandbox's notifications.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "call.h"
#include "pool.h"
#include "slots.h"

/* What one of its threads takes: the stack, and the paths of a call. */
#define WORKER_THREAD_MEMORY (320U << 10)

struct worker_listener {
        int fd;          /* taken over */
        uint32_t number; /* the same in each successor, and no other's: slots say by it whose a call is */
};

struct worker_options {
        const char *name; /* of the sandbox, for records */
        const struct plan *plan;
        const struct claim *claims; /* sorted or not; at most one for each number */
        size_t n_claims;
        struct shared *shared;
        const struct worker_listener *listeners; /* at least one */
        size_t n_listeners;
        bool wait_killable; /* the filters were loaded with it: calls may be restarted, fds injected, side effects done */
        int root_fd; /* O_PATH of plan->root, where there is one and the path may mean another by now; where the namespaces aren't ours: the sandbox's
                      * root; taken over; 0: open it by its path */
        int init_pidfd; /* of the sandbox's init, from which root, namespaces and procfs are taken; taken over */
        int log_fd;     /* one JSON object a line for each record; -1: none */
        enum audit_record record;
        const struct journal *journal; /* NULL: none */
        int helper;                    /* socket to it (helper.h); 0: none */
        bool successor;                /* of a worker that is quite dead: its calls, in `shared`, are to be finished first */
        bool retires;                  /* SIGTERM asks it to make way for a successor */
        int low_port_socket;           /* SEQPACKET to the supervisor, which binds low ports (launch.h); -1: none */
        unsigned receivers;            /* 0: a good number */
        unsigned max_threads;          /* 0: a good number */
        struct pool *pool;             /* of its owner; NULL: none */
        int cell;                      /* there */
};

/* Runs until the sandbox is gone, that is, all its listeners have hung up, then returns 0; negative errno when it could not start. 1: it has retired. Then it
 * receives nothing more, what it was at is answered, and what would have waited for others is in its slot, as if it had just been received. The calling process must be single-threaded, in the
 * intermediate user namespace with all capabilities there, in the host's mount, network and pid namespace; it is made non-dumpable and
 * keeps only what its plan needs. All fds but those named here, 2 and the log are closed. */
int worker_run(const struct worker_options *options);

/* Asks the supervisor to bind a socket of the caller to a port below 1024 that the plan names. `socket` is borrowed. On low_port_socket that is
 * one message with the address (a sockaddr, as it is) and the socket attached, and one message back: an int32_t, 0 or negative errno. */
int worker_bind_low_port(struct call *call, int socket, const void *address, unsigned size);
