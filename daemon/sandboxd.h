/*
 * sandboxd, the supervisor: a registry of sandboxes, each with a worker process that it replaces when it dies. It reads no sandbox's memory,
 * parses no policy, does no ioctl on a listener, and signals nobody on a client's word: all of that is done in processes that have become
 * the sandbox's owner.
 *
 *   main.c       options, sockets, the loop, the end
 *   peer.c       connections, and who is on their other end
 *   front.c      the process between us and a client of another user
 *   vet.c        which descriptors of clients we take
 *   manager.c    the bus object of the daemon: adopting sandboxes
 *   object.c     the bus objects of sandboxes
 *   status.c     what is seen of its calls
 *   sandbox.c    a sandbox from its adoption to its end
 *   stored.c     what of it is no descriptor, and outlives us
 *   replace.c    what a sandbox's worker is to take on: another plan, a further listener; a successor for it
 *   worker.c     starting a worker; the worker's own side
 *   ports.c      ports below 1024, for root's sandboxes
 *   helper.c     the same for the helper (lib/broker/helper.h)
 *   hurry.c      the priority with which a worker begins
 *   service.c    services of systemd that run behind us: who hands them over, and their end
 *   store.c      what the service manager keeps for us, so that a killed daemon finds its sandboxes again
 *   keeper.c     our own parent process, which keeps it where there is no service manager
 *   configure.c  the settings, and the quotas in them
 *   usage.c      who has how much of what they bound
 *   pool.c       what the workers of one user count in together
 *   agent.c      the seccomp agent of OCI runtimes
 *   container.c  taking one container over, in a process of its own
 *   state.c      what its runtime says of it
 *   demand.c     a daemon that sandbox-runtime has started in a rootless engine's user namespace
 *   log.c        the daemon's records: the journal, else standard error
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "cleanup.h"
#include "control.h"
#include "launch.h"
#include "settings.h"
#include "slots.h"
#include "worker.h"

struct daemon;
struct peer;

/* Who owns a sandbox: what a worker becomes. */
struct owner {
        uid_t uid;
        gid_t gid;
        gid_t *groups; /* owned */
        size_t n_groups;
        bool low_ports; /* may bind ports below 1024 on the host (ports.c) */
};

/* What is kept of a sandbox by name; each is stored as UID/NAME.what (NAME.what by daemons before). */
enum sandbox_fd {
        FD_STATE,   /* a memfd of ours: struct stored, and the texts behind it */
        FD_PLAN,    /* the client's, sealed: never parsed here */
        FD_INIT,    /* pidfd of init */
        FD_CONTROL, /* SEQPACKET to init (launch.h); while a copy is open the sandbox lives. -1: its init is not ours, see `foreign` */
        FD_LISTENER,
        FD_USER,  /* the intermediate user namespace; of a foreign one: that of the sandbox, -1: it has our own */
        FD_SLOTS, /* struct shared */
        FD_ROOT, /* O_PATH of the directory that the files are taken from, with --rootfs; -1: the host's root; of a foreign one: its root */
        FD_LOG,  /* the client's --log; -1: none */
        FD_WORKER,   /* pidfd of the worker, which outlives us; its successor waits until it is dead */
        FD_HELPER,   /* pidfd of the helper, from which each worker takes the journal; it outlives us as well */
        FD_REQUESTS, /* SEQPACKET to the helper */
        FD_LIFELINE, /* of a foreign one: SEQPACKET to the helper, which kills it once no copy is left (lib/broker/helper.h); nobody else has it */
        FD_COUNT,
};
extern const char *const sandbox_fd_names[FD_COUNT];

/* How it ended, as Wait() gives it. */
struct ending {
        char outcome[16]; /* CONTROL_EXITED and the like; empty: it hasn't */
        int32_t status;   /* a wait status */
        int32_t error;    /* errno, of CONTROL_NOT_STARTED */
        char stage[32], text[256];
};

/* One besides FD_LISTENER: of a process that was made to enter, or that a runtime has executed in a container. It is stored as NAME.listener-NUMBER. */
struct extra_listener {
        int fd;
        uint32_t number;
        bool served; /* a worker has it, and who waits for that was told */
        sd_event_source *source;
};

