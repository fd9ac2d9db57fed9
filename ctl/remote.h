/*
 * A sandbox that sandboxd owns, as seen by the client that has launched it.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "launch.h"
#include "slots.h"

struct remote {
        sd_bus *bus;
        char *object; /* the sandbox's path on the bus */
        char *output; /* --detach: the file of what it writes */
        int output_fd;
};

#define REMOTE_INIT \
        { .output_fd = -1 }

struct remote_request {
        const char *name, *policy, *cgroup;
        const struct plan *plan;
        char *const *command;
        int log_fd;
        unsigned record;
        uint64_t time_usec;
        bool foreground, kill_on_broker_loss, wait_killable;
};

/* All print their error. Connects: to be done before anything is started. */
int remote_connect(struct remote *r);
/* Makes the file that a detached sandbox writes to. */
int remote_open_output(struct remote *r, const char *name, const char *home);
/* Hands the sandbox over. 1: its command runs; 0: it could not be started, and remote_wait says why. */
int remote_adopt(struct remote *r, const struct remote_request *request, const struct launched *launched);
/* The same for a process that has loaded the filter of a plan with the setting PLAN_IN_PLACE into itself, or is about to: its pidfd, the listener, and an
 * O_PATH descriptor of its root. 0 or negative errno; -EEXIST, of which nothing is printed: the name is taken. */
int remote_adopt_in_place(struct remote *r, const struct remote_request *request, int init_pidfd, int listener, int root);
/* Connects anew to a daemon that was started anew, for as long as a restart may take. */
int remote_reconnect(struct remote *r);
/* The plan in force of a sandbox of this name, and its policy; the caller frees both. -ENOENT: there is no sandbox of this name. */
int remote_plan(struct remote *r, const char *name, struct policy **ret_policy, struct plan **ret);
void remote_done(struct remote *r);

/* Whether that is because the daemon has no such sandbox for us. */
bool remote_is_unknown(const sd_bus_error *bus_error);
/* Says that, and returns -ENOENT. */
int remote_unknown(const char *name);
/* Says, in words for people, why a call of the bus failed, and returns negative errno. */
int remote_failed(int error, const sd_bus_error *bus_error, const char *what);
