/*
 * witness FOLDER: stands outside of a sandbox, at what the sandbox may reach (FOLDER/a, a port) and at what it may not (FOLDER/b, the port
 * beside it), and counts what arrives at the latter. Prints both ports, and what arrived once it is told to end (SIGTERM).
 *
 * The allowed TCP port and stream socket refuse every connection: so a connecting socket can be tried again (race.c). The second port is
 * taken, and the one beside it is free. Datagrams at the forbidden places are added to the referee's count (referee.c), if there is one.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static volatile sig_atomic_t ended;

static void on_term(int signal_number) {
        (void) signal_number;
        ended = 1;
}

static int bind_port(int type, uint16_t port) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
        int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

        if (fd >= 0 && bind(fd, (struct sockaddr *) &in, sizeof(in)) >= 0)
                return fd;
        close(fd);
        return -1;
}

static bool port_free(uint16_t port) {
        int fd = bind_port(SOCK_STREAM, port);

        close(fd);
        return fd >= 0;
}

static int bind_path(int type, const char *folder, const char *name) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

        if ((size_t) snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", folder, name) >= sizeof(un.sun_path)) {
                fprintf(stderr, "%s is too long\n", folder);
                exit(2);
        }
        unlink(un.sun_path);
        if (fd < 0 || bind(fd, (struct sockaddr *) &un, sizeof(un)) < 0) {
                perror(un.sun_path);
                exit(2);
        }
        return fd;
}

/* The name says to whom it belongs: several witnesses may be there. */
static int bind_abstract(uint16_t port) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        int n = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "sandboxd-attack-%u", port);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || bind(fd, (struct sockaddr *) &un, offsetof(struct sockaddr_un, sun_path) + 1 + n) < 0 || listen(fd, 128) < 0) {
                perror("abstract");
                exit(2);
        }
        return fd;
}

enum { TCP, STREAM, ABSTRACT, UDP, DGRAM, UDP_ALLOWED, DGRAM_ALLOWED, N };
static const char *const names[] = { "tcp", "stream", "abstract", "udp", "dgram", "udp-allowed", "dgram-allowed" };

static void count(const char *folder) {
        static uint64_t *score;
        char path[4096];

        if (!score) {
                snprintf(path, sizeof(path), "%s/w/score", folder);
                int file = open(path, O_RDWR | O_CLOEXEC);
                void *mapped = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(*score), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
                if (file >= 0)
                        close(file);
                if (mapped == MAP_FAILED)
                        return;
                score = mapped;
        }
        __atomic_fetch_add(score, 1, __ATOMIC_SEQ_CST);
}

static bool serve(int which, int fd, const char *folder) {
        char text[64];

        if (which <= ABSTRACT) {
                int peer = accept(fd, NULL, NULL);
                close(peer);
                return peer >= 0;
        }
        ssize_t n = recv(fd, text, sizeof(text), MSG_DONTWAIT);
        if (n >= 0 && which != UDP_ALLOWED && which != DGRAM_ALLOWED)
                count(folder);
        return n >= 0;
}

int main(int argc, char **argv) {
        struct sigaction action = { .sa_handler = on_term };
        struct pollfd fds[N] = {};
        unsigned long hits[N] = {};
        uint16_t port, taken;

        if (argc != 2)
                return 2;
        sigaction(SIGTERM, &action, NULL);
        srand(getpid());
        do {
                port = 20000 + rand() % 10000 * 2;
                fds[TCP].fd = port_free(port) ? bind_port(SOCK_STREAM, port + 1) : -1;
                fds[UDP].fd = bind_port(SOCK_DGRAM, port + 1);
                fds[UDP_ALLOWED].fd = bind_port(SOCK_DGRAM, port);
        } while (fds[TCP].fd < 0 || fds[UDP].fd < 0 || fds[UDP_ALLOWED].fd < 0);
        int taken_fd;
        do {
                taken = 20000 + rand() % 10000 * 2;
                taken_fd = port_free(taken + 1) ? bind_port(SOCK_STREAM, taken) : -1;
        } while (taken_fd < 0 || taken == port || listen(taken_fd, 1) < 0);

        bind_path(SOCK_STREAM, argv[1], "a/stream");
        fds[STREAM].fd = bind_path(SOCK_STREAM, argv[1], "b/stream");
        fds[ABSTRACT].fd = bind_abstract(port);
        fds[DGRAM].fd = bind_path(SOCK_DGRAM, argv[1], "b/dgram");
        fds[DGRAM_ALLOWED].fd = bind_path(SOCK_DGRAM, argv[1], "a/dgram");
        if (listen(fds[TCP].fd, 128) < 0 || listen(fds[STREAM].fd, 128) < 0)
                return 2;
        printf("%u %u\n", port, taken);
        fflush(stdout);

        for (int i = 0; i < N; i++)
                fds[i].events = POLLIN;
        while (!ended) {
                if (poll(fds, N, -1) <= 0)
                        continue;
                for (int i = 0; i < N; i++)
                        if (fds[i].revents & POLLIN)
                                hits[i] += serve(i, fds[i].fd, argv[1]);
        }
        for (int i = 0; i < N; i++)
                printf("%s %lu\n", names[i], hits[i]);
        return 0;
}
