#pragma once

#include <json-c/json.h>
#include <systemd/sd-bus.h>

/* Prints who has how much of what quotas bound, or appends it to an array. Prints its error. */
int usage_show(sd_bus *bus, struct json_object *array);
