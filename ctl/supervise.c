#include "supervise.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "control.h"
#include "fd.h"
#include "remote.h"
#include "str.h"
#include "sys.h"
#include "terminal.h"

static const int forwarded[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM };
static const int watched[] = { SIGTSTP, SIGCONT, SIGWINCH, SIGTTIN };

struct supervisor {
        sd_event *event;
        struct launched *launched;
        const struct plan *plan;
        struct terminal *terminal;
        bool decided; /* ended->outcome is final: what follows is only the sandbox's death */
        bool init_gone, worker_gone;
        struct ended *ended;
        struct remote *remote; /* sandboxd owns the sandbox; NULL: we do */
        struct counters *counters;
        struct kill_note *kill;
        sd_event_source *control_source;
};

void supervise_block_signals(void) {
        sigset_t set;

        sigemptyset(&set);
        for (size_t i = 0; i < ELEMENTSOF(forwarded); i++)
                sigaddset(&set, forwarded[i]);
        for (size_t i = 0; i < ELEMENTSOF(watched); i++)
                sigaddset(&set, watched[i]);
        sigprocmask(SIG_BLOCK, &set, NULL);
        signal(SIGTTOU, SIG_IGN);
        signal(SIGPIPE, SIG_IGN);
}

static void decide(struct supervisor *s, enum outcome outcome, int status) {
        if (s->decided)
                return;
        s->decided = true;
        s->ended->outcome = outcome;
        s->ended->status = status;
}

/* To init; by way of sandboxd, where that owns it. */
static int send_command(struct supervisor *s, const struct launch_command *command) {
        if (!s->remote)
                return launch_command_send(s->launched, command);
        /* Between two daemons there is nobody to tell it. */
        if (!s->remote->bus)
                return -ENOTCONN;
        if (command->type == LAUNCH_SIGNAL)
                return sd_bus_call_method_async(s->remote->bus, NULL, NULL, s->remote->object, CONTROL_SANDBOX, "Signal", NULL, NULL, "i",
                                                command->signal);
        return sd_bus_call_method_async(s->remote->bus, NULL, NULL, s->remote->object, CONTROL_SANDBOX,
                                        command->type == LAUNCH_CONTINUE ? "Continue" : "Kill", NULL, NULL, NULL);
}

static void kill_sandbox(struct supervisor *s) {
        struct launch_command command = { .type = LAUNCH_KILL };

        /* Init kills everybody before it lets the listener go, so that no call sees ENOSYS. Where it can't be told any more, it is dying. */
        if (launch_command_send(s->launched, &command) < 0)
                (void) sys_pidfd_send_signal(s->launched->init_pidfd, SIGKILL);
}

static void finish_if_gone(struct supervisor *s) {
        if (s->init_gone && s->worker_gone)
                sd_event_exit(s->event, 0);
}

/* Stops ourselves as our shell expects of a job whose command was stopped; returns when we are continued. */
static void stop_self(struct supervisor *s) {
        sigset_t set;
        struct launch_command command = { .type = LAUNCH_CONTINUE };

        if (s->terminal)
                terminal_suspend(s->terminal);
        sigemptyset(&set);
        sigaddset(&set, SIGTSTP);
        /* With its default action, SIGTSTP is dropped by the kernel where nobody could continue us (an orphaned process group). */
        signal(SIGTSTP, SIG_DFL);
        raise(SIGTSTP);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        sigprocmask(SIG_BLOCK, &set, NULL);
        if (s->terminal)
                terminal_resume(s->terminal);
        (void) send_command(s, &command);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        struct supervisor *s = userdata;
        struct launch_command command = { .type = LAUNCH_SIGNAL, .signal = si->ssi_signo };

        switch (si->ssi_signo) {
        case SIGWINCH:
                if (s->terminal)
                        terminal_resize(s->terminal);
                return 0;
        case SIGCONT:
                if (s->terminal)
                        terminal_resume(s->terminal);
                return 0;
        case SIGTTIN: return 0;
        case SIGTSTP:
                command.signal = SIGSTOP;
                (void) send_command(s, &command);
                stop_self(s);
                return 0;
        default: (void) send_command(s, &command); return 0;
        }
}

static int on_control(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct supervisor *s = userdata;
        struct launch_event event;
        int r;

        while ((r = launch_event_receive(s->launched, &event)) >= 0)
                switch (event.type) {
                case LAUNCH_STARTED:
                case LAUNCH_LISTENER: break;
                case LAUNCH_FAILED:
                        if (!s->decided)
                                s->ended->failure = event;
                        decide(s, OUTCOME_NOT_STARTED, 0);
                        break;
                case LAUNCH_STOPPED: stop_self(s); break;
                case LAUNCH_EXITED:
                        decide(s, OUTCOME_EXITED, event.status);
                        memcpy(s->ended->full_tmpfs, event.text, sizeof(s->ended->full_tmpfs));
                        break;
                }
        if (r != -EAGAIN)
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return 0;
}

