/*
 * Calls that block: signals, death, and as many at once as there are.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "fd.h"
#include "handlers.h"

static char folder[64];

static void make_fifo(struct rig *rig) {
        strcpy(folder, "/tmp/broker-fifo-XXXXXX");
        EXPECT(mkdtemp(folder) && chmod(folder, 0755) == 0 && chdir(folder) == 0);
        for (int i = 0; i < 64; i++) {
                char name[16];
                snprintf(name, sizeof(name), "f%d", i);
                EXPECT(mkfifo(name, 0666) == 0);
        }
        rig->no_capabilities = true;
}

static void remove_fifo(struct rig *rig) {
        (void) rig;
        for (int i = 0; i < 64; i++) {
                char name[16];
                snprintf(name, sizeof(name), "f%d", i);
                unlink(name);
        }
        EXPECT(chdir("/") == 0 && rmdir(folder) == 0);
}

static int open_fifo(int i, int flags) {
        char name[16];

        snprintf(name, sizeof(name), "f%d", i);
        return BROKERED(__NR_openat, AT_FDCWD, name, flags, 0, 0);
}

static void nap(int msec) {
        struct timespec time = { .tv_sec = msec / 1000, .tv_nsec = msec % 1000 * 1000000L };

        nanosleep(&time, NULL);
}

static _Atomic int handled;

static void on_signal(int signal) {
        (void) signal;
        handled++;
}

static void handle(int signal, int flags) {
        struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

        EXPECT(sigaction(signal, &action, NULL) == 0);
}

/* Sends this process a signal, and opens the other end of a FIFO, after a while each. -1: never. */
static pid_t later(int signal, int signal_msec, int fifo, int fifo_msec) {
        pid_t parent = getpid(), pid = rig_fork();

        if (pid == 0) {
                char name[16];
                if (signal_msec >= 0) {
                        nap(signal_msec);
                        kill(parent, signal);
                }
                if (fifo_msec >= 0) {
                        nap(fifo_msec);
                        snprintf(name, sizeof(name), "f%d", fifo);
                        int fd = open(name, O_WRONLY);
                        _exit(fd < 0 || write(fd, "x", 1) != 1);
                }
                _exit(0);
        }
        return pid;
}

static void reap(pid_t pid) {
        int status;

        EXPECT_EQ(waitpid(pid, &status, 0), pid);
        EXPECT_EQ(status, 0);
}

static int body_interrupted(void) {
        handle(SIGUSR1, 0);
        for (int i = 0; i < 10; i++) {
                pid_t pid = later(SIGUSR1, 10 + i, 0, -1);
                EXPECT_EQ(open_fifo(0, O_RDONLY), -EINTR);
                EXPECT_EQ(handled, i + 1);
                reap(pid);
        }
        return 0;
}

static int body_restarted(void) {
        char c = 0;

        handle(SIGUSR1, SA_RESTART);
        pid_t pid = later(SIGUSR1, 20, 0, 60);
        int fd = open_fifo(0, O_RDONLY);
        EXPECT(fd >= 0);
        EXPECT_EQ(handled, 1);
        EXPECT(read(fd, &c, 1) == 1 && c == 'x');
        reap(pid);
        return 0;
}

static void check_restarted(struct rig *rig) {
        remove_fifo(rig);
        EXPECT_EQ(rig->shared->counters.notified, 2);
        EXPECT_EQ(rig->shared->counters.blocked, 2);
}

/* A blocked signal doesn't end the call, and stays pending. */
static int body_masked(void) {
        sigset_t set, pending;

        handle(SIGUSR1, 0);
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigprocmask(SIG_BLOCK, &set, NULL);
        pid_t pid = later(SIGUSR1, 10, 0, 60);
        int fd = open_fifo(0, O_RDONLY);
        EXPECT(fd >= 0);
        EXPECT_EQ(handled, 0);
        sigpending(&pending);
        EXPECT(sigismember(&pending, SIGUSR1));
        reap(pid);
        return 0;
}

static int body_stopped(void) {
        pid_t me = getpid(), pid = rig_fork();
        char c;

        if (pid == 0) {
                nap(20);
                kill(me, SIGSTOP);
                nap(60);
                kill(me, SIGCONT);
                nap(30);
                int fd = open("f0", O_WRONLY);
                _exit(fd < 0 || write(fd, "x", 1) != 1);
        }
        int fd = open_fifo(0, O_RDONLY);
        EXPECT(fd >= 0 && read(fd, &c, 1) == 1);
        reap(pid);
        return 0;
}

