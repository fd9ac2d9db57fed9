/*
 * A sequence from its seed. All of it is made whatever is left out, so that what stays is the same.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "differential.h"

#define FILE_CALLS_MIN 30
#define STRINGS (4U << 20)

char *sequence_alloc(struct sequence *s, size_t size) {
        char *result = s->strings + s->used;

        size = (size + 15) & ~(size_t) 15;
        if (s->used + size > STRINGS) {
                fprintf(stderr, "differential: the sequence's strings don't fit\n");
                abort();
        }
        s->used += size;
        return result;
}

static bool is_wanted(const struct operation *operation, unsigned options) {
        return !(operation->flags & IDENTITY) || (options & OPTION_IDS);
}

static const struct operation *choose(struct random *r, unsigned options, bool *deep) {
        unsigned total = 0, at;

        for (size_t i = 0; i < n_operations; i++)
                if (is_wanted(&operations[i], options))
                        total += operations[i].weight;
        at = random_below(r, total);
        for (size_t i = 0;; i++) {
                if (!is_wanted(&operations[i], options))
                        continue;
                if (at < operations[i].weight) {
                        /* Once: the broker knows no place whose path is longer than PATH_MAX. */
                        if (operations[i].nr == DO_DEEP && *deep)
                                return &operations[0];
                        *deep = *deep || operations[i].nr == DO_DEEP;
                        return &operations[i];
                }
                at -= operations[i].weight;
        }
}

/* What has a reason to differ. */
static void leave_out(const struct sequence *s, const struct call *call, struct arg *arg) {
        struct open_how *how = (struct open_how *) arg->bytes;
        bool elsewhere = call->outside || call->proc;

        /* What may neither be read nor written to can be opened on a read-only mount; the rules know no such opening. The view's own root belongs
         * to who runs, the host's doesn't. Where mounts begin is different. */
        if (arg->kind == OPEN_FLAGS && elsewhere)
                arg->value &= ~(int64_t) (O_NOATIME | ((arg->value & O_ACCMODE) == O_ACCMODE));
        if (arg->kind == HOW && elsewhere) {
                how->flags &= ~(uint64_t) (O_NOATIME | ((how->flags & O_ACCMODE) == O_ACCMODE));
                how->resolve &= ~(uint64_t) RESOLVE_NO_XDEV;
        }
        /* Only a tmpfs of its own is another mount on both sides. */
        if (arg->kind == HOW && (s->options & OPTION_REUSED))
                how->resolve &= ~(uint64_t) RESOLVE_NO_XDEV;
        /* The kernel lets a descriptor be linked by who has the very credentials that it was opened with: the opener, and its threads. Of a
         * descriptor that the broker opened nobody can tell. */
        bool opener = call->task == 0 || s->sharing[call->task] >= THREAD;
        if (arg->kind == LINK_FLAGS && (!opener || (s->options & OPTION_IDS) || (uint32_t) call->args[0].value < 3))
                arg->value &= ~(int64_t) AT_EMPTY_PATH;
}

static void call_make_one(struct sequence *s, struct random *r, const struct operation *operation, struct call *call) {
        *call = (struct call) { .operation = operation, .task = s->n_tasks > 1 ? random_below(r, s->n_tasks) : 0 };
        for (unsigned i = 0; i < ARGS_MAX && operation->args[i] != NONE; i++) {
                call->args[i].kind = operation->args[i];
                value_make(s, r, call, i);
        }
        for (unsigned i = 0; i < ARGS_MAX && operation->args[i] != NONE; i++)
                leave_out(s, call, &call->args[i]);
}

static const struct operation *by_name(const char *name) {
        for (size_t i = 0;; i++)
                if (strcmp(operations[i].name, name) == 0)
                        return &operations[i];
}

bool share_files(const struct sequence *s, unsigned a, unsigned b) {
        static const bool with_first[] = { [OWN_BUT_FILES] = true, [THREAD] = true, [THREAD_BUT_FS] = true, [N_SHARINGS] = false };

        return a == b || ((a == 0 || with_first[s->sharing[a]]) && (b == 0 || with_first[s->sharing[b]]));
}

/* Two tasks that open a FIFO's two ends, each waiting for the other. */
static void make_pair(struct sequence *s, struct random *r, struct call *first, struct call *second) {
        static const char *const fifos[] = { "p", "a/p2", "sticky/p", "./p", "ldir/p2" };
        const char *path = RANDOM_PICK(r, fifos);
        int64_t reads = random_below(r, 2);

        for (int i = 0; i < 2; i++) {
                struct call *call = i ? second : first;
                call_make_one(s, r, by_name("open"), call);
                call->args[0] = (struct arg) { .kind = PATH, .bytes = sequence_alloc(s, 16), .size = strlen(path) + 1 };
                strcpy(call->args[0].bytes, path);
                call->args[1].value = (i ^ reads) | (random_chance(r, 50) ? 02000000 : 0);
                call->outside = call->proc = false;
        }
        first->background = true;
        /* Now and then nobody comes, and a signal ends the wait. */
        if (random_chance(r, 20)) {
                first->background = false;
                call_make_one(s, r, by_name("access"), second);
        }
}

