/*
 * The words of `sandboxctl exec`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "policy.h"

struct exec_options {
        const char *policy; /* NULL: untrusted, and the current directory */
        const char *name;
        char *root;
        const char *chdir;
        const char *log, *stats;
        bool quiet, why;
        bool daemon, detach; /* sandboxd owns the sandbox; … which goes on without us */
        bool overlay;        /* what could be changed gets a layer */
        char *keep;          /* … which stays in this folder */
        bool dry_run;
        const char *changes; /* --changes: where the changes of a dry run go */
        struct policy_flag *flags;
        size_t n_flags;
        char **texts; /* what flags point to and had to be made */
        size_t n_texts;
        char **environment; /* --env, as given */
        size_t n_environment;
        int *pass_fds;
        size_t n_pass_fds;
        char **command;
};

/* Returns 0; or 1 when all was said already (--help); or -EINVAL, with the error printed. `cwd` makes paths absolute. */
int exec_options_parse(int argc, char **argv, const char *cwd, struct exec_options *ret);
int exec_options_flag(struct exec_options *o, int kind, const char *value);
/* An absolute path without `.`, `..` and doubled slashes, of what was typed; the caller frees it. NULL: no memory. */
char *path_absolute(const char *path, const char *cwd);
void exec_options_done(struct exec_options *o);
