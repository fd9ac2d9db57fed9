/*
 * Runs a command on a pty of 31 rows and 97 columns, as a person would: waits for a text, types the next, and so on.
 *
 *   terminal_driver [EXPECTED TYPED]… -- CMD…
 *
 * In TYPED, ^C and ^Z are those keys, and ~ is return. Prints all output; the exit status is the command's, 128 + n, or 90 after ten
 * seconds without what was expected.
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char output[65536];
static size_t used;
static int late;

/* Reads more output; 0 at the end or after ten seconds. */
static int more(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        if (used + 1 >= sizeof(output))
                return 0;
        if (poll(&p, 1, 10000) <= 0) {
                late = 1;
                return 0;
        }
        ssize_t n = read(fd, output + used, sizeof(output) - used - 1);
        if (n <= 0)
                return 0;
        used += n;
        output[used] = 0;
        return 1;
}

static int type(int fd, const char *text) {
        for (; *text; text++) {
                char key = *text == '~' ? '\r' : *text;
                if (*text == '^' && text[1])
                        key = *++text & 0x1f;
                if (write(fd, &key, 1) != 1)
                        return -1;
        }
        return 0;
}

int main(int argc, char **argv) {
        struct winsize size = { .ws_row = 31, .ws_col = 97 };
        int fd, status, i = 1;
        size_t from = 0;
        pid_t pid = forkpty(&fd, NULL, NULL, &size);

        if (pid < 0)
                return 91;
        if (pid == 0) {
                while (argv[i] && strcmp(argv[i], "--") != 0)
                        i++;
                if (!argv[i] || !argv[i + 1])
                        _exit(92);
                execvp(argv[i + 1], argv + i + 1);
                _exit(93);
        }
        for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
                char *found;
                while (!(found = strstr(output + from, argv[i])))
                        if (!more(fd)) {
                                printf("%s\nnever came: %s\n", output, argv[i]);
                                kill(pid, SIGKILL);
                                return 90;
                        }
                from = found - output + strlen(argv[i]);
                if (type(fd, argv[i + 1]) < 0)
                        return 94;
        }
        while (more(fd))
                ;
        fputs(output, stdout);
        if (late)
                kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return 95;
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
