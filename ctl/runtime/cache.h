/*
 * Merged profiles that were made before. Merging takes libseccomp and the check of what it makes some 15 ms, most of what sandbox-runtime needs, and nearly
 * all containers of a machine have the engine's default profile and one of few policies.
 *
 * An entry is found by all that the profile was made of, compared as a whole, and lies beside root's socket, where root alone can write. Nothing of a
 * rootless engine's is kept.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "digest.h"

/* What a profile is made of, as text; NULL: out of memory, or there is no telling which program this is. The caller frees it. */
char *cache_key(const struct digest *filter, struct json_object *theirs, bool wait_killable, bool program);
/* What was made (profile.c), which the caller puts; NULL: there is none, or none that can be trusted. */
struct json_object *cache_get(const char *socket, const char *key);
/* What can't be kept isn't. */
void cache_put(const char *socket, const char *key, struct json_object *made);
