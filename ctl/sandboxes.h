/*
 * What sandboxd says of its sandboxes.
 */
#pragma once

#include <json-c/json.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

struct sandbox_info {
        char *name, *policy, *state, *output;
        char **command;
        uint32_t uid, pid, worker, workers, entered;
        uint64_t started; /* microseconds since 1970 */
        char *outcome, *stage, *text;
        int32_t status, error;
        struct json_object *counters; /* name: number */
};

struct sandbox_list {
        struct sandbox_info *list; /* sorted by owner and name */
        size_t n;
};

/* All that the caller may see; `name` (NULL: all) is the one that is asked for. Errors are printed. -ENOENT: there is none of this name. */
int sandboxes_read(sd_bus *bus, const char *name, struct sandbox_list *ret);
void sandboxes_done(struct sandbox_list *list);

/* Whether a word can be one of these. -EINVAL, said. */
int sandbox_word_check(const char *word);
/* The words by which the caller names it: NAME, or UID/NAME of somebody else's; in a buffer. */
#define SANDBOX_WORD 80
const char *sandbox_word(const struct sandbox_info *info, char buffer[SANDBOX_WORD]);
/* How it ended, in words ("exited 3", "killed by signal 9", …), in a buffer; "running". */
const char *sandbox_ending(const struct sandbox_info *info, char *buffer, size_t size);
/* The same as members of an object: outcome, and of a command that has ended by itself code and signal, one of them null. */
void sandbox_add_ending(struct json_object *o, const char *outcome, int wait_status);
/* All of it as an object. */
struct json_object *sandbox_json(const struct sandbox_info *info);
