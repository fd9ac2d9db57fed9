/*
 * --json: what people read from a terminal, too.
 */
#pragma once

#include <json-c/json.h>

/* Both let go of it. On lines, indented; what could move a terminal's cursor is escaped. */
void json_print(struct json_object *o);
/* The same on one line, which is out when this returns. -EPIPE and the like: nobody reads. */
int json_print_line(struct json_object *o);
