/*
 * caller PATH: says "ready", then calls stat(2) on PATH for ever, and says so when a call ends in an errno that only a lost broker gives.
 * It writes with write(2) alone, which nobody notifies, and goes on after the error: what a program without a broker could do must be seen.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void say(const char *text) {
        ssize_t n = write(1, text, strlen(text));
        (void) n;
}

int main(int argc, char **argv) {
        struct stat st;

        if (argc != 2 || stat(argv[1], &st) < 0) {
                say("the first call failed\n");
                return 1;
        }
        say("ready\n");
        for (;;)
                if (stat(argv[1], &st) < 0)
                        say(errno == ENOSYS ? "ENOSYS\n" : "another errno\n");
}
