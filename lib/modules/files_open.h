/*
 * Private to the open family: what an open asks for, once its flags have been checked as build_open_flags() of the kernel does.
 */
#pragma once

#include "files.h"

#define OPEN_TMPFILE 020000000 /* __O_TMPFILE: O_TMPFILE without O_DIRECTORY */

struct opening {
        int dirfd;
        uint64_t path;
        int flags; /* valid */
        mode_t mode;
        unsigned resolve;                       /* RESOLVE_IN_* */
        bool reads, writes, truncates, appends; /* what it asks for, O_TRUNC and O_APPEND included */
};

/* Checks flags, mode and RESOLVE_* (openat2's numbers), and fills in the rest. Negative errno as openat2(2). */
int opening_parse(struct opening *o, uint64_t flags, uint64_t mode, uint64_t resolve);
/* The same for open, openat and creat, which ignore what they don't know. */
int opening_parse_legacy(struct opening *o, int flags, mode_t mode);

/* Whether `devices` names it (below /dev), and those of the floor as well. */
bool device_listed(const struct plan *plan, const char *name);

/* The right that the plan doesn't give for this opening of an existing object (as the name of the one that would allow it), or NULL. */
const char *opening_missing(const struct call *call, const struct opening *o, const struct pin *pin);
