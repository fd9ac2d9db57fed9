/*
 * Entering sandbox-runtime into an engine's configuration, and taking it out again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* One engine: where its configuration is, and what our entry in it looks like. Both functions get the file's text (NULL: there is no file) and make the
 * new one, which the caller frees; -ENOENT from remove: there is no entry of ours; -EINVAL with a text where the file is not as it should be. */
struct engine {
        const char *name;    /* as in the option */
        const char *file;    /* of the configuration */
        const char *program; /* by which one sees that the engine is there */
        const char *restart; /* what makes it count */
        const char *use;     /* how a container gets it */
        int (*add)(const char *text, const char *path, char **ret, char **ret_why);
        int (*remove)(const char *text, const char *path, char **ret, char **ret_why);
};

extern const struct engine engine_docker, engine_containerd, engine_podman;
