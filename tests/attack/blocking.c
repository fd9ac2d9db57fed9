/*
 * blocking FOLDER MEETINGS FLOOD: opens that wait. As many FIFOs as asked for are opened by both ends at once and meet; then FLOOD threads wait
 * in opens that nobody meets, and other calls are answered all the same; signals end such opens or start them again, as natively.
 */
#include "attack.h"

#include <pthread.h>
#include <sys/wait.h>

static const char *folder;

static void fifo_path(char path[4096], int n) {
        snprintf(path, 4096, "%s/w/fifo%d", folder, n);
}

static void make_fifo(int n) {
        char path[4096];

        fifo_path(path, n);
        unlink(path);
        if (mkfifo(path, 0600) < 0)
                attack_die("mkfifo %s", path);
}

struct end {
        pthread_t thread;
        int number, flags, result;
};

static void *open_end(void *userdata) {
        struct end *end = userdata;
        char path[4096];

        fifo_path(path, end->number);
        end->result = open(path, end->flags);
        if (end->result < 0)
                end->result = -errno;
        return NULL;
}

static void start(struct end *end, int number, int flags) {
        pthread_attr_t small;

        *end = (struct end) { .number = number, .flags = flags };
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 65536);
        if (pthread_create(&end->thread, &small, open_end, end) != 0)
                attack_die("pthread_create");
        pthread_attr_destroy(&small);
}

/* All readers first: every one of them waits before the first writer comes. */
static void meet(int n) {
        struct end *ends = calloc(2 * n, sizeof(*ends));

        for (int i = 0; i < n; i++) {
                make_fifo(i);
                start(&ends[i], i, O_RDONLY);
        }
        for (int i = 0; i < n; i++)
                start(&ends[n + i], i, O_WRONLY);
        for (int i = 0; i < 2 * n; i++)
                pthread_join(ends[i].thread, NULL);
        for (int i = 0; i < n; i++) {
                char c = 0;
                bool met = ends[i].result >= 0 && ends[n + i].result >= 0 && write(ends[n + i].result, "x", 1) == 1 &&
                           read(ends[i].result, &c, 1) == 1 && c == 'x';
                attack_expect(met, "FIFO %d: %d and %d did not meet", i, ends[i].result, ends[n + i].result);
                close(ends[i].result);
                close(ends[n + i].result);
        }
        free(ends);
}

static void flood(int n) {
        struct end *ends = calloc(n, sizeof(*ends));
        char path[4096], fifo[4096];
        struct stat st;
        int refused = 0;

        make_fifo(0);
        fifo_path(fifo, 0);
        snprintf(path, sizeof(path), "%s/a/file", folder);
        for (int i = 0; i < n; i++)
                start(&ends[i], 0, O_RDONLY);
        usleep(300000);
        uint64_t begin = attack_now();
        for (int i = 0; i < 100; i++) {
                int fd = open(path, O_RDONLY);
                attack_expect(fd >= 0 && stat(path, &st) == 0, "not answered behind %d waiting opens: %s", n, strerror(errno));
                close(fd);
        }
        attack_expect(attack_now() - begin < 2000, "100 calls behind %d waiting opens took %llu ms", n,
                      (unsigned long long) (attack_now() - begin));
        /* One writer lets all readers go. */
        int writer = open(fifo, O_WRONLY | O_NONBLOCK);
        if (writer < 0)
                attack_die("a writer that doesn't wait, behind %d readers", n);
        for (int i = 0; i < n; i++) {
                pthread_join(ends[i].thread, NULL);
                refused += ends[i].result == -EAGAIN;
                attack_expect(ends[i].result >= 0 || ends[i].result == -EAGAIN, "waiting open %d: %s", i, strerror(-ends[i].result));
                close(ends[i].result);
        }
        /* More than the broker has threads for is EAGAIN; never nobody, and never everybody. */
        printf("%d opens waited, %d were refused\n", n - refused, refused);
        attack_expect(n > 400 ? refused < n - 200 : refused == 0, "%d of %d opens were refused", refused, n);
        close(writer);
        free(ends);
}

/* ---- A FIFO put in the place of a file, so that somebody waits who never should ---- */

static char swapped[2][4096], name[4096];
static _Atomic bool stop;

static void *swap(void *unused) {
        for (unsigned i = 0; !stop; i++) {
                char copy[4200];
                /* A hard link, renamed over the name: the name is always there. */
                snprintf(copy, sizeof(copy), "%s.new", name);
                if (link(swapped[i & 1], copy) == 0)
                        rename(copy, name);
                unlink(copy);
        }
        return unused;
}

static void *open_swapped(void *unused) {
        while (!stop) {
                int fd = open(name, O_RDONLY);
                close(fd);
        }
        return unused;
}

