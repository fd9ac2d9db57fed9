#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Makes the directories above a file, those that aren't there with this mode. The path is changed meanwhile, and as it was in the end. 0 or negative errno. */
int path_make_parents(char *path, mode_t mode);

/* Whether a path is the folder or lies below it; both are absolute, or below the same folder. */
bool path_covers(const char *folder, const char *path);

/* Undoes, in place, what the kernel does in mountinfo and its like to space, tab, newline and backslash: \040. */
void path_unescape(char *text);

/* Where a file system of the kernel's own (mountinfo's type: proc, sysfs, cgroup, …), which is the same wherever it is mounted, has its usual place; NULL: it is
 * another one. */
const char *path_of_kernel_tree(const char *type);

/* Whether a mount of such a file system lies elsewhere. `usual` is path_of_kernel_tree(); `root`, within the file system, and `point` are mountinfo's. */
bool path_kernel_tree_elsewhere(const char *usual, const char *root, const char *point);
