/*
 * What an OCI runtime tells a seccomp agent: the state of the container's process and the metadata of the profile. It is text from outside, and read
 * by the process that takes the container over (container.c), never by the daemon.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define STATE_FDS_MAX 8

struct container_state {
        char *id;        /* of the container */
        pid_t pid;       /* that has loaded the filter, as the runtime numbers it; 0: the runtime doesn't say (crun, of an exec) */
        bool exec;       /* it is not the container's init */
        size_t listener; /* which of the descriptors */
        char *policy;    /* NULL: the metadata names none */
        char *name;      /* NULL: the metadata gives none */
        char **labels;   /* "key=value", sorted as they came; ends with NULL */
        size_t n_labels;
        char *policy_digest, *filter_digest; /* of what the profile was made of; NULL: the metadata has none */
        bool other_program;            /* an annotation has crun load a program instead of the profile, and it isn't sandbox-runtime's */
        bool mounted;                  /* mounts hold the rules for files: the filter asks about no path */
        bool killable_known, killable; /* whether the filter was loaded with WAIT_KILLABLE_RECV, where the metadata says */
};

/* Reads it from a connection, which the runtime may hold open: no more than one object, within a bounded time and size. The descriptors that came with it go to
 * `fds`; those that are too many are closed. Negative errno, and `*ret_why`, which the caller frees, says what is wrong. */
int container_state_read(int socket, struct container_state *ret, int fds[STATE_FDS_MAX], size_t *ret_n_fds, char **ret_why);
void container_state_done(struct container_state *state);
