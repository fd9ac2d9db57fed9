/*
 * Where policies are looked up by name. sandboxctl, sandbox-runtime and sandboxd have to find the same file: a container's filter is made by one of them,
 * and its calls are answered by another.
 */
#pragma once

#include "settings.h"

struct policy_folders {
        const char **list; /* owned, as are its texts; first wins */
        size_t n;
        bool trust_last; /* as policy_request.trust_last */
};

/* The user's, the system's and the shipped ones: those that the settings name, else the usual ones. `own` NULL: none of a user's; `home` NULL: that user has
 * none. -ENOMEM. */
int policy_folders_find(const struct settings *own, const char *home, const struct settings *system, struct policy_folders *ret);
void policy_folders_done(struct policy_folders *folders);
