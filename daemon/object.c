/*
 * org.sandboxd.Sandbox1: one object for each sandbox. A peer is offered its own only; for it the others are not there.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "control.h"
#include "fd.h"
#include "plan.h"
#include "sandboxd.h"

#define WAITING_MAX 256
#define QUEUED_MAX 64
#define POLICY_NAME_MAX 4096

static int sandbox_object(const struct sandbox *s, char **ret) {
        return control_object_of(demand_shown(s->owner.uid), s->name, ret);
}

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret, sd_bus_error *error) {
        struct peer *p = userdata;
        _cleanup_free_ char *name = NULL;
        uid_t uid;

        if (control_object_names(path, &uid, &name) < 0)
                return 0;
        struct sandbox *s = sandbox_find(p->daemon, demand_meant(uid), name);
        if (!s || !peer_may(p, s))
                return 0;
        *ret = s;
        return 1;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error) {
        struct peer *p = userdata;
        char **list = calloc(p->daemon->n_sandboxes + 1, sizeof(char *));
        size_t n = 0;

        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < p->daemon->n_sandboxes; i++)
                if (peer_may(p, p->daemon->sandboxes[i]) && sandbox_object(p->daemon->sandboxes[i], &list[n]) >= 0)
                        n++;
        *ret = list;
        return 1;
}

/* ---- methods ---- */

static int command(struct sandbox *s, sd_bus_message *m, sd_bus_error *error, const struct launch_command *c) {
        if (sandbox_running(s) && s->foreign && c->type == LAUNCH_SIGNAL) {
                sandbox_signal(s, c->signal);
                return sd_bus_reply_method_return(m, NULL);
        }
        if (sandbox_running(s) && s->foreign)
                return sd_bus_error_setf(error, CONTROL_FAILED, "the sandbox %s is no job of a terminal", s->name);
        int r = sandbox_running(s) ? sandbox_command(s, c) : -ESRCH;

        if (r == -EAGAIN)
                return sd_bus_error_setf(error, CONTROL_FAILED, "the init of the sandbox %s doesn't listen", s->name);
        if (r < 0)
                return sd_bus_error_setf(error, CONTROL_HAS_ENDED, "the sandbox %s has ended", s->name);
        return sd_bus_reply_method_return(m, NULL);
}

static int method_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct launch_command c = { .type = LAUNCH_SIGNAL };
        int r = sd_bus_message_read(m, "i", &c.signal);

        if (r < 0)
                return r;
        if (c.signal < 1 || c.signal > SIGRTMAX)
                return sd_bus_error_setf(error, CONTROL_FAILED, "there is no signal %d", c.signal);
        return command(userdata, m, error, &c);
}

static int method_continue(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return command(userdata, m, error, &(struct launch_command) { .type = LAUNCH_CONTINUE });
}

static int method_kill(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct sandbox *s = userdata;

        if (!sandbox_running(s))
                return sd_bus_error_setf(error, CONTROL_HAS_ENDED, "the sandbox %s has ended", s->name);
        sandbox_kill(s);
        return sd_bus_reply_method_return(m, NULL);
}

static int append_counters(sd_bus_message *m, const struct sandbox *s) {
        static struct counters none;
        struct counters *c = s->shared ? &s->shared->counters : &none;
        int r = sd_bus_message_open_container(m, 'a', "{st}");

        for (size_t i = 0; r >= 0 && i < COUNTERS; i++)
                r = sd_bus_message_append(m, "{st}", counter_names[i].name, *counter_at(c, i));
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int reply_ending(sd_bus_message *m, const struct sandbox *s) {
        const struct ending *e = &s->stored->ending;
        const struct kill_note *note = s->shared ? &s->shared->kill : NULL;
        char why[sizeof(note->text)] = "";
        sd_bus_message *reply = NULL;

        if (note && note->set == 1)
                snprintf(why, sizeof(why), "%.*s", (int) sizeof(note->text) - 1, note->text);
        int r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "sissis", e->outcome, e->status, e->stage, e->text, e->error, why);
        if (r >= 0)
                r = append_counters(reply, s);
        if (r >= 0)
                r = sd_bus_send(sd_bus_message_get_bus(m), reply, NULL);
        sd_bus_message_unref(reply);
        return r < 0 ? r : 1;
}

