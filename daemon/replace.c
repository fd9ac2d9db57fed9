/*
 * A successor for a worker that is well: to have another plan put in force, or a further listener served. Both are in the sandbox, and stored, before the
 * worker is asked to make way (`stale` in FD_STATE says so until its successor was started); so that whoever comes next, whatever was killed, has them.
 */
#include <errno.h>
#include <signal.h>
#include <sys/syslog.h>
#include <sys/wait.h>

#include "control.h"
#include "fd.h"
#include "sandboxd.h"
#include "sys.h"

#define RETIRE_USEC 1500000 /* it ends by itself before that */

static int on_retire_time(sd_event_source *source, uint64_t usec, void *userdata) {
        struct sandbox *s = userdata;

        log_sandbox(LOG_WARNING, MESSAGE_WORKER_DIED, s, "its worker doesn't make way, and is killed");
        (void) sys_pidfd_send_signal(s->fds[FD_WORKER], SIGKILL);
        return 0;
}

void replace_begin(struct sandbox *s) {
        s->stored->stale = 1;
        if (s->worker == 0) {
                /* The next one has it. Of a foreign one all listeners may have hung up, with which its worker has ended, and another one joins. */
                if (s->replacing || (s->foreign && sandbox_running(s))) {
                        s->timer = sd_event_source_disable_unref(s->timer);
                        sandbox_start_worker(s);
                }
                return;
        }
        if (s->retiring)
                return;
        s->retiring = true;
        (void) sys_pidfd_send_signal(s->fds[FD_WORKER], SIGTERM);
        int r = sd_event_add_time_relative(s->daemon->event, &s->retire_timer, CLOCK_MONOTONIC, RETIRE_USEC, 1000, on_retire_time, s);
        if (r < 0)
                on_retire_time(NULL, 0, s);
}

static struct application *application_free(struct application *a) {
        if (!a)
                return NULL;
        sd_event_source_disable_unref(a->source);
        if (a->checker > 0) {
                (void) sys_pidfd_send_signal(a->checker_pidfd, SIGKILL);
                sys_reap(a->checker, NULL);
        }
        fd_close(a->checker_pidfd);
        fd_close(a->plan);
        sd_bus_message_unref(a->call);
        free(a->policy);
        free(a);
        return NULL;
}

static void refuse(struct sandbox *s, const char *name, const char *why) {
        struct application *a = s->application;

        (void) sd_bus_reply_method_errorf(a->call, name, "%s", why);
        s->application = application_free(a);
}

/* Before the change is done: where we are killed in between, our successor says it once more. */
static void tell_served(struct sandbox *s) {
        for (size_t i = 0; i < s->n_listeners; i++) {
                struct launch_command served = { .type = LAUNCH_SERVED, .signal = s->listeners[i].number };
                if (!s->listeners[i].served)
                        s->listeners[i].served = sandbox_command(s, &served) >= 0;
        }
}

void replace_done(struct sandbox *s) {
        struct application *a = s->application;

        tell_served(s);
        s->stored->stale = 0;
        if (!a || a->checker > 0)
                return;
        (void) sd_bus_reply_method_return(a->call, NULL);
        s->application = application_free(a);
}

void replace_cancel(struct sandbox *s) {
        s->retire_timer = sd_event_source_disable_unref(s->retire_timer);
        if (s->application)
                refuse(s, CONTROL_HAS_ENDED, "the sandbox has ended");
}

/* ---- another plan ---- */

/* From here on every worker that is started has it. */
static int put_in_force(struct sandbox *s) {
        struct application *a = s->application;
        uint32_t old = s->generation;
        _cleanup_close_ int state = -1;
        int r = stored_make_anew(s, a->policy, &state);

        if (r >= 0)
                r = store_generation(s, old + 1, state, a->plan);
        if (r >= 0)
                r = stored_take(s, TAKE_FD(state));
        if (r < 0) {
                store_forget_generation(s, old + 1);
                return r;
        }
        fd_close(s->fds[FD_PLAN]);
        s->fds[FD_PLAN] = TAKE_FD(a->plan);
        s->generation = old + 1;
        s->shared->observed.tiers[0] = 0; /* its successor says it anew */
        store_forget_generation(s, old);
        log_sandbox(LOG_INFO, MESSAGE_APPLIED, s, "it has the policy %s from now on", s->policy);
        return 0;
}

