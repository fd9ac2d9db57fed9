/*
 * A daemon that sandbox-runtime has started because there was none (--on-demand): that of an ordinary user, whose rootless engine runs its containers in a user
 * namespace. It is in that namespace itself, because nothing leads out of one, and because only there the containers' users, who are subordinate ids of the
 * user's, have numbers. So it is uid 0, as its containers are, but its sockets and settings are the user's, and outside it shows the user's own ids. It ends when
 * it has had nothing to do for a while: the engine can make another namespace at any time, where it would be of no use.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syslog.h>
#include <unistd.h>

#include "sandboxd.h"

#define NAME "SANDBOXD_ON_DEMAND"
#define IDLE_SECONDS 60

int demand_begin(const char *seconds) {
        char *end;

        if (!seconds)
                return setenv(NAME, "", 1) < 0 ? -errno : 0;
        unsigned long n = strtoul(seconds, &end, 10);
        if (seconds[0] < '0' || seconds[0] > '9' || *end || n < 1 || n > 86400)
                return -EINVAL;
        return setenv(NAME, seconds, 1) < 0 ? -errno : 0;
}

bool demand_is(void) {
        return getenv(NAME);
}

static uint64_t idle_usec(void) {
        const char *seconds = getenv(NAME);

        return (seconds && seconds[0] ? strtoul(seconds, NULL, 10) : IDLE_SECONDS) * 1000000;
}

uid_t demand_user(void) {
        return demand_is() && geteuid() == 0 ? NOBODY : geteuid();
}

static uid_t translate(uid_t uid, bool to_outside) {
        _cleanup_fclose_ FILE *map = demand_is() ? fopen("/proc/self/uid_map", "re") : NULL;
        unsigned inside, outside, n;

        while (map && fscanf(map, "%u %u %u", &inside, &outside, &n) == 3) {
                unsigned from = to_outside ? inside : outside;
                if (uid >= from && uid - from < n)
                        return uid - from + (to_outside ? outside : inside);
        }
        return uid;
}

uid_t demand_shown(uid_t uid) {
        return translate(uid, true);
}

uid_t demand_meant(uid_t uid) {
        return translate(uid, false);
}

static bool is_idle(const struct daemon *d) {
        if (d->n_takers > 0 || d->n_peers > 0)
                return false;
        for (size_t i = 0; i < d->n_sandboxes; i++)
                if (sandbox_running(d->sandboxes[i]) || sandbox_alive(d->sandboxes[i]))
                        return false;
        return true;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        struct daemon *d = userdata;

        /* Whoever has looked whether we are there is given the time to come. */
        if (is_idle(d) && d->n_connections == d->n_connections_before) {
                log_record(LOG_INFO, MESSAGE_DAEMON, NULL, "it ends: there are no containers any more");
                (void) kill(getppid(), SIGTERM);
                return 0;
        }
        d->n_connections_before = d->n_connections;
        int r = sd_event_source_set_time_relative(source, idle_usec());
        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int demand_watch(struct daemon *d) {
        /* Its parent starts it anew whatever happens, unless that was told to end. */
        if (!demand_is() || !getenv("SANDBOXD_KEEPER"))
                return 0;
        return sd_event_add_time_relative(d->event, NULL, CLOCK_MONOTONIC, idle_usec(), 0, on_time, d);
}
