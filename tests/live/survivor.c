/*
 * What survive.bats runs in a sandbox whose worker is killed all the time: each kind of work says how many calls it made, how many of them ended in EIO,
 * and what was wrong. A file called `stop` in the current directory ends it.
 *
 *   survivor [--outside | KIND [CALLS]]
 *
 * With CALLS it makes no more than about so many of them in a second.
 * --outside: only the side of the competition that is not in the sandbox.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 200000 /* of the competition, at most */
#define LISTED 300
#define BATCH 4

enum { COMPETE_MKDIR, COMPETE_CREATE, COMPETE_RENAME, COMPETE_LINK, COMPETE_UNLINK, COMPETE_KINDS };
static const char *const compete_names[] = { "mkdir", "O_EXCL", "rename", "link", "unlink" };

struct match { /* one name: by side, inside and outside */
        _Atomic uint8_t won[2], uncertain;
};

struct board { /* a file that both sides map */
        _Atomic unsigned ready[2];
        _Atomic int done[2];
        struct match matches[ROUNDS];
};

static const char *kind;
static unsigned long calls, eio, wrong;

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...) {
        va_list arguments;

        wrong++;
        if (wrong > 5)
                return;
        fprintf(stderr, "%s: ", kind);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fprintf(stderr, "\n");
}

/* Counts a call; true where it has given `expected`, errno or 0. EIO is counted, and is not wrong. */
static bool check(const char *what, long result, int expected) {
        int error = result < 0 ? errno : 0;

        calls++;
        if (error == expected)
                return true;
        if (error == EIO)
                eio++;
        else
                complain("%s: %s, not %s", what, error ? strerrorname_np(error) : "done", expected ? strerrorname_np(expected) : "done");
        return false;
}

/* Makes a file that is needed later. Where nothing tells whether it was made, it is made again. */
static int create(const char *name, int flags, mode_t mode) {
        int fd;

        while (!check("create", fd = open(name, flags | O_CREAT, mode), 0) && errno == EIO)
                ;
        return fd;
}

static unsigned long pace; /* calls a second; 0: as many as there can be */

/* What has not been made because nobody answered is not made up for. */
static void keep_pace(void) {
        static unsigned long begun_with;
        static double began;
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        double now = t.tv_sec + t.tv_nsec / 1e9, ahead = began + (calls - begun_with) / (double) pace - now;
        if (began == 0 || ahead < -1) {
                began = now;
                begun_with = calls;
        } else if (ahead > 0)
                usleep(ahead * 1e6);
}

static bool stopped(void) {
        struct stat st;

        if (pace > 0)
                keep_pace();
        return stat("stop", &st) == 0;
}

/* ---- opens ---- */

static void opens(void) {
        char name[32], text[64], expected[64];
        unsigned i = 0;

        for (; i < 10; i++) {
                snprintf(name, sizeof(name), "open/%u", i);
                int fd = create(name, O_WRONLY | O_TRUNC, 0644);
                if (dprintf(fd, "this is %s\n", name) < 0)
                        complain("write");
                close(fd);
        }
        while (!stopped()) {
                snprintf(name, sizeof(name), "open/%u", i++ % 10);
                snprintf(expected, sizeof(expected), "this is %s\n", name);
                int fd = open(name, O_RDONLY | (i & 1 ? O_CLOEXEC : 0));
                if (!check("open", fd, 0))
                        continue;
                ssize_t n = read(fd, text, sizeof(text) - 1);
                text[n < 0 ? 0 : n] = 0;
                if (strcmp(text, expected) != 0)
                        complain("%s has %s", name, text);
                if (fcntl(fd, F_GETFD) != (i & 1 ? FD_CLOEXEC : 0))
                        complain("%s: close on exec", name);
                close(fd);
                /* The numbers go up from the lowest that is free. */
                if (fd != 3)
                        complain("%s is %d: leaked", name, fd);
        }
}

/* ---- names, one process alone ---- */

