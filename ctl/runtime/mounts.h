/*
 * The container's mounts in its config.json: whether they can hold the policy's rules for files (plan.h, plan_request.mounts), and what is asked of the
 * runtime below for that. The attributes of what is mounted are given by the agent (daemon/mounts.c), which looks at all of it once more.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "plan.h"

struct container_mounts {
        const char *why;     /* static text: mounts hold nothing in this container; NULL: they can */
        const char **points; /* where something is mounted; the texts are the config's */
        size_t n;
        bool hold;                /* mounts_plan: they do */
        char *masked, *read_only; /* linux.maskedPaths and linux.readonlyPaths as JSON, with what the rules need; NULL: as they are */
};

/* Reads them. 0 or -ENOMEM. */
int mounts_read(struct json_object *config, bool crun, struct container_mounts *ret);
void mounts_done(struct container_mounts *m);

/* Whether they hold the rules of a plan that was compiled for them. */
void mounts_plan(struct container_mounts *m, struct json_object *config, const struct plan *plan);