static int on_checked(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct sandbox *s = userdata;
        struct application *a = s->application;
        int status = 0;

        a->source = sd_event_source_disable_unref(a->source);
        sys_reap(a->checker, &status);
        a->checker = 0;
        if (!sandbox_running(s))
                refuse(s, CONTROL_HAS_ENDED, "the sandbox has ended");
        else if (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_OTHER_PLAN)
                refuse(s, CONTROL_FAILED, "the policy changes what only a new start can change");
        else if (!WIFEXITED(status) || WEXITSTATUS(status) != WORKER_DONE)
                refuse(s, CONTROL_FAILED, "the policy can't be compiled");
        else if (put_in_force(s) < 0)
                refuse(s, CONTROL_FAILED, "the policy can't be stored");
        else
                replace_begin(s);
        return 0;
}

int replace_plan(struct sandbox *s, sd_bus_message *call, int plan, const char *policy) {
        if (s->application) {
                fd_close(plan);
                return -EBUSY;
        }
        struct application *a = s->application = calloc(1, sizeof(*a));
        if (!a) {
                fd_close(plan);
                return -ENOMEM;
        }
        *a = (struct application) { .plan = plan, .policy = strdup(policy), .checker_pidfd = -1 };
        int r = a->policy ? worker_check(s, plan, &a->checker) : -ENOMEM;
        if (r >= 0) {
                a->checker_pidfd = r;
                r = sd_event_add_io(s->daemon->event, &a->source, a->checker_pidfd, EPOLLIN, on_checked, s);
        }
        if (r < 0) {
                s->application = application_free(a);
                return r;
        }
        a->call = sd_bus_message_ref(call);
        return 0;
}

/* ---- further listeners ---- */

static void remove_listener(struct sandbox *s, struct extra_listener *l) {
        store_forget_listener(s, l->number);
        sd_event_source_disable_unref(l->source);
        fd_close(l->fd);
        *l = s->listeners[--s->n_listeners];
}

static int on_listener(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct sandbox *s = userdata;

        for (size_t i = 0; i < s->n_listeners; i++)
                if (s->listeners[i].fd == fd) {
                        remove_listener(s, &s->listeners[i]);
                        break;
                }
        sandbox_hung_up(s);
        return 0;
}

int replace_watch_listener(struct sandbox *s, struct extra_listener *l) {
        return sd_event_add_io(s->daemon->event, &l->source, l->fd, 0, on_listener, s);
}

void replace_close_listeners(struct sandbox *s) {
        for (size_t i = 0; i < s->n_listeners; i++) {
                s->listeners[i].source = sd_event_source_disable_unref(s->listeners[i].source);
                s->listeners[i].fd = fd_close(s->listeners[i].fd);
        }
}

/* Of all sandboxes of an owner. */
static size_t count_listeners(const struct daemon *d, uid_t uid) {
        size_t n = 0;

        for (size_t i = 0; i < d->n_sandboxes; i++)
                if (d->sandboxes[i]->owner.uid == uid && sandbox_running(d->sandboxes[i]))
                        n += d->sandboxes[i]->n_listeners;
        return n;
}

static bool has_listener(const struct sandbox *s, uint32_t number) {
        for (size_t i = 0; i < s->n_listeners; i++)
                if (s->listeners[i].number == number)
                        return true;
        return false;
}

/* The next place that is free, so that the last one isn't used again at once: its worker may still be at a call of who had it. There is one. */
static uint32_t take_place(struct sandbox *s) {
        do
                s->last_place = s->last_place % ELEMENTSOF(s->listeners) + 1;
        while (has_listener(s, s->last_place));
        s->shared->joined[s->last_place] = (struct start) {};
        return s->last_place;
}

int replace_add_listener(struct sandbox *s, int descriptor, uint32_t number) {
        _cleanup_close_ int fd = descriptor;

        if (number > 0 && has_listener(s, number))
                return 0;
        if (s->n_listeners == ELEMENTSOF(s->listeners))
                return -ENOSPC;
        if (count_listeners(s->daemon, s->owner.uid) >= quota_of(s->daemon, s->owner.uid, QUOTA_SANDBOXES))
                return -EDQUOT;
        struct extra_listener *l = &s->listeners[s->n_listeners];
        *l = (struct extra_listener) { .fd = TAKE_FD(fd), .number = number > 0 ? number : take_place(s) };
        int r = store_listener(s, l);
        if (r >= 0)
                r = replace_watch_listener(s, l);
        if (r < 0) {
                store_forget_listener(s, l->number);
                l->fd = fd_close(l->fd);
                return r;
        }
        s->n_listeners++;
        replace_begin(s);
        return 0;
}