static void names(void) {
        bool directory = false, moved = false;

        for (unsigned i = 0; !stopped(); i++) {
                char a[32], b[32], c[32];
                snprintf(a, sizeof(a), "names/a%u", i);
                snprintf(b, sizeof(b), "names/b%u", i);
                snprintf(c, sizeof(c), "names/c%u", i);
                directory = check("mkdir", mkdir(a, 0750), 0);
                moved = directory && check("rename", rename(a, b), 0);
                if (moved && check("chmod", chmod(b, 0700), 0))
                        check("rmdir", rmdir(b), 0);
                if (check("symlink", symlink("there", a), 0))
                        check("unlink", unlink(a), 0);
                int fd = open(c, O_RDWR | O_CREAT | O_EXCL, 0640);
                if (!check("create", fd, 0))
                        continue;
                struct stat st;
                if (fstat(fd, &st) < 0 || (st.st_mode & 07777) != 0640)
                        complain("mode %o", st.st_mode);
                close(fd);
                if (fd != 3)
                        complain("%s is %d: leaked", c, fd);
                if (check("link", link(c, a), 0) && check("unlink", unlink(a), 0))
                        check("unlink", unlink(c), 0);
        }
}

/* ---- names, two processes for each ---- */

static long compete_once(unsigned what, unsigned i, int side) {
        char name[64], from[64];
        int fd;

        snprintf(name, sizeof(name), "compete/%u", i);
        switch (what) {
        case COMPETE_MKDIR: return mkdir(name, 0777);
        case COMPETE_CREATE: fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0666); return fd < 0 ? fd : close(fd);
        case COMPETE_RENAME:
                snprintf(from, sizeof(from), "compete/from%d", side);
                return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, name, 1 /* RENAME_NOREPLACE */);
        case COMPETE_LINK: return link("compete/source", name);
        default: return unlink(name);
        }
}

static int lost_error(unsigned what) {
        return what == COMPETE_UNLINK ? ENOENT : EEXIST;
}

/* Both sides come to a round at the same time. */
static bool meet(struct board *board, unsigned i, int side) {
        atomic_store(&board->ready[side], i + 1);
        while (atomic_load(&board->ready[!side]) < i + 1)
                if (atomic_load(&board->done[!side]))
                        return false;
        return true;
}

static void compete(int side) {
        int fd = open("board", O_RDWR);
        struct board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        char name[64];

        if (fd < 0 || board == MAP_FAILED) {
                complain("no board: %s", strerrorname_np(errno));
                return;
        }
        close(fd);
        for (unsigned i = 0; i < ROUNDS; i++) {
                unsigned what = i % COMPETE_KINDS;
                /* The outsider makes ready what is competed for. */
                if (side == 1 && what == COMPETE_RENAME)
                        for (int other = 0; other < 2; other++) {
                                char from[64];
                                snprintf(from, sizeof(from), "compete/from%d", other);
                                close(open(from, O_WRONLY | O_CREAT, 0666));
                                (void) chmod(from, 0666);
                        }
                if (side == 1 && what == COMPETE_UNLINK) {
                        snprintf(name, sizeof(name), "compete/%u", i);
                        close(open(name, O_WRONLY | O_CREAT | O_EXCL, 0666));
                }
                if (side == 0 && stopped())
                        break;
                if (!meet(board, i, side))
                        break;
                /* The one in the sandbox takes longer. */
                if (side == 1)
                        for (volatile int spin = rand() % 60000; spin > 0; spin--)
                                ;
                long r = compete_once(what, i, side);
                if (r == 0)
                        board->matches[i].won[side]++;
                else if (errno == EIO && side == 0)
                        board->matches[i].uncertain++;
                if (side == 0)
                        (void) check(compete_names[what], r < 0 && errno == lost_error(what) ? 0 : r, 0);
        }
        atomic_store(&board->done[side], 1);
        munmap(board, sizeof(*board));
}

/* Exactly one has won each name. */
static void judge(void) {
        int fd = open("board", O_RDWR);
        struct board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        unsigned n = 0;

        if (board == MAP_FAILED)
                return;
        unsigned rounds = board->ready[0] < board->ready[1] ? board->ready[0] : board->ready[1];
        /* The last may have been begun by one alone. */
        for (unsigned i = 0; i + 1 < rounds; i++, n++) {
                int winners = board->matches[i].won[0] + board->matches[i].won[1];
                if (winners > 1 || (winners == 0 && board->matches[i].uncertain == 0))
                        complain("%s of %u has %d winners", compete_names[i % COMPETE_KINDS], i, winners);
        }
        unsigned inside = 0;
        for (unsigned i = 0; i < n; i++)
                inside += board->matches[i].won[0];
        printf("judged %u rounds, %u won inside\n", n, inside);
        calls = n;
}