/* Only when all is over: its init is gone, its worker has counted. */
static bool over(const struct sandbox *s) {
        return !sandbox_running(s) && !sandbox_alive(s);
}

static int method_wait(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct sandbox *s = userdata;

        if (over(s)) {
                int r = reply_ending(m, s);
                if (s->stored->foreground)
                        sandbox_free(s);
                return r;
        }
        if (s->n_waiting >= WAITING_MAX)
                return sd_bus_error_setf(error, CONTROL_QUOTA, "too many wait for the sandbox %s already", s->name);
        sd_bus_message **larger = reallocarray(s->waiting, s->n_waiting + 1, sizeof(*larger));
        if (!larger)
                return -ENOMEM;
        s->waiting = larger;
        s->waiting[s->n_waiting++] = sd_bus_message_ref(m);
        return 1;
}

/* The client of a foreground sandbox is back, after we were started anew. */
static int method_attach(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct sandbox *s = userdata;
        struct peer *p = NULL;

        for (size_t i = 0; i < s->daemon->n_peers; i++)
                if (s->daemon->peers[i]->bus == sd_bus_message_get_bus(m))
                        p = s->daemon->peers[i];
        if (!p || p->owner.uid != s->owner.uid || !s->stored->foreground || s->client)
                return sd_bus_error_setf(error, CONTROL_FAILED, "the sandbox %s waits for nobody", s->name);
        s->client = p;
        return sd_bus_reply_method_return(m, NULL);
}

static int method_forget(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct sandbox *s = userdata;

        if (!over(s))
                return sd_bus_error_setf(error, CONTROL_RUNNING, "the sandbox %s is running; stop it first", s->name);
        int r = sd_bus_reply_method_return(m, NULL);
        sandbox_free(s);
        return r;
}

/* The plan in force: whoever may steer the sandbox has made it, or may read whatever the owner may. */
static int method_plan(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct sandbox *s = userdata;

        if (s->fds[FD_PLAN] < 0)
                return sd_bus_error_setf(error, CONTROL_HAS_ENDED, "the sandbox %s has ended", s->name);
        return sd_bus_reply_method_return(m, "h", s->fds[FD_PLAN]);
}

int plan_sealed(int fd) {
        const int sealed = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
        struct stat st;
        int seals = fcntl(fd, F_GET_SEALS);

        /* Only a memfd has seals; of anything else nothing is asked, not even its size. */
        if (seals < 0 || (seals & sealed) != sealed || fstat(fd, &st) < 0 || st.st_size > PLAN_SAVED_MAX)
                return -EINVAL;
        return 0;
}

static int method_apply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct sandbox *s = userdata;
        const char *policy;
        int fd, r = sd_bus_message_read(m, "hs", &fd, &policy);

        if (r < 0)
                return r;
        if (!sandbox_running(s) || !s->init_source)
                return sd_bus_error_setf(error, CONTROL_HAS_ENDED, "the sandbox %s has ended", s->name);
        r = plan_sealed(fd);
        if (r >= 0 && strlen(policy) > POLICY_NAME_MAX)
                r = -EINVAL;
        int plan = r < 0 ? r : fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (r >= 0)
                r = plan < 0 ? -errno : replace_plan(s, m, plan, policy);
        if (r == -EBUSY)
                return sd_bus_error_setf(error, CONTROL_FAILED, "another policy is being applied to the sandbox %s", s->name);
        if (r < 0)
                return sd_bus_error_setf(error, CONTROL_FAILED, "the policy can't be applied: %s", strerror(-r));
        return 1; /* answered when it is in force */
}