/* What FD_STATE holds, so that it outlives the daemon. A change of the plan makes another one: FD_STATE and FD_PLAN go together, and are stored with their
 * number, as NAME.state-1 and NAME.plan-1; those of the start have none. The higher one counts. */
#define STORED_VERSION 2
#define STORED_BEFORE 1              /* the same without `container` */
#define STORED_LOW_PORTS 0x73706f6cU /* what was no field in this version before is no yes by chance */
struct stored {
        uint32_t version, size; /* of this struct */
        uint32_t uid, gid, n_groups;
        uint32_t record; /* enum audit_record */
        uint32_t foreground, kill_on_broker_loss, wait_killable, released;
        uint32_t workers;   /* how many have been started */
        uint32_t stale;     /* the worker was started before the last change, and is to be replaced */
        uint64_t started;   /* microseconds since 1970 */
        uint64_t began;     /* the same by the clock that goes on while the machine sleeps */
        uint64_t time_usec; /* after which it is killed; 0: never */
        struct ending ending;
        uint32_t text_size; /* behind the groups: policy, output, cgroup, container, and the command's words, each ended by a NUL */
        uint32_t low_ports; /* owner.low_ports: STORED_LOW_PORTS, anything else is no */
};

_Static_assert(offsetof(struct stored, started) == 12 * sizeof(uint32_t), "the state of the version before can be read");

/* An Apply() call on its way. */
struct application {
        sd_bus_message *call;
        int plan;
        char *policy;
        pid_t checker; /* 0: it has been checked, and is in force with the next worker */
        int checker_pidfd;
        sd_event_source *source;
};

struct sandbox {
        struct daemon *daemon;
        char *name;            /* one sandbox of its owner's has it */
        char *key;             /* by which it is stored */
        char *label;           /* for records: the name, with the owner before it where that is somebody else than we */
        struct stored *stored; /* in shared memory, FD_STATE */
        size_t stored_size;
        struct owner owner;
        const char *policy, *output, *cgroup; /* in `stored` */
        const char *container;                /* the same: what tells it from another container; empty: it is none */
        char **command;                       /* owned list of texts in `stored`, ends with NULL */
        int fds[FD_COUNT];
        uint32_t generation; /* of FD_STATE and FD_PLAN */
        struct extra_listener listeners[LISTENERS_MAX - 1];
        size_t n_listeners;
        uint32_t last_place; /* the number of the listener that joined last */
        struct shared *shared;
        pid_t init, worker, helper; /* worker, helper: 0 where none runs */
        bool foreign;           /* its namespaces are somebody else's, and so is its start: it lives while somebody is under its filter */
        bool ours, helper_ours; /* it is our child; else it was started by the daemon before us */
        bool replacing;         /* a worker is to be started when the time has come */
        bool retiring;          /* the worker was told to make way for a successor */
        struct application *application;
        unsigned failures; /* workers that died since the last answered call */
        uint64_t answered; /* calls at that time */
        sd_event_source *control_source, *init_source, *listener_source, *worker_source, *helper_source;
        sd_event_source *timer, *orphan_timer, *limit_timer, *retire_timer, *hurry_timer;
        uint64_t hurried;         /* when a worker was given a priority (CLOCK_MONOTONIC, microseconds) */
        struct peer *client;      /* of a foreground one: it dies with it; NULL: detached, or to come back */
        sd_bus_message *adopting; /* the Adopt() call, until the command runs */
        sd_bus_message **waiting; /* Wait() calls to be answered */
        size_t n_waiting;
        struct user_pool *pool; /* NULL: it has ended */
        int cell;               /* there */
};

struct daemon {
        sd_event *event;
        struct sandbox **sandboxes; /* sorted by owner and name */
        size_t n_sandboxes;
        struct peer **peers;
        size_t n_peers;
        struct front *fronts;
        struct user_pool *pools;
        const char *config; /* --config; NULL: the usual file */
        struct settings *settings;
        time_t refused;                   /* when a connection over quota was last recorded */
        char socket[CONTROL_SOCKET_SIZE]; /* the path of the one that we have made, and remove; else empty */
        char agent[CONTROL_SOCKET_SIZE];  /* the same of the agent's */
        bool has_agent;
        unsigned n_takers; /* processes that take a container over */
        int spare;         /* a descriptor for the moment in which there is no other */
        int exe;           /* our own program: workers are started from it */
        bool ending;       /* services are being stopped, and then … */
        bool stopping;     /* everything is to be killed, and then we end */
        bool leaving;      /* we end, and what is stored goes on */
        sd_bus *systemd;   /* while services are stopped */
        /* Of runtimes: ever, and when demand.c last looked. */
        uint64_t n_connections, n_connections_before;
        struct service **services;
        size_t n_services;
        void (*services_stopped)(struct daemon *d);
};

