/*
 * Who floods a broker, who spins, and who is measured meanwhile; flood.bats runs it.
 *
 *   flood calls THREADS  makes brokered calls, as many as it can, with so many threads, until it is killed
 *   flood spin N         N processes that need all the time that they get, until this one is killed
 *   flood measure N      for each line of its input: makes N calls and prints the median of the time that one took, in nanoseconds
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

static void call(void) {
        struct stat st;

        if (stat("/etc/hosts", &st) < 0)
                abort();
}

static void *calls(void *userdata) {
        while (!userdata)
                call();
        return NULL;
}

static void spin(void) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        for (volatile unsigned i = 0;; i++)
                ;
}

static int compare(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return x < y ? -1 : x > y;
}

static void measure(long n) {
        uint64_t *times = calloc(n, sizeof(*times));
        char line[16];

        while (times && fgets(line, sizeof(line), stdin)) {
                for (long i = 0; i < n; i++) {
                        uint64_t before = now();
                        call();
                        times[i] = now() - before;
                }
                qsort(times, n, sizeof(*times), compare);
                printf("%lu\n", times[n / 2]);
                fflush(stdout);
        }
        free(times);
}

int main(int argc, char **argv) {
        long n = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
        pthread_t thread;

        if (n <= 0)
                return 2;
        if (strcmp(argv[1], "measure") == 0) {
                measure(n);
                return 0;
        }
        for (long i = 0; i < n; i++)
                if (strcmp(argv[1], "calls") == 0) {
                        if (pthread_create(&thread, NULL, calls, NULL) != 0)
                                return 1;
                } else if (fork() == 0)
                        spin();
        for (;;)
                pause();
}
