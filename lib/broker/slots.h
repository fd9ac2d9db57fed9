/*
 * Memory that the supervisor makes and shares with the worker: one slot for each receiver, into which the kernel writes each
 * notification directly, so that a successor of a killed worker finds every call that was in flight (the protocol is described in
 * slots.c); and the counters. What else it needs is in the journal.
 */
#pragma once

#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <stdint.h>

#include "observe.h"

#define SLOTS_MAX 1024

/* Calls come from as many listeners as filters were loaded in the sandbox: one for its command, one for each process that was made to enter it. */
#define LISTENERS_MAX 64

enum slot_state {
        SLOT_FREE,   /* nothing received, or answered */
        SLOT_ACTIVE, /* received: decide */
        SLOT_INTENT, /* a side effect is about to be done or was done, its result is not known */
        SLOT_DONE,   /* `result` is to be sent */
        SLOT_PARKED, /* an fd is parked under `park`, to be injected; `result` is its number in the caller once known, else -1 */
};

/* What INTENT is about, and by what a successor learns whether it has happened. */
enum slot_act {
        ACT_NONE,
        ACT_UNKNOWN,   /* by nothing */
        ACT_CONNECT,   /* the socket was not connected, and would be */
        ACT_BIND,      /* the socket was not bound, and would be */
        ACT_MOVE,      /* the directory's position was `result`, and is put back there */
        ACT_RING,      /* entry `number` of lane `lane` of the journal is complete, or has not happened: these three */
        ACT_RING_OPEN, /* the file is in the lane's table */
        ACT_RING_SEND, /* what it means for the answer says `sent` */
};

struct slot_sent { /* by the same call, before */
        uint64_t bytes;
        uint64_t length_at; /* sendmmsg: where the number of bytes belongs, in the caller's memory; else 0 */
        uint32_t messages;
        uint32_t length; /* the number that belongs there, once it is known */
};

struct slot {
        _Alignas(128) struct seccomp_notif notif;
        _Atomic uint32_t state;
        uint32_t strikes; /* see slots_strike() */
        _Atomic uint64_t
                served; /* since when (CLOCK_MONOTONIC, nanoseconds) a thread looks at it; 0: none does, or it waits for somebody else */
        int32_t error;  /* DONE: where not 0, the answer; PARKED: set where there will be no fd */
        int64_t result;
        int32_t park;     /* the source's number in the parking table; -1: not parked */
        uint32_t cloexec; /* how it is to be injected */
        uint32_t act;     /* of enum slot_act */
        uint32_t lane;
        uint64_t number;
        uint64_t journal; /* which one that is */
        struct slot_sent sent;
        uint32_t affinity_set; /* the caller's affinity was narrowed: `affinity` is to be put back first */
        uint32_t listener;     /* the number of the one that it comes from; ids mean nothing to any other */
        uint64_t affinity[16]; /* a cpu_set_t */
};

struct counters {
        _Atomic uint64_t notified, allowed, denied, injected, failed, gone;
        _Atomic uint64_t blocked;   /* calls that had to wait */
        _Atomic uint64_t refused;   /* replies that the loop refused because they were out of the kernel's ranges */
        _Atomic uint64_t inherited; /* calls of a killed worker that its successor has answered */
        _Atomic uint64_t undecided; /* of these: answered with EIO, since nothing tells whether their side effect has happened */
        _Atomic uint64_t poisoned;  /* of these: answered with EIO, since worker after worker has died of them */
};
/* Their names, by which they are shown, and where they are. A worker that is never replaced has the first ones alone. */
#define COUNTERS 11
#define COUNTERS_OF_ONE_WORKER 8
extern const struct counter_name {
        const char *name;
        size_t offset;
} counter_names[COUNTERS];
static inline _Atomic uint64_t *counter_at(struct counters *c, size_t i) {
        return (_Atomic uint64_t *) ((char *) c + counter_names[i].offset);
}

_Static_assert(sizeof(struct counters) == COUNTERS * sizeof(uint64_t), "each counter has a name");

struct kill_note { /* the first kill verdict */
        _Atomic uint32_t set;
        char text[252];
};

struct start { /* plan.starting: what is known of the program that a runtime starts behind a listener (loop.c) */
        _Atomic uint32_t state;
        _Atomic int32_t starter; /* whose it is: the process of the first call */
};

struct shared {
        uint32_t version;
        _Atomic uint32_t n_slots; /* so many have ever been in use, the first ones: nobody looks at the rest, which takes no memory then */
        _Atomic uint64_t numbers; /* given to entries of the journal */
        struct counters counters;
        struct kill_note kill;
        struct start start; /* of the listener 0: the container's own program */
        struct slot slots[SLOTS_MAX];
        struct observed observed;                         /* not in version 2 */
        _Alignas(128) struct start joined[LISTENERS_MAX]; /* by the listener's number; not in versions 2 and 3 */
};

/* Makes the memory; `*ret_fd` is a memfd of it (CLOEXEC, the caller's). */
int shared_new(struct shared **ret, int *ret_fd);
/* Maps the memory of somebody who has made it; -EBADMSG: it is none of ours, or of a version that isn't understood. One of a version before is mapped
 * with what it hasn't got as memory of one's own: nothing is seen there. */
int shared_map(int fd, struct shared **ret);
void shared_free(struct shared *shared);

/*
 * Marks the calls that a worker was at when it died, by its wait status: whoever is marked too often is answered with EIO and not looked at again.
 * A crash counts for half of what is too much; SIGKILL, which comes from outside (for lack of memory, say), for little, and for nothing where the call
 * was just begun. To be called by the supervisor once the worker is quite dead, before its successor starts.
 */
void slots_strike(struct shared *shared, int status);

#define STRIKES_CRASH 8
#define STRIKES_MAX 16

/*
 * The journal: what outlives a worker besides this memory. It is made by the supervisor, who keeps it open; each worker gets a copy. The fds are
 * CLOEXEC, the supervisor's. They can't be sent over a socket (no io_uring can), so that a supervisor that is executed anew has to keep them; a new journal
 * knows nothing of what was done by the old one, and that is undecidable then.
 */
#define JOURNAL_QUICK 4 /* for what doesn't wait for other programs */
#define JOURNAL_LANES 8 /* and for what does */

struct journal {
        uint64_t id;
        int lanes[JOURNAL_LANES]; /* see ring.h */
        struct io_uring_params layout;
};

/* Negative errno where there can be none (-EPERM, -ENOSYS: io_uring is forbidden): workers do without, and more calls are undecidable. */
int journal_new(struct journal *ret);
void journal_done(struct journal *journal);
