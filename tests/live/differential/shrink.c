/*
 * Comparing one sequence, finding which of its calls are needed for the difference, and showing it.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "differential.h"

#define LINES_SHOWN 12 /* of each tree */

struct one {
        struct fuzz *fuzz;
        struct side *side;
        uint64_t seed;
        const bool *keep;
        char *text;
        char error[512];
};

void outcome_done(struct outcome *o) {
        for (size_t i = 0; i < 2; i++) {
                free(o->texts[i]);
                o->texts[i] = NULL;
        }
}

static void *run_one(void *userdata) {
        struct one *one = userdata;

        one->text = side_run(one->side, one->seed, one->fuzz->options, one->keep, one->error, sizeof(one->error));
        if (one->text)
                return NULL;
        one->text = strdup(one->error);
        side_stop(one->side);
        if (side_start(one->side) < 0)
                abort();
        return NULL;
}

bool both_run(struct fuzz *fuzz, uint64_t seed, const bool *keep, struct outcome *ret) {
        struct one ones[2];
        pthread_t thread;

        for (size_t i = 0; i < 2; i++)
                ones[i] = (struct one) { .fuzz = fuzz, .side = &fuzz->sides[i], .seed = seed, .keep = keep };
        if (pthread_create(&thread, NULL, run_one, &ones[1]) != 0)
                abort();
        run_one(&ones[0]);
        pthread_join(thread, NULL);
        for (size_t i = 0; i < 2; i++)
                ret->texts[i] = ones[i].text;
        return strcmp(ones[0].text, ones[1].text) != 0;
}

/* More than once, since what a race decides may come out either way. */
static bool still_differs(struct fuzz *fuzz, uint64_t seed, const bool *keep) {
        for (int i = 0; i < 2; i++) {
                struct outcome o;
                bool differs = both_run(fuzz, seed, keep, &o);
                outcome_done(&o);
                if (differs)
                        return true;
        }
        return false;
}

void shrink(struct fuzz *fuzz, uint64_t seed, bool keep[CALLS_MAX]) {
        for (size_t step = CALLS_MAX / 2; step > 0;) {
                bool less = false;
                for (size_t from = 0; from < CALLS_MAX; from += step) {
                        bool without[CALLS_MAX], any = false;
                        memcpy(without, keep, sizeof(without));
                        for (size_t i = from; i < from + step && i < CALLS_MAX; i++) {
                                any = any || without[i];
                                without[i] = false;
                        }
                        if (any && still_differs(fuzz, seed, without)) {
                                memcpy(keep, without, sizeof(without));
                                less = true;
                        }
                }
                if (step > 1)
                        step /= 2;
                else if (!less)
                        break;
        }
}

/* ---- Showing it ---- */

/* The line that begins with the call's number, up to its end; its length, 0 where there is none. */
static size_t line_of(const char *text, unsigned index, const char **ret) {
        for (const char *p = text; *p && *p != '\n'; p += strcspn(p, "\n"), p += *p == '\n') {
                char *end;
                if (strtoul(p, &end, 10) == index && end > p && *end == ' ') {
                        *ret = end;
                        return strcspn(end, "\n");
                }
        }
        *ret = "";
        return 0;
}

static bool has_line(const char *text, const char *line, size_t length) {
        for (const char *p = text; *p;) {
                size_t n = strcspn(p, "\n");
                if (n == length && memcmp(p, line, n) == 0)
                        return true;
                p += n + (p[n] == '\n');
        }
        return false;
}

static void only_here(struct text *t, const char *name, const char *text, const char *other) {
        unsigned shown = 0;

        for (const char *p = text; *p;) {
                size_t n = strcspn(p, "\n");
                if (n > 0 && !has_line(other, p, n) && shown++ < LINES_SHOWN)
                        text_add(t, "    %s: %.*s\n", name, n > 400 ? 400 : (int) n, p);
                p += n + (p[n] == '\n');
        }
}

static const char *tree_of(const char *text) {
        const char *p = strstr(text, "\n\n");

        return p ? p + 2 : "";
}

static void print_tasks(struct text *t, const struct sequence *s) {
        static const char *const sharings[] = { "a process", "a process with CLONE_FS",   "a process with CLONE_FILES",
                                                "a thread",  "a thread without CLONE_FS", "a thread without CLONE_FILES" };

        for (size_t i = 1; i < s->n_tasks; i++)
                text_add(t, "    task %zu is %s\n", i, sharings[s->sharing[i]]);
}

void difference_print(struct fuzz *fuzz, uint64_t seed, const bool *keep, const struct outcome *o) {
        const struct side *sides = fuzz->sides;
        struct text t = { .data = malloc(4 << 20), .room = 4 << 20 };
        struct sequence s = {};
        const char *lines[2];
        size_t sizes[2];

        sequence_make(&s, seed, fuzz->options, sides[0].work, keep);
        text_add(&t, "seed %llu%s, variant %u\n", (unsigned long long) seed, fuzz->options & OPTION_IDS ? " with ids" : "", s.variant);
        print_tasks(&t, &s);
        for (size_t i = 0; i < s.n; i++) {
                text_add(&t, "  ");
                call_print(&t, &s, &s.calls[i]);
                for (size_t j = 0; j < 2; j++)
                        sizes[j] = line_of(o->texts[j], s.calls[i].index, &lines[j]);
                if (sizes[0] == sizes[1] && memcmp(lines[0], lines[1], sizes[0]) == 0)
                        text_add(&t, "%.*s\n", (int) sizes[0], lines[0]);
                else
                        for (size_t j = 0; j < 2; j++)
                                text_add(&t, "%s        %s: %.*s\n", j ? "" : "\n", sides[j].name, (int) sizes[j], lines[j]);
        }
        if (strcmp(tree_of(o->texts[0]), tree_of(o->texts[1])) != 0) {
                text_add(&t, "  the trees at the end:\n");
                only_here(&t, sides[0].name, tree_of(o->texts[0]), tree_of(o->texts[1]));
                only_here(&t, sides[1].name, tree_of(o->texts[1]), tree_of(o->texts[0]));
        }
        if (s.n == 0 || strncmp(o->texts[0], "start", 5) != 0 || strncmp(o->texts[1], "start", 5) != 0)
                for (size_t j = 0; j < 2; j++)
                        text_add(&t, "    %s: %.*s\n", sides[j].name, (int) strcspn(o->texts[j], "\n"), o->texts[j]);
        fwrite(t.data, 1, t.size, stdout);
        fflush(stdout);
        free(t.data);
        sequence_done(&s);
}