static int on_low_port(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct supervisor *s = userdata;

        if (launch_serve_low_port(s->launched, s->plan) < 0)
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        struct supervisor *s = userdata;

        decide(s, OUTCOME_TIME, 0);
        kill_sandbox(s);
        return 0;
}

static int reap(pid_t pid) {
        int status = 0;

        sys_reap(pid, &status);
        return status;
}

static int on_worker(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct supervisor *s = userdata;
        int status = reap(s->launched->worker);

        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        s->worker_gone = true;
        /* It ends by itself, and with 0, only when nobody is left under the filter. */
        if (!s->init_gone && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
                decide(s, OUTCOME_BROKER_DIED, status);
                kill_sandbox(s);
        }
        finish_if_gone(s);
        return 0;
}

static int on_init(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct supervisor *s = userdata;
        int status = reap(s->launched->init);

        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        s->init_gone = true;
        /* What it told last is still in the socket. */
        (void) on_control(s->control_source, s->launched->control, 0, s);
        decide(s, OUTCOME_INIT_DIED, status);
        finish_if_gone(s);
        return 0;
}

/* Signals and the terminal. */
static int watch_outside(struct supervisor *s) {
        int r;

        for (size_t i = 0; i < ELEMENTSOF(forwarded); i++)
                if ((r = sd_event_add_signal(s->event, NULL, forwarded[i], on_signal, s)) < 0)
                        return r;
        for (size_t i = 0; i < ELEMENTSOF(watched); i++)
                if ((r = sd_event_add_signal(s->event, NULL, watched[i], on_signal, s)) < 0)
                        return r;
        if (s->launched->pty < 0)
                return 0;
        r = terminal_new(s->event, s->launched->pty, &s->terminal);
        if (r >= 0)
                s->launched->pty = -1;
        return r;
}

static int supervisor_watch(struct supervisor *s, uint64_t time_usec) {
        struct launched *l = s->launched;
        int r;

        if ((r = sd_event_add_io(s->event, &s->control_source, l->control, EPOLLIN, on_control, s)) < 0 ||
            (r = sd_event_add_io(s->event, NULL, l->worker_pidfd, EPOLLIN, on_worker, s)) < 0 ||
            (r = sd_event_add_io(s->event, NULL, l->init_pidfd, EPOLLIN, on_init, s)) < 0)
                return r;
        if (l->low_port_socket >= 0 && (r = sd_event_add_io(s->event, NULL, l->low_port_socket, EPOLLIN, on_low_port, s)) < 0)
                return r;
        if (time_usec > 0 && (r = sd_event_add_time_relative(s->event, NULL, CLOCK_MONOTONIC, time_usec, 1000, on_time, s)) < 0)
                return r;
        return watch_outside(s);
}

int supervise(struct launched *launched, const struct plan *plan, uint64_t time_usec, struct ended *ret) {
        struct supervisor s = { .launched = launched, .plan = plan, .ended = ret };
        int r;

        *ret = (struct ended) {};
        r = sd_event_new(&s.event);
        if (r >= 0)
                r = supervisor_watch(&s, time_usec);
        if (r >= 0)
                r = sd_event_loop(s.event);
        if (s.terminal && r >= 0)
                terminal_drain(s.terminal);
        s.terminal = terminal_free(s.terminal);
        if (r < 0) {
                kill_sandbox(&s);
                if (!s.init_gone)
                        reap(launched->init);
                if (!s.worker_gone)
                        reap(launched->worker);
        }
        sd_event_unref(s.event);
        return r < 0 ? r : 0;
}

/* ---- what has entered a sandbox ---- */

static int on_entered(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct supervisor *s = userdata;
        int enabled;

        (void) on_control(source, fd, revents, userdata);
        if (s->decided)
                return sd_event_exit(s->event, 0);
        if (sd_event_source_get_enabled(source, &enabled) < 0 || enabled != SD_EVENT_OFF)
                return 0;
        decide(s, OUTCOME_INIT_DIED, 0);
        return sd_event_exit(s->event, 0);
}

int supervise_entered(struct launched *launched, struct ended *ret) {
        struct supervisor s = { .launched = launched, .ended = ret };

        *ret = (struct ended) {};
        int r = sd_event_new(&s.event);
        if (r >= 0)
                r = sd_event_add_io(s.event, &s.control_source, launched->control, EPOLLIN, on_entered, &s);
        if (r >= 0)
                r = watch_outside(&s);
        if (r >= 0)
                r = sd_event_loop(s.event);
        if (s.terminal && r >= 0)
                terminal_drain(s.terminal);
        s.terminal = terminal_free(s.terminal);
        sd_event_unref(s.event);
        return r < 0 ? r : 0;
}

