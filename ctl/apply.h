/*
 * sandboxctl policy apply: another policy for a sandbox that runs.
 */
#pragma once

#include <stdbool.h>

#include "policy.h"

struct apply_words {
        const char *sandbox;
        const char *policy; /* a name, or a path with a `/` */
        const struct policy_flag *flags;
        size_t n_flags;
        bool json, dry_run;
};

/* Returns the exit status: 1 where the policy has errors, or changes what only a new start can change. */
int apply(const struct apply_words *words);
