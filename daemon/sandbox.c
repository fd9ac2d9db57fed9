/*
 * A sandbox from its adoption to its end. How its worker makes way for a successor is in replace.c.
 *
 * It lives as long as a copy of its control socket is open: so it dies with us, unless the service manager has one too. One whose init is not ours has
 * no such socket; it lives as long as anybody is under its filter, which the listener tells, and with no listener left its calls fail. A worker is our child
 * and is replaced when it dies. What must not be lost is in FD_STATE before anything else is done about it: an ending is read from the
 * control socket with MSG_PEEK, written there, and only then taken.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syslog.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "fd.h"
#include "sandboxd.h"
#include "str.h"
#include "sys.h"

#define EVENTS_AT_ONCE 16
#define ENDED_PER_UID 100
#define KILL_USEC 2000000    /* after which init is killed by a signal */
#define ORPHAN_USEC 10000000 /* in which the client of a foreground sandbox has to come back to a restarted daemon */
#define BACKOFF_FIRST_USEC 10000
#define BACKOFF_MAX_USEC 1000000

/* ---- the registry ---- */

static int compare(const struct sandbox *s, uid_t uid, const char *name) {
        return s->owner.uid != uid ? (s->owner.uid < uid ? -1 : 1) : strcmp(s->name, name);
}

