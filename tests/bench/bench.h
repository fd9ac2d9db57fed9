/*
 * The benchmark: what a brokered call costs, against the same call natively and through a minimal loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What is measured. Each is one operation of the client. */
enum bench_case { CASE_VALUE, CASE_UNAME, CASE_STAT, CASE_OPEN, CASE_CONNECT, N_CASES };

extern const char *const case_names[N_CASES];
extern const unsigned case_iterations[N_CASES];

#define BENCH_FILE "/usr/lib/os-release"

/* client.c: reads "CASE N" lines on standard input, and writes nanoseconds an operation for each. Returns the exit status. */
int client_run(void);

/* raw.c: loads a filter that notifies the cases' calls into this process, and hands the listener to a loop in a process of its own, which does
 * no more than it must. Returns the loop's pid, or negative errno. */
pid_t raw_start(bool apart);

/* A running client. */
struct client {
        pid_t pid;
        int in, out;
};
/* Starts a command (argv, NULL-terminated) as a client. */
int client_start(struct client *client, const char *const *argv);
/* Nanoseconds an operation, or a negative number. */
double client_ask(struct client *client, enum bench_case what);
void client_stop(struct client *client);

/* start.c: milliseconds from fork to the end of a command that does nothing; negative where it fails. */
double start_measure(const char *const *argv);

double bench_now(void); /* nanoseconds */
