/*
 * peek: looks, all the time, for a process of the launcher's that is about to become a program inside (it has the name of init, and isn't init), and
 * tries to look into it: its environment, its descriptors, its memory by way of tracing. Each success is a line.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static bool read_file(const char *pid, const char *name, char *text, size_t size) {
        char path[64];

        snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
        if (fd >= 0)
                close(fd);
        text[n > 0 ? n : 0] = 0;
        return n > 0;
}

static void say(const char *what) {
        printf("%s\n", what);
        fflush(stdout);
}

/* Not yet what it executes: that is one of the sandbox's own. */
static bool still_enters(const char *pid) {
        char text[64];

        return read_file(pid, "comm", text, sizeof(text)) && strcmp(text, "sandboxd-init\n") == 0;
}

static void look(const char *pid) {
        char text[4096], path[64];
        pid_t number = atoi(pid);

        if (read_file(pid, "environ", text, sizeof(text)) && still_enters(pid))
                say("environment");
        snprintf(path, sizeof(path), "/proc/%s/fd/0", pid);
        if (readlink(path, text, sizeof(text)) >= 0 && still_enters(pid))
                say("descriptors");
        if (ptrace(PTRACE_SEIZE, number, NULL, NULL) >= 0) {
                (void) ptrace(PTRACE_INTERRUPT, number, NULL, NULL);
                (void) waitpid(number, NULL, __WALL);
                if (still_enters(pid))
                        say("traced");
                (void) ptrace(PTRACE_DETACH, number, NULL, NULL);
        }
}

int main(void) {
        unsigned long rounds = 0;

        say("ready");
        for (;; rounds++) {
                DIR *d = opendir("/proc");
                if (!d)
                        return 1;
                for (const struct dirent *entry; (entry = readdir(d));)
                        if (isdigit(entry->d_name[0]) && strcmp(entry->d_name, "1") != 0 && still_enters(entry->d_name)) {
                                say("seen");
                                look(entry->d_name);
                        }
                closedir(d);
        }
}
