/*
 * What is in JSON that somebody else has written: a member that is missing, or of another type, is not there.
 */
#pragma once

#include <json-c/json.h>

/* The member of this type, which stays the object's; NULL: it has none, or is no object. */
struct json_object *json_member(struct json_object *o, const char *name, enum json_type type);
/* The same for a text. */
const char *json_member_text(struct json_object *o, const char *name);