/* ---- log.c ---- */

/* One record: a message id of the catalog (a 32-digit text), the sandbox's name (NULL: none), and what to say. */
void log_record(int priority, const char *message_id, const char *sandbox, const char *format, ...) _printf_(4, 5);
/* The same of one that is known: with its owner and policy. */
void log_sandbox(int priority, const char *message_id, const struct sandbox *s, const char *format, ...) _printf_(4, 5);
#define MESSAGE_STARTED "6b3e9f0a52f84d3f9d8d9f0c9a1b7e01"
#define MESSAGE_ENDED "6b3e9f0a52f84d3f9d8d9f0c9a1b7e02"
#define MESSAGE_WORKER_DIED "6b3e9f0a52f84d3f9d8d9f0c9a1b7e03"
#define MESSAGE_RESTORED "6b3e9f0a52f84d3f9d8d9f0c9a1b7e04"
#define MESSAGE_REFUSED "6b3e9f0a52f84d3f9d8d9f0c9a1b7e05"
#define MESSAGE_DAEMON "6b3e9f0a52f84d3f9d8d9f0c9a1b7e06"
#define MESSAGE_SETTINGS "6b3e9f0a52f84d3f9d8d9f0c9a1b7e07"
#define MESSAGE_APPLIED "6b3e9f0a52f84d3f9d8d9f0c9a1b7e08"

/* ---- configure.c ---- */

/* Reads the settings; what is wrong with them is recorded. successor: there are sandboxes, and `kept` (-1: nothing is kept) is what the daemon
 * before us had. */
int configure(struct daemon *d, int kept, bool successor);
/* Whether the file could be read again. */
bool configure_check(const struct daemon *d);
/* --check-config: returns an exit status. */
int configure_show(const char *config);
/* What bounds this user, and why, in a buffer. */
uint64_t quota_of(const struct daemon *d, uid_t uid, enum quota_kind kind);
/* Whether a user who has so many sandboxes may have one more. */
bool quota_allows(const struct daemon *d, uid_t uid, size_t n, enum quota_kind *ret_over);
#define QUOTA_WHY 512
const char *quota_why(const struct daemon *d, uid_t uid, enum quota_kind kind, char buffer[QUOTA_WHY]);

/* ---- pool.c ---- */

/* Gives a sandbox its place in what its owner's workers count in; and takes it back at its end. */
int pool_join(struct sandbox *s);
void pool_part(struct sandbox *s);
int pool_fd(const struct sandbox *s);
/* Calls in flight of all sandboxes of this user. */
uint64_t pool_calls(const struct daemon *d, uid_t uid);
/* One that was stored, taken over; then, once all sandboxes are here again: the places of those that aren't are free. */
void pools_found(struct daemon *d, uid_t uid, int fd);
void pools_settle(struct daemon *d);
/* Frees all; what is stored stays. */
void pools_leave(struct daemon *d);

/* ---- peer.c ---- */

struct peer {
        struct daemon *daemon;
        sd_bus *bus;
        struct owner owner;
        pid_t pid;
        int pidfd; /* of one of another user than ours; else -1 */
};

int peer_new(struct daemon *d, int fd);                   /* serves a connection, taken over */
int peer_listen(struct daemon *d, int socket, bool ours); /* taken over; ours: it is removed when we end for good */
#define OWN_SOCKET "socket"                               /* the name by which that one is stored */
/* Has a handler, with the daemon, called for each connection that comes. `own`: gets the socket's path, where it is ours. */
int listen_with(struct daemon *d, int socket, sd_event_io_handler_t handler, char own[CONTROL_SOCKET_SIZE]);
void peers_close(struct daemon *d);
static inline bool peer_may(const struct peer *p, const struct sandbox *s) {
        return p->owner.uid == 0 || p->owner.uid == s->owner.uid;
}

/* ---- front.c, vet.c ---- */

