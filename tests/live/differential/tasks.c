/*
 * The tasks of a sequence, and who of them is to make the next call. The scheduler (the program that stays) forks the first task, which
 * makes the others; each waits in its slot until it is told the number of a call. One at a time, but for a call in the background, which may wait
 * for the next one; what was made is written down only when nobody else acts.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "differential.h"

#define TEXT_ROOM (256U << 10)
#define STACK (256U << 10)
#define MILLISECOND 1000000L

/* How long the opening of a FIFO is left alone before a signal interrupts it. Where somebody has come to the other end, long enough for a busy
 * machine: a call that the broker hasn't received yet is interrupted as well. And any other call, before that is called a hang. */
#define PATIENCE (200 * MILLISECOND)
#define PATIENCE_MEETING (20000 * MILLISECOND)
#define INTERVAL (20 * MILLISECOND)
#define HANG (25000 * MILLISECOND)

enum { IDLE, BEGIN, SPAWN, MAKE, MAKE_ONLY, RECORD };

struct slot {
        _Atomic uint32_t state;
        _Atomic unsigned what; /* number of a task, or of a call, */
        unsigned end;          /* with those after it up to this one */
        pid_t tgid, tid;
        struct prepared prepared;
        struct text text;
};

static struct shared {
        struct slot slots[TASKS_MAX];
        struct numbers *numbers;
} * shared;

static const struct sequence *sequence;
static dev_t device;

static void futex_wait(_Atomic uint32_t *word, uint32_t value, const struct timespec *timeout) {
        SYS(SYS_futex, word, FUTEX_WAIT, value, timeout, NULL, 0);
}

