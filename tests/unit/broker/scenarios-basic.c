/*
 * Replies, memory, numbers, records.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "fd.h"
#include "handlers.h"

/* ---- replies ---- */

static int body_values(void) {
        EXPECT_EQ(ASK(ANSWER_VALUE, 0), 0);
        EXPECT_EQ(ASK(ANSWER_VALUE, 4711), 4711);
        EXPECT_EQ(ASK(ANSWER_VALUE, 0x7fffffffffffLL), 0x7fffffffffffLL);
        EXPECT_EQ(ASK(ANSWER_ERROR, 1), -1);
        EXPECT_EQ(ASK(ANSWER_ERROR, 4095), -4095);
        EXPECT_EQ(ASK(ANSWER_DENY, 0), -EACCES);
        EXPECT_EQ(ASK(ANSWER_PROCEED, 0), getppid());
        return 0;
}

static void check_values(struct rig *rig) {
        struct counters *c = &rig->shared->counters;

        EXPECT_EQ(c->notified, 7);
        EXPECT_EQ(c->allowed, 6);
        EXPECT_EQ(c->denied, 1);
        EXPECT_EQ(c->refused + c->failed + c->gone + c->injected, 0);
}

static int body_invalid(void) {
        EXPECT_EQ(ASK(ANSWER_VALUE, -5), -EIO);
        EXPECT_EQ(ASK(ANSWER_VALUE, -4095), -EIO);
        EXPECT_EQ(ASK(ANSWER_ERROR, 0), -EIO);
        EXPECT_EQ(ASK(ANSWER_ERROR, 4096), -EIO);
        EXPECT_EQ(ASK(ANSWER_ERROR, -5), -EIO);
        EXPECT_EQ(ASK(ANSWER_BAD_FD, 0), -EIO);
        EXPECT_EQ(ASK(ANSWER_BAD_KIND, 0), -EIO);
        /* These pass the ranges, and fail later. */
        EXPECT_EQ(ASK(ANSWER_O_PATH, 0), -EIO);
        EXPECT_EQ(ASK(ANSWER_FALSE_GONE, 0), -EIO);
        /* Without a signal, errno 512 must never be seen. */
        EXPECT_EQ(ASK(ANSWER_RESTART, 0), -EINTR);
        /* No claim: refused, whatever the filter sends. */
        EXPECT_EQ(BROKERED(__NR_getuid, 0, 0, 0, 0, 0), -ENOSYS);
        return 0;
}

static void check_invalid(struct rig *rig) {
        EXPECT_EQ(rig->shared->counters.refused, 7);
        EXPECT_EQ(rig->shared->counters.failed, 2);
}

static int body_kill(void) {
        (void) ASK(ANSWER_KILL, 0);
        return 3;
}

static void check_kill(struct rig *rig) {
        EXPECT(WIFSIGNALED(rig->caller_status) && WTERMSIG(rig->caller_status) == SIGKILL);
        EXPECT_EQ(rig->shared->kill.set, 1);
        EXPECT(strcmp(rig->shared->kill.text, "getppid: the test says so") == 0);
        rig->caller_status = 0;
}

/* ---- fds ---- */

static int body_fds(void) {
        struct rlimit limit;
        char text[64] = {}, native[64] = {};
        int a, b, n;

        a = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
        EXPECT(read(a, native, sizeof(native) - 1) > 0);
        int expected = dup(0);
        close(expected);
        b = BROKERED(__NR_openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0, 0);
        EXPECT_EQ(b, expected);
        EXPECT(read(b, text, sizeof(text) - 1) > 0);
        EXPECT(strcmp(text, native) == 0);
        EXPECT_EQ(fcntl(b, F_GETFD), 0);
        EXPECT_EQ(fcntl(b, F_GETFL) & O_ACCMODE, O_RDONLY);
        n = BROKERED(__NR_openat, AT_FDCWD, "/etc/passwd", O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0, 0);
        EXPECT(n > b);
        EXPECT_EQ(fcntl(n, F_GETFD), FD_CLOEXEC);

        EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
        limit.rlim_cur = n + 1;
        EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        EXPECT_EQ(BROKERED(__NR_openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0, 0), -EMFILE);
        EXPECT_EQ(ASK(ANSWER_RLIMIT, RLIMIT_NOFILE), n + 1);
        return 0;
}

static void check_fds(struct rig *rig) {
        EXPECT_EQ(rig->shared->counters.injected, 2);
        for (unsigned i = 0; i < SLOTS_MAX; i++) {
                EXPECT_EQ(rig->shared->slots[i].state, SLOT_FREE);
                EXPECT_EQ(rig->shared->slots[i].affinity_set, 0);
        }
}

/* Injecting must leave the caller's affinity as it was. */
static int body_affinity(void) {
        cpu_set_t before, after;

        EXPECT(syscall(SYS_sched_getaffinity, 0, sizeof(before), &before) > 0);
        for (int i = 0; i < 500; i++) {
                int fd = BROKERED(__NR_openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0, 0);
                EXPECT(fd >= 0);
                close(fd);
                EXPECT(syscall(SYS_sched_getaffinity, 0, sizeof(after), &after) > 0);
                EXPECT(memcmp(&before, &after, 8) == 0);
        }
        return 0;
}

