/*
 * What sandboxctl says to people: on standard error, one line each, with "sandboxctl: " before it.
 */
#pragma once

#include <getopt.h>

#include "cleanup.h"

/* Our own exit status for failures of ours, and the two of env(1) for a command that can't be run. */
enum { EXIT_OURS = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

/* Says what went wrong and returns EXIT_OURS, so that `return message_fail(…)` ends a verb. */
int message_fail(const char *format, ...) _printf_(1, 2);
/* For what getopt_long has not understood, the word before optind: `c` is ':' where it wants a value, else there is no such option. Returns -EINVAL. */
int message_bad_option(const char *verb, int c, char *const *argv, const struct option *options);
void message_note(const char *format, ...) _printf_(1, 2);
