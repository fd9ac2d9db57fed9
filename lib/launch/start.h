/*
 * Private to the launcher: what its processes share while a sandbox is started.
 */
#pragma once

#include <stdint.h>

#include "launch.h"
#include "view.h"

#define ID_EXTENTS 32

struct id_extent {
        uint32_t inside, outside, count;
};

struct id_map {
        struct id_extent extents[ID_EXTENTS];
        size_t n;
};

/* How ids of the intermediate user namespace map to the owner's. The sandbox's own namespace maps each of them to itself. */
struct id_maps {
        struct id_map uid, gid;
        bool helpers;        /* newuidmap and newgidmap write them */
        bool deny_setgroups; /* the kernel wants it where the writer has no right over groups */
};

struct start {
        const struct launch_options *options;
        struct id_maps maps;
        int supervisor_pidfd;
        int worker_pidfd;
        int sync;                  /* supervisor's or worker's end of the socket between the two during the start */
        int control;               /* init's end */
        int handover;              /* init's end of the socket on which the worker gets the listener */
        int low_port;              /* worker's end */
        int null;                  /* /dev/null */
        struct view_layers layers; /* in init */
        _Atomic bool *worker_done; /* shared by worker and init: the worker ended because nobody is left */
        mode_t umask;
        bool hangup_ignored;
        bool in_group;                      /* init was cloned into its control group */
        bool group_processes, group_memory; /* the control group holds these limits */
        bool entering; /* the command isn't the sandbox's first: others are there, and there may be another policy by now */
};

/* maps.c */
int maps_plan(const struct launch_options *options, struct id_maps *ret, char **error);
/* Writes the intermediate namespace's maps; to be called in its parent. */
int maps_write_outer(const struct id_maps *maps, pid_t pid, char **error);
/* Writes the sandbox's; to be called in the intermediate namespace. */
int maps_write_inner(const struct id_maps *maps, pid_t pid);

/* errors.c: why a step of the start failed, and what to do; the caller frees. */
char *start_error(const char *step, int error);
/* Makes the text (NULL where there is no memory for it) and returns `r`. */
int launch_fail(char **error, int r, const char *format, ...) _printf_(3, 4);

/* intermediate.c: what the worker process does until its work begins. Never returns. */
struct start_message {
        enum { START_UNSHARED, START_MAPPED, START_CLONED, START_LISTENING, START_FAILED } type;
        int error;
        char step[32];
        pid_t init;
};
_noreturn_ void intermediate_run(struct start *start);

/* init.c */
_noreturn_ void init_run(struct start *start);
/* The first event on the control socket where nothing failed. `status` is a sum of what is attached, in this order. */
#define LAUNCH_READY 1000
enum { READY_PTY = 1, READY_LAYERS = 2 };

/* init_setup.c: steps of init before the command; negative errno, and `text` (256 bytes) says what it was about. */
struct init_step {
        const char *name;
        int (*run)(struct start *start, char *text);
};
extern const struct init_step init_steps[];
extern const size_t n_init_steps;

/* enter.c: init's part of programs that enter. None of these waits. */
#define ENTERED_MAX 63
#define ENTERED_POLLS (3 * ENTERED_MAX)
struct pollfd;
/* `client` is the socket from LAUNCH_ENTER, taken over. */
void enter_begin(int client);
/* What the owner says of a listener. */
void enter_served(uint32_t number, bool served);
/* Adds what is to be watched, and returns how many; then looks at what came of it. */
size_t enter_polls(struct pollfd *polls);
void enter_handle(struct start *start, const struct pollfd *polls, size_t n);
/* Of a child that was waited for; false: it is none of these. */
bool enter_reaped(const struct start *start, pid_t pid, int status);
/* What a client sends: texts, each ended by a NUL, in a file that comes along with the three descriptors: the directory, the words of the command, the
 * environment. */
struct enter_request {
        uint32_t size, n_words, n_environment, umask;
};
/* Names a private file system that has no room left in `text`, or makes it empty. */
void init_find_full(const struct launch_options *options, char *text);

/* pty.c: makes a terminal of the sandbox's like the outer one; and makes one the calling session's own. */
int pty_make(int like, int *ret_master, int *ret_slave, char *text);
int pty_take(int slave);

/* command.c: the command's own side. Never returns. */
struct command_report {
        bool failed;
        int listener; /* its number in the command, where nothing failed */
        int error;
        char stage[32];
        char text[256];
};
_noreturn_ void command_run(struct start *start, int channel, int slave);

/* privileges.c */
int privileges_keep(uint64_t capabilities); /* bits of capabilities to keep; the bounding set is emptied for good */
int privileges_of_command(void);            /* none; only a build for tests can be told otherwise */
/* Of one that enters, which init has bounded already: none that has an effect, and one left that goes with its execve. By that one no process inside may
 * trace it before, or look into it: the kernel wants the tracer to have all that the other has. */
int privileges_of_entering(void);

/* limits.c */
int limits_apply(const struct start *start, char *text);

/* Closes all descriptors from 3 on that are not in `keep` (which is sorted). */
void fds_close_but(int *keep, size_t n);
