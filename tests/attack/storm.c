/*
 * storm FOLDER MILLISECONDS: callers that die in the middle of their calls, so that their numbers are used again, and threads that execute. Each of those that
 * live reads a file that says who it is for: an answer meant for another would be noticed.
 */
#include "attack.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

static const char *folder;

static void path_of(char path[4096], int who) {
        snprintf(path, 4096, "%s/w/who%d", folder, who);
}

/* Opens and reads its own file all the time; the exit code says whether it ever got another's. */
static void caller(int who, uint64_t until) {
        char path[4096], text[16], expected[16];

        path_of(path, who);
        snprintf(expected, sizeof(expected), "%d\n", who);
        while (attack_now() < until) {
                struct stat st;
                int fd = open(path, O_RDONLY);
                ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
                text[n < 0 ? 0 : n] = 0;
                if (fd < 0 || strcmp(text, expected) != 0 || fstat(fd, &st) < 0)
                        _exit(1);
                close(fd);
                if (fcntl(fd, F_GETFD) >= 0)
                        _exit(2);
        }
        _exit(0);
}

static void *execute(void *path) {
        char *argv[] = { path, NULL };

        execv(path, argv);
        return NULL;
}

/* A thread that isn't the leader executes: its number becomes the leader's. */
static void execute_from_thread(void) {
        char path[4096];
        int status;
        pid_t pid = fork();

        snprintf(path, sizeof(path), "%s/a/program", folder);
        if (pid == 0) {
                pthread_t thread;
                pthread_create(&thread, NULL, execute, path);
                pthread_join(thread, NULL);
                _exit(1);
        }
        waitpid(pid, &status, 0);
        attack_expect(status == 0, "execve by a thread: %#x", status);
}

int main(int argc, char **argv) {
        enum { CALLERS = 4 };
        pid_t callers[CALLERS];
        unsigned long killed = 0;

        setvbuf(stdout, NULL, _IONBF, 0);
        if (argc != 3)
                return 2;
        folder = argv[1];
        uint64_t until = attack_now() + strtoull(argv[2], NULL, 10);
        for (int i = 0; i < CALLERS + 1; i++) {
                char path[4096];
                path_of(path, i);
                FILE *f = fopen(path, "w");
                if (!f)
                        attack_die("%s", path);
                fprintf(f, "%d\n", i);
                fclose(f);
        }
        for (int i = 0; i < CALLERS; i++)
                if ((callers[i] = fork()) == 0)
                        caller(i, until);
        while (attack_now() < until) {
                int status;
                pid_t pid = fork();
                if (pid == 0)
                        caller(CALLERS, until);
                for (unsigned i = 0; i < killed % 50; i++)
                        sched_yield();
                kill(pid, SIGKILL);
                waitpid(pid, &status, 0);
                attack_expect((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || status == 0, "a caller in the storm: %#x", status);
                if (killed++ % 64 == 0)
                        execute_from_thread();
        }
        for (int i = 0; i < CALLERS; i++) {
                int status;
                waitpid(callers[i], &status, 0);
                attack_expect(status == 0, "caller %d: %#x", i, status);
        }
        attack_expect(killed > 100, "only %lu callers were killed", killed);
        printf("%lu callers killed\n", killed);
        attack_end();
}