/* ---- a sandbox of sandboxd's ---- */

static enum outcome outcome_of(const char *word) {
        static const struct {
                const char *word;
                enum outcome outcome;
        } words[] = {
                { CONTROL_EXITED, OUTCOME_EXITED },
                { CONTROL_NOT_STARTED, OUTCOME_NOT_STARTED },
                { CONTROL_INIT_DIED, OUTCOME_INIT_DIED },
                { CONTROL_TIME, OUTCOME_TIME },
        };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (str_equal(words[i].word, word))
                        return words[i].outcome;
        return OUTCOME_BROKER_DIED;
}

static int read_counters(sd_bus_message *m, struct counters *c) {
        const char *name;
        uint64_t value;
        int r = sd_bus_message_enter_container(m, 'a', "{st}");

        while (r >= 0 && (r = sd_bus_message_read(m, "{st}", &name, &value)) > 0)
                for (size_t i = 0; i < COUNTERS; i++)
                        if (str_equal(counter_names[i].name, name))
                                *counter_at(c, i) = value;
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_ended(struct supervisor *s, sd_bus_message *m) {
        const char *outcome, *stage, *text, *why;
        struct ended *e = s->ended;
        int status, error;
        int r = sd_bus_message_read(m, "sissis", &outcome, &status, &stage, &text, &error, &why);

        if (r < 0)
                return r;
        decide(s, outcome_of(outcome), status);
        e->failure = (struct launch_event) { .type = LAUNCH_FAILED, .error = error };
        snprintf(e->failure.stage, sizeof(e->failure.stage), "%s", stage);
        snprintf(e->failure.text, sizeof(e->failure.text), "%s", text);
        snprintf(e->full_tmpfs, sizeof(e->full_tmpfs), "%s", e->outcome == OUTCOME_EXITED ? text : "");
        snprintf(s->kill->text, sizeof(s->kill->text), "%s", why);
        s->kill->set = why[0] != 0;
        return read_counters(m, s->counters);
}

static int remote_watch(struct supervisor *s);

/* A daemon that was killed comes back, and knows its sandboxes. Not within the dispatching of the connection that has broken. */
static int on_lost(sd_event_source *source, void *userdata) {
        struct supervisor *s = userdata;

        sd_event_source_disable_unref(source);
        int r = remote_reconnect(s->remote);
        if (r >= 0)
                r = remote_watch(s);
        return r < 0 ? sd_event_exit(s->event, r) : 0;
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct supervisor *s = userdata;
        sd_event_source *source;

        return sd_event_add_defer(s->event, &source, on_lost, s) < 0 ? sd_event_exit(s->event, -ENOMEM) : 0;
}

static int on_ended(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct supervisor *s = userdata;

        /* The connection broke: on_disconnected has it. */
        if (sd_bus_message_is_method_error(m, NULL))
                return sd_bus_message_is_method_error(m, SD_BUS_ERROR_NO_REPLY) ? 0 : sd_event_exit(s->event, -sd_bus_message_get_errno(m));
        int r = read_ended(s, m);
        return sd_event_exit(s->event, r < 0 ? r : 0);
}

static int on_stopped(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        stop_self(userdata);
        return 0;
}

static int remote_watch(struct supervisor *s) {
        sd_bus *bus = s->remote->bus;
        const char *object = s->remote->object;
        int r = sd_bus_attach_event(bus, s->event, SD_EVENT_PRIORITY_NORMAL);

        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, NULL, "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected",
                                        on_disconnected, s);
        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, NULL, object, CONTROL_SANDBOX, "Stopped", on_stopped, s);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus, UINT64_MAX);
        if (r >= 0)
                r = sd_bus_call_method_async(bus, NULL, NULL, object, CONTROL_SANDBOX, "Wait", on_ended, s, NULL);
        return r;
}

int supervise_remote(struct remote *remote, struct launched *launched, struct counters *counters, struct kill_note *kill,
                     struct ended *ret) {
        struct supervisor s = { .launched = launched, .ended = ret, .remote = remote, .counters = counters, .kill = kill };

        *ret = (struct ended) {};
        int r = sd_event_new(&s.event);
        if (r >= 0)
                r = watch_outside(&s);
        if (r >= 0)
                r = remote_watch(&s);
        if (r >= 0)
                r = sd_event_loop(s.event);
        if (s.terminal && r >= 0)
                terminal_drain(s.terminal);
        s.terminal = terminal_free(s.terminal);
        sd_bus_detach_event(remote->bus);
        sd_event_unref(s.event);
        return r < 0 ? r : 0;
}
