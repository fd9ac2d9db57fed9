#pragma once

#include <sys/types.h>

/* Makes the directories above a file, those that aren't there with this mode. The path is changed meanwhile, and as it was in the end. 0 or negative errno. */
int path_make_parents(char *path, mode_t mode);