/* The client and init settle the rest between them, but for the listener. */
static int method_enter(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct launch_command command = { .type = LAUNCH_ENTER };
        struct sandbox *s = userdata;
        int fd, r = sd_bus_message_read(m, "h", &fd);

        if (r < 0)
                return r;
        if (!sandbox_running(s) || !s->init_source || !s->stored->released)
                return sd_bus_error_setf(error, CONTROL_HAS_ENDED, "the sandbox %s has ended", s->name);
        if (s->fds[FD_CONTROL] < 0)
                return sd_bus_error_setf(error, CONTROL_FAILED, "the sandbox %s has no init of ours, and can't be entered", s->name);
        r = fd_send(s->fds[FD_CONTROL], &command, sizeof(command), &fd, 1);
        if (r < 0)
                return sd_bus_error_setf(error, CONTROL_FAILED, "the sandbox %s can't be entered: %s", s->name, strerror(-r));
        return sd_bus_reply_method_return(m, NULL);
}

/* For who is to find out whether a process is of the same container. */
static int method_container(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct sandbox *s = userdata;

        if (!sandbox_running(s) || !sandbox_inhabited(s))
                return sd_bus_error_setf(error, CONTROL_HAS_ENDED, "the sandbox %s has ended", s->name);
        if (!s->container[0])
                return sd_bus_error_setf(error, CONTROL_FAILED,
                                         "the sandbox %s is no container, or one that a sandboxd before this one has taken over", s->name);
        return sd_bus_reply_method_return(m, "shh", s->container, s->fds[FD_INIT], s->fds[FD_ROOT]);
}

static int method_join(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct sandbox *s = userdata;
        char why[QUOTA_WHY];
        int fd, r = sd_bus_message_read(m, "h", &fd);

        if (r < 0)
                return r;
        if (!sandbox_running(s) || !sandbox_inhabited(s))
                return sd_bus_error_setf(error, CONTROL_HAS_ENDED, "the sandbox %s has ended", s->name);
        if (!s->container[0] || vet(fd) != VET_LISTENER)
                return sd_bus_error_setf(error, CONTROL_FAILED, "the sandbox %s can't be joined by that", s->name);
        int listener = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        r = listener < 0 ? -errno : replace_add_listener(s, listener, 0);
        if (r == -ENOSPC)
                return sd_bus_error_setf(error, CONTROL_QUOTA,
                                         "%d are in it already besides its own program, and there is room for no more", LISTENERS_MAX - 1);
        if (r == -EDQUOT)
                return sd_bus_error_setf(error, CONTROL_QUOTA, "there are too many: %s",
                                         quota_why(s->daemon, s->owner.uid, QUOTA_SANDBOXES, why));
        if (r < 0)
                return sd_bus_error_setf(error, CONTROL_FAILED, "the sandbox %s can't be joined: %s", s->name, strerror(-r));
        return sd_bus_reply_method_return(m, NULL);
}

void object_adopted(struct sandbox *s, bool started) {
        _cleanup_free_ char *path = NULL;

        if (!s->adopting)
                return;
        if (sandbox_object(s, &path) >= 0)
                (void) sd_bus_reply_method_return(s->adopting, "ob", path, started);
        s->adopting = sd_bus_message_unref(s->adopting);
}

void object_ended(struct sandbox *s) {
        for (size_t i = 0; i < s->n_waiting; i++) {
                (void) reply_ending(s->waiting[i], s);
                sd_bus_message_unref(s->waiting[i]);
        }
        s->n_waiting = 0;
}

void object_stopped(struct sandbox *s, int signal) {
        _cleanup_free_ char *path = NULL;
        uint64_t queued;

        /* A client that doesn't read is told nothing more. */
        if (!s->client || sd_bus_get_n_queued_write(s->client->bus, &queued) < 0 || queued > QUEUED_MAX)
                return;
        if (sandbox_object(s, &path) >= 0)
                (void) sd_bus_emit_signal(s->client->bus, path, CONTROL_SANDBOX, "Stopped", "i", signal);
}

