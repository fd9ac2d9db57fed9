/*
 * Many sequences: both sides run a batch each by themselves, then the batches are compared.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "differential.h"

#define BATCH 32

struct batch {
        struct fuzz *fuzz;
        struct side *side;
        uint64_t first;
        unsigned n;
        char *texts[BATCH];
};

static double seconds_now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void *run_batch(void *userdata) {
        struct batch *b = userdata;
        char error[512];

        for (unsigned i = 0; i < b->n; i++) {
                b->texts[i] = side_run(b->side, b->first + i, b->fuzz->options, NULL, error, sizeof(error));
                if (b->texts[i])
                        continue;
                b->texts[i] = strdup(error);
                side_stop(b->side);
                if (side_start(b->side) < 0)
                        abort();
        }
        return NULL;
}

/* A sequence that differed: runs it again, and shrinks it where it differs again. */
static void report(struct fuzz *fuzz, uint64_t seed, char *texts[2]) {
        struct outcome o;
        bool keep[CALLS_MAX], differs = false;

        memset(keep, true, sizeof(keep));
        for (int i = 0; i < 3 && !differs; i++) {
                differs = both_run(fuzz, seed, NULL, &o);
                if (!differs)
                        outcome_done(&o);
        }
        if (!differs) {
                o = (struct outcome) { { texts[0], texts[1] } };
                printf("DIFFERENT, but not again in three more runs:\n");
                difference_print(fuzz, seed, NULL, &o);
                return;
        }
        outcome_done(&o);
        shrink(fuzz, seed, keep);
        for (int i = 0; i < 10; i++) {
                if (both_run(fuzz, seed, keep, &o)) {
                        printf("DIFFERENT:\n");
                        difference_print(fuzz, seed, keep, &o);
                        outcome_done(&o);
                        return;
                }
                outcome_done(&o);
        }
        printf("DIFFERENT, but no longer when shrunk: seed %llu\n", (unsigned long long) seed);
}

static unsigned compare(struct fuzz *fuzz, struct batch batches[2]) {
        unsigned differences = 0;

        for (unsigned i = 0; i < batches[0].n; i++) {
                char *texts[2] = { batches[0].texts[i], batches[1].texts[i] };
                if (fuzz->show) {
                        struct outcome o = { { texts[0], texts[1] } };
                        difference_print(fuzz, batches[0].first + i, NULL, &o);
                }
                if (strcmp(texts[0], texts[1]) != 0) {
                        differences++;
                        report(fuzz, batches[0].first + i, texts);
                }
                free(texts[0]);
                free(texts[1]);
        }
        return differences;
}

int fuzz_run(struct fuzz *fuzz) {
        double start = seconds_now();
        uint64_t done = 0, differences = 0;

        while ((fuzz->endless || done < fuzz->count) && (!fuzz->seconds || seconds_now() - start < fuzz->seconds)) {
                struct batch batches[2];
                pthread_t thread;
                unsigned n = fuzz->endless || fuzz->count - done > BATCH ? BATCH : (unsigned) (fuzz->count - done);
                for (size_t i = 0; i < 2; i++)
                        batches[i] = (struct batch) { .fuzz = fuzz, .side = &fuzz->sides[i], .first = fuzz->first + done, .n = n };
                if (pthread_create(&thread, NULL, run_batch, &batches[1]) != 0)
                        abort();
                run_batch(&batches[0]);
                pthread_join(thread, NULL);
                differences += compare(fuzz, batches);
                done += n;
        }
        double took = seconds_now() - start;
        printf("%llu sequences from seed %llu on%s, %llu differ; %.1f s, %.0f a second; waited for the %s %.2f ms, for the %s %.2f ms "
               "each\n",
               (unsigned long long) done, (unsigned long long) fuzz->first, fuzz->options & OPTION_IDS ? " with ids" : "",
               (unsigned long long) differences, took, (double) done / took, fuzz->sides[0].name,
               (double) fuzz->sides[0].nanoseconds / 1e6 / (double) done, fuzz->sides[1].name,
               (double) fuzz->sides[1].nanoseconds / 1e6 / (double) done);
        return differences > 0;
}

int fuzz_replay(struct fuzz *fuzz, uint64_t seed) {
        struct outcome o;
        bool differs = both_run(fuzz, seed, NULL, &o);

        difference_print(fuzz, seed, NULL, &o);
        printf("%s\n", differs ? "DIFFERENT" : "the same");
        outcome_done(&o);
        return differs;
}
