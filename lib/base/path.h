#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Makes the directories above a file, those that aren't there with this mode. The path is changed meanwhile, and as it was in the end. 0 or negative errno. */
int path_make_parents(char *path, mode_t mode);

/* Whether a path is the folder or lies below it; both are absolute, or below the same folder. */
bool path_covers(const char *folder, const char *path);

/* Whether a file of this owner, as stat gives it, is root's or the reader's own. In a user namespace the host's root has another number, or none: then it is what all
 * have that have none, and any of them could have made the file. But whoever puts others' files into root's folders is root. */
bool path_owner_trusted(uid_t owner, uid_t reader);
