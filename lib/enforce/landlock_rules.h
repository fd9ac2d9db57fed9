/*
 * Landlock as a second layer below the view: files by right, devices, TCP ports, scoping of signals and abstract sockets.
 */
#pragma once

#include "plan.h"

/* Before this version (Linux 5.19) no rule could allow a rename or link into another directory, and programs would break: Landlock is then
 * not used at all. */
#define LANDLOCK_ABI_NEEDED 2

/* The ABI version of the running kernel, 0 where there is no Landlock. */
int landlock_abi(void);

/* Restricts the calling thread (no_new_privs must be set) to what the plan grants, as far as the running kernel's ABI goes. Paths are
 * those inside: to be called in the sandbox's view. Files that are open as `fds` may be opened again (/dev/stdout, /proc/self/fd/N) for
 * what they are open for. signals: processes outside of this domain may be signalled. 0, also where there is no Landlock that can be used
 * (LANDLOCK_ABI_NEEDED); negative errno. */
int landlock_apply(const struct plan *plan, const int *fds, size_t n_fds, bool signals);
