/*
 * Tracing a caller across execve: the steps. exec_event.c says what for, and takes them itself where there is no helper; helper.c does where there is.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "call.h"

/* It stops at its exec event, and when it would go on without one. Negative errno. */
int trace_seize(pid_t tid);
/* Of a wait status: the program has been chosen, and none of its code has run. */
bool trace_is_exec(int status);
/* What it is then: an O_PATH fd, or negative errno; `proc` is one of the host's /proc. */
int trace_open_exe(int proc, pid_t pid);
/* False for no fd as well. */
bool trace_same(int exe, const struct exec_check *check);
/* After a stop. */
void trace_let_go(pid_t pid, int status);
