/*
 * Runs one scenario by name: 0 passed. Without a name lists them.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "handlers.h"

static int run(const struct scenario *s) {
        struct rig rig = { .claims = claims, .n_claims = n_claims, .body = s->body };

        if (s->prepare)
                s->prepare(&rig);
        if (rig_run(&rig) != 0)
                return 1;
        if (s->check)
                s->check(&rig);
        if (rig.caller_status != 0)
                fprintf(stderr, "the caller ended with %#x\n", rig.caller_status);
        if (rig.worker_status != 0 && !rig.kill_worker)
                fprintf(stderr, "the worker ended with %#x\n", rig.worker_status);
        return rig.caller_status != 0 || (rig.worker_status != 0 && !rig.kill_worker);
}

int main(int argc, char **argv) {
        const struct scenario *const lists[] = { basic_scenarios, path_scenarios, blocking_scenarios };

        alarm(50);
        for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
                for (const struct scenario *s = lists[i]; s->name; s++) {
                        if (argc < 2)
                                printf("%s\n", s->name);
                        else if (strcmp(argv[1], s->name) == 0)
                                return run(s);
                }
        return argc < 2 ? 0 : 2;
}
