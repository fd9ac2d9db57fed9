/*
 * Calls wait for a worker that is started. It needs a few milliseconds of a processor; where many programs want the same it would come to its turn again
 * and again only after all of them. So it begins with a priority, and is as the daemon is again a moment later, by the daemon's hand, whatever it
 * does meanwhile; once in a second at most, since its owner can kill it to get another one. Only root's daemon has that right.
 */
#include <errno.h>
#include <sys/resource.h>
#include <time.h>

#include "sandboxd.h"

#define NICER 10
#define MOMENT_USEC 50000
#define PAUSE_USEC 1000000

static uint64_t now_usec(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

bool hurry_may(struct sandbox *s) {
        uint64_t now = now_usec();

        if (geteuid() != 0 || s->stored->workers == 0 || (s->hurried && now - s->hurried < PAUSE_USEC))
                return false;
        s->hurried = now;
        return true;
}

void hurry_self(void) {
        (void) setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) - NICER);
}

/* All of its threads: it is a process group of its own. */
static int end(const struct sandbox *s) {
        return setpriority(PRIO_PGRP, s->worker, getpriority(PRIO_PROCESS, 0)) < 0 ? -errno : 0;
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
