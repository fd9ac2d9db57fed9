/*
 * The control interface: what sandboxd offers on its socket and sandboxctl asks for. It is D-Bus, peer to peer; `busctl --address unix:path=…`
 * introspects it.
 *
 * Manager1, on CONTROL_PATH:
 *   Adopt(s name, hhhhh fds, a{sv} more) → (ob)  takes over a sandbox that was launched handed over (launch.h), lets its command go, and
 *                                                returns when that runs; false: it could not be started, and Wait() says why
 *       fds    plan (a sealed memfd, plan.h), pidfd of init, control socket, listener, the intermediate user namespace
 *       more   policy s, command as, foreground b, kill-on-broker-loss b, record u, wait-killable b, time t (µs, 0: no limit),
 *              log h, root h, output s, cgroup s, ports h (see control_port_proof)
 *   AdoptInPlace(s name, hhhh fds, a{sv} more) → (ob)  the same for a sandbox that nobody of ours has launched: a process that has loaded the filter
 *              of a plan with the setting PLAN_IN_PLACE or PLAN_CONTAINER (plan.h). Only of the daemon's own user. It lives until nobody is left
 *              under the filter
 *       fds    plan (a sealed memfd), pidfd of that process, listener, O_PATH of its root
 *       more   as above; user h (the user namespace of the sandbox, where it is not the daemon's own); cgroup s: a folder, whose processes are
 *              killed with the sandbox; container s: what tells it from another container, for Join()
 *   Version s
 *   Usage a(ustt)   uid, the name of a quota, how much of it is taken, how much there is (2^64 - 1: no bound)
 *
 * Sandbox1, on one object each, CONTROL_PREFIX/uUID/NAME; those of other users are not there (for root they are). org.freedesktop.DBus.ObjectManager lists them.
 *   Signal(i signal)    to the command's process group
 *   Continue()          the same for a job that was stopped: its terminal is its own again
 *   Kill()              kills everybody inside
 *   Wait() → (sissisa{st})  waits for the end: outcome, wait status, failed step, its text, errno, why a rule killed it, the counters
 *   Attach()            the client of a foreground sandbox is back after the daemon was started anew
 *   Forget()            of one that has ended
 *   Plan() → (h)        the plan in force, a sealed memfd
 *   Apply(h plan, s policy)  puts another plan in force, and returns when no call is decided by the old one any more. Failed: it needs another
 *                       view, filter or whatever only a new start can change; then nothing has changed
 *   Enter(h socket)     has init serve that socket: launch_enter() in lib/launch/launch.h
 *   Container() → (shh)  of one adopted with `container`: that, pidfd of its first process, O_PATH of its root
 *   Join(h listener)    the same has a further one from then on, of a process that a runtime has executed in the container. The caller has found out
 *                       that it is this container, by what Container() gives
 *   Stopped(i signal)   a signal of the bus, to the client of a foreground sandbox: the command's job was stopped
 *   Name s, Policy s, Command as, Output s (a path of the client's), Uid u, Pid u (of init), Worker u (its pid), State s (running, ended),
 *   Started t (µs since 1970), Workers u (how many have been started), Entered u (how many listeners there are of processes that were made to
 *   enter, and of what these have left), Counters a{st}, Ending (sissi)
 *   Only where asked for by name, texts escaped: Tiers a(sss) (section, what enforces it, a word on that), Latency at (calls that took from 2^i to
 *   2^(i+1) ns), Denied a(ssistt) (call, object, errno, rule, how often, when last in µs since 1970)
 *
 * All functions return 0 or more, or negative errno.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#define CONTROL_MANAGER "org.sandboxd.Manager1"
#define CONTROL_SANDBOX "org.sandboxd.Sandbox1"
#define CONTROL_PATH "/org/sandboxd"
#define CONTROL_PREFIX "/org/sandboxd/sandbox"

/* Of root's: the drop-in of a service that runs wrapped, by the unit's name. */
#define CONTROL_DROP_IN "zz-sandboxd.conf" /* last, so that no other takes its lines back */
#define CONTROL_DROP_INS "/etc/systemd/system/%s.d/" CONTROL_DROP_IN