static void *release(void *unused) {
        while (!stop) {
                /* Whoever waits at the FIFO is let go every now and then. */
                usleep(200000);
                int fd = open(swapped[1], O_RDWR | O_NONBLOCK);
                usleep(1000);
                close(fd);
        }
        return unused;
}

static void slipped_in(void) {
        enum { OPENERS = 6 };
        pthread_t threads[OPENERS + 2];
        uint64_t end = attack_now() + 1500, worst = 0;
        char path[4096];
        struct stat st;

        make_fifo(0);
        fifo_path(swapped[1], 0);
        snprintf(swapped[0], sizeof(swapped[0]), "%s/w/file", folder);
        snprintf(name, sizeof(name), "%s/w/swapped", folder);
        snprintf(path, sizeof(path), "%s/a/file", folder);
        for (int i = 0; i < OPENERS + 2; i++)
                if (pthread_create(&threads[i], NULL, i == 0 ? swap : i == 1 ? release : open_swapped, NULL) != 0)
                        attack_die("pthread_create");
        while (attack_now() < end) {
                uint64_t begin = attack_now();
                attack_expect(stat(path, &st) == 0, "stat: %s", strerror(errno));
                if (attack_now() - begin > worst)
                        worst = attack_now() - begin;
        }
        stop = true;
        int fd = open(swapped[1], O_RDWR | O_NONBLOCK);
        for (int i = 0; i < OPENERS + 2; i++)
                pthread_join(threads[i], NULL);
        close(fd);
        printf("the longest wait beside swapped FIFOs: %llu ms\n", (unsigned long long) worst);
        attack_expect(worst < 150, "a call waited %llu ms for others' FIFOs", (unsigned long long) worst);
}

static void without_waiting(void) {
        char path[4096];

        make_fifo(0);
        fifo_path(path, 0);
        attack_refused("a writer that doesn't wait", open(path, O_WRONLY | O_NONBLOCK), ENXIO);
        int reader = open(path, O_RDONLY | O_NONBLOCK);
        attack_expect(reader >= 0, "a reader that doesn't wait: %s", strerror(errno));
        int both = open(path, O_RDWR);
        attack_expect(both >= 0, "both ends: %s", strerror(errno));
        close(reader);
        close(both);
}

static volatile sig_atomic_t signals;

static void on_signal(int number) {
        (void) number;
        signals++;
}

/* Returns the errno of an open that waits for a writer, which comes after 600 ms, with a signal after 200 ms. */
static int interrupted(int flags) {
        struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };
        char path[4096];
        int status, result;

        make_fifo(0);
        fifo_path(path, 0);
        sigaction(SIGUSR1, &action, NULL);
        signals = 0;
        pid_t parent = getpid(), pid = fork();
        if (pid == 0) {
                usleep(200000);
                kill(parent, SIGUSR1);
                usleep(400000);
                int fd = open(path, O_WRONLY | O_NONBLOCK);
                _exit(fd < 0);
        }
        int fd = open(path, O_RDONLY);
        result = fd < 0 ? errno : 0;
        if (fd < 0) {
                /* For the child, which finds no reader then. */
                fd = open(path, O_RDONLY | O_NONBLOCK);
        }
        attack_expect(signals == 1, "the signal's handler ran %d times", (int) signals);
        waitpid(pid, &status, 0);
        close(fd);
        return result;
}

/* A caller that is killed while it waits leaves nothing behind that the next one would notice. */
static void killed(int n) {
        char path[4096];

        make_fifo(0);
        fifo_path(path, 0);
        for (int i = 0; i < n; i++) {
                int status;
                pid_t pid = fork();
                if (pid == 0) {
                        open(path, O_RDONLY);
                        _exit(1);
                }
                usleep(i % 7 * 1000);
                kill(pid, SIGKILL);
                waitpid(pid, &status, 0);
                attack_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "a waiting caller isn't killed: %#x", status);
        }
        /* Were a dead reader's open still there, a writer would find it. It may take the broker a moment to see it. */
        uint64_t end = attack_now() + 2000;
        int fd;
        do {
                fd = open(path, O_WRONLY | O_NONBLOCK);
                if (fd >= 0)
                        close(fd);
        } while (fd >= 0 && attack_now() < end);
        attack_expect(fd < 0 && errno == ENXIO, "dead readers are still there");
}

int main(int argc, char **argv) {
        setvbuf(stdout, NULL, _IONBF, 0);
        /* What never ends has failed. */
        alarm(60);
        if (argc != 4)
                return 2;
        folder = argv[1];
        meet(atoi(argv[2]));
        flood(atoi(argv[3]));
        slipped_in();
        without_waiting();
        int r = interrupted(SA_RESTART);
        attack_expect(r == 0, "with SA_RESTART: %s", strerror(r));
        r = interrupted(0);
        attack_expect(r == EINTR, "without SA_RESTART: %s", strerror(r));
        killed(50);
        attack_end();
}