static size_t position(const struct daemon *d, uid_t uid, const char *name) {
        size_t low = 0, high = d->n_sandboxes;

        while (low < high) {
                size_t middle = (low + high) / 2;
                if (compare(d->sandboxes[middle], uid, name) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

struct sandbox *sandbox_find(struct daemon *d, uid_t uid, const char *name) {
        size_t i = position(d, uid, name);

        return i < d->n_sandboxes && compare(d->sandboxes[i], uid, name) == 0 ? d->sandboxes[i] : NULL;
}

static int registry_add(struct sandbox *s) {
        struct daemon *d = s->daemon;
        struct sandbox **larger = reallocarray(d->sandboxes, d->n_sandboxes + 1, sizeof(*larger));

        if (!larger)
                return -ENOMEM;
        d->sandboxes = larger;
        size_t i = position(d, s->owner.uid, s->name);
        memmove(larger + i + 1, larger + i, (d->n_sandboxes - i) * sizeof(*larger));
        larger[i] = s;
        d->n_sandboxes++;
        return 0;
}

static void registry_remove(struct sandbox *s) {
        struct daemon *d = s->daemon;
        size_t i = position(d, s->owner.uid, s->name);

        if (i == d->n_sandboxes || d->sandboxes[i] != s)
                return;
        memmove(d->sandboxes + i, d->sandboxes + i + 1, (d->n_sandboxes - i - 1) * sizeof(*d->sandboxes));
        d->n_sandboxes--;
}

static size_t count(const struct daemon *d, uid_t uid, bool running, struct sandbox **ret_oldest) {
        size_t n = 0;

        for (size_t i = 0; i < d->n_sandboxes; i++) {
                struct sandbox *s = d->sandboxes[i];
                if (s->owner.uid != uid || sandbox_running(s) != running)
                        continue;
                if (ret_oldest && (n == 0 || s->stored->started < (*ret_oldest)->stored->started))
                        *ret_oldest = s;
                n++;
        }
        return n;
}

/* ---- making and letting go ---- */

/* `key`: by which it is stored; NULL: a new one. Its owner is known by then, or comes with its state. */
static struct sandbox *sandbox_new(struct daemon *d, uid_t uid, const char *name, const char *key) {
        struct sandbox *s = calloc(1, sizeof(*s));

        if (!s)
                return NULL;
        *s = (struct sandbox) { .daemon = d, .name = strdup(name), .key = key ? strdup(key) : NULL };
        for (int i = 0; i < FD_COUNT; i++)
                s->fds[i] = -1;
        if (!key && asprintf(&s->key, "%u/%s", uid, name) < 0)
                s->key = NULL;
        s->label = uid == geteuid() ? strdup(name) : s->key ? strdup(s->key) : NULL;
        if (s->name && s->key && s->label)
                return s;
        free(s->name);
        free(s->key);
        free(s->label);
        free(s);
        return NULL;
}

static void close_fds(struct sandbox *s) {
        s->control_source = sd_event_source_disable_unref(s->control_source);
        s->init_source = sd_event_source_disable_unref(s->init_source);
        s->listener_source = sd_event_source_disable_unref(s->listener_source);
        s->worker_source = sd_event_source_disable_unref(s->worker_source);
        s->hurry_timer = sd_event_source_disable_unref(s->hurry_timer);
        s->helper_source = sd_event_source_disable_unref(s->helper_source);
        s->timer = sd_event_source_disable_unref(s->timer);
        s->orphan_timer = sd_event_source_disable_unref(s->orphan_timer);
        s->limit_timer = sd_event_source_disable_unref(s->limit_timer);
        replace_cancel(s);
        replace_close_listeners(s);
        for (int i = 0; i < FD_COUNT; i++)
                if (i != FD_STATE)
                        s->fds[i] = fd_close(s->fds[i]);
}

static void release(struct sandbox *s) {
        registry_remove(s);
        close_fds(s);
        fd_close(s->fds[FD_STATE]);
        sd_bus_message_unref(s->adopting);
        for (size_t i = 0; i < s->n_waiting; i++)
                sd_bus_message_unref(s->waiting[i]);
        free(s->waiting);
        shared_free(s->shared);
        stored_unmap(s);
        free(s->name);
        free(s->key);
        free(s->label);
        free(s);
}

static void end_child(pid_t pid) {
        (void) kill(pid, SIGKILL);
        sys_reap(pid, NULL);
}

void sandbox_free(struct sandbox *s) {
        store_forget(s, true, true);
        /* Only one that never got to run still has them. */
        if (s->worker > 0 && s->ours)
                end_child(s->worker);
        if (s->helper > 0 && s->helper_ours)
                end_child(s->helper);
        pool_part(s);
        release(s);
}

void sandboxes_leave(struct daemon *d) {
        while (d->n_sandboxes > 0)
                release(d->sandboxes[d->n_sandboxes - 1]);
        free(d->sandboxes);
        pools_leave(d);
}

/* ---- the end ---- */

/* Its helper doesn't kill what is in its control group by then. */
static void cut_lifeline(struct sandbox *s) {
        if (s->fds[FD_LIFELINE] >= 0)
                (void) !send(s->fds[FD_LIFELINE], "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void finish(struct sandbox *s) {
        struct sandbox *oldest;

        if (s->stored->ending.outcome[0] == 0) {
                struct ending e = {};
                strcpy(e.outcome, s->foreign ? CONTROL_GONE : CONTROL_INIT_DIED);
                stored_end(s, &e);
        }
        const struct ending *e = &s->stored->ending;
        log_sandbox(LOG_INFO, MESSAGE_ENDED, s, "it has ended: %s, %d calls, %u worker%s", e->outcome, (int) s->shared->counters.notified,
                    s->stored->workers, s->stored->workers == 1 ? "" : "s");
        cut_lifeline(s);
        close_fds(s);
        pool_part(s);
        store_forget(s, false, true);
        object_adopted(s, false);
        bool asked = s->n_waiting > 0;
        object_ended(s);
        /* Of one in the foreground nobody else is going to ask. */
        if (s->stored->foreground && (asked || !s->client))
                sandbox_free(s);
        else if (count(s->daemon, s->owner.uid, false, &oldest) > ENDED_PER_UID)
                sandbox_free(oldest);
}

static void finish_if_gone(struct sandbox *s) {
        if (!sandbox_alive(s) && !s->replacing) {
                struct daemon *d = s->daemon;
                finish(s);
                if (!d->stopping)
                        return;
                for (size_t i = 0; i < d->n_sandboxes; i++)
                        if (sandbox_running(d->sandboxes[i]))
                                return;
                sd_event_exit(d->event, 0);
        }
}

int cgroup_open_kill(const char *path) {
        _cleanup_(strbuf_done) struct strbuf file = {};

        strbuf_printf(&file, "%s/cgroup.kill", path);
        return file.failed || path[0] != '/' ? -1 : open(file.text, O_WRONLY | O_CLOEXEC | O_NOCTTY);
}

/* A signal of the owner's, not of ours: whose pidfd it is we know from the client alone. */
void sandbox_signal(struct sandbox *s, int signal) {
        pid_t pid = fork();

        if (pid == 0) {
                if (geteuid() == 0 && owner_become(&s->owner) < 0)
                        _exit(1);
                (void) sys_pidfd_send_signal(s->fds[FD_INIT], signal);
                int group = signal == SIGKILL && s->foreign ? cgroup_open_kill(s->cgroup) : -1;
                if (group >= 0)
                        (void) !write(group, "1", 1);
                _exit(0);
        }
        if (pid > 0)
                sys_reap(pid, NULL);
}

static int on_kill_time(sd_event_source *source, uint64_t usec, void *userdata) {
        sandbox_signal(userdata, SIGKILL);
        return 0;
}

static void set_timer(struct sandbox *s, uint64_t usec, sd_event_time_handler_t handler) {
        s->timer = sd_event_source_disable_unref(s->timer);
        int r = sd_event_add_time_relative(s->daemon->event, &s->timer, CLOCK_MONOTONIC, usec, 1000, handler, s);
        if (r < 0)
                log_sandbox(LOG_ERR, MESSAGE_DAEMON, s, "no timer: %s", strerror(-r));
}

int sandbox_command(struct sandbox *s, const struct launch_command *command) {
        ssize_t n;

        if (s->fds[FD_CONTROL] < 0)
                return -ESRCH;
        /* Never waits for who doesn't read: O_NONBLOCK could be taken back by whoever else has the socket. */
        do
                n = send(s->fds[FD_CONTROL], command, sizeof(*command), MSG_DONTWAIT | MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

/* Init takes along who is in a pid namespace of its own; who isn't, and is in no control group that we know of, dies by the next call that the worker
 * answers. */
static void kill_foreign(struct sandbox *s) {
        struct kill_note *note = &s->shared->kill;
        uint32_t unset = 0;

        if (__atomic_compare_exchange_n((uint32_t *) &note->set, &unset, 2, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
                snprintf(note->text, sizeof(note->text), "sandboxd was told to");
                __atomic_store_n((uint32_t *) &note->set, 1, __ATOMIC_SEQ_CST);
        }
        sandbox_signal(s, SIGKILL);
}

void sandbox_kill(struct sandbox *s) {
        struct launch_command command = { .type = LAUNCH_KILL };

        if (!sandbox_inhabited(s))
                return;
        if (s->foreign) {
                kill_foreign(s);
                return;
        }
        (void) sandbox_command(s, &command);
        set_timer(s, KILL_USEC, on_kill_time);
}

void sandbox_client_gone(struct sandbox *s) {
        s->client = NULL;
        if (!s->stored->foreground)
                return;
        if (sandbox_alive(s))
                sandbox_kill(s);
        else
                sandbox_free(s);
}

/* ---- init's events ---- */

/* Stored first, and then taken: it comes with another look at the event, which stays there. */
static void take_listener(struct sandbox *s, const struct launch_event *event) {
        struct launch_command refused = { .type = LAUNCH_REFUSED, .signal = event->status };
        int fd = launch_event_peek_fd(s->fds[FD_CONTROL]);
        int r = fd < 0 ? fd : replace_add_listener(s, fd, event->status);

        if (r >= 0)
                return;
        log_sandbox(LOG_WARNING, MESSAGE_REFUSED, s, "it was not entered: %s", strerror(-r));
        (void) sandbox_command(s, &refused);
}

static void take_event(struct sandbox *s, const struct launch_event *event) {
        struct ending e = {};

        switch (event->type) {
        case LAUNCH_STARTED: object_adopted(s, true); break;
        case LAUNCH_STOPPED: object_stopped(s, event->status); break;
        case LAUNCH_EXITED:
                strcpy(e.outcome, CONTROL_EXITED);
                e.status = event->status;
                memcpy(e.text, event->text, sizeof(e.text));
                stored_end(s, &e);
                break;
        case LAUNCH_FAILED:
                strcpy(e.outcome, CONTROL_NOT_STARTED);
                e.error = event->error;
                memcpy(e.stage, event->stage, sizeof(e.stage));
                memcpy(e.text, event->text, sizeof(e.text));
                stored_end(s, &e);
                break;
        case LAUNCH_LISTENER: take_listener(s, event); break;
        }
}

static void read_events(struct sandbox *s) {
        struct launch_event event;
        int r = 0;

        /* Whoever sends without end is not to keep us from the others. */
        for (int i = 0; i < EVENTS_AT_ONCE && (r = launch_event_receive_from(s->fds[FD_CONTROL], true, &event)) >= 0; i++) {
                event.stage[sizeof(event.stage) - 1] = event.text[sizeof(event.text) - 1] = 0;
                take_event(s, &event);
                (void) launch_event_receive_from(s->fds[FD_CONTROL], false, &event);
        }
        if (r < 0 && r != -EAGAIN)
                s->control_source = sd_event_source_disable_unref(s->control_source);
}

static int on_control(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        read_events(userdata);
        return 0;
}

static int on_init(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct sandbox *s = userdata;

        s->init_source = sd_event_source_disable_unref(s->init_source);
        /* Others go on (a service that forks), or are being killed. */
        if (s->foreign)
                return 0;
        s->timer = sd_event_source_disable_unref(s->timer);
        s->replacing = false;
        read_events(s);
        finish_if_gone(s);
        return 0;
}

/* It ends with init, but that of a foreign one tells nothing. */
static void end_helper(struct sandbox *s) {
        if (s->foreign && !sandbox_inhabited(s) && s->worker == 0 && s->helper > 0)
                (void) sys_pidfd_send_signal(s->fds[FD_HELPER], SIGKILL);
}

void sandbox_hung_up(struct sandbox *s) {
        if (!s->foreign || sandbox_inhabited(s))
                return;
        s->timer = sd_event_source_disable_unref(s->timer);
        s->replacing = false;
        end_helper(s);
        finish_if_gone(s);
}

static int on_hangup(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct sandbox *s = userdata;

        s->listener_source = sd_event_source_disable_unref(s->listener_source);
        sandbox_hung_up(s);
        return 0;
}

/* ---- workers ---- */

void sandbox_give_up(struct sandbox *s, const char *why) {
        struct ending e = { .outcome = CONTROL_BROKER_DIED };

        snprintf(e.text, sizeof(e.text), "%s", why);
        log_sandbox(LOG_ERR, MESSAGE_WORKER_DIED, s, "it is killed: %s", why);
        stored_end(s, &e);
        sandbox_kill(s);
}

static int on_worker(sd_event_source *source, int fd, uint32_t revents, void *userdata);

void sandbox_start_worker(struct sandbox *s) {
        s->replacing = s->retiring = false;
        s->retire_timer = sd_event_source_disable_unref(s->retire_timer);
        s->worker_source = sd_event_source_disable_unref(s->worker_source);
        int r = worker_start(s);
        if (r >= 0)
                r = sd_event_add_io(s->daemon->event, &s->worker_source, s->fds[FD_WORKER], EPOLLIN, on_worker, s);
        if (r >= 0)
                r = store_worker(s);
        if (r < 0)
                sandbox_give_up(s, "no worker can be started");
        else
                replace_done(s);
}

static int on_backoff(sd_event_source *source, uint64_t usec, void *userdata) {
        struct sandbox *s = userdata;

        s->timer = sd_event_source_disable_unref(s->timer);
        sandbox_start_worker(s);
        return 0;
}

static void replace_worker(struct sandbox *s) {
        uint64_t answered = s->shared->counters.allowed + s->shared->counters.denied, usec = BACKOFF_FIRST_USEC;

        s->failures = answered != s->answered ? 0 : s->failures + 1;
        s->answered = answered;
        if (s->failures == 0) {
                sandbox_start_worker(s);
                return;
        }
        for (unsigned i = 1; i < s->failures && usec < BACKOFF_MAX_USEC; i++)
                usec *= 2;
        s->replacing = true;
        set_timer(s, usec < BACKOFF_MAX_USEC ? usec : BACKOFF_MAX_USEC, on_backoff);
}

static bool has_hung_up(int listener) {
        struct pollfd p = { .fd = listener };

        return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
}

/* Of the one of the daemon before us nobody tells. It ends when nobody is left under the filter; else it was killed. */
static int guess_status(const struct sandbox *s) {
        bool done = has_hung_up(s->fds[FD_LISTENER]);

        for (size_t i = 0; done && i < s->n_listeners; i++)
                done = has_hung_up(s->listeners[i].fd);
        return done ? W_EXITCODE(WORKER_DONE, 0) : SIGKILL;
}

static int on_worker(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct sandbox *s = userdata;
        int status = s->ours ? SIGKILL : guess_status(s);

        s->worker_source = sd_event_source_disable_unref(s->worker_source);
        if (s->ours)
                sys_reap(s->worker, &status);
        s->worker = 0;
        bool retired = WIFEXITED(status) && WEXITSTATUS(status) == WORKER_RETIRED;
        /* Calls that it was at all the same, when its time was up, are no more suspect than those of one that was killed. */
        slots_strike(s->shared, retired ? SIGKILL : status);
        /* Those that it has served are gone; another one has joined meanwhile. */
        if (s->foreign && sandbox_inhabited(s) && s->stored->stale && WIFEXITED(status) && WEXITSTATUS(status) == WORKER_DONE) {
                sandbox_start_worker(s);
                return 0;
        }
        if (!sandbox_inhabited(s) || (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_DONE)) {
                /* Nobody is left under the filter; init says the rest. */
                end_helper(s);
                finish_if_gone(s);
                return 0;
        }
        if (WIFSIGNALED(status) && !(s->retiring && !s->ours))
                log_sandbox(LOG_WARNING, MESSAGE_WORKER_DIED, s, "its worker was killed (signal %d)", WTERMSIG(status));
        if (!s->foreign && (s->stored->ending.outcome[0] || s->daemon->stopping))
                return 0; /* it is dying */
        if (s->retiring && (retired || WIFSIGNALED(status)))
                sandbox_start_worker(s);
        else if (WIFEXITED(status) && !retired)
                sandbox_give_up(s, "its worker has failed; the record before this one says why");
        else if (s->stored->kill_on_broker_loss && sandbox_running(s))
                sandbox_give_up(s, "its worker was killed, and the policy says on-broker-loss: kill");
        else
                replace_worker(s);
        return 0;
}

/* ---- the helper ---- */

static int on_helper(sd_event_source *source, int fd, uint32_t revents, void *userdata);

static int watch_helper(struct sandbox *s) {
        s->helper_source = sd_event_source_disable_unref(s->helper_source);
        return sd_event_add_io(s->daemon->event, &s->helper_source, s->fds[FD_HELPER], EPOLLIN, on_helper, s);
}

static int start_helper(struct sandbox *s) {
        int r = helper_start(s);

        return r < 0 ? r : watch_helper(s);
}

/* It ends with init. One that was killed had the journal and took callers along that it traced: a new one makes a new journal, and the worker is
 * replaced by one that has it. */
static int on_helper(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct sandbox *s = userdata;
        int status = 0; /* of the one of the daemon before us nobody tells */

        s->helper_source = sd_event_source_disable_unref(s->helper_source);
        if (s->helper_ours)
                sys_reap(s->helper, &status);
        s->helper = 0;
        struct pollfd init = { .fd = s->fds[FD_INIT], .events = POLLIN };
        if (!sandbox_inhabited(s) || (!s->foreign && (poll(&init, 1, 0) > 0 || s->stored->ending.outcome[0] || s->daemon->stopping))) {
                finish_if_gone(s);
                return 0;
        }
        log_sandbox(LOG_WARNING, MESSAGE_WORKER_DIED, s, "its helper has died, and with it what its programs were just executing");
        if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
                sandbox_give_up(s, "its helper has failed; the record before this one says why");
        else if (s->stored->kill_on_broker_loss)
                sandbox_give_up(s, "its helper was killed, and the policy says on-broker-loss: kill");
        else if (start_helper(s) < 0 || store_helper(s) < 0)
                sandbox_give_up(s, "no helper can be started");
        else if (s->fds[FD_WORKER] >= 0)
                (void) sys_pidfd_send_signal(s->fds[FD_WORKER], SIGKILL);
        return 0;
}

/* ---- adopting, restoring ---- */

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata) {
        struct sandbox *s = userdata;

        stored_end(s, &(struct ending) { .outcome = CONTROL_TIME });
        sandbox_kill(s);
        return 0;
}

static int watch(struct sandbox *s) {
        const struct stored *st = s->stored;
        sd_event *event = s->daemon->event;
        /* A listener hangs up when nobody is left under its filter. */
        int r = s->foreign ? sd_event_add_io(event, &s->listener_source, s->fds[FD_LISTENER], 0, on_hangup, s)
                           : sd_event_add_io(event, &s->control_source, s->fds[FD_CONTROL], EPOLLIN, on_control, s);

        if (r >= 0)
                r = sd_event_add_io(event, &s->init_source, s->fds[FD_INIT], EPOLLIN, on_init, s);
        if (r >= 0 && st->time_usec > 0)
                r = sd_event_add_time(event, &s->limit_timer, CLOCK_BOOTTIME, st->began + st->time_usec, 1000, on_limit, s);
        return r;
}

pid_t pidfd_pid(int pidfd) {
        char path[64], text[512];
        int pid = 0;

        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : fd_read_full(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return 0;
        text[n] = 0;
        char *line = strstr(text, "\nPid:");
        return line && sscanf(line + 5, "%d", &pid) == 1 && pid > 0 ? pid : 0;
}

static int adopt(struct sandbox *s, struct adoption *a) {
        struct launch_command release = { .type = LAUNCH_RELEASE };
        int r;

        for (int i = 0; i < FD_COUNT; i++)
                s->fds[i] = TAKE_FD(a->fds[i]);
        s->foreign = s->fds[FD_CONTROL] < 0;
        s->init = pidfd_pid(s->fds[FD_INIT]);
        if (s->init == 0)
                return -EBADF;
        if ((r = stored_make(s, a->owner, a)) < 0 || (r = pool_join(s)) < 0 || (r = shared_new(&s->shared, &s->fds[FD_SLOTS])) < 0 ||
            (r = registry_add(s)) < 0 || (r = start_helper(s)) < 0)
                return r;
        if (!a->kill_on_broker_loss && (r = store_sandbox(s)) < 0)
                return r;
        if ((r = watch(s)) < 0)
                return r;
        sandbox_start_worker(s);
        if (!sandbox_running(s))
                return -EIO;
        s->stored->released = 1;
        return s->foreign ? 0 : sandbox_command(s, &release);
}

int sandbox_adopt(struct daemon *d, struct peer *client, struct adoption *a, sd_bus_message *call) {
        struct sandbox *old = sandbox_find(d, a->owner->uid, a->name);

        /* The name of one that has ended is free again. */
        if (old && (sandbox_alive(old) || old->client))
                return -EEXIST;
        if (old)
                sandbox_free(old);
        if (!quota_allows(d, a->owner->uid, count(d, a->owner->uid, true, NULL), &a->over))
                return -EDQUOT;
        struct sandbox *s = sandbox_new(d, a->owner->uid, a->name, NULL);
        if (!s)
                return -ENOMEM;
        int r = adopt(s, a);
        if (r < 0) {
                /* Its worker, if there is one, sees the listener hang up; a foreign one ends by its starter's hand. */
                cut_lifeline(s);
                sandbox_free(s);
                return r;
        }
        s->client = a->foreground ? client : NULL;
        log_sandbox(LOG_INFO, MESSAGE_STARTED, s, "it has been started by uid %u, with the policy %s", demand_shown(s->owner.uid),
                    s->policy);
        s->adopting = sd_bus_message_ref(call);
        if (s->foreign)
                object_adopted(s, true);
        return 0;
}

static int on_orphan_time(sd_event_source *source, uint64_t usec, void *userdata) {
        struct sandbox *s = userdata;

        s->orphan_timer = sd_event_source_disable_unref(s->orphan_timer);
        if (!s->client)
                sandbox_client_gone(s);
        return 0;
}

static int restore(struct sandbox *s, uid_t uid) {
        struct launch_command release = { .type = LAUNCH_RELEASE };
        int r = s->fds[FD_STATE] < 0 ? -EBADMSG : stored_map(s);

        if (r < 0)
                return r;
        if (s->owner.uid != uid || sandbox_find(s->daemon, uid, s->name))
                return -EBADMSG;
        if (!sandbox_running(s) && s->fds[FD_CONTROL] < 0)
                return registry_add(s);
        s->foreign = s->fds[FD_CONTROL] < 0;
        for (int i = 0; i < FD_COUNT; i++) {
                bool optional = i == FD_LOG || i == FD_WORKER || i == FD_HELPER || i == FD_REQUESTS || i == FD_LIFELINE ||
                                (s->foreign ? i == FD_CONTROL || i == FD_USER : i == FD_ROOT);
                if (s->fds[i] < 0 && !optional)
                        return -EBADMSG;
        }
        s->init = pidfd_pid(s->fds[FD_INIT]);
        if ((r = shared_map(s->fds[FD_SLOTS], &s->shared)) < 0 || (r = registry_add(s)) < 0 || (r = pool_join(s)) < 0 || (r = watch(s)) < 0)
                return r;
        for (size_t i = 0; i < s->n_listeners; i++)
                if ((r = replace_watch_listener(s, &s->listeners[i])) < 0)
                        return r;
        if (s->stored->foreground &&
            (r = sd_event_add_time_relative(s->daemon->event, &s->orphan_timer, CLOCK_MONOTONIC, ORPHAN_USEC, 0, on_orphan_time, s)) < 0)
                return r;
        /* Its worker and helper have outlived the old daemon, or are going to be found dead. */
        if (s->fds[FD_HELPER] >= 0 && s->fds[FD_REQUESTS] >= 0) {
                s->helper = pidfd_pid(s->fds[FD_HELPER]) ?: INT_MAX;
                r = watch_helper(s);
        } else if ((r = start_helper(s)) >= 0)
                r = store_helper(s);
        if (r < 0)
                return r;
        if (s->fds[FD_WORKER] >= 0) {
                s->worker = pidfd_pid(s->fds[FD_WORKER]) ?: INT_MAX;
                hurry_end(s);
                r = sd_event_add_io(s->daemon->event, &s->worker_source, s->fds[FD_WORKER], EPOLLIN, on_worker, s);
        } else
                sandbox_start_worker(s);
        /* It may be that the old daemon was killed before a change was in force. */
        if (r >= 0 && s->stored->stale)
                replace_begin(s);
        if (r >= 0 && !s->stored->released) {
                s->stored->released = 1;
                r = sandbox_command(s, &release);
        }
        return r;
}

int sandbox_restore(struct daemon *d, struct found *found) {
        const char *name;
        uid_t uid;
        int r = control_split(found->key, &uid, &name);

        if (r == 0)
                r = stored_uid(found->fds[FD_STATE], &uid);
        if (r < 0)
                return r;
        struct sandbox *s = sandbox_new(d, uid, name, found->key);
        if (!s)
                return -ENOMEM;
        for (int i = 0; i < FD_COUNT; i++)
                s->fds[i] = TAKE_FD(found->fds[i]);
        s->generation = found->generation;
        for (size_t i = 0; i < found->n_listeners; i++)
                s->listeners[i] = (struct extra_listener) { .fd = TAKE_FD(found->listeners[i].fd), .number = found->listeners[i].number };
        s->n_listeners = found->n_listeners;
        r = restore(s, uid);
        if (r < 0) {
                pool_part(s);
                release(s);
                return r;
        }
        log_sandbox(LOG_INFO, MESSAGE_RESTORED, s, "it is here again%s", sandbox_running(s) ? "" : ", and has ended");
        return 0;
}