/* ---- datagrams ---- */

struct datagram {
        unsigned number, copy;
};

static socklen_t address(struct sockaddr_un *un, const char *path) {
        un->sun_family = AF_UNIX;
        strcpy(un->sun_path, path);
        return offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}

/* Says by the exit code how many were not there exactly once; those that ended in EIO may be there or not. */
static void receive(int fd, _Atomic unsigned char *sent) {
        static unsigned char seen[1 << 24];
        struct datagram d;
        unsigned last = 0;

        while (recv(fd, &d, sizeof(d), 0) == sizeof(d) && d.number != UINT32_MAX) {
                if (seen[d.number]++)
                        complain("%u came twice", d.number);
                if (d.number > last)
                        last = d.number;
        }
        for (unsigned i = 0; i <= last; i++)
                if (sent[i] == 1 && !seen[i])
                        complain("%u was lost", i);
                else if (sent[i] == 2 && seen[i])
                        complain("%u failed, and came", i);
        _exit(wrong > 100 ? 100 : (int) wrong);
}

static void datagrams(void) {
        _Atomic unsigned char *sent = mmap(NULL, 1 << 24, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        struct sockaddr_un un = {};
        socklen_t size = address(&un, "receiver");
        int in = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), out = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), status;

        if (!check("bind", bind(in, (struct sockaddr *) &un, size), 0))
                return;
        pid_t receiver = fork();
        if (receiver == 0)
                receive(in, sent);
        close(in);
        for (unsigned i = 0; i < (1 << 24) - BATCH;) {
                struct datagram d[BATCH] = {};
                struct iovec iov[BATCH];
                struct mmsghdr many[BATCH] = {};

                if (i % 64 == 0 && stopped())
                        break;
                for (unsigned k = 0; k < BATCH; k++) {
                        d[k].number = i + k;
                        iov[k] = (struct iovec) { &d[k], sizeof(d[k]) };
                        many[k].msg_hdr = (struct msghdr) { .msg_name = &un, .msg_namelen = size, .msg_iov = &iov[k], .msg_iovlen = 1 };
                        many[k].msg_len = 77;
                }
                unsigned n = i % 3 == 2 ? BATCH : 1;
                long r = n > 1        ? sendmmsg(out, many, n, 0)
                         : i % 3 == 0 ? sendto(out, d, sizeof(*d), 0, (struct sockaddr *) &un, size)
                                      : sendmsg(out, &many[0].msg_hdr, 0);
                bool sure = check("send", r, 0);
                unsigned went = !sure ? 0 : n == 1 ? 1 : r;
                if (sure && n == 1 && r != sizeof(*d))
                        complain("%ld bytes", r);
                for (unsigned k = 0; k < n; k++) {
                        if (n > 1 && k < went && many[k].msg_len != sizeof(*d))
                                complain("message %u of %u has %u bytes", k, went, many[k].msg_len);
                        sent[i + k] = sure ? (k < went ? 1 : 2) : 3;
                }
                i += n;
        }
        struct datagram end = { .number = UINT32_MAX };
        while (sendto(out, &end, sizeof(end), 0, (struct sockaddr *) &un, size) < 0)
                ;
        if (waitpid(receiver, &status, 0) != receiver || status != 0)
                complain("the receiver: %d", WEXITSTATUS(status));
}

/* ---- connections ---- */

static void connections(void) {
        struct sockaddr_un un = {};
        socklen_t size = address(&un, "server");
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        unsigned number, got;

        if (!check("bind", bind(listener, (struct sockaddr *) &un, size), 0) || listen(listener, 5) < 0)
                return;
        for (number = 1; !stopped(); number++) {
                int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
                if (!check("connect", connect(fd, (struct sockaddr *) &un, size), 0)) {
                        close(fd);
                        continue;
                }
                if (write(fd, &number, sizeof(number)) != sizeof(number))
                        complain("write");
                int other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                got = 0;
                if (read(other, &got, sizeof(got)) != sizeof(got) || got != number)
                        complain("connection %u, not %u", got, number);
                close(other);
                close(fd);
                struct pollfd p = { .fd = listener, .events = POLLIN };
                if (poll(&p, 1, 0) != 0)
                        complain("connected twice");
        }
}

/* ---- FIFOs ---- */

