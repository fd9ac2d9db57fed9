/*
 * Kills workers of sandboxd's sandboxes, and says how long it took until their successors answered.
 *
 *   killer KILLS PAUSE NAME…
 *
 * Sends KILLS times SIGKILL to the worker of a random one, with up to twice PAUSE milliseconds between them. The time is from the worker's death to
 * the first call that its successor has answered, as its counters tell; it is not measured where the daemon itself was away meanwhile, or where nobody
 * called. A sandbox that isn't answered for WAIT_SECONDS makes the exit status 1.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "fd.h"
#include "sys.h"

#define WAIT_SECONDS 30
#define LOOK_NSEC 300000

struct state {
        uint32_t worker, workers;
        uint64_t answered;
};

static sd_bus *bus;

static uint64_t now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

static void rest(uint64_t nsec) {
        nanosleep(&(struct timespec) { .tv_sec = nsec / 1000000000, .tv_nsec = nsec % 1000000000 }, NULL);
}

static int read_answered(const char *path, uint64_t *ret) {
        sd_bus_message *reply = NULL;
        const char *name;
        uint64_t value;
        int r = sd_bus_get_property(bus, NULL, path, CONTROL_SANDBOX, "Counters", NULL, &reply, "a{st}");

        *ret = 0;
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "{st}");
        while (r >= 0 && (r = sd_bus_message_read(reply, "{st}", &name, &value)) > 0)
                if (strcmp(name, "allowed") == 0 || strcmp(name, "denied") == 0)
                        *ret += value;
        sd_bus_message_unref(reply);
        return r;
}

/* False: the daemon is away; it is connected to anew by the next one. */
static bool look(const char *name, struct state *ret) {
        char socket[CONTROL_SOCKET_SIZE];
        char *path = NULL;
        int r = bus ? 0 : control_connect(&bus, socket);

        if (r >= 0)
                r = control_object(name, &path);
        if (r >= 0)
                r = sd_bus_get_property_trivial(bus, NULL, path, CONTROL_SANDBOX, "Worker", NULL, 'u', &ret->worker);
        if (r >= 0)
                r = read_answered(path, &ret->answered);
        /* Last: what has been answered before a worker was started is not its own. */
        if (r >= 0)
                r = sd_bus_get_property_trivial(bus, NULL, path, CONTROL_SANDBOX, "Workers", NULL, 'u', &ret->workers);
        free(path);
        if (r < 0)
                bus = sd_bus_close_unref(bus);
        return r >= 0;
}

/* Nanoseconds; 0: it can't be said; -1: never. */
static int64_t kill_one(const char *name) {
        struct state before, dead, after;
        uint64_t limit = now() + (uint64_t) WAIT_SECONDS * 1000000000;
        bool measured;

        while (!look(name, &before) || before.worker == 0) {
                if (now() > limit)
                        return -1;
                rest(LOOK_NSEC);
        }
        _cleanup_close_ int pidfd = sys_pidfd_open(before.worker, 0);
        if (pidfd < 0 || sys_pidfd_send_signal(pidfd, SIGKILL) < 0)
                return 0;
        (void) poll(&(struct pollfd) { .fd = pidfd, .events = POLLIN }, 1, WAIT_SECONDS * 1000);
        uint64_t died = now();
        /* Should its successor have answered by now, it is a later answer that is waited for: too much is measured, never too little. */
        measured = look(name, &dead);
        limit = died + (uint64_t) WAIT_SECONDS * 1000000000;
        for (;;) {
                bool here = look(name, &after);
                uint64_t at = now();
                measured = measured && here;
                if (here && after.workers > before.workers && after.answered > (measured ? dead.answered : before.answered))
                        return measured ? (int64_t) (at - died) : 0;
                if (at > limit) {
                        fprintf(stderr, "killer: %s: %u workers, then %u; %" PRIu64 " answered, then %" PRIu64 "\n", name, before.workers,
                                after.workers, before.answered, after.answered);
                        return -1;
                }
                rest(LOOK_NSEC);
        }
}

static int compare(const void *a, const void *b) {
        int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;

        return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
        if (argc < 4)
                return 2;
        long kills = strtol(argv[1], NULL, 10), pause = strtol(argv[2], NULL, 10);
        int64_t *times = calloc(kills + 1, sizeof(*times));
        long measured = 0;

        srand(time(NULL));
        for (long i = 0; i < kills; i++) {
                int64_t t = kill_one(argv[3 + rand() % (argc - 3)]);
                if (t < 0)
                        return 1;
                if (t > 0)
                        times[measured++] = t;
                rest((uint64_t) (rand() % (2 * pause + 1)) * 1000000);
        }
        qsort(times, measured, sizeof(*times), compare);
        if (measured > 0)
                printf("kills %ld measured %ld median %.1f most %.1f\n", kills, measured, times[measured / 2] / 1e6,
                       times[measured - 1] / 1e6);
        free(times);
        sd_bus_close_unref(bus);
        return 0;
}