static void set_state(struct slot *slot, uint32_t state) {
        atomic_store(&slot->state, state);
        SYS(SYS_futex, &slot->state, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* ---- A task ---- */

static int task_main(void *userdata);

static int spawn(unsigned task) {
        static const int flags[] = {
                [OWN] = SIGCHLD,
                [OWN_BUT_FS] = SIGCHLD | CLONE_FS,
                [OWN_BUT_FILES] = SIGCHLD | CLONE_FILES,
                [THREAD] = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
                [THREAD_BUT_FS] = CLONE_VM | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
                [THREAD_BUT_FILES] = CLONE_VM | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
        };
        static char stacks[TASKS_MAX][STACK] __attribute__((aligned(64)));

        int flag = flags[sequence->sharing[task]];
        int pid = clone(task_main, stacks[task] + STACK, flag, (void *) (uintptr_t) task);

        /* The task does this as well, but may not have come to it when all are to end. */
        if (pid >= 0)
                shared->slots[task].tgid = flag & CLONE_THREAD ? (pid_t) SYS(SYS_getpid) : pid;
        return pid;
}

static void act(struct slot *slot, struct memory *memory, uint32_t state) {
        struct record record = {
                .text = &slot->text,
                .numbers = shared->numbers,
                .work = sequence->work,
                .device = device,
                .limited = sequence->limited,
                .inodes_count = !(sequence->options & OPTION_REUSED),
                .tgid = slot->tgid,
                .tid = slot->tid,
        };
        slot->text.size = 0;
        slot->text.full = false;
        switch (state) {
        case BEGIN: open_first(&record, sequence->work); break;
        case SPAWN:
                if (spawn(slot->what) < 0)
                        text_add(&slot->text, "clone: %s\n", errno_name(errno));
                break;
        case MAKE:
                for (; slot->what < slot->end; slot->what++) {
                        const struct call *call = &sequence->calls[slot->what];
                        call_prepare(memory, call, &slot->prepared);
                        call_make(sequence, call, &slot->prepared);
                        call_record(&record, call, &slot->prepared);
                }
                break;
        case MAKE_ONLY:
                call_prepare(memory, &sequence->calls[slot->what], &slot->prepared);
                call_make(sequence, &sequence->calls[slot->what], &slot->prepared);
                break;
        case RECORD: call_record(&record, &sequence->calls[slot->what], &slot->prepared); break;
        }
}

static int task_main(void *userdata) {
        unsigned task = (uintptr_t) userdata;
        struct slot *slot = &shared->slots[task];
        struct memory *memory = memory_map(task);

        slot->tgid = (pid_t) SYS(SYS_getpid);
        slot->tid = (pid_t) SYS(SYS_gettid);
        for (;;) {
                uint32_t state = atomic_load(&slot->state);
                if (state == IDLE)
                        futex_wait(&slot->state, IDLE, NULL);
                else {
                        act(slot, memory, state);
                        set_state(slot, IDLE);
                }
        }
        return 0;
}

/* ---- The scheduler ---- */

static uint64_t now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

/* 0, or -ETIMEDOUT. */
static int wait_idle(struct slot *slot, uint64_t patience) {
        uint64_t start = now();

        for (;;) {
                uint32_t state = atomic_load(&slot->state);
                if (state == IDLE)
                        return 0;
                const struct timespec step = { .tv_nsec = INTERVAL };
                futex_wait(&slot->state, state, &step);
                if (atomic_load(&slot->state) == IDLE)
                        return 0;
                uint64_t since = atomic_load(&slot->prepared.fifo_since);
                if (since && now() - since >= patience)
                        SYS(SYS_tgkill, slot->tgid, slot->tid, SIGUSR1);
                if (now() - start >= HANG)
                        return -ETIMEDOUT;
        }
}

static int command(unsigned task, uint32_t state, unsigned what, unsigned end) {
        struct slot *slot = &shared->slots[task];

        slot->what = what;
        slot->end = end;
        set_state(slot, state);
        return wait_idle(slot, PATIENCE);
}

static void take(struct text *to, const struct slot *slot) {
        if (slot->text.size)
                text_add(to, "%s%s", slot->text.data, slot->text.full ? "(full)\n" : "");
}

static int start_tasks(const struct sequence *s, struct text *text) {
        pid_t pid = fork();

        if (pid < 0)
                return -errno;
        if (pid == 0)
                task_main(NULL);
        int r = command(0, BEGIN, 0, 0);
        take(text, &shared->slots[0]);
        for (unsigned i = 1; r >= 0 && i < s->n_tasks; i++) {
                r = command(0, SPAWN, i, 0);
                take(text, &shared->slots[0]);
        }
        return r;
}

static int finish_background(const struct sequence *s, struct text *text, int *background, bool met) {
        const struct call *call = &s->calls[*background];
        int r = 0;

        if (*background < 0)
                return 0;
        r = wait_idle(&shared->slots[call->task], met ? PATIENCE_MEETING : PATIENCE);
        if (r >= 0)
                r = command(call->task, RECORD, *background, 0);
        if (r >= 0)
                take(text, &shared->slots[call->task]);
        *background = -1;
        return r;
}

/* How many calls from `i` on one task makes without anybody else. */
static size_t run_of(const struct sequence *s, size_t i) {
        size_t n = 1;

        while (i + n < s->n && s->calls[i + n].task == s->calls[i].task && !s->calls[i + n].background)
                n++;
        return n;
}

static int run_calls(const struct sequence *s, struct text *text) {
        int background = -1, r = 0;

        for (size_t i = 0, n = 1; r >= 0 && i < s->n; i += n) {
                const struct call *call = &s->calls[i];
                struct slot *slot = &shared->slots[call->task];
                n = 1;
                if (call->background && i + 1 < s->n && !share_files(s, s->calls[i + 1].task, call->task) && background < 0) {
                        slot->what = i;
                        set_state(slot, MAKE_ONLY);
                        background = i;
                        continue;
                }
                if (background < 0)
                        n = run_of(s, i);
                else if (s->calls[background].task == call->task)
                        r = finish_background(s, text, &background, false);
                if (r >= 0)
                        r = command(call->task, MAKE, i, i + n);
                take(text, slot);
                if (r < 0)
                        text_add(text, "%u HANGS\n", s->calls[slot->what].index);
                else
                        r = finish_background(s, text, &background, slot->prepared.result >= 0);
        }
        return r;
}

static void end_tasks(void) {
        for (size_t i = 0; i < TASKS_MAX; i++)
                if (shared->slots[i].tgid > 0)
                        SYS(SYS_kill, shared->slots[i].tgid, SIGKILL);
        while (SYS(SYS_wait4, -1, NULL, 0x40000000 /* __WALL */, NULL) != -ECHILD)
                ;
}

static void *map_shared(size_t size) {
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (p == MAP_FAILED) {
                perror("differential: mmap");
                abort();
        }
        return p;
}

int tasks_prepare(void) {
        shared = map_shared(sizeof(*shared));
        shared->numbers = map_shared(numbers_size());
        for (size_t i = 0; i < TASKS_MAX; i++)
                shared->slots[i].text = (struct text) { .data = map_shared(TEXT_ROOM), .room = TEXT_ROOM };
        for (unsigned i = 0; i < TASKS_MAX; i++)
                memory_map(i);
        signals_set();
        return prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ? -errno : 0;
}

int tasks_run(const struct sequence *s, struct text *text) {
        struct stat st;

        for (size_t i = 0; i < TASKS_MAX; i++) {
                atomic_store(&shared->slots[i].state, IDLE);
                shared->slots[i].tgid = 0;
        }
        memset(shared->numbers, 0, numbers_size());
        sequence = s;
        device = stat(s->work, &st) >= 0 ? st.st_dev : 0;
        int r = start_tasks(s, text);
        if (r >= 0)
                r = run_calls(s, text);
        end_tasks();
        return r;
}
