/*
 * The layers of overlays: what a sandbox has changed of the host's directories, until somebody looks at it, applies it or throws it away.
 *
 * A kept folder holds `manifest` (JSON), and for each layer a folder with its number: upper and work, which are the kernel's, and `since`.
 * All of it may have been made by an attacker, as far as he is the same user; what lies in `upper` was, as far as we know.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "plan.h"

struct since; /* layers_since.c */

struct layer {
        char *path;       /* of the host's directory below it */
        uint64_t inode;   /* of that directory when the layer was made */
        uint64_t folder;  /* inode of the layer's own folder then */
        int upper, lower; /* both opened for reading; -1: not there */
        struct since *since;
        size_t n_since;
};

struct layers {
        char *path;    /* of the folder; NULL: in memory */
        int directory; /* locked while it is open */
        char *policy;
        struct timespec started; /* the last run; 0: unknown */
        struct layer *list;
        size_t n;
};

/* What follows says what is wrong to the user, and returns negative errno. */

/* Opens the folder DIR for a run of this plan: makes it where it isn't there, or goes on with the layers in it, which must be the plan's. */
int layers_prepare(const char *directory, const struct plan *plan, const char *policy, struct layers *ret);
/* Opens it to look at (shared), or to take from. */
int layers_open(const char *directory, bool exclusive, struct layers *ret);
/* The layers of a run that has just ended; `directory` stays the caller's. */
int layers_of_run(const struct plan *plan, int directory, struct layers *ret);
/* After a run: lets rm -r remove what the kernel has left with mode 0. */
void layers_finish(const struct layers *layers);
void layers_done(struct layers *layers);

/* layers_check.c */

/* Says it of the folder, and returns r. */
int layers_refuse(const struct layers *layers, int r, const char *format, ...) _printf_(3, 4);
int layers_check_owner(const struct layers *layers);
int layers_check_file_system(const struct layers *layers);
int layers_check_mounts(const char *source);
int layers_check_place(const struct layers *layers, const struct plan *plan);

/* layers_since.c: from when on a change of the host's object is in conflict with the layer's. Entries that were in the layer before the last
 * run began have a time of their own, all others that run's. */
int since_load(struct layer *layer, int folder);
/* Gives all entries that have none yet the time of the last run. To be called before the next one. */
int since_settle(struct layer *layer, int folder, const struct timespec *last);
void since_done(struct layer *layer);
struct timespec since_of(const struct layers *layers, const struct layer *layer, const char *path, bool in_upper);

/* Opens what lies below a directory, whatever has become of the names on the way: no link is followed, no other file system entered.
 * -1 and errno. */
int open_below(int directory, const char *path, int flags);

struct names {
        char **list;
        size_t n;
};
/* The names in a directory, sorted. */
int names_read(int directory, struct names *ret);
void names_done(struct names *names);
bool names_have(const struct names *names, const char *name);
/* "a" and "b" joined; the caller frees it. NULL: no memory. */
char *path_join(const char *directory, const char *name);