/* ---- memory ---- */

#define PAGE 4096

static int body_path_edges(void) {
        struct stat st;
        char *map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        EXPECT(map != MAP_FAILED);
        EXPECT(munmap(map + 3 * PAGE, PAGE) == 0);
        char *end = map + 3 * PAGE;
        static const int ends[] = { 'x', '/', 0 };
        for (size_t kind = 0; kind < ELEMENTSOF(ends); kind++)
                for (int length = 1; length <= 4100; length = length == 3 ? 4090 : length + 1) {
                        memset(map, 'x', 3 * PAGE);
                        for (int i = 0; i < 3 * PAGE; i += 100)
                                map[i] = '/';
                        end[-1] = ends[kind];
                        const char *path = end - length;
                        EXPECT_EQ(BROKERED(__NR_newfstatat, AT_FDCWD, path, &st, 0, 0), NATIVE(__NR_newfstatat, AT_FDCWD, path, &st, 0, 0));
                }
        memset(map, '/', 3 * PAGE);
        end[-1] = 0;
        for (int length = 4094; length <= 4098; length++)
                EXPECT_EQ(BROKERED(__NR_newfstatat, AT_FDCWD, end - length, &st, 0, 0),
                          NATIVE(__NR_newfstatat, AT_FDCWD, end - length, &st, 0, 0));
        EXPECT(mprotect(map + PAGE, PAGE, PROT_NONE) == 0);
        static const uintptr_t bad[] = { 0, 1, 4095, UINTPTR_MAX, UINTPTR_MAX - 4095, 0x800000000000, 0xffff800000000000 };
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                EXPECT_EQ(BROKERED(__NR_newfstatat, AT_FDCWD, bad[i], &st, 0, 0), -EFAULT);
        EXPECT_EQ(BROKERED(__NR_newfstatat, AT_FDCWD, map + PAGE, &st, 0, 0), -EFAULT);
        EXPECT_EQ(BROKERED(__NR_newfstatat, AT_FDCWD, map + PAGE - 2, &st, 0, 0), -EFAULT);
        return 0;
}

static int body_copies(void) {
        char *map = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        char out[PAGE * 2];

        EXPECT(map != MAP_FAILED);
        for (int i = 0; i < 2 * PAGE; i++)
                map[i] = i * 7;
        EXPECT_EQ(BROKERED(__NR_pread64, map + 5, out, 2 * PAGE - 5, 0, 0), 2 * PAGE - 5);
        EXPECT(memcmp(map + 5, out, 2 * PAGE - 5) == 0);
        EXPECT(munmap(map + 2 * PAGE, PAGE) == 0);
        EXPECT_EQ(BROKERED(__NR_pread64, map + PAGE, out, PAGE, 0, 0), PAGE);
        EXPECT_EQ(BROKERED(__NR_pread64, map + PAGE, out, PAGE + 1, 0, 0), -EFAULT);
        EXPECT_EQ(BROKERED(__NR_pread64, out, map + PAGE + 1, PAGE, 0, 0), -EFAULT);
        EXPECT(mprotect(map, PAGE, PROT_READ) == 0);
        EXPECT_EQ(BROKERED(__NR_pread64, out, map, 10, 0, 0), -EFAULT);
        EXPECT_EQ(BROKERED(__NR_pread64, "text", out, UINT64_MAX, 0, 0), -EINVAL);
        EXPECT_EQ(BROKERED(__NR_pread64, NULL, out, 0, 0, 0), 0);
        return 0;
}

/* ---- numbers ---- */

static void *ask_numbers(void *userdata) {
        (void) userdata;
        EXPECT_EQ(ASK(ANSWER_TGID, 0), getpid());
        EXPECT_EQ(ASK(ANSWER_TID, 0), gettid());
        EXPECT(gettid() != getpid());
        return NULL;
}

static int body_numbers(void) {
        pthread_t thread;

        EXPECT_EQ(ASK(ANSWER_TGID, 0), getpid());
        EXPECT_EQ(ASK(ANSWER_TID, 0), gettid());
        EXPECT(pthread_create(&thread, NULL, ask_numbers, NULL) == 0);
        pthread_join(thread, NULL);
        for (mode_t mask = 0; mask <= 0777; mask += 0111) {
                umask(mask);
                EXPECT_EQ(ASK(ANSWER_UMASK, 0), mask);
        }
        return 0;
}

/* ---- several callers ---- */

#define CALLERS 12
#define CALLS 1500

static int body_many(void) {
        pid_t pids[CALLERS];
        int status;

        for (int i = 0; i < CALLERS; i++) {
                pids[i] = rig_fork();
                if (pids[i] == 0) {
                        for (int j = 0; j < CALLS; j++)
                                if (ASK(ANSWER_VALUE, i * CALLS + j) != i * CALLS + j)
                                        _exit(1);
                        _exit(0);
                }
        }
        for (int i = 0; i < CALLERS; i++) {
                EXPECT_EQ(waitpid(pids[i], &status, 0), pids[i]);
                EXPECT_EQ(status, 0);
        }
        return 0;
}

