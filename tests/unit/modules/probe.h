/*
 * What the probes share. A probe makes many calls in a folder of its own and prints what each gave, so that its output inside a sandbox can be
 * held against its output outside, line by line.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef O_TMPFILE
#error "O_TMPFILE"
#endif

/* Gives up what a sandbox doesn't have, so that root's run outside is comparable. */
void probe_drop_rights(void);
/* The name of an errno, or "ok" for 0. */
const char *probe_errno(int error);
/* A page whose successor is not mapped, and the `n` last bytes of it. */
char *probe_page_end(size_t n);

#define SHOW(result) ((result) < 0 ? probe_errno(errno) : "ok")
