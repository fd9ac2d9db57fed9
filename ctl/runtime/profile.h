/*
 * A policy as an OCI seccomp profile, merged with a container's own. Used by sandbox-runtime and by `sandboxctl policy oci-profile`.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "control.h"
#include "folders.h"

/* Settings and folders of policies: the administrator's, and where the engine is a user's own, that user's before them. */
struct choice {
        bool root; /* the engine is root's */
        struct settings *system, *own;
        struct policy_folders folders;
};

/* -EINVAL with a text; choose_done is to be called in any case. */
int choose_init(struct choice *c, char **ret_why);
void choose_done(struct choice *c);
/* The policy that a container with this one has besides it; NULL: none. */
const char *choose_floor(const struct choice *c, const char *policy);

struct container_mounts;

struct profile_request {
        const struct choice *choice;
        const char *policy;              /* a name */
        const char *id;                  /* of the container; NULL: a profile for any */
        const char *root;                /* its root on the host; NULL: not known */
        const char *socket;              /* the agent's */
        struct json_object *config;      /* the container's config.json, or NULL */
        bool wait_killable;              /* the runtime below takes seccomp flags (crun) */
        struct container_mounts *mounts; /* of the config (mounts.h); NULL: nobody looks after them, the broker has all rules for files */
        bool program;                    /* it also takes the filter as a program (program.h) */
};

/* The new linux.seccomp as text, and the program that is loaded in its place (NULL: none), as the annotation's JSON. -EINVAL with a text that says what is wrong;
 * the caller frees all. */
int profile_make(const struct profile_request *q, char **ret, char **ret_program, char **ret_why);

/* Whether we are root in earnest: rootless engines run us as uid 0 of a user namespace. */
bool agent_is_root(void);

/* Where the agent listens: control_agent(); in a user namespace nobody is root. */
int agent_socket(char ret[CONTROL_SOCKET_SIZE]);

/* A text made for `*ret_why`; its value is -EINVAL. */
#define WHY(ret_why, ...) \
        ({ \
                if (asprintf(ret_why, __VA_ARGS__) < 0) \
                        *(ret_why) = NULL; \
                -EINVAL; \
        })
