/*
 * The environment of the command: what the policy keeps and sets, what --env adds, and nothing else.
 */
#pragma once

#include "plan.h"

struct environment {
        char **list; /* "NAME=value", ends with NULL */
        size_t n;
        const char *private[2]; /* HOME and XDG_RUNTIME_DIR where they are private: to be made inside */
        size_t n_private;
};

/* `extra` are --env's words: NAME passes a variable on, NAME=VALUE sets it. -EINVAL with the error printed. */
int environment_make(const struct plan *plan, char *const *host, char *const *extra, size_t n_extra, struct environment *ret);
void environment_done(struct environment *e);
