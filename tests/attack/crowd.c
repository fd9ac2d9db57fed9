/*
 * crowd FOLDER CALLS MICROSECONDS restart|interrupt: four threads and eight processes make CALLS calls each, all of them the broker's, while each gets a
 * signal every so many microseconds. With SA_RESTART none ends in EINTR; without, one that does has left nothing, and is made again. What was done
 * was done once: all that is made here is made exclusively.
 *
 * The last line is for whoever compares with the broker's own count: a call that was interrupted is one that the broker never received.
 */
#include "attack.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sys/xattr.h>

enum { THREADS = 4, PROCESSES = 8, TASKS = THREADS + PROCESSES };

struct task {
        pthread_barrier_t *start;
        unsigned number, round;
        unsigned long calls, interrupted, effects;
        unsigned bad, seen;
        atomic_ulong signals;
        char file[512], link[512], renamed[512], symlink[512], folder[512], fifo[512];
};

static const char *ground;
static unsigned long wanted;
static long microseconds;
static bool restart;

static _Thread_local struct task *self;

static void on_signal(int number) {
        (void) number;
        if (self)
                atomic_fetch_add_explicit(&self->signals, 1, memory_order_relaxed);
}

__attribute__((format(printf, 2, 3))) static void held(bool so, const char *format, ...) {
        va_list ap;

        self->seen++;
        if (so)
                return;
        /* A few say enough. */
        if (self->bad++ < 5) {
                char text[1024];
                int n = snprintf(text, sizeof(text), "NOT HELD: ");
                va_start(ap, format);
                n += vsnprintf(text + n, sizeof(text) - n - 1, format, ap);
                va_end(ap);
                text[n++] = '\n';
                (void) !write(1, text, n);
        }
}