static void set_path(struct sequence *s, struct arg *arg, const char *path) {
        *arg = (struct arg) { .kind = arg->kind, .bytes = sequence_alloc(s, strlen(path) + 1), .size = strlen(path) + 1 };
        strcpy(arg->bytes, path);
}

/* A file without a name gets one. */
static void make_link(struct sequence *s, struct random *r, struct call *first, struct call *second) {
        static const char *const folders[] = { ".", "a", "e2", "acl", "setgid", "ldir" };
        static const char *const names[] = { "n0", "a/n1", "e2/n2", "acl/n0", "setgid/n3", "sticky/n1", "a/f1", "d555/n0" };
        static const char *const links[] = { "/proc/self/fd/3", "/proc/self/fd/4", "/dev/fd/3", "/proc/thread-self/fd/3" };

        call_make_one(s, r, by_name("open"), first);
        set_path(s, &first->args[0], RANDOM_PICK(r, folders));
        first->args[1].value = O_TMPFILE | O_RDWR | (random_chance(r, 20) ? O_EXCL : 0);
        call_make_one(s, r, by_name("linkat"), second);
        set_path(s, &second->args[1], RANDOM_PICK(r, links));
        set_path(s, &second->args[3], RANDOM_PICK(r, names));
        second->args[2].value = AT_FDCWD;
        second->args[4].value = AT_SYMLINK_FOLLOW;
        first->outside = first->proc = second->outside = second->proc = false;
        second->task = first->task;
}

static bool makes_fifo(const struct call *call) {
        for (unsigned i = 0; i < ARGS_MAX; i++)
                if (call->args[i].kind == NODE_MODE && (call->args[i].value & S_IFMT) == S_IFIFO)
                        return true;
        return false;
}

/* One or two calls; returns how many. */
static size_t make_next(struct sequence *s, struct random *r, struct call calls[2], bool *deep) {
        if (random_chance(r, 2)) {
                make_link(s, r, &calls[0], &calls[1]);
                return 2;
        }
        if (s->n_tasks > 1 && !(s->variant & VARIANT_FIFOS_OPEN) && random_chance(r, 4)) {
                make_pair(s, r, &calls[0], &calls[1]);
                return 2;
        }
        call_make_one(s, r, choose(r, s->options, deep), &calls[0]);
        return 1;
}

static bool is_file_call(const struct call *call) {
        return !(call->operation->flags & IDENTITY) && call->operation->nr != DO_LIMIT && call->operation->nr != SYS_umask;
}

void sequence_make(struct sequence *s, uint64_t seed, unsigned options, const char *work, const bool *keep) {
        struct random r = { seed };
        char *strings = s->strings;
        bool deep = false;
        size_t wanted;

        *s = (struct sequence) { .seed = seed, .options = options, .work = work, .strings = strings ?: malloc(STRINGS), .n_tasks = 1 };
        if (!s->strings)
                abort();
        s->variant = (random_chance(&r, 92) ? VARIANT_FIFOS_OPEN : 0) | (random_chance(&r, 10) ? VARIANT_MANY : 0) |
                     (random_chance(&r, 20) ? VARIANT_CHAIN : 0);
        s->fifos = !(s->variant & VARIANT_FIFOS_OPEN);
        if (random_chance(&r, 34))
                s->n_tasks = 2 + random_below(&r, TASKS_MAX - 1);
        for (size_t i = 1; i < s->n_tasks; i++)
                s->sharing[i] = random_below(&r, N_SHARINGS);
        wanted = FILE_CALLS_MIN + random_below(&r, 10);
        for (size_t i = 0, file_calls = 0; file_calls < wanted && i + 2 < CALLS_MAX;) {
                struct call calls[2];
                size_t n = make_next(s, &r, calls, &deep);
                for (size_t j = 0; j < n; j++, i++) {
                        calls[j].index = i;
                        file_calls += is_file_call(&calls[j]);
                        s->fifos = s->fifos || makes_fifo(&calls[j]);
                        s->limited = s->limited || calls[j].operation->nr == DO_LIMIT;
                        if (!keep || keep[i])
                                s->calls[s->n++] = calls[j];
                }
        }
}

void sequence_done(struct sequence *s) {
        free(s->strings);
        s->strings = NULL;
}
