/*
 * One side: its sandbox, and a sequence run in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "differential.h"

#define ANSWER_SECONDS 120
#define COMMAND_MAX 64

static int write_policy(const struct side *side) {
        FILE *f = fopen(side->policy, "we");

        if (!f)
                return -errno;
        fprintf(f, "version: 1\n");
        fprintf(f, "description: the differential test, behind the %s\n", side->name);
        fprintf(f, "files:\n");
        fprintf(f, "  write: [\"%s\"]\n", side->top);
        fprintf(f, "  exec: [\"%s\", /usr, /bin, /lib, /lib64%s%s]\n", side->folder, side->wrong ? "" : ", ", side->wrong ? "" : side->top);
        fprintf(f, "  private: [/tmp]\n");
        /* Below a directory that may be executed from: Landlock can't say it. */
        if (side->checked)
                fprintf(f, "  deny: [\"%s/never\"]\n", side->folder);
        if (strcmp(side->name, "broker") == 0)
                fprintf(f, "  enforce: broker\n");
        fprintf(f, "devices: [null, zero]\n");
        if (side->ids)
                fprintf(f, "identity: { ids: subordinate }\n");
        fprintf(f, "network: { mode: none, connect: [\"unix:%s\"] }\n", side->top);
        return fclose(f) == 0 ? 0 : -errno;
}

static _Noreturn void run_sandbox(const struct side *side, int in, int out) {
        char *argv[COMMAND_MAX];
        size_t n = 0;

        while (side->command[n] && n < COMMAND_MAX - 12) {
                argv[n] = side->command[n];
                n++;
        }
        if (side->replacement)
                argv[n - 1] = (char *) side->replacement;
        const char *const more[] = { "exec", "--quiet",     "--policy", side->policy, "--chdir", "/",
                                     "--",   side->program, "inside",   side->work,   NULL };
        for (size_t i = 0; i < ELEMENTS(more); i++)
                argv[n + i] = (char *) more[i];
        if (strcmp(side->top, side->real_top) != 0 && (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                                                       mount(side->real_top, side->top, NULL, MS_BIND, NULL) < 0)) {
                perror(side->top);
                _exit(126);
        }
        /* Known to a build for tests alone. */
        bool brokered = strcmp(side->name, "broker") == 0;
        setenv("SANDBOXD_UNSAFE", brokered ? side->ids ? "capabilities" : "" : side->ids ? "capabilities,filter" : "filter", 1);
        if (dup2(in, 0) < 0 || dup2(out, 1) < 0)
                _exit(126);
        execvp(argv[0], argv);
        perror(argv[0]);
        _exit(127);
}

int side_start(struct side *side) {
        int to[2], from[2], r = write_policy(side);

        if (r < 0)
                return r;
        if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
                return -errno;
        side->pid = fork();
        if (side->pid < 0)
                return -errno;
        if (side->pid == 0)
                run_sandbox(side, to[0], from[1]);
        close(to[0]);
        close(from[1]);
        side->to = to[1];
        side->from = from[0];
        return 0;
}

void side_stop(struct side *side) {
        int status;

        if (side->pid <= 0)
                return;
        close(side->to);
        close(side->from);
        for (int i = 0; i < 50; i++) {
                if (waitpid(side->pid, &status, WNOHANG) == side->pid) {
                        side->pid = 0;
                        return;
                }
                usleep(20000);
        }
        kill(side->pid, SIGKILL);
        waitpid(side->pid, &status, 0);
        side->pid = 0;
}

static int receive(int fd, void *buffer, size_t size) {
        char *p = buffer;

        while (size > 0) {
                struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
                int r = poll(&poll_fd, 1, ANSWER_SECONDS * 1000);
                if (r == 0)
                        return -ETIMEDOUT;
                ssize_t n = r < 0 ? -1 : read(fd, p, size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EPIPE;
                p += n;
                size -= n;
        }
        return 0;
}

static uint64_t now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

static int ask(struct side *side, const struct request *request, char **ret) {
        uint64_t start = now();
        uint32_t size;
        int r;

        if (write(side->to, request, sizeof(*request)) != sizeof(*request))
                return -EPIPE;
        r = receive(side->from, &size, sizeof(size));
        if (r < 0)
                return r;
        char *answer = malloc((size_t) size + 1);
        if (!answer)
                return -ENOMEM;
        r = receive(side->from, answer, size);
        answer[size] = 0;
        side->nanoseconds += now() - start;
        if (r < 0)
                free(answer);
        else
                *ret = answer;
        return r;
}

char *side_run(struct side *side, uint64_t seed, unsigned options, const bool *keep, char *error, size_t room) {
        struct request request = { .seed = seed, .options = options };
        struct sequence s = {};
        char what[PATH_MAX + 64], *answer = NULL, *tree, *result = NULL;
        int r;

        for (size_t i = 0; i < CALLS_MAX; i++)
                request.keep[i] = !keep || keep[i];
        sequence_make(&s, seed, options, side->work, keep);
        tree_wipe(side->real_top);
        r = tree_make(&side->tree, &s, what);
        if (r < 0) {
                snprintf(error, room, "the tree can't be made: %s", what);
                tree_release(&side->tree);
                sequence_done(&s);
                return NULL;
        }
        r = ask(side, &request, &answer);
        tree_release(&side->tree);
        if (r < 0) {
                sequence_done(&s);
                snprintf(error, room, "behind the %s nobody answers any more: %s", side->name, errno_name(-r));
                return NULL;
        }
        tree = tree_dump(side->real_top, side->work, &s);
        sequence_done(&s);
        if (asprintf(&result, "%s\n%s", answer, tree ?: "") < 0)
                result = NULL;
        free(answer);
        free(tree);
        return result;
}
