/*
 * The launcher: namespaces, view, Landlock, limits, filter, init, and the command. See launch.c for who forks whom.
 *
 *   supervisor (sandboxctl)
 *     ├─ worker   in the intermediate user namespace; host's mount, network and pid namespace; runs options->worker
 *     └─ init     pid 1 of the sandbox; in the sandbox's user namespace and all others; unreachable from inside; holds a dup of
 *          │      the listener; kills everybody, reaps, exits when the supervisor or the worker is gone or the command has ended
 *          ├─ command
 *          └─ what entered later, each with a listener of its own (enter.c)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <termios.h>

#include "filter.h"
#include "plan.h"

/* What the worker process is given; see worker_options for what they are. */
struct launch_worker {
        int listener;
        bool wait_killable;
        int init_pidfd;
        int low_port_socket;
};

struct launch_options {
        const struct plan *plan;
        const struct filter *filter;
        bool wait_killable;
        const char *name;
        char *const *argv;        /* the command; argv[0] is looked up in PATH inside */
        char *const *environment; /* complete: what the command gets, and nothing else */
        const char *chdir;        /* inside */
        int stdio[3];             /* what becomes 0, 1, 2; -1: /dev/null. Those that are terminals become the sandbox's own pty */
        const int *pass_fds;      /* further descriptors that stay open under their numbers */
        size_t n_pass_fds;
        const char *const *directories; /* made inside with mode 0700 where they are not there, below private places: HOME and the like */
        size_t n_directories;
        const char *cgroup;      /* see cgroup.h; NULL: none */
        const char *layers_path; /* see view_layers; NULL: on a tmpfs */
        int layers;              /* the same folder; what is locked with it stays locked until the last process inside is dead */
        uid_t uid;               /* the owner */
        gid_t gid;
        int (*worker)(void *userdata, const struct launch_worker *worker); /* runs in the worker process; its result is the exit status */
        void *userdata;
        /* Somebody else answers the sandbox's calls, and owns it: no worker is made, `launched` gets what that one needs, and the command waits for
         * LAUNCH_RELEASE. The sandbox lives until its command ends, LAUNCH_KILL, or the last copy of `control` is closed. */
        bool handed_over;
};

struct launched {
        pid_t worker, init; /* worker: 0 where it is handed over */
        int worker_pidfd, init_pidfd;
        int listener;        /* handed over: else -1 */
        int user_namespace;  /* the intermediate one, handed over: else -1 */
        int control;         /* SEQPACKET: events from init, commands to it */
        int low_port_socket; /* SEQPACKET: the worker asks here; launch_serve_low_port answers; -1 where no rule names a low port */
        int pty;             /* master of the sandbox's pty, or -1 where none of stdio is a terminal; non-blocking */
        int layers;          /* the folder that has the overlays' layers (see view_layers), or -1 where there are none */
};

#define LAUNCHED_INIT \
        { \
                .worker_pidfd = -1, .init_pidfd = -1, .listener = -1, .user_namespace = -1, .control = -1, .low_port_socket = -1, \
                .pty = -1, .layers = -1 \
        }

/* What init tells. One struct for each message. */
struct launch_event {
        enum {
                LAUNCH_STARTED, /* the command's program runs (its execve succeeded) */
                LAUNCH_FAILED,  /* it could not be started: `stage` names the step, `error` is its errno, `text` says what it was about */
                LAUNCH_STOPPED, /* the command's job was stopped by `status`, a signal: the supervisor stops itself, then sends LAUNCH_CONTINUE */
                LAUNCH_EXITED, /* the command has ended, with a wait status `status`; the rest is being killed. `text` names a private
                                  * file system that is full by then, or is empty */
                LAUNCH_LISTENER, /* to the owner, with a descriptor: the listener of what is about to enter, whose number is `status`. It waits for
                                  * LAUNCH_SERVED or LAUNCH_REFUSED */
        } type;
        int status, error;
        char stage[32]; /* "view", "exec", "chdir", … */
        char text[256];
};

/* What init is told. */
struct launch_command {
        enum {
                LAUNCH_SIGNAL,
                LAUNCH_CONTINUE,
                LAUNCH_KILL,
                LAUNCH_RELEASE,
                LAUNCH_ENTER,   /* with a descriptor: the socket of who wants a program to enter, see launch_enter() */
                LAUNCH_SERVED,  /* the listener of this number has a worker */
                LAUNCH_REFUSED, /* it is not going to have one */
        } type;
        int signal; /* LAUNCH_SIGNAL: to the command's process group; LAUNCH_SERVED and LAUNCH_REFUSED: the number */
};

/* Starts a sandbox. Returns 0 when all processes exist and the worker serves; the command's start, or its failure, is told by the first
 * event. On an error nothing is left, and `*error` (text that the caller frees) says what failed, in words for people. */
int launch(const struct launch_options *options, struct launched *ret, char **error);

/* A program that is to enter a sandbox which runs. */
struct launch_entry {
        char *const *argv;        /* argv[0] is looked up in PATH inside */
        char *const *environment; /* complete */
        const char *chdir;        /* inside */
        mode_t umask;
        int stdio[3]; /* what becomes 0, 1, 2. Those that are terminals become a pty of its own */
};

/* Asks for it: `*ret_socket` is to be sent to init along with LAUNCH_ENTER, by way of the owner, and is the caller's. `ret` then stands for the
 * program alone: events come from its `control`, and the commands LAUNCH_SIGNAL and LAUNCH_CONTINUE go there; closed, the program is killed. */
int launch_enter(const struct launch_entry *entry, struct launched *ret, int *ret_socket, char **error);
/* Once it was sent: waits until the program may run, or a failure can be received as an event; then the pty is there. -EPIPE: the sandbox doesn't take it. */
int launch_enter_wait(struct launched *launched);

int launch_command_send(const struct launched *launched, const struct launch_command *command);
/* -EAGAIN: none there; -EPIPE: init is gone. */
int launch_event_receive(const struct launched *launched, struct launch_event *ret);
/* The same by the control socket alone; with `peek` the event stays there. */
int launch_event_receive_from(int control, bool peek, struct launch_event *ret);
/* The descriptor that came with the event which is next, which stays there; -EBADMSG where there is none. */
int launch_event_peek_fd(int control);
/* Answers one request on low_port_socket: a message that is the address, with the socket attached; the answer is an int, 0 or negative
 * errno. Binds where the plan names the port. -EPIPE: the worker is gone. */
int launch_serve_low_port(const struct launched *launched, const struct plan *plan);
void launched_done(struct launched *launched); /* closes fds */