#define CONTROL_ADOPT "shhhhha{sv}"
#define CONTROL_ADOPT_IN_PLACE "shhhha{sv}"
#define CONTROL_ENDED "sissisa{st}"

/* Names of errors. */
#define CONTROL_NAME_TAKEN "org.sandboxd.Error.NameTaken"
#define CONTROL_QUOTA "org.sandboxd.Error.Quota"
#define CONTROL_FAILED "org.sandboxd.Error.Failed"
#define CONTROL_RUNNING "org.sandboxd.Error.Running"
#define CONTROL_HAS_ENDED "org.sandboxd.Error.HasEnded"

/* Outcomes. */
#define CONTROL_EXITED "exited"
#define CONTROL_NOT_STARTED "not-started"
#define CONTROL_BROKER_DIED "broker-died"
#define CONTROL_INIT_DIED "init-died"
#define CONTROL_TIME "time"
#define CONTROL_GONE "gone" /* of one that was adopted in place: nobody is left in it */

#define CONTROL_SOCKET_SIZE 108

/*
 * The agent: where runtimes send the listeners of containers (linux.seccomp.listenerPath), a SOCK_STREAM of mode 0600, for the daemon's own user alone. The
 * profile's listenerMetadata is the name of a policy, or an object:
 *   sandboxd       1
 *   policy         a policy's name; without it the default of sandboxd.yaml
 *   policy-digest, filter-digest  of the policy and the filter that the profile was made of (profile_make in ctl/runtime): where they are not those that the agent
 *                  has for that policy, the container doesn't start; without them that isn't checked
 *   name           of the sandbox; without it the container's id, or the first twelve letters of one of 64
 *   labels         texts that `ps` shows: image, pod, …
 *   program        whether it is sandboxd that has put the filter as a program into the annotation run.oci.seccomp_bpf_data, which crun loads instead of the profile;
 *                  without it a container with that annotation doesn't start
 *   wait-killable  whether the profile has SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV; without it: unless the runtime is runc, which can't
 */

#define PROGRAM_ANNOTATION "run.oci.seccomp_bpf_data"

/* A user who is anybody but root: a rootless engine runs us as uid 0 of a user namespace, whose sockets and settings are its user's. */
#define NOBODY 65534

/* Where that is: $SANDBOXD_AGENT, else beside the control socket of this user's. As control_socket(). */
int control_agent(uid_t uid, char ret[CONTROL_SOCKET_SIZE]);

/* Where a daemon of this user listens: $SANDBOXD_SOCKET, else below /run for root and below $XDG_RUNTIME_DIR for others. -ENOENT: a user
 * has no such directory. -ENAMETOOLONG. */
int control_socket(uid_t uid, char ret[CONTROL_SOCKET_SIZE]);

/* Connects to the caller's own daemon, else to root's. `*ret_path` (in a buffer) is the socket that it was, or the first that was tried.
 * -ENOENT, -ECONNREFUSED: no daemon runs. */
int control_connect(sd_bus **ret, char ret_path[CONTROL_SOCKET_SIZE]);

/* By a socket bound to this address, of a port below 1024 on the loopback, a client shows that it may bind such ports. */
struct sockaddr_in;
void control_port_proof(pid_t pid, struct sockaddr_in *ret);

/* Names of sandboxes: [a-z0-9][a-z0-9_.-]{0,62} */
bool control_name_valid(const char *name);
/* The words for a sandbox: NAME of one's own, UID/NAME of somebody's. 1: it has a uid; 0: it has none, and `*ret_uid` is left alone; -EINVAL. The name
 * points into the text; both may be NULL. */
int control_split(const char *text, uid_t *ret_uid, const char **ret_name);
/* The object path of the sandbox that these words mean for the caller; the caller frees it. -EINVAL */
int control_object(const char *text, char **ret);
int control_object_of(uid_t uid, const char *name, char **ret);
/* The uid and the name (the caller frees it) of an object; -ENOENT where it is none. */
int control_object_names(const char *object, uid_t *ret_uid, char **ret_name);
/* Appends an entry of an a{sv}: a list of texts. */
int control_append_list(sd_bus_message *m, const char *key, char *const *words);