struct front {
        struct daemon *daemon;
        uid_t uid;
        pid_t pid;
        int pidfd;
        struct front *next;
};

/* Starts one for a client's connection (borrowed); what comes through it comes from `*ret`. */
int front_start(struct daemon *d, uid_t uid, int client, int *ret);
/* How many this user has, with those that don't end. */
size_t front_count(const struct daemon *d, uid_t uid);
/* What runs in the new process: argv[1] is "--front". */
int front_main(void);

enum vet_kind {
        VET_OTHER,  /* not to be taken: it may hold up who closes it */
        VET_SOCKET, /* of any family and type */
        VET_STREAM, /* a pipe, FIFO or character device */
        VET_MEMORY, /* a memfd, or a file on a tmpfs */
        VET_FILE,   /* a regular file on a local file system */
        VET_PATH,   /* O_PATH */
        VET_PIDFD,
        VET_USER,     /* a user namespace */
        VET_LISTENER, /* of seccomp */
};
enum vet_kind vet(int fd);

/* ---- manager.c, object.c ---- */

extern const sd_bus_vtable manager_vtable[];
/* Whether that is a plan as far as can be seen without reading it: -EINVAL. */
int plan_sealed(int fd);
int object_offer(struct peer *p); /* the sandboxes, on this connection */
void object_adopted(struct sandbox *s, bool started);
void object_ended(struct sandbox *s); /* answers those who wait */
void object_stopped(struct sandbox *s, int signal);

/* ---- status.c ---- */

/* Properties of a sandbox. */
int status_get_tiers(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                     sd_bus_error *error);
int status_get_latency(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                       sd_bus_error *error);
int status_get_denied(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                      sd_bus_error *error);

/* ---- usage.c ---- */

/* A property of the manager. */
int usage_get(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
              sd_bus_error *error);

/* ---- sandbox.c ---- */

struct adoption {
        const char *name, *policy, *output, *cgroup, *container;
        char *const *command;
        int fds[FD_COUNT]; /* those that come from the client; moved out where it succeeds. No FD_CONTROL: it is a foreign one */
        int ports;         /* what is to show that the client may bind low ports; not kept; -1: nothing */
        bool foreground, kill_on_broker_loss, wait_killable, low_ports;
        uint32_t record;
        uint64_t time_usec;
        const struct owner *owner; /* whose it becomes */
        enum quota_kind over;      /* with -EDQUOT */
};

/* -EEXIST: the name is taken; -EDQUOT: the owner has too many, or too much of `over`. On success the command has been let go, and `call` is answered when it runs. */
int sandbox_adopt(struct daemon *d, struct peer *client, struct adoption *adoption, sd_bus_message *call);
/* What was stored of one sandbox. */
struct found {
        char *key;
        int fds[FD_COUNT];
        uint32_t generation;
        struct extra_listener listeners[LISTENERS_MAX - 1];
        size_t n_listeners;
};
/* `found`'s descriptors are moved out. -EBADMSG: what is there is no whole sandbox. */
int sandbox_restore(struct daemon *d, struct found *found);
struct sandbox *sandbox_find(struct daemon *d, uid_t uid, const char *name);
int sandbox_command(struct sandbox *s, const struct launch_command *command);
/* The kernel's word for it, as seen from here; 0: it is dead, or no pidfd. */
pid_t pidfd_pid(int pidfd);
/* Sends a signal to init, as the sandbox's owner. */
void sandbox_signal(struct sandbox *s, int signal);
/* By which everybody in a control group is killed; -1: there is none, or we haven't the right. */
int cgroup_open_kill(const char *path);
void sandbox_kill(struct sandbox *s);
/* Whatever was wrong with its broker, it is killed: nothing goes on without one. */
void sandbox_give_up(struct sandbox *s, const char *why);
void sandbox_start_worker(struct sandbox *s);
/* One of its listeners has hung up: of a foreign one that can be the end. It may be freed. */
void sandbox_hung_up(struct sandbox *s);
/* Forgets an ended one. */
void sandbox_free(struct sandbox *s);
/* Frees all; what is stored stays. */
void sandboxes_leave(struct daemon *d);
void sandbox_client_gone(struct sandbox *s);
/* Whether somebody can be alive in it. */
static inline bool sandbox_inhabited(const struct sandbox *s) {
        return s->foreign ? s->listener_source || s->n_listeners > 0 : s->init_source != NULL;
}
static inline bool sandbox_running(const struct sandbox *s) {
        return s->stored->ending.outcome[0] == 0;
}
/* Whether anything of it is still there; that can be when it has ended already. */
static inline bool sandbox_alive(const struct sandbox *s) {
        return sandbox_inhabited(s) || s->worker > 0 || s->helper > 0;
}

