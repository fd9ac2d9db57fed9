/*
 * What sandboxd has seen of a sandbox's calls.
 */
#pragma once

#include <json-c/json.h>
#include <systemd/sd-bus.h>

/* Adds "tiers", "latency" and "denied" of the sandbox that these words name to the object. What a daemon of before doesn't know is left out. The error
 * is printed. */
int status_read(sd_bus *bus, const char *name, struct json_object *to);
/* Prints the three of them for people. */
void status_print(struct json_object *from);