/* A call without an effect, until it isn't interrupted. */
#define LOOK(call) \
        ({ \
                long _r; \
                while (self->calls++, (_r = (long) (call)) < 0 && errno == EINTR) { \
                        self->interrupted++; \
                        held(!restart, "%s: EINTR", #call); \
                } \
                _r; \
        })

static bool there(const char *path) {
        struct stat st;

        return LOOK(lstat(path, &st)) == 0;
}

static struct stat status(const char *path) {
        struct stat st = {};

        held(LOOK(stat(path, &st)) == 0, "stat %s: %s", path, strerror(errno));
        return st;
}

static int opened(int fd) {
        if (fd < 0)
                return -1;
        held(fcntl(fd, F_GETFD) == 0, "what was opened has another number");
        close(fd);
        return 0;
}

static mode_t mode(void) {
        return 0600 | (self->round & 077);
}

static int act_create(void) {
        return opened(open(self->file, O_WRONLY | O_CREAT | O_EXCL, 0600));
}
static bool file_there(void) {
        return there(self->file);
}
static int act_chmod(void) {
        return chmod(self->file, mode() ^ 0111);
}
static bool mode_set(void) {
        return (status(self->file).st_mode & 0777) == (mode() ^ 0111);
}
static int act_times(void) {
        return utimensat(AT_FDCWD, self->file, (struct timespec[]) { { 7, 0 }, { self->round + 7, 0 } }, 0);
}
static bool times_set(void) {
        return status(self->file).st_mtime == (time_t) self->round + 7;
}
static int act_truncate(void) {
        return truncate(self->file, self->round + 1);
}
static bool size_set(void) {
        return status(self->file).st_size == (off_t) self->round + 1;
}
static int act_setxattr(void) {
        return setxattr(self->file, "user.crowd", "x", 1, XATTR_CREATE);
}
static bool attribute_there(void) {
        return LOOK(getxattr(self->file, "user.crowd", NULL, 0)) == 1;
}
static int act_removexattr(void) {
        return removexattr(self->file, "user.crowd");
}
static bool attribute_gone(void) {
        return !attribute_there();
}
static int act_link(void) {
        return link(self->file, self->link);
}
static bool link_there(void) {
        return there(self->link);
}
static int act_rename(void) {
        return renameat2(AT_FDCWD, self->file, AT_FDCWD, self->renamed, RENAME_NOREPLACE);
}
static bool renamed_there(void) {
        return there(self->renamed) && !there(self->file);
}
static int act_open(void) {
        return opened(open(self->renamed, O_RDWR | O_APPEND));
}
static int act_symlink(void) {
        return symlink("target", self->symlink);
}
static bool symlink_there(void) {
        char text[16];

        return LOOK(readlink(self->symlink, text, sizeof(text))) == 6;
}
static int act_mkdir(void) {
        return mkdir(self->folder, 0700);
}
static bool folder_there(void) {
        return there(self->folder);
}
static int act_mkfifo(void) {
        return mkfifo(self->fifo, 0600);
}
static bool fifo_there(void) {
        return there(self->fifo);
}
static int act_unlink_renamed(void) {
        return unlink(self->renamed);
}
static bool renamed_gone(void) {
        return !there(self->renamed);
}
static int act_unlink_link(void) {
        return unlink(self->link);
}
static bool link_gone(void) {
        return !there(self->link);
}
static int act_unlink_symlink(void) {
        return unlink(self->symlink);
}
static bool symlink_gone(void) {
        return !there(self->symlink);
}
static int act_rmdir(void) {
        return rmdir(self->folder);
}
static bool folder_gone(void) {
        return !there(self->folder);
}
static int act_unlink_fifo(void) {
        return unlink(self->fifo);
}
static bool fifo_gone(void) {
        return !there(self->fifo);
}

static const struct {
        const char *name;
        int (*act)(void);
        bool (*done)(void); /* NULL: it leaves nothing to be seen */
} actions[] = {
        { "open O_CREAT|O_EXCL", act_create, file_there },
        { "chmod", act_chmod, mode_set },
        { "utimensat", act_times, times_set },
        { "truncate", act_truncate, size_set },
        { "setxattr", act_setxattr, attribute_there },
        { "removexattr", act_removexattr, attribute_gone },
        { "link", act_link, link_there },
        { "renameat2", act_rename, renamed_there },
        { "open", act_open, NULL },
        { "symlink", act_symlink, symlink_there },
        { "mkdir", act_mkdir, folder_there },
        { "mkfifo", act_mkfifo, fifo_there },
        { "unlink of the file", act_unlink_renamed, renamed_gone },
        { "unlink of the link", act_unlink_link, link_gone },
        { "unlink of the symlink", act_unlink_symlink, symlink_gone },
        { "rmdir", act_rmdir, folder_gone },
        { "unlink of the FIFO", act_unlink_fifo, fifo_gone },
};

/* A second time of the same would fail, and one that was interrupted must have done nothing. */
static void act(unsigned i) {
        for (;;) {
                self->calls++;
                if (actions[i].act() == 0) {
                        self->effects++;
                        held(!actions[i].done || actions[i].done(), "%s: done, and nothing is there", actions[i].name);
                        return;
                }
                if (errno != EINTR) {
                        held(false, "%s: %s", actions[i].name, strerror(errno));
                        return;
                }
                self->interrupted++;
                held(!restart, "%s: EINTR", actions[i].name);
                held(!actions[i].done || !actions[i].done(), "%s: interrupted, and it was done", actions[i].name);
        }
}

static void name(char path[512], const char *what) {
        snprintf(path, 512, "%s/w/crowd%u-%s%u", ground, self->number, what, self->round);
}

static void run(struct task *task) {
        struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
        struct itimerspec every = { { 0, microseconds * 1000 }, { 0, microseconds * 1000 } };
        timer_t timer;

        self = task;
        event._sigev_un._tid = gettid();
        if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0)
                attack_die("timer_create");
        pthread_barrier_wait(task->start);
        timer_settime(timer, 0, &every, NULL);
        for (; self->calls < wanted; self->round++) {
                name(self->file, "file");
                name(self->link, "link");
                name(self->renamed, "renamed");
                name(self->symlink, "symlink");
                name(self->folder, "folder");
                name(self->fifo, "fifo");
                for (unsigned i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
                        act(i);
        }
        timer_delete(timer);
        self = NULL;
}

static void *run_thread(void *task) {
        run(task);
        return NULL;
}

static unsigned open_fds(void) {
        unsigned n = 0;

        for (int fd = 0; fd < 1024; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static void *shared(size_t size) {
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                attack_die("mmap");
        return p;
}

static void crowd(struct task *tasks) {
        unsigned before = open_fds();
        pthread_t threads[THREADS];
        pid_t processes[PROCESSES];

        for (unsigned i = 0; i < PROCESSES; i++)
                if ((processes[i] = fork()) == 0) {
                        run(&tasks[THREADS + i]);
                        _exit(open_fds() == before ? 0 : 1);
                }
        for (unsigned i = 0; i < THREADS; i++)
                if (pthread_create(&threads[i], NULL, run_thread, &tasks[i]) != 0)
                        attack_die("pthread_create");
        for (unsigned i = 0; i < THREADS; i++)
                pthread_join(threads[i], NULL);
        for (unsigned i = 0; i < PROCESSES; i++) {
                int code;
                waitpid(processes[i], &code, 0);
                attack_expect(code == 0, "process %u: %#x (1: a descriptor is left)", i, code);
        }
        attack_expect(open_fds() == before, "%u descriptors before, %u after", before, open_fds());
}

int main(int argc, char **argv) {
        struct task *tasks = shared(TASKS * sizeof(*tasks)), sum = {};
        pthread_barrier_t *start = shared(sizeof(*start));
        unsigned long signals = 0;
        pthread_barrierattr_t attributes;

        setvbuf(stdout, NULL, _IONBF, 0);
        if (argc != 5)
                return 2;
        ground = argv[1];
        wanted = strtoul(argv[2], NULL, 10);
        microseconds = strtol(argv[3], NULL, 10);
        restart = strcmp(argv[4], "restart") == 0;
        pthread_barrierattr_init(&attributes);
        pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        pthread_barrier_init(start, &attributes, TASKS);
        sigaction(SIGUSR1, &(struct sigaction) { .sa_handler = on_signal, .sa_flags = restart ? SA_RESTART : 0 }, NULL);
        for (unsigned i = 0; i < TASKS; i++) {
                tasks[i].start = start;
                tasks[i].number = i;
        }
        uint64_t begin = attack_now();
        crowd(tasks);
        uint64_t took = attack_now() - begin;
        for (unsigned i = 0; i < TASKS; i++) {
                attack_expect(tasks[i].calls >= wanted, "task %u made %lu calls", i, tasks[i].calls);
                attack_expect(wanted == 0 || atomic_load(&tasks[i].signals) > 0, "task %u got no signal", i);
                attack_bad += tasks[i].bad;
                attack_seen += tasks[i].seen;
                sum.calls += tasks[i].calls;
                sum.interrupted += tasks[i].interrupted;
                sum.effects += tasks[i].effects;
                signals += atomic_load(&tasks[i].signals);
        }
        printf("%s SA_RESTART: %lu calls in %lu ms, %lu with an effect, %lu signals, %lu calls interrupted (%.2f %%)\n",
               restart ? "with" : "without", sum.calls, (unsigned long) took, sum.effects, signals, sum.interrupted,
               sum.calls ? 100.0 * sum.interrupted / sum.calls : 0);
        printf("received %lu\n", sum.calls - sum.interrupted);
        attack_end();
}