/* ---- stored.c ---- */

/* Makes FD_STATE, and maps it. */
int stored_make(struct sandbox *s, const struct owner *owner, const struct adoption *a);
/* Maps FD_STATE, and has what points into it. -EBADMSG: it isn't what we write. */
int stored_map(struct sandbox *s);
void stored_unmap(struct sandbox *s);
/* Makes it anew, for another policy; `*ret` is the new one, and nothing else has changed. */
int stored_make_anew(const struct sandbox *s, const char *policy, int *ret);
/* Takes this one for FD_STATE, and maps it. Where that fails it is closed, and the old one stays. */
int stored_take(struct sandbox *s, int state);
/* How it ended: the first word on it is what counts. */
void stored_end(struct sandbox *s, const struct ending *ending);
/* Whose it is where its key doesn't say it. */
int stored_uid(int fd, uid_t *ret);

/* ---- replace.c ---- */

/* Has a successor take the worker's place, with what the sandbox has by then. */
void replace_begin(struct sandbox *s);
/* A worker that has all of it was started. */
void replace_done(struct sandbox *s);
/* Checks a plan, and then puts it in force; `call` is answered when no call is decided by the old one any more. `plan` is taken over. -EBUSY: another one is on its
 * way. */
int replace_plan(struct sandbox *s, sd_bus_message *call, int plan, const char *policy);
/* The sandbox is not going to have another worker. */
void replace_cancel(struct sandbox *s);
/* Has the worker serve a further listener, which is taken over. `number` 0: one that is free, and whose process a runtime has still to start; the one that is
 * there already: nothing is done. -ENOSPC: it has as many as it may have, -EDQUOT: the owner has. */
int replace_add_listener(struct sandbox *s, int fd, uint32_t number);
/* Drops those that have hung up from here on. */
int replace_watch_listener(struct sandbox *s, struct extra_listener *l);
void replace_close_listeners(struct sandbox *s);

/* ---- worker.c ---- */

/* Exit statuses. CANT: the sandbox can't be served, and is not to have another worker; DONE: it is gone, or the plan that was to be checked may be put in
 * force; RETIRED: it makes way; OTHER_PLAN: this plan may not. */
enum { WORKER_DONE = 0, WORKER_CANT = 3, WORKER_RETIRED = 4, WORKER_OTHER_PLAN = 5 };
/* In a child: takes the owner's ids and groups; root's rights are gone then. */
int owner_become(const struct owner *owner);
/* Starts one; its pid and pidfd go to the sandbox. */
int worker_start(struct sandbox *s);
/* Starts a process that looks at a plan which is to take the place of the present one; it ends with DONE, OTHER_PLAN or CANT. Returns its pidfd. */
int worker_check(const struct sandbox *s, int plan, pid_t *ret_pid);
/* What runs in the new process: argv[1] is "--worker". */
int worker_main(int argc, char **argv);
/* What starting one has in common with starting a helper: forks (`*ret` is 0 in the child), and in the child has `fds`, and /dev/null for what is
 * negative, as 3 and so on, becomes the owner and executes our program with these words. */
int owned_fork(pid_t *ret, int *ret_pidfd);
/* In a child: has these, and /dev/null for what is negative, as 3 and so on, and no signal blocked but this one (0: none); `*ret_exe` is our program, which
 * child_execute() executes anew. */
int child_prepare(const struct daemon *d, const int *fds, size_t n, int blocked, int *ret_exe);
_noreturn_ void child_execute(int exe, char **argv, char **environment);
_noreturn_ void owned_run(const struct sandbox *s, const int *fds, size_t n_fds, char **argv);
/* Goes into a user namespace, not dumpable, as whoever that is must be already. In one that was made for the sandbox by others nobody is what he was
 * outside: our ids, which have no number there, become those of its root. */
