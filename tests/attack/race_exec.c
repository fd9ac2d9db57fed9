/*
 * Executing. The canary exits with 42; it lies in FOLDER/b, or in FOLDER/r, where it may be read and not executed.
 */
#include "race.h"

#include <sched.h>
#include <sys/wait.h>

static char text[PATH_MAX];

struct program {
        const char *path;
        int fd, flags;
        bool at;
};

static int execute(void *userdata) {
        const struct program *program = userdata;
        char *argv[] = { (char *) "program", NULL };

        if (program->at)
                syscall(SYS_execveat, program->fd, program->path, argv, NULL, program->flags);
        else
                syscall(SYS_execve, program->path, argv, NULL);
        _exit(1);
}

/* With the same descriptors, until it executes: they go on being swapped. */
static bool ran_canary(int fd, const char *path, bool at, int flags) {
        static char stack[65536] __attribute__((aligned(16)));
        struct program program = { path, fd, flags, at };
        int status;
        pid_t pid = clone(execute, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &program);

        return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 42;
}

static bool try_execve(void) {
        return ran_canary(AT_FDCWD, race_shared->path, false, 0);
}

static bool try_execveat(void) {
        return ran_canary(AT_FDCWD, race_shared->path, true, 0);
}

static bool try_script(void) {
        return ran_canary(AT_FDCWD, text, false, 0);
}

/* ---- The interpreter of a script ---- */

static void write_script(const char *interpreter) {
        race_path(text, "a/script");
        unlink(text);
        int fd = open(text, O_WRONLY | O_CREAT, 0700);
        if (fd < 0 || dprintf(fd, "#!%s\n", interpreter) < 0)
                attack_die("%s", text);
        close(fd);
}

/* A link, which the way swaps. */
static void prepare_interpreter(void) {
        write_script(race_shared->path);
}

/* The script itself: its place is taken by one whose interpreter is the forbidden one. */
static char scripts[2][PATH_MAX];
static int script_now;

static void swap_script(int which) {
        if (which != script_now && syscall(SYS_renameat2, AT_FDCWD, scripts[0], AT_FDCWD, scripts[1], 2 /* RENAME_EXCHANGE */) == 0)
                script_now = which;
}

static void prepare_script(void) {
        char interpreter[PATH_MAX];

        for (int i = 1; i >= 0; i--) {
                race_path(interpreter, "%c/program", "ab"[i]);
                write_script(interpreter);
                strcpy(scripts[i], text);
                if (i == 1) {
                        strcat(scripts[1], "-other");
                        if (rename(text, scripts[1]) < 0)
                                attack_die("%s", scripts[1]);
                }
        }
}

/* ---- A number that comes to mean another file ---- */

enum { NUMBER = 50 };

static int fds[2];

static void prepare_number(void) {
        char path[PATH_MAX];

        for (int i = 0; i < 2; i++) {
                race_path(path, "%c/program", "ar"[i]);
                fds[i] = open(path, O_RDONLY | O_CLOEXEC);
                if (fds[i] < 0)
                        attack_die("%s", path);
        }
        if (dup2(fds[0], NUMBER) < 0)
                attack_die("dup2");
        snprintf(text, sizeof(text), "/proc/self/fd/%d", NUMBER);
}

static void swap_number(int which) {
        dup2(fds[which], NUMBER);
}

static bool try_number(void) {
        return ran_canary(NUMBER, "", true, AT_EMPTY_PATH);
}

const struct race race_exec[] = {
        { "execve", "program", try_execve },
        { "execveat", "program", try_execveat },
        { "interpreter", "program", try_script, prepare_interpreter },
        { "script", NULL, try_script, prepare_script, swap_script },
        { "execveat-number", NULL, try_number, prepare_number, swap_number },
        { "execve-number", NULL, try_script, prepare_number, swap_number },
        {},
};
