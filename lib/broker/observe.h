/*
 * What is seen of a sandbox's calls, for `sandboxctl status`: how long they take, what was denied, and by what the policy is enforced. It lies in the memory
 * that supervisor and worker share, so that it outlives a worker. Who reads it must not believe it: a worker may have been taken over.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LATENCY_BUCKETS 40 /* bucket i: from 2^i to 2^(i+1) nanoseconds; the last one has no end */
#define DENIED_MAX 32
#define TIERS_SIZE 2048

struct denied_call {
        _Atomic uint32_t sequence; /* odd: it is being written */
        int32_t error;             /* errno; 0: the sandbox was killed */
        uint64_t hash;             /* of the number and the object */
        uint64_t count;            /* 0: nothing is here */
        uint64_t last;             /* microseconds since 1970 */
        char call[32];
        char subject[256]; /* its middle left out where it is longer */
        char rule[256];    /* as in records, or why */
};

struct observed {
        _Atomic uint64_t latency[LATENCY_BUCKETS]; /* calls by the time from reception to reply */
        struct denied_call denied[DENIED_MAX];     /* the last ones that differ in call or object; in no order */
        char tiers[TIERS_SIZE];                    /* as tiers_describe() writes them */
};

static inline void observe_latency(struct observed *o, uint64_t nsec) {
        unsigned i = nsec ? 63 - __builtin_clzll(nsec) : 0;

        atomic_fetch_add_explicit(&o->latency[i < LATENCY_BUCKETS ? i : LATENCY_BUCKETS - 1], 1, memory_order_relaxed);
}

/* To be called by a worker before its threads: what its predecessor was writing when it was killed is left out. */
void observe_repair(struct observed *o);

struct receiver;
/* Takes a note of a call that the policy has denied, with this error for the caller. */
void observe_denied(struct receiver *r, int error);

/* A consistent copy of an entry, its texts ended by NUL; false: nothing is there, or it is being written. */
bool observe_read(const struct denied_call *from, struct denied_call *ret);