int user_namespace_enter(int fd, bool foreign);
/* In the new process: goes into the sandbox's user namespace, where it has one. */
int owned_enter(int user_namespace, bool foreign);
/* Whether there is a descriptor of this number; what isn't there is /dev/null. */
bool owned_given(int fd);

/* ---- hurry.c ---- */

/* From now on we come first ourselves. */
void hurry_daemon(void);
/* Whether the worker that is started now begins with a priority; in it; and in us, once it is there. */
bool hurry_may(struct sandbox *s);
void hurry_self(void);
int hurry_watch(struct sandbox *s);
/* It may still have it, from the daemon before us. */
void hurry_end(const struct sandbox *s);

/* ---- helper.c ---- */

/* Starts one; its pid, pidfd and socket go to the sandbox. */
int helper_start(struct sandbox *s);
/* What runs in the new process: argv[1] is "--helper". */
int helper_main(int argc, char **argv);

/* ---- ports.c ---- */

/* Whether this socket shows that the client could bind any port of the host itself: see control_port_proof(). */
bool ports_proven(int fd, uid_t uid, pid_t pid);
/* In a worker that still has its owner's rights: starts the process that binds low ports for it, as worker_options.low_port_socket wants it. */
int ports_start(int plan, int *ret);

/* ---- service.c ---- */

/* Whether a peer that is not root may hand over a sandbox in place: its process, whose pidfd it gives, is a wrapped service's, which root has made. The
 * sandbox is root's then. `*ret_cgroup` (the caller frees it) is the control group's folder. -EPERM: it may not. */
int service_attest(struct peer *p, int init_pidfd, char **ret_cgroup);
/* Has systemd stop the services whose sandboxes these are, and calls `stopped` when it has. False: there are none, or it can't be told. */
bool services_stop(struct daemon *d, void (*stopped)(struct daemon *d));
void services_done(struct daemon *d);
/* Our service manager, root's or the user's. */
int systemd_connect(sd_bus **ret);

/* ---- store.c ---- */

/* Hands a sandbox's fds to the service manager, and waits until it has them. 0 where there is none. */
int store_sandbox(const struct sandbox *s);
int store_worker(const struct sandbox *s);
int store_helper(const struct sandbox *s);
/* What has taken the place of FD_STATE and FD_PLAN, before the old ones are forgotten. */
int store_generation(const struct sandbox *s, uint32_t generation, int state, int plan);
void store_forget_generation(const struct sandbox *s, uint32_t generation);
int store_listener(const struct sandbox *s, const struct extra_listener *l);
void store_forget_listener(const struct sandbox *s, uint32_t number);
/* Takes back all but the state of an ended one; or all. */
void store_forget(const struct sandbox *s, bool state, bool rest);
int store_pool(uid_t uid, int fd);
void store_forget_pool(uid_t uid);
/* Keeps the settings for who comes after us. */
void store_settings(const struct settings *settings);
#define OWN_SETTINGS "settings"
/* Takes what the service manager has for us: listening sockets, settings and sandboxes; between the last two the settings are read (configure()). Returns
 * how many sockets there were. -EINVAL: the settings are wrong. */
int store_take(struct daemon *d);

/* ---- agent.c, container.c ---- */

#define OWN_AGENT "agent" /* the name by which the agent's own socket is stored, and by which a service manager gives one */
int agent_listen(struct daemon *d, int socket, bool ours);
/* What runs in the new process: argv[1] is "--container", argv[2] the --config where there is one; the runtime's connection, and one to the daemon, are given as these. */
enum { AGENT_CONNECTION = 3, AGENT_BUS };
int container_main(int argc, char **argv);

/* ---- demand.c ---- */

/* --on-demand, also for all processes that are started from here; after how many seconds it ends, or NULL. -EINVAL: that is no such number. */
int demand_begin(const char *seconds);
bool demand_is(void);
/* Whose sockets and settings are ours: we, but not root of a user namespace. */
uid_t demand_user(void);
/* A user's number as the user of such a daemon knows it, and back. */
uid_t demand_shown(uid_t uid);
uid_t demand_meant(uid_t uid);
/* Ends us when there is nothing left to do. */
int demand_watch(struct daemon *d);

/* ---- keeper.c ---- */

/* Starts the program anew with these words as the daemon, keeps what it stores, and starts it again when it was killed. Never returns. */
_noreturn_ void keeper_run(char **argv);
