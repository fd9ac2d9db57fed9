/*
 * sandbox-runtime: an OCI runtime in front of crun (or runc). It prepares a container's config.json and hands its own command line on.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cleanup.h"
#include "profile.h"

/* ---- words.c: the command line, as far as it has to be understood ---- */

struct words {
        char **argv; /* for the runtime below: without our own options; NULL-terminated, the words are the caller's */
        int argc;
        const char *command;     /* "create", …; NULL: none (--help, --version) */
        const char *bundle, *id; /* id: of `create` and `run`; of `exec`, NULL where that isn't sure */
        const char *log, *log_format, *root;
        const char *policy, *below; /* --policy, --runtime: ours */
        bool help;                  /* of a command: nothing is started */
};

/* 0, or -EINVAL with `*ret_why`, a text that the caller frees. What isn't known is refused where it could hide which container is started. */
int words_parse(int argc, char **argv, struct words *ret, char **ret_why);
void words_done(struct words *w);
/* Whether the command starts a container's first process. */
bool words_starts(const struct words *w);

/* ---- report.c: errors ---- */

/* Says one line on standard error and in the engine's log, and returns 1, the exit status. */
int report_fail(const struct words *w, const char *format, ...) _printf_(2, 3);

/* ---- json_text.c: changing one member of a JSON text, and nothing else of it ---- */

struct json_span {
        size_t start, end;
};

/* Where the value of a member of the object at text[start] stands. The text is valid JSON. -ENOENT: it has none; -EEXIST: it has several that a
 * runtime could take for it (the same name twice, or in capitals: Go's decoder takes those too). */
int json_text_member(const char *text, size_t start, const char *name, struct json_span *ret);
/* The text with the member `inner` of the object `outer` (itself a member of the whole) as given, all other bytes as they were. What doesn't exist
 * is added. The caller frees it. -EEXIST as above; -EINVAL: `outer` is no object. */
int json_text_set(const char *text, size_t size, const char *outer, const char *inner, const char *value, char **ret);
/* The text without it. -ENOENT: there is no such member. */
int json_text_remove(const char *text, const char *outer, const char *inner, char **ret);

/* ---- choose.c: which policy ---- */

/* The name of a container's policy, which the caller frees; -EINVAL with a text. */
int choose_policy(const struct words *w, const struct choice *c, struct json_object *config, char **ret, char **ret_why);

/* ---- config.c: config.json in the bundle ---- */

struct runtime_below {
        const char *path;
        bool crun; /* takes seccomp flags */
};

/* Writes the bundle's config.json anew. -EINVAL with a text. */
int config_prepare(const struct words *w, const struct runtime_below *below, char **ret_why);

/* ---- agent.c: the daemon that takes the listener ---- */

/* Starts a daemon where none listens. -EINVAL with a text. */
int agent_ensure(const char *socket, char **ret_why);

/* ---- install.c ---- */

int install_main(int argc, char **argv);
