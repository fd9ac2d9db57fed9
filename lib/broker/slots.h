/*
 * Memory that the supervisor makes and shares with the worker: one slot for each receiver, into which the kernel writes each
 * notification directly, so that a successor of a killed worker finds every call that was in flight (the protocol is described in
 * slots.c); and the counters.
 */
#pragma once

#include <linux/seccomp.h>
#include <stdatomic.h>
#include <stdint.h>

#define SLOTS_MAX 1024

enum slot_state {
        SLOT_FREE,   /* nothing received, or answered */
        SLOT_ACTIVE, /* received: decide */
        SLOT_INTENT, /* a side effect is about to be done or was done, its result is not known */
        SLOT_DONE,   /* `result` is to be sent */
        SLOT_PARKED, /* an fd is parked under `park`, to be injected; `result` is its number in the caller once known, else -1 */
};

struct slot {
        _Alignas(128) struct seccomp_notif notif;
        _Atomic uint32_t state;
        uint32_t strikes;
        int32_t error;
        int64_t result;
        int32_t park;          /* the source fd's number in the parking table */
        uint32_t affinity_set; /* the caller's affinity was narrowed: `affinity` is to be put back first */
        uint64_t affinity[16]; /* a cpu_set_t */
};

struct counters {
        _Atomic uint64_t notified, allowed, denied, injected, failed, gone;
        _Atomic uint64_t blocked; /* calls that had to wait */
        _Atomic uint64_t refused; /* replies that the loop refused because they were out of the kernel's ranges */
};

struct kill_note { /* the first kill verdict */
        _Atomic uint32_t set;
        char text[252];
};

struct shared {
        uint32_t version;
        uint32_t n_slots;
        struct counters counters;
        struct kill_note kill;
        struct slot slots[SLOTS_MAX];
};

/* Makes the memory; `*ret_fd` is a memfd of it (CLOEXEC, the caller's). */
int shared_new(struct shared **ret, int *ret_fd);
void shared_free(struct shared *shared);
