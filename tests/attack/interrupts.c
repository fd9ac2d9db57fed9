/*
 * interrupts FOLDER MILLISECONDS: a signal every few hundred microseconds, while calls with side effects are made. With SA_RESTART none may end in EINTR;
 * without it, one that does has done nothing. Nothing is ever done twice, and no descriptor is lost.
 */
#include "attack.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

static char path[4096];

static volatile sig_atomic_t signals;

static void on_signal(int number) {
        (void) number;
        signals++;
}

static void alarms(int flags, long usec) {
        struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };
        struct itimerval timer = { { 0, usec }, { 0, usec } };

        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &timer, NULL);
}

static unsigned open_fds(void) {
        unsigned n = 0;

        for (int fd = 0; fd < 1024; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

/* Removing may be interrupted as well: then it has done nothing, and the next time finds the file. */
static bool removed(bool restart) {
        int r;

        do
                r = unlink(path);
        while (r < 0 && errno == EINTR && !restart);
        return r == 0;
}

/* Exclusive creation: a second one of the same call would say EEXIST, one that was interrupted must not have made the file. */
static unsigned create(uint64_t until, bool restart) {
        unsigned interrupted = 0;

        while (attack_now() < until) {
                int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600), error = errno;
                if (fd >= 0) {
                        close(fd);
                        attack_expect(removed(restart), "what was created isn't there");
                        continue;
                }
                if (error != EINTR || restart) {
                        attack_expect(false, "exclusive creation: %s", strerror(error));
                        removed(restart);
                        continue;
                }
                interrupted++;
                attack_expect(!removed(restart) && errno == ENOENT, "an interrupted creation has created");
        }
        return interrupted;
}

/* Datagrams to ourselves: each that was sent arrives once, each that wasn't doesn't. */
static unsigned datagrams(uint64_t until, bool restart) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        int in = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), out = socket(AF_UNIX, SOCK_DGRAM, 0);
        unsigned interrupted = 0;

        strcpy(un.sun_path, "/tmp/interrupts");
        if (in < 0 || out < 0)
                attack_die("socket");
        while (unlink(un.sun_path) < 0 && errno == EINTR)
                ;
        while (bind(in, (struct sockaddr *) &un, sizeof(un)) < 0)
                if (errno != EINTR || restart)
                        attack_die("%s", un.sun_path);
        for (uint32_t n = 0; attack_now() < until; n++) {
                ssize_t sent = sendto(out, &n, sizeof(n), 0, (struct sockaddr *) &un, sizeof(un));
                int error = errno;
                uint32_t got, arrived = 0;
                while (recv(in, &got, sizeof(got), 0) > 0)
                        arrived += got == n ? 1 : 100;
                if (sent == sizeof(n))
                        attack_expect(arrived == 1, "a datagram arrived %u times", arrived);
                else {
                        attack_expect(error == EINTR && !restart, "sendto: %s", strerror(error));
                        attack_expect(arrived == 0, "a datagram that wasn't sent arrived %u times", arrived);
                        interrupted++;
                }
        }
        close(in);
        close(out);
        return interrupted;
}

int main(int argc, char **argv) {
        unsigned fds, lost, interrupted;

        setvbuf(stdout, NULL, _IONBF, 0);
        if (argc != 3)
                return 2;
        snprintf(path, sizeof(path), "%s/w/once", argv[1]);
        uint64_t part = strtoull(argv[2], NULL, 10) / 4;
        unlink(path);
        fds = open_fds();
        for (int restart = 1; restart >= 0; restart--) {
                signals = 0;
                alarms(restart ? SA_RESTART : 0, 300);
                interrupted = create(attack_now() + part, restart);
                interrupted += datagrams(attack_now() + part, restart);
                alarms(restart ? SA_RESTART : 0, 0);
                printf("%s SA_RESTART: %u signals, %u calls interrupted\n", restart ? "with" : "without", (unsigned) signals, interrupted);
                attack_expect(signals > 100, "hardly any signal came");
        }
        lost = open_fds();
        attack_expect(lost == fds, "%u descriptors before, %u after", fds, lost);
        attack_end();
}
