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

/* Whether an open file of this owner, as fstat gives it, is root's or the reader's own. In a user namespace where the host's root has no number its files show as
 * those of all who have none, and any of them could have made the file: there it is root's where nobody else puts files, below /etc, /usr and our own folders. */
bool policy_owner_trusted(int fd, uid_t owner, uid_t reader);