/* Killed while it waits: the thread that waited for it is free again. */
static int body_killed(void) {
        for (int i = 0; i < 30; i++) {
                pid_t pid = rig_fork();
                if (pid == 0)
                        _exit(open_fifo(0, O_RDONLY) >= 0);
                while (rig_shared->counters.blocked <= (unsigned) i)
                        nap(1);
                nap(i % 7);
                EXPECT(kill(pid, SIGKILL) == 0);
                EXPECT_EQ(waitpid(pid, NULL, 0), pid);
        }
        EXPECT_EQ(ASK(ANSWER_VALUE, 5), 5);
        nap(100);
        /* Nobody of the worker's holds the FIFO. */
        EXPECT_EQ(open("f0", O_WRONLY | O_NONBLOCK), -1);
        EXPECT_EQ(errno, ENXIO);
        return 0;
}

static void check_killed(struct rig *rig) {
        remove_fifo(rig);
        EXPECT_EQ(rig->shared->counters.blocked, 30);
        /* One that is seen to have a SIGKILL pending, but isn't dead yet, is answered. */
        EXPECT(rig->shared->counters.gone >= 20);
        EXPECT_EQ(rig->shared->counters.failed, 0);
}

static int body_meeting(void) {
        enum { PAIRS = 16 };
        pid_t pids[PAIRS * 2];

        for (int i = 0; i < PAIRS * 2; i++) {
                pids[i] = rig_fork();
                if (pids[i] == 0) {
                        char c = 0;
                        /* All readers wait before the first writer comes. */
                        if (i >= PAIRS)
                                nap(100);
                        int fd = open_fifo(i % PAIRS, i < PAIRS ? O_RDONLY : O_WRONLY);
                        if (fd < 0)
                                _exit(1);
                        _exit(i < PAIRS ? read(fd, &c, 1) != 1 || c != 'y' : write(fd, "y", 1) != 1);
                }
        }
        nap(50);
        /* Meanwhile others are answered. */
        EXPECT_EQ(ASK(ANSWER_VALUE, 1), 1);
        for (int i = 0; i < PAIRS * 2; i++)
                reap(pids[i]);
        return 0;
}

/* At the bound on threads a call that would block is refused, and everything else goes on. */
static int body_bound(void) {
        enum { N = 12 };
        pid_t pids[N];
        int status, refused = 0;

        for (int i = 0; i < N; i++) {
                pids[i] = rig_fork();
                if (pids[i] == 0) {
                        int fd = open_fifo(i, O_RDONLY);
                        _exit(fd == -EAGAIN ? 7 : fd < 0);
                }
        }
        nap(100);
        EXPECT_EQ(ASK(ANSWER_VALUE, 1), 1);
        for (int i = 0; i < N; i++) {
                if (waitpid(pids[i], &status, WNOHANG) == pids[i]) {
                        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 7);
                        refused++;
                        continue;
                }
                char name[16];
                snprintf(name, sizeof(name), "f%d", i);
                EXPECT(open(name, O_WRONLY | O_NONBLOCK) >= 0);
                reap(pids[i]);
        }
        EXPECT_EQ(refused, N - 5);
        return 0;
}

static void few_threads(struct rig *rig) {
        make_fifo(rig);
        rig->max_threads = 6;
}

static pthread_t blocked_thread;

static void *signal_process(void *userdata) {
        (void) userdata;
        sigset_t set;
        sigfillset(&set);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        nap(20);
        kill(getpid(), SIGUSR1);
        return NULL;
}

/* A signal for the whole process, which only the blocked thread can take. Errno 512 must not be seen. */
static int body_process_signal(void) {
        handle(SIGUSR1, 0);
        EXPECT(pthread_create(&blocked_thread, NULL, signal_process, NULL) == 0);
        EXPECT_EQ(open_fifo(0, O_RDONLY), -EINTR);
        pthread_join(blocked_thread, NULL);
        EXPECT_EQ(handled, 1);
        return 0;
}

static void *take_signals(void *userdata) {
        (void) userdata;
        for (int i = 0; i < 20; i++)
                nap(10);
        return NULL;
}

/* A signal that another thread takes leaves the blocked one alone. */
static int body_other_thread(void) {
        sigset_t set;
        char c;

        handle(SIGUSR1, SA_RESTART);
        EXPECT(pthread_create(&blocked_thread, NULL, take_signals, NULL) == 0);
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        pid_t pid = later(SIGUSR1, 20, 0, 100);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        int fd = open_fifo(0, O_RDONLY);
        EXPECT(fd >= 0 && read(fd, &c, 1) == 1);
        EXPECT_EQ(handled, 1);
        pthread_join(blocked_thread, NULL);
        reap(pid);
        return 0;
}

