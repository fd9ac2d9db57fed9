/*
 * Private to the view: mounts made by file descriptor. Nothing here looks a path up through a symbolic link.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan.h"
#include "view.h"

struct view {
        const struct plan *plan;
        uid_t uid;
        gid_t gid;
        int old_root; /* of the host's tree, from which everything is bound */
        int scratch;  /* a tmpfs that goes away with the old root: empty objects for masks, contents of replaced files */
        int root;     /* of the new tree */
        dev_t *own;   /* file systems made here, on which names may be created; never on the host's */
        size_t n_own;
        int *read_only; /* mounts that become read-only once everything is in place */
        size_t n_read_only;
        unsigned files; /* made in scratch so far */
        struct view_layers *layers;
        unsigned n_layers; /* made so far */
        int (*proc_ready)(int proc, void *userdata, char *what);
        void *userdata;
        char *what; /* the object at work, for errors */
};

/* Attributes that a mount of these rights has (MOUNT_ATTR_*). */
uint64_t view_attributes(unsigned rights);

/* A new, unattached file system; `options` is a list of key, value pairs that ends with NULL. */
int view_mount_new(const char *type, const char *const *options, uint64_t attributes);
/* An unattached copy of what `path` below `directory` shows, with all that is mounted below it. */
int view_mount_copy(int directory, const char *path, uint64_t attributes);

/* Opens (O_PATH) an object of the new tree. Where it doesn't exist and its file system was made here, it is made, with its parents. */
int view_target(struct view *v, const char *path, bool directory);
/* Puts an unattached mount on a path of the new tree. */
int view_attach(struct view *v, int mount, const char *path, bool directory);
bool view_owns(const struct view *v, dev_t dev);
int view_own(struct view *v, int mount, bool read_only);

/* A small tmpfs; `mode` in octal. */
int view_tmpfs(const struct view *v, uint64_t size, const char *mode, uint64_t attributes);

/* Covers an object with an empty one of mode 0. Nothing to do where it doesn't exist. */
int view_mask(struct view *v, const char *path);

/* view_special.c */
int view_add_proc(struct view *v, const struct node *node);
int view_add_dev(struct view *v, const struct node *node);

/* view_layers.c */
int view_layers_open(struct view *v);
int view_add_overlay(struct view *v, const struct node *node);
int view_layers_cover(struct view *v);
