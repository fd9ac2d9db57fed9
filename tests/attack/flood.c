/*
 * flood FOLDER THREADS MILLISECONDS: as many threads as asked for make notified calls without a pause.
 */
#include "attack.h"

#include <pthread.h>

static char path[4096];
static uint64_t until;
static _Atomic unsigned long calls, failures;

static void *call(void *unused) {
        struct stat st;

        while (attack_now() < until) {
                if (stat(path, &st) < 0 || access(path, R_OK) < 0)
                        failures++;
                calls += 2;
        }
        return unused;
}

int main(int argc, char **argv) {
        pthread_t threads[256];
        int n;

        setvbuf(stdout, NULL, _IONBF, 0);
        if (argc != 4 || (n = atoi(argv[2])) > 256)
                return 2;
        snprintf(path, sizeof(path), "%s/a/file", argv[1]);
        until = attack_now() + strtoull(argv[3], NULL, 10);
        for (int i = 0; i < n; i++)
                if (pthread_create(&threads[i], NULL, call, NULL) != 0)
                        attack_die("pthread_create");
        for (int i = 0; i < n; i++)
                pthread_join(threads[i], NULL);
        attack_expect(failures == 0 && calls > 0, "%lu of %lu calls failed", failures, calls);
        attack_end();
}
