/*
 * Watching over one sandbox until it has ended.
 */
#pragma once

#include <stdint.h>

#include "launch.h"
#include "slots.h"

enum outcome {
        OUTCOME_EXITED,      /* `status` is the command's wait status */
        OUTCOME_NOT_STARTED, /* `failure` says at which step it failed */
        OUTCOME_BROKER_DIED, /* `status` is the worker's wait status */
        OUTCOME_INIT_DIED,   /* somebody killed the sandbox's init from outside, or a kill verdict did; `status` is init's wait status */
        OUTCOME_TIME,        /* the time limit was reached */
};

struct ended {
        enum outcome outcome;
        int status;
        struct launch_event failure;
        char full_tmpfs[sizeof(((struct launch_event *) 0)->text)];
};

/* Relays terminal and signals, and returns when all processes of the sandbox and its worker are gone and reaped. Signals that it handles
 * must be blocked before launch(): see supervise_block_signals. Negative errno when the watching itself fails; all are dead then, too. */
int supervise(struct launched *launched, const struct plan *plan, uint64_t time_usec, struct ended *ret);

/* The same for a sandbox that sandboxd owns; `*counters` is filled in at the end. */
struct remote;
int supervise_remote(struct remote *remote, struct launched *launched, struct counters *counters, struct kill_note *kill,
                     struct ended *ret);

/* The same for a program that was made to enter a sandbox (launch_enter); OUTCOME_INIT_DIED where that has ended before. */
int supervise_entered(struct launched *launched, struct ended *ret);

/* Blocks the signals that supervise() takes, and ignores SIGTTOU and SIGPIPE. `launch` resets both for the command. */
void supervise_block_signals(void);