/* Signals all the time: each open either meets its writer or says EINTR, and none says anything else. */
static int body_storm(void) {
        struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
        pid_t me = getpid();

        int lowest = dup(0);

        close(lowest);
        EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
        pid_t storm = rig_fork();
        if (storm == 0)
                for (;;) {
                        kill(me, SIGUSR1);
                        nap(1);
                }
        for (int i = 0; i < 300; i++) {
                EXPECT_EQ(ASK(ANSWER_VALUE, i), i);
                int fd = BROKERED(__NR_openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0, 0);
                EXPECT(fd >= 0);
                close(fd);
        }
        /* None was left behind by an injection that was interrupted. */
        EXPECT_EQ(dup(0), lowest);
        kill(storm, SIGKILL);
        EXPECT_EQ(waitpid(storm, NULL, 0), storm);
        return 0;
}

/* Without WAIT_KILLABLE_RECV the kernel ends the call by itself; the worker has to notice. */
static int body_old_kernel(void) {
        handle(SIGUSR1, 0);
        for (int i = 0; i < 5; i++) {
                pid_t pid = later(SIGUSR1, 20, 0, -1);
                EXPECT_EQ(open_fifo(0, O_RDONLY), -EINTR);
                reap(pid);
        }
        nap(50);
        EXPECT_EQ(open("f0", O_WRONLY | O_NONBLOCK), -1);
        return 0;
}

static void old_kernel(struct rig *rig) {
        make_fifo(rig);
        rig->not_killable = true;
}

/* ---- several listeners ---- */

/* They end one after the other, and the rest goes on; a listener with the ids of another would answer the wrong one. */
static int body_listeners(void) {
        for (unsigned i = 0; i < 200 * (rig_number + 1); i++) {
                int value = rig_number << 16 | i;
                EXPECT_EQ(ASK(ANSWER_VALUE, value), value);
                EXPECT_EQ(ASK(ANSWER_TID, 0), gettid());
        }
        return 0;
}

static void many_listeners(struct rig *rig) {
        rig->n_callers = 12;
}

static void check_listeners(struct rig *rig) {
        EXPECT_EQ(rig->shared->counters.notified, 2 * 200 * 12 * 13 / 2);
}

/* The ends are opened through two of them. */
static int body_meeting_across(void) {
        for (int i = 0; i < 100; i++) {
                int fd = open_fifo(i % 2, rig_number == (unsigned) i / 2 % 2 ? O_RDONLY : O_WRONLY);
                EXPECT(fd >= 0);
                close(fd);
        }
        return 0;
}

static void fifo_and_two(struct rig *rig) {
        make_fifo(rig);
        rig->n_callers = 2;
}

/* One listener's only thread is stuck; that of the other isn't. */
static int body_stuck_apart(void) {
        struct timespec before, after;

        if (rig_number == 0) {
                EXPECT_EQ(ASK(ANSWER_SLEEP, 900), 1);
                return 0;
        }
        nap(100);
        clock_gettime(CLOCK_MONOTONIC, &before);
        for (int i = 0; i < 50; i++)
                EXPECT_EQ(ASK(ANSWER_VALUE, i), i);
        clock_gettime(CLOCK_MONOTONIC, &after);
        EXPECT((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 < 500);
        return 0;
}

static void two_of_one_thread(struct rig *rig) {
        rig->n_callers = 2;
        rig->max_threads = 2;
}

const struct scenario blocking_scenarios[] = {
        { "several-listeners", body_listeners, check_listeners, many_listeners },
        { "fifos-meet-across", body_meeting_across, remove_fifo, fifo_and_two },
        { "stuck-apart", body_stuck_apart, NULL, two_of_one_thread },
        { "interrupted", body_interrupted, remove_fifo, make_fifo },
        { "restarted", body_restarted, check_restarted, make_fifo },
        { "masked-signal", body_masked, remove_fifo, make_fifo },
        { "stopped", body_stopped, remove_fifo, make_fifo },
        { "killed", body_killed, check_killed, make_fifo },
        { "fifos-meet", body_meeting, remove_fifo, make_fifo },
        { "thread-bound", body_bound, remove_fifo, few_threads },
        { "process-signal", body_process_signal, remove_fifo, make_fifo },
        { "other-threads-signal", body_other_thread, remove_fifo, make_fifo },
        { "signal-storm", body_storm, remove_fifo, make_fifo },
        { "without-wait-killable", body_old_kernel, remove_fifo, old_kernel },
        {},
};
