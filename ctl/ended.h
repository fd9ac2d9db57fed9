/*
 * How a program in a sandbox has ended: what that comes to as our own exit status.
 */
#pragma once

#include "launch.h"

/* As a shell has it. */
int ended_code(int wait_status);
/* It could not be started: says why, and returns the exit status. `command` is its first word, `what` what else could not be started ("the sandbox"). */
int ended_not_started(const struct launch_event *failure, const char *command, const char *what);
