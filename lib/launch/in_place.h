/*
 * Becoming a service in place: the process that its manager has started loads the filter into itself, hands the listener over, and executes the
 * program with the same pid, descriptors, environment, signals and namespaces. See in_place.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "filter.h"
#include "plan.h"

/* Whom a process becomes that was started as root in the place of somebody else. */
struct in_place_identity {
        uid_t uid;
        gid_t gid;
        const gid_t *groups;
        size_t n_groups;
};

struct in_place_options {
        const struct plan *plan; /* for its limits; NULL: none */
        const struct filter *filter;
        bool wait_killable;
        const struct in_place_identity *identity; /* NULL: who it is */
        uint64_t bounding;                        /* capabilities that the bounding set keeps */
        /* Hands over the listener, for which it is all the sandbox has: whether it works or not, the descriptor stays the caller's. Runs in a thread
         * without the filter and with the identity that the process had; the calls of the other thread, and of nobody else, wait. Returns 0, or
         * negative errno with `*error` (text that the caller frees), or NULL there. */
        int (*hand_over)(void *userdata, int listener, char **error);
        void *userdata;
        const char *path;
        char *const *argv, *const *environment;
};

/* Returns only when it fails: with negative errno, and `*error` (the caller frees it; NULL: no memory) says what, in words for people. By then the
 * process may have the filter, and nobody who answers: it may write to its standard error, and must exit. */
int in_place_exec(const struct in_place_options *options, char **error);
