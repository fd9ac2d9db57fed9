/*
 * The verbs of sandboxctl: each gets its own words with the verb as argv[0], and returns the exit status.
 */
#pragma once

int verb_exec(int argc, char **argv);
int verb_enter(int argc, char **argv);
int verb_diff(int argc, char **argv);
int verb_commit(int argc, char **argv);
int verb_policy(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_ps(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_stop(int argc, char **argv);
int verb_kill(int argc, char **argv);
int verb_wait(int argc, char **argv);
int verb_logs(int argc, char **argv);
int verb_service(int argc, char **argv);
int verb_service_exec(int argc, char **argv);
