/*
 * A caller and a worker around handcrafted claims, without namespaces: a child loads a filter that notifies the calls whose sixth argument is
 * RIG_MAGIC, so that the child can make any call both natively and through the worker, and compare.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "worker.h"

#define RIG_MAGIC 0x5a5a1234L

struct rig {
        const struct claim *claims;
        size_t n_claims;
        unsigned receivers, max_threads;
        bool no_capabilities; /* the caller gives up its own first, as in a real sandbox */
        bool not_killable;    /* the filter is loaded without WAIT_KILLABLE_RECV */
        unsigned n_callers;   /* each with a filter and a listener of its own; 0: one */
        int log_fd;           /* 0: none */
        enum audit_record record;
        bool kill_worker;  /* it need not end by itself */
        int (*body)(void); /* runs in each caller; its result is the exit status */

        /* Results. */
        struct shared *shared;
        int caller_status, worker_status; /* of the first caller that ends with another one than 0 */
        pid_t worker;
};

/* fork(), whose child dies with us: a scenario that fails leaves nobody behind that sends signals. */
pid_t rig_fork(void);

/* The running rig's memory, for the caller to see what the worker has done so far. */
extern struct shared *rig_shared;

/* Which one the caller is, from 0. */
extern unsigned rig_number;
#define RIG_CALLERS 16

/* Runs the rig; 0, or an errno-like message on stderr and 1. */
int rig_run(struct rig *rig);

/* A brokered call: the result, or -errno. */
#define BROKERED(nr, a, b, c, d, e) rig_call(nr, (long) (a), (long) (b), (long) (c), (long) (d), (long) (e), RIG_MAGIC)
#define NATIVE(nr, a, b, c, d, e) rig_call(nr, (long) (a), (long) (b), (long) (c), (long) (d), (long) (e), 0)
long rig_call(long nr, long a, long b, long c, long d, long e, long f);

/* Rules of the test's own plan: the longest prefix wins; with none everything is granted. */
struct rig_rule {
        const char *path;
        enum match_state state;
};
extern const struct rig_rule *rig_rules;

/* Fails the scenario. */
#define EXPECT(condition) \
        do { \
                if (!(condition)) { \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
                        _exit(1); \
                } \
        } while (0)
#define EXPECT_EQ(a, b) \
        do { \
                long long a_ = (a), b_ = (b); \
                if (a_ != b_) { \
                        fprintf(stderr, "%s:%d: %s is %lld, not %s (%lld)\n", __FILE__, __LINE__, #a, a_, #b, b_); \
                        _exit(1); \
                } \
        } while (0)
