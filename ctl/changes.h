/*
 * What a layer changes of the directory below it, as it is now.
 */
#pragma once

#include "layers.h"

enum change_kind {
        CHANGE_NONE, /* in the layer, but the same as below */
        CHANGE_ADDED,
        CHANGE_MODIFIED, /* the object, or by another of the name, maybe of another type */
        CHANGE_DELETED,
};

struct change {
        enum change_kind kind;
        size_t layer;
        char *path;               /* below the layer's directory; "" is that directory itself */
        bool in_upper;            /* false: an opaque directory above hides what is below */
        struct stat upper, lower; /* st_mode is 0 where there is none; upper of a deleted one is a whiteout */
        uint64_t lower_size;      /* of everything that goes with it */
        const char *left_out;     /* why it isn't applied, or NULL; what lies below isn't looked at then */
        bool hides;               /* a directory that hides what the same directory below has */
        bool applied;
};

struct changes {
        struct change *list; /* directories before what is in them */
        size_t n, room;
};

/* Compares all layers with what is below. Negative errno only where nothing can be said at all. */
int changes_find(const struct layers *layers, struct changes *ret);
void changes_done(struct changes *changes);
/* Looks once more whether what goes with a directory below has changed. Sets left_out; negative errno. */
int changes_judge_again(const struct layers *layers, struct change *change);

/* changes_compare.c */

/* Why an object must not leave its layer, or NULL. `fd` may be O_PATH. */
const char *compare_refused(int fd, const struct stat *st, bool top);
/* Whether a directory hides all that is below it. */
bool compare_opaque(int fd);
/* 1: mode, owner, attributes and content are the same; 0, or negative errno. Both fds are O_PATH, and the types the same. */
int compare_same(int upper, const struct stat *upper_stat, int lower, const struct stat *lower_stat);
/* Whether an attribute goes with a file. */
bool compare_attribute_kept(const char *name);
/* The names of all extended attributes, each ended by NUL; the caller frees them. */
ssize_t compare_list_attributes(int fd, char **ret);
ssize_t compare_get_attribute(int fd, const char *name, char **ret);

/* changes_print.c */

/* A line for each change; where the layers are kept, also why it would be left out. */
void changes_print(const struct layers *layers, const struct changes *changes, FILE *to);
void change_print(const struct layers *layers, const struct change *change, FILE *to);
/* "1 added, 2 modified, 1 deleted"; the caller frees it. */
char *changes_count(const struct changes *changes);
/* What is said of one, as an object. */
struct json_object *change_json(const struct layers *layers, const struct change *change);
/* One JSON object, with a newline; the caller frees it. */
char *changes_json(const struct layers *layers, const struct changes *changes);
/* The host's path, absolute; the caller frees it. */
char *change_path(const struct layers *layers, const struct change *change);