static void check_many(struct rig *rig) {
        EXPECT_EQ(rig->shared->counters.notified, CALLERS * CALLS);
        EXPECT_EQ(rig->shared->counters.allowed, CALLERS * CALLS);
}

/* A handler that hangs where nobody expected it stalls nobody else for long. */
static int body_stuck(void) {
        struct timespec begin, end;

        pid_t child = rig_fork();
        if (child == 0)
                _exit(ASK(ANSWER_SLEEP, 900) == 1 ? 0 : 1);
        struct timespec little = { .tv_nsec = 100000000 };
        nanosleep(&little, NULL);
        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (int i = 0; i < 100; i++)
                EXPECT_EQ(ASK(ANSWER_VALUE, i), i);
        clock_gettime(CLOCK_MONOTONIC, &end);
        EXPECT(end.tv_sec - begin.tv_sec + (end.tv_nsec - begin.tv_nsec) / 1e9 < 0.5);
        int status;
        EXPECT_EQ(waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
        return 0;
}

static void one_receiver(struct rig *rig) {
        rig->receivers = 1;
}

/* ---- the worker's own protection ---- */

static int body_protected(void) {
        char path[64];

        EXPECT_EQ(ASK(ANSWER_VALUE, 1), 1); /* now it is what it wants to be */
        /* The parent forked the worker after us; its number is the next but one at the earliest. */
        for (pid_t pid = getpid() + 1; pid < getpid() + 50; pid++) {
                char name[64] = {};
                snprintf(path, sizeof(path), "/proc/%d/comm", pid);
                int fd = open(path, O_RDONLY);
                if (fd < 0)
                        continue;
                EXPECT(read(fd, name, sizeof(name) - 1) >= 0);
                close(fd);
                if (strcmp(name, "sandboxd-worker\n") != 0)
                        continue;
                static const char *const secrets[] = { "mem", "maps", "environ", "fd/0", "root", "cwd", "exe" };
                for (size_t i = 0; i < ELEMENTSOF(secrets); i++) {
                        snprintf(path, sizeof(path), "/proc/%d/%s", pid, secrets[i]);
                        fd = open(path, O_RDONLY);
                        EXPECT(fd < 0 && (errno == EACCES || errno == EPERM));
                        fd = BROKERED(__NR_openat, AT_FDCWD, path, O_RDONLY, 0, 0);
                        EXPECT(fd == -EACCES || fd == -EPERM);
                }
                return 0;
        }
        fprintf(stderr, "no worker is seen\n");
        return 1;
}

/* ---- records ---- */

static int records = -1;

static void with_log(struct rig *rig) {
        records = rig->log_fd = memfd_create("log", MFD_CLOEXEC);
        rig->record = AUDIT_DENIED;
}

static int body_records(void) {
        struct stat st;

        EXPECT_EQ(ASK(ANSWER_DENY, 0), -EACCES);
        EXPECT_EQ(ASK(ANSWER_VALUE, 1), 1);
        EXPECT_EQ(BROKERED(__NR_newfstatat, AT_FDCWD, "/denied/with\nnewline\"\xff", &st, 0, 0), -ENOENT);
        EXPECT_EQ(ASK(ANSWER_BAD_FD, 0), -EIO);
        return 0;
}

static bool has(struct json_object *o, const char *name, const char *value) {
        struct json_object *field;

        return json_object_object_get_ex(o, name, &field) && strcmp(json_object_get_string(field), value) == 0;
}

static void check_records(struct rig *rig) {
        char *text;
        size_t size, n = 0;

        EXPECT(lseek(records, 0, SEEK_SET) == 0);
        EXPECT(fd_read_file(records, 1 << 20, &text, &size) == 0);
        for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), n++) {
                struct json_object *o = json_tokener_parse(line);
                EXPECT(o && has(o, "sandbox", "rig"));
                if (n == 0) {
                        EXPECT(has(o, "call", "getppid") && has(o, "verdict", "deny") && has(o, "errno", "EACCES"));
                        EXPECT(has(o, "why", "the test says so") && has(o, "remedy", "read"));
                } else
                        EXPECT(has(o, "event", "bad-verdict"));
                json_object_put(o);
        }
        EXPECT_EQ(n, 2);
        free(text);
}

static void without_capabilities(struct rig *rig) {
        rig->no_capabilities = true;
}

const struct scenario basic_scenarios[] = {
        { "values", body_values, check_values },
        { "invalid-replies", body_invalid, check_invalid },
        { "kill", body_kill, check_kill },
        { "fds", body_fds, check_fds },
        { "affinity", body_affinity },
        { "path-edges", body_path_edges },
        { "copies", body_copies },
        { "numbers", body_numbers },
        { "many-callers", body_many, check_many },
        { "stuck-handler", body_stuck, NULL, one_receiver },
        { "worker-protected", body_protected, NULL, without_capabilities },
        { "records", body_records, check_records, with_log },
        {},
};