/* ---- properties ---- */

#define GETTER(what, ...) \
        static int get_##what(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, \
                              void *userdata, sd_bus_error *error) { \
                struct sandbox *s = userdata; \
                return sd_bus_message_append(reply, __VA_ARGS__); \
        }

GETTER(name, "s", s->name)
GETTER(policy, "s", s->policy)
GETTER(output, "s", s->output)
GETTER(uid, "u", (uint32_t) demand_shown(s->owner.uid))
GETTER(pid, "u", (uint32_t) s->init)
GETTER(worker, "u", (uint32_t) s->worker)
GETTER(state, "s", sandbox_running(s) ? "running" : "ended")
GETTER(started, "t", s->stored->started)
GETTER(entered, "u", (uint32_t) (sandbox_running(s) ? s->n_listeners : 0))
GETTER(workers, "u", s->stored->workers)
GETTER(ending, "(sissi)", s->stored->ending.outcome, s->stored->ending.status, s->stored->ending.stage, s->stored->ending.text,
       s->stored->ending.error)

static int get_command(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                       sd_bus_error *error) {
        return sd_bus_message_append_strv(reply, ((struct sandbox *) userdata)->command);
}

static int get_counters(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                        sd_bus_error *error) {
        return append_counters(reply, userdata);
}

static const sd_bus_vtable sandbox_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Signal", "i", NULL, method_signal, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Continue", NULL, NULL, method_continue, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Kill", NULL, NULL, method_kill, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Wait", NULL, CONTROL_ENDED, method_wait, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Attach", NULL, NULL, method_attach, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Forget", NULL, NULL, method_forget, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Plan", NULL, "h", method_plan, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Apply", "hs", NULL, method_apply, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Enter", "h", NULL, method_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Container", NULL, "shh", method_container, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Join", "h", NULL, method_join, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("Stopped", "i", 0),
        SD_BUS_PROPERTY("Name", "s", get_name, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Policy", "s", get_policy, 0, 0),
        SD_BUS_PROPERTY("Command", "as", get_command, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Output", "s", get_output, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Uid", "u", get_uid, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Pid", "u", get_pid, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Worker", "u", get_worker, 0, 0),
        SD_BUS_PROPERTY("State", "s", get_state, 0, 0),
        SD_BUS_PROPERTY("Started", "t", get_started, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Workers", "u", get_workers, 0, 0),
        SD_BUS_PROPERTY("Entered", "u", get_entered, 0, 0),
        SD_BUS_PROPERTY("Counters", "a{st}", get_counters, 0, 0),
        /* Not among what lists and GetAll give: they are large. */
        SD_BUS_PROPERTY("Tiers", "a(sss)", status_get_tiers, 0, SD_BUS_VTABLE_PROPERTY_EXPLICIT),
        SD_BUS_PROPERTY("Latency", "at", status_get_latency, 0, SD_BUS_VTABLE_PROPERTY_EXPLICIT),
        SD_BUS_PROPERTY("Denied", "a(ssistt)", status_get_denied, 0, SD_BUS_VTABLE_PROPERTY_EXPLICIT),
        SD_BUS_PROPERTY("Ending", "(sissi)", get_ending, 0, 0),
        SD_BUS_VTABLE_END,
};

int object_offer(struct peer *p) {
        int r = sd_bus_add_fallback_vtable(p->bus, NULL, CONTROL_PREFIX, CONTROL_SANDBOX, sandbox_vtable, find, p);

        if (r >= 0)
                r = sd_bus_add_node_enumerator(p->bus, NULL, CONTROL_PREFIX, enumerate, p);
        return r < 0 ? r : sd_bus_add_object_manager(p->bus, NULL, CONTROL_PATH);
}
