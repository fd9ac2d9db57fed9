/*
 * Who comes first where all processors are busy: root's daemon, which does little, and for which all of its sandboxes wait when one is started or when
 * it is started anew; and a worker that begins, for which calls wait. A worker needs a few milliseconds of a processor; where many programs want the
 * same it would come to its turn again and again only after all of them. So it begins with a priority, and is like others a moment later, by the
 * daemon's hand, whatever it does meanwhile; once in a second at most, since its owner can kill it to get another one. Only root's daemon has that
 * right.
 *
 * Where the kernel groups what it schedules by sessions (CONFIG_SCHED_AUTOGROUP), a priority counts within the session alone, and the session has one of
 * its own. There are none without it, and where control groups share the processors it has no effect.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "sandboxd.h"
#include "sys.h"

#define NICER (-10)
#define MOMENT_USEC 50000
#define PAUSE_USEC 1000000

static uint64_t now_usec(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void set_session(pid_t leader, int nice) {
        char path[32], text[8];
        int n = snprintf(text, sizeof(text), "%d", nice);

        snprintf(path, sizeof(path), "/proc/%d/autogroup", leader);
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0)
                (void) !write(fd, text, n);
}

void hurry_daemon(void) {
        /* Children begin as others do. */
        const struct sys_sched_attr attr = { .size = sizeof(attr), .flags = SCHED_FLAG_RESET_ON_FORK, .nice = NICER };

        if (geteuid() != 0 || sys_sched_setattr(&attr) < 0)
                return;
        /* A service has a session of its own; below a shell it is the shell's. */
        pid_t service = getenv("SANDBOXD_KEEPER") ? getppid() : getpid();
        if (getsid(0) == service)
                set_session(service, NICER);
}

bool hurry_may(struct sandbox *s) {
        uint64_t now = now_usec();

        if (geteuid() != 0 || s->stored->workers == 0 || (s->hurried && now - s->hurried < PAUSE_USEC))
                return false;
        s->hurried = now;
        return true;
}

void hurry_self(void) {
        (void) setpriority(PRIO_PROCESS, 0, NICER);
        set_session(getpid(), NICER);
}

/* All of its threads: it is a process group of its own. */
static int end(const struct sandbox *s) {
        if (setpriority(PRIO_PGRP, s->worker, 0) < 0)
                return -errno;
        set_session(s->worker, 0);
        return 0;
}

void hurry_end(const struct sandbox *s) {
        if (geteuid() == 0)
                (void) end(s);
}

static int on_moment(sd_event_source *source, uint64_t usec, void *userdata) {
        struct sandbox *s = userdata;

        /* It hasn't even come to be one. */
        if (s->worker > 0 && s->ours && end(s) == -ESRCH && sd_event_source_set_time_relative(source, MOMENT_USEC) >= 0)
                return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
}

int hurry_watch(struct sandbox *s) {
        s->hurry_timer = sd_event_source_disable_unref(s->hurry_timer);
        return sd_event_add_time_relative(s->daemon->event, &s->hurry_timer, CLOCK_MONOTONIC, MOMENT_USEC, 1000, on_moment, s);
}