static void fifo_writer(int turn) {
        unsigned number = 0;
        char go;

        while (read(turn, &go, 1) == 1) {
                int fd = open("fifo", O_WRONLY);
                if (!check("open to write", fd, 0) || write(fd, &number, sizeof(number)) != sizeof(number))
                        complain("write");
                number++;
                close(fd);
        }
        _exit(wrong != 0);
}

static void fifos(void) {
        int turn[2], status;

        if (pipe2(turn, O_CLOEXEC) < 0)
                return;
        pid_t writer = fork();
        if (writer == 0) {
                close(turn[1]);
                fifo_writer(turn[0]);
        }
        close(turn[0]);
        for (unsigned i = 0; !stopped(); i++) {
                unsigned got = UINT32_MAX;
                if (write(turn[1], "", 1) != 1)
                        complain("no writer");
                int fd = open("fifo", O_RDONLY);
                if (!check("open to read", fd, 0))
                        break;
                if (read(fd, &got, sizeof(got)) != sizeof(got) || got != i || read(fd, &got, sizeof(got)) != 0)
                        complain("%u, not %u", got, i);
                close(fd);
        }
        close(turn[1]);
        if (waitpid(writer, &status, 0) != writer || status != 0)
                complain("the writer: %x", status);
}

/* ---- listings ---- */

static void listings(void) {
        static bool seen[LISTED];
        char buffer[1024], name[32];

        for (unsigned i = 0; i < LISTED; i++) {
                snprintf(name, sizeof(name), "list/%u", i);
                close(create(name, O_WRONLY, 0644));
        }
        while (!stopped()) {
                unsigned n = 0;
                int fd = open("list", O_RDONLY | O_DIRECTORY);
                if (!check("open", fd, 0))
                        continue;
                memset(seen, 0, sizeof(seen));
                for (;;) {
                        long size = syscall(SYS_getdents64, fd, buffer, sizeof(buffer));
                        if (!check("getdents64", size, 0) || size == 0)
                                break;
                        for (long at = 0; at < size; at += *(unsigned short *) (buffer + at + 16)) {
                                const char *entry = buffer + at + 19;
                                if (entry[0] == '.')
                                        continue;
                                if (seen[atoi(entry)])
                                        complain("%s twice", entry);
                                seen[atoi(entry)] = true;
                                n++;
                        }
                }
                if (n != LISTED)
                        complain("%u names", n);
                close(fd);
        }
}

/* ---- programs ---- */

static void programs(void) {
        unsigned killed = 0;

        while (!stopped()) {
                int status;
                pid_t child = fork();
                if (child == 0) {
                        execl("/usr/bin/true", "true", NULL);
                        _exit(errno == EIO ? 5 : 99);
                }
                if (waitpid(child, &status, 0) != child)
                        complain("wait");
                calls++;
                if (WIFEXITED(status) && WEXITSTATUS(status) == 5)
                        eio++;
                else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
                        killed++;
                else if (status != 0)
                        complain("status %x", status);
        }
        printf("programs killed by the death of their tracer %u\n", killed);
}

/* ---- */

static const struct {
        const char *name;
        void (*run)(void);
} works[] = { { "opens", opens }, { "names", names },       { "datagrams", datagrams }, { "connections", connections },
              { "fifos", fifos }, { "listings", listings }, { "programs", programs } };

static int work(const char *name, void (*run)(void)) {
        kind = name;
        run();
        printf("%s: calls %lu eio %lu wrong %lu\n", name, calls, eio, wrong);
        fflush(stdout);
        return wrong > 0;
}

static void compete_inside(void) {
        compete(0);
}

int main(int argc, char **argv) {
        bool failed = false;
        int status;

        if (argc > 1 && strcmp(argv[1], "--outside") == 0) {
                kind = "outside";
                umask(0);
                compete(1);
                return 0;
        }
        if (argc > 1 && strcmp(argv[1], "--judge") == 0)
                return work("judge", judge);
        if (argc > 2)
                pace = strtoul(argv[2], NULL, 10);
        for (size_t i = 0; i <= sizeof(works) / sizeof(works[0]); i++) {
                bool last = i == sizeof(works) / sizeof(works[0]);
                if (argc > 1 && strcmp(argv[1], last ? "compete" : works[i].name) != 0)
                        continue;
                if (fork() == 0)
                        return last ? work("compete", compete_inside) : work(works[i].name, works[i].run);
        }
        while (wait(&status) > 0)
                failed = failed || status != 0;
        return failed;
}
