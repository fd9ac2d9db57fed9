/*
 * What the scenarios' claims do.
 */
#pragma once

#include "rig.h"

enum answer_kind {
        ANSWER_VALUE,
        ANSWER_ERROR,
        ANSWER_BAD_FD,
        ANSWER_O_PATH,
        ANSWER_BAD_KIND,
        ANSWER_FALSE_GONE,
        ANSWER_RESTART,
        ANSWER_DENY,
        ANSWER_KILL,
        ANSWER_PROCEED,
        ANSWER_SLEEP,
        ANSWER_TGID,
        ANSWER_TID,
        ANSWER_UMASK,
        ANSWER_RLIMIT,
};

struct verdict answer(struct call *call);
struct verdict handle_openat(struct call *call);
struct verdict handle_openat2(struct call *call);
struct verdict handle_stat(struct call *call);
struct verdict handle_path(struct call *call);
struct verdict handle_create(struct call *call);
struct verdict handle_copy(struct call *call);

extern const struct claim claims[];
extern const size_t n_claims;

#define ASK(kind, value) BROKERED(__NR_getppid, kind, value, 0, 0, 0)

/* A scenario: what runs in the caller, and what is checked afterwards in the parent. */
struct scenario {
        const char *name;
        int (*body)(void);
        void (*check)(struct rig *rig);
        void (*prepare)(struct rig *rig);
};
extern const struct scenario basic_scenarios[], path_scenarios[], blocking_scenarios[];
