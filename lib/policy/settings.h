/*
 * sandboxd.yaml: what an administrator sets for sandboxd, and a user for a sandboxd of their own. It is described in sandboxd.yaml(5).
 */
#pragma once

#include "arena.h"
#include "policy.h"

enum quota_kind {
        QUOTA_SANDBOXES,      /* of one user, that run at once */
        QUOTA_CONNECTIONS,    /* of one user, to the control socket */
        QUOTA_CALLS,          /* of one user, that workers are at, or that wait, at once */
        QUOTA_MEMORY,         /* of one user's workers, in bytes */
        QUOTA_SANDBOX_CALLS,  /* the same of one sandbox */
        QUOTA_SANDBOX_MEMORY, /* the same of one sandbox's worker */
        QUOTA_KINDS,
};

const char *quota_name(enum quota_kind kind); /* as in the YAML */

struct quota {
        bool set; /* else the file says nothing, and the program's own default counts */
        uint64_t value;
        struct place place;
};

struct quota_user {
        uid_t uid;
        struct quota quotas[QUOTA_KINDS];
};

/* Which policies an OCI container can have. Names only. */
struct settings_oci {
        char **selectable; /* that a container's annotation may name */
        size_t n_selectable;
        char *floor;          /* that each container has besides its own; NULL: none */
        char *default_policy; /* of a container that names none; NULL: container-default */
};

struct settings {
        char *file; /* where they come from; NULL: there is no file, all is as by default */
        char *text; /* its content, `size` bytes, so that it can be kept and read again by settings_parse */
        size_t size;
        struct quota quotas[QUOTA_KINDS]; /* of all who aren't in `users` */
        struct quota_user *users;
        size_t n_users;
        bool policies_set;
        char **policies; /* folders in which policies are looked up before the shipped ones: absolute paths */
        size_t n_policies;
        struct settings_oci oci;
};

#define QUOTA_SANDBOX_CALLS_MAX 1024

/* $HOME, else what the accounts say; NULL: neither is a path. Borrowed until the next call. */
const char *settings_home(uid_t uid);
/* Where the settings of this user's programs are: SANDBOXD_SYSTEM_CONFIG for root, else below $XDG_CONFIG_HOME or ~/.config. The caller frees it.
 * -ENOENT: the user has no home. */
int settings_path(uid_t uid, char **ret);

/* Reads a file, which must belong to root or to the user, and be writable for the owner alone. Where it doesn't exist, and needn't, the settings are
 * the defaults. -EINVAL, with all errors in the report; -ENOMEM. Warnings can be in the report in either case. */
int settings_load(const char *path, bool needed, uid_t uid, struct settings **ret, struct policy_report *report);
/* The file `named`, which has to be there; NULL: the usual one of the user `whose`. `reader` is settings_load's `uid`. */
int settings_find(const char *named, uid_t whose, uid_t reader, struct settings **ret, struct policy_report *report);
/* The same from a text. */
int settings_parse(const char *file, const char *text, size_t size, struct settings **ret, struct policy_report *report);
struct settings *settings_free(struct settings *settings);

static inline void settings_freep(struct settings **settings) {
        settings_free(*settings);
}

/* What bounds this user: the user's own line, else the one for all. */
const struct quota *settings_quota(const struct settings *settings, uid_t uid, enum quota_kind kind);
