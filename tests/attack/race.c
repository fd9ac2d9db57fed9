/*
 * race NAME MILLISECONDS FOLDER [PORT BINDPORT [ENOUGH]]
 *
 * One thread makes a call again and again; another one swaps what the call is about between an allowed thing (FOLDER/a/…, PORT) and a
 * forbidden one (FOLDER/b/…, PORT + 1), by a single byte or a single system call. A win is a call that got at the forbidden one: its
 * content, its inode, its peer. Prints "wins N tries M"; the exit code is 0 if there was none. Stops early after ENOUGH wins.
 *
 * For the calls whose kernel side can't be done twice on one object (connect, bind, exclusive creation), the allowed thing is one that fails
 * by itself: what matters is whether the forbidden one is reached.
 */
#include "attack.h"

#include <arpa/inet.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static const char *folder;
static uint16_t port, bind_port;
static _Atomic bool stop;

/* What is swapped: shared with children, so that it goes on being swapped while they execute. */
static struct shared {
        char path[4096];
        struct open_how how;
        struct sockaddr_in in;
        struct sockaddr_un un;
        struct sockaddr *name; /* of a message */
} * shared;
static struct sockaddr_in in_b;
static struct sockaddr_un un_b;
static volatile char *byte; /* the byte that makes the difference */
static char byte_values[2];

static ino_t inode_a;

/* ---- Setting up ---- */

static void swap_byte(int which) {
        *byte = byte_values[which];
}

static void path_of(char *buffer, char letter, const char *name) {
        snprintf(buffer, 4096, "%s/%c/%s", folder, letter, name);
}

static void set_path(const char *name) {
        path_of(shared->path, 'a', name);
        byte = shared->path + strlen(folder) + 1;
        byte_values[0] = 'a';
        byte_values[1] = 'b';
}

static void prepare_file(void) {
        struct stat st;

        set_path("file");
        if (stat(shared->path, &st) < 0)
                attack_die("%s", shared->path);
        inode_a = st.st_ino;
}

static void prepare_link(void) {
        set_path("link");
}

static void prepare_absent(void) {
        set_path("absent"); /* there in b only */
}

static void prepare_new(void) {
        set_path("new"); /* in neither */
}

static void prepare_program(void) {
        set_path("program");
}

/* ---- Calls with a path ---- */

static bool canary_read(int fd) {
        char text[8] = "";
        ssize_t n;

        if (fd < 0)
                return false;
        n = pread(fd, text, 6, 0);
        close(fd);
        return n == 6 && memcmp(text, "canary", 6) == 0;
}

static bool try_open(void) {
        return canary_read(syscall(SYS_open, shared->path, O_RDONLY));
}

static bool try_openat(void) {
        return canary_read(syscall(SYS_openat, AT_FDCWD, shared->path, O_RDONLY));
}

static bool try_openat2(void) {
        struct open_how how = { .flags = O_RDONLY };

        return canary_read(syscall(SYS_openat2, AT_FDCWD, shared->path, &how, sizeof(how)));
}

/* Whether the forbidden one was made. Where the view doesn't hold it, unlink isn't asked of anybody, and can tell. */
static bool made_forbidden(int fd, const char *name) {
        char path[4096];

        if (fd >= 0)
                close(fd);
        path_of(path, 'a', name);
        unlink(path);
        path_of(path, 'b', name);
        return unlink(path) == 0;
}

static bool try_creat(void) {
        return made_forbidden(syscall(SYS_creat, shared->path, 0600), "new");
}

static bool try_create_exclusive(void) {
        return made_forbidden(syscall(SYS_openat, AT_FDCWD, shared->path, O_WRONLY | O_CREAT | O_EXCL, 0600), "new");
}

/* A directory's O_TMPFILE, given a name: /proc/self/fd shows where it lies. */
static bool try_tmpfile(void) {
        char link[64], text[4096] = "";
        int fd = syscall(SYS_openat, AT_FDCWD, shared->path, O_RDWR | O_TMPFILE, 0600);
        size_t n = strlen(folder);

        if (fd < 0)
                return false;
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, text, sizeof(text) - 1);
        close(fd);
        return length > 0 && strncmp(text, folder, n) == 0 && strncmp(text + n, "/b/", 3) == 0;
}

static void prepare_folder(void) {
        set_path("");
}

static bool try_stat(void) {
        struct stat st = {};

        return syscall(SYS_stat, shared->path, &st) == 0 && st.st_ino != inode_a;
}

static bool try_lstat(void) {
        struct stat st = {};

        return syscall(SYS_lstat, shared->path, &st) == 0 && st.st_ino != inode_a;
}

/* The kernel goes on with opens with O_PATH, so that a swapped path gives a descriptor of the canary: nothing is to be had by it. */
static bool try_open_path(void) {
        struct stat st = {};
        struct statx stx = {};
        char link[64];
        int fd = open(shared->path, O_PATH);
        bool won;

        if (fd < 0)
                return false;
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        won = (syscall(SYS_fstat, fd, &st) == 0 && st.st_ino != inode_a) ||
              (syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) == 0 && st.st_ino != inode_a) ||
              (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) == 0 && stx.stx_ino != inode_a) ||
              canary_read(open(link, O_RDONLY));
        close(fd);
        return won;
}

static bool try_newfstatat(void) {
        struct stat st = {};

        return syscall(SYS_newfstatat, AT_FDCWD, shared->path, &st, 0) == 0 && st.st_ino != inode_a;
}

static bool try_statx(void) {
        struct statx stx = {};

        return syscall(SYS_statx, AT_FDCWD, shared->path, 0, STATX_BASIC_STATS, &stx) == 0 && stx.stx_ino != inode_a;
}

static bool try_access(void) {
        return syscall(SYS_access, shared->path, R_OK) == 0;
}

static bool try_faccessat(void) {
        return syscall(SYS_faccessat, AT_FDCWD, shared->path, R_OK) == 0;
}

static bool try_faccessat2(void) {
        return syscall(SYS_faccessat2, AT_FDCWD, shared->path, R_OK, AT_EACCESS) == 0;
}

static bool try_readlink(void) {
        char text[16] = "";

        return syscall(SYS_readlink, shared->path, text, sizeof(text)) == 6 && memcmp(text, "canary", 6) == 0;
}

static bool try_readlinkat(void) {
        char text[16] = "";

        return syscall(SYS_readlinkat, AT_FDCWD, shared->path, text, sizeof(text)) == 6 && memcmp(text, "canary", 6) == 0;
}

/* The program in b exits with 42. */
static bool ran_canary(bool at) {
        char *argv[] = { (char *) "program", NULL };
        int status;
        pid_t pid = vfork();

        if (pid == 0) {
                if (at)
                        syscall(SYS_execveat, AT_FDCWD, shared->path, argv, NULL, 0);
                else
                        syscall(SYS_execve, shared->path, argv, NULL);
                _exit(1);
        }
        return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 42;
}

static bool try_execve(void) {
        return ran_canary(false);
}

static bool try_execveat(void) {
        return ran_canary(true);
}

/* ---- Names that change their meaning ---- */

static char link_name[4096], link_next[2][4096], link_target[2][4096];

static void prepare_symlink(const char *name) {
        snprintf(link_name, sizeof(link_name), "%.3000s/w/link", folder);
        for (int i = 0; i < 2; i++) {
                snprintf(link_next[i], sizeof(link_next[i]), "%.3000s/w/next%d", folder, i);
                snprintf(link_target[i], sizeof(link_target[i]), "%.3000s/%c%s%s", folder, "ab"[i], *name ? "/" : "", name);
        }
        unlink(link_name);
        if (symlink(link_target[0], link_name) < 0)
                attack_die("symlink %s", link_name);
}

static void swap_symlink(int which) {
        if (symlink(link_target[which], link_next[which]) == 0 || errno == EEXIST)
                rename(link_next[which], link_name);
}

static void prepare_symlink_file(void) {
        struct stat st;

        prepare_symlink("file");
        strcpy(shared->path, link_name);
        if (stat(shared->path, &st) < 0)
                attack_die("%s", shared->path);
        inode_a = st.st_ino;
}

static void prepare_symlink_absent(void) {
        prepare_symlink("absent");
        strcpy(shared->path, link_name);
}

static void prepare_symlink_new(void) {
        prepare_symlink("new");
        strcpy(shared->path, link_name);
}

static void prepare_symlink_folder(void) {
        prepare_symlink("");
        strcpy(shared->path, link_name);
        strcat(shared->path, "/file");
}

static bool try_open_create(void) {
        return made_forbidden(syscall(SYS_open, shared->path, O_WRONLY | O_CREAT, 0600), "new");
}

/* FOLDER/w/one/two/../../b/file is FOLDER/w/b/file, an allowed one. Once `two` has been moved from one to w while the path is walked, the
 * second `..` is FOLDER, and b the forbidden one. Going in and out of `three` makes the walk longer. */
static char two[2][4096];

static void prepare_dotdot(void) {
        size_t n;

        snprintf(two[0], sizeof(two[0]), "%.3000s/w/one/two", folder);
        snprintf(two[1], sizeof(two[1]), "%.3000s/w/two", folder);
        n = snprintf(shared->path, sizeof(shared->path), "%.1000s/", two[0]);
        for (int i = 0; i < 100; i++)
                n += snprintf(shared->path + n, sizeof(shared->path) - n, "three/../");
        snprintf(shared->path + n, sizeof(shared->path) - n, "../../b/file");
}

static void swap_dotdot(int which) {
        rename(two[!which], two[which]);
        /* The time in which a walk may end. */
        if (which == 1)
                usleep(1);
}

/* Threads share their current directory. */
static void prepare_cwd(void) {
        char path[4096];

        strcpy(shared->path, "file");
        path_of(path, 'a', "");
        if (chdir(path) < 0)
                attack_die("chdir %s", path);
}

static void swap_cwd(int which) {
        char path[4096];

        path_of(path, "ab"[which], "");
        if (chdir(path) < 0 && which == 0)
                attack_die("chdir back to %s", path);
}

/* openat2's flags lie in memory. FOLDER/r may be read, not written. */
static void prepare_how(void) {
        snprintf(shared->path, sizeof(shared->path), "%s/r/file", folder);
        shared->how.flags = O_RDONLY;
        byte = (volatile char *) &shared->how.flags;
        byte_values[0] = O_RDONLY;
        byte_values[1] = O_RDWR;
}

static bool try_how(void) {
        int fd = syscall(SYS_openat2, AT_FDCWD, shared->path, &shared->how, sizeof(shared->how));
        bool win = fd >= 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;

        if (fd >= 0)
                close(fd);
        return win;
}

/* ---- Addresses ---- */

static struct sockaddr_in loopback(uint16_t number) {
        return (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = htons(number), .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

static void prepare_port(uint16_t number) {
        shared->in = loopback(number);
        in_b = loopback(number ^ 1);
        byte = (volatile char *) &shared->in.sin_port + 1;
        byte_values[0] = *byte;
        byte_values[1] = ((char *) &in_b.sin_port)[1];
}

static void prepare_in(void) {
        prepare_port(port);
}

static void prepare_bind(void) {
        prepare_port(bind_port);
}

static void prepare_un(const char *name) {
        char path[4096];

        path_of(path, 'a', name);
        if (strlen(path) >= sizeof(shared->un.sun_path))
                attack_die("%s is too long for a socket", path);
        shared->un = un_b = (struct sockaddr_un) { .sun_family = AF_UNIX };
        strcpy(shared->un.sun_path, path);
        strcpy(un_b.sun_path, path);
        byte = shared->un.sun_path + strlen(folder) + 1;
        un_b.sun_path[strlen(folder) + 1] = 'b';
        byte_values[0] = 'a';
        byte_values[1] = 'b';
}

static void prepare_stream(void) {
        prepare_un("stream");
}

static void prepare_dgram(void) {
        prepare_un("dgram");
}

static bool in_is_forbidden(const struct sockaddr_in *is) {
        return is->sin_family == AF_INET && is->sin_port == in_b.sin_port;
}

static int socket_of(int domain, int type) {
        int fd = socket(domain, type, 0);

        if (fd < 0)
                attack_die("socket");
        return fd;
}

static bool connected_in(int type) {
        struct sockaddr_in peer = {};
        socklen_t size = sizeof(peer);
        int fd = socket_of(AF_INET, type);
        bool win;

        connect(fd, (struct sockaddr *) &shared->in, sizeof(shared->in));
        win = getpeername(fd, (struct sockaddr *) &peer, &size) == 0 && in_is_forbidden(&peer);
        if (win && type == SOCK_STREAM) {
                /* No TIME_WAIT for each of thousands. */
                struct linger now = { .l_onoff = 1 };
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        }
        close(fd);
        return win;
}

static bool try_connect_tcp(void) {
        return connected_in(SOCK_STREAM);
}

static bool try_connect_udp(void) {
        return connected_in(SOCK_DGRAM);
}

static bool connected_un(int type) {
        struct sockaddr_un peer = {};
        socklen_t size = sizeof(peer);
        int fd = socket_of(AF_UNIX, type);
        bool win;

        connect(fd, (struct sockaddr *) &shared->un, sizeof(shared->un));
        win = getpeername(fd, (struct sockaddr *) &peer, &size) == 0 && strcmp(peer.sun_path, un_b.sun_path) == 0;
        close(fd);
        return win;
}

static bool try_connect_stream(void) {
        return connected_un(SOCK_STREAM);
}

static bool try_connect_dgram(void) {
        return connected_un(SOCK_DGRAM);
}

static bool try_bind(void) {
        struct sockaddr_in is = {};
        socklen_t size = sizeof(is);
        int fd = socket_of(AF_INET, SOCK_STREAM);
        bool win;

        bind(fd, (struct sockaddr *) &shared->in, sizeof(shared->in));
        win = getsockname(fd, (struct sockaddr *) &is, &size) == 0 && in_is_forbidden(&is);
        close(fd);
        return win;
}

/* ---- Datagrams: what arrives at the forbidden place is counted by the witness outside, which answers. ---- */

enum send { SENDTO, SENDMSG, SENDMMSG, SENDMSG_NAME };

/* The witness answers on the forbidden port alone. */
static bool answered(int fd) {
        char text[8];

        return recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0;
}

static void send_by(enum send how, int fd, struct sockaddr *name, socklen_t size) {
        char text[] = "hello";
        struct iovec iov = { text, sizeof(text) };
        struct mmsghdr m = { .msg_hdr = { .msg_name = name, .msg_namelen = size, .msg_iov = &iov, .msg_iovlen = 1 } };

        if (how == SENDTO)
                sendto(fd, text, sizeof(text), MSG_DONTWAIT, name, size);
        else if (how == SENDMMSG)
                sendmmsg(fd, &m, 1, MSG_DONTWAIT);
        else
                sendmsg(fd, &m.msg_hdr, MSG_DONTWAIT);
}

static bool sent_in(enum send how) {
        static int fd = -1;

        if (fd < 0)
                fd = socket_of(AF_INET, SOCK_DGRAM);
        send_by(how, fd, (struct sockaddr *) &shared->in, sizeof(shared->in));
        return answered(fd);
}

static bool sent_un(enum send how) {
        static int fd = -1;

        if (fd < 0) {
                struct sockaddr_un own = { .sun_family = AF_UNIX };
                char path[4096];

                path_of(path, 'a', "own");
                strcpy(own.sun_path, path);
                unlink(path);
                fd = socket_of(AF_UNIX, SOCK_DGRAM);
                /* Where the kernel goes on with what was done already it says so, but bound it is. */
                socklen_t size = sizeof(own);
                if (bind(fd, (struct sockaddr *) &own, size) < 0 &&
                    (getsockname(fd, (struct sockaddr *) &own, &size) < 0 || size <= sizeof(sa_family_t)))
                        attack_die("bind %s", path);
        }
        send_by(how, fd, (struct sockaddr *) &shared->un, sizeof(shared->un));
        return answered(fd);
}

static bool try_sendto_udp(void) {
        return sent_in(SENDTO);
}

static bool try_sendmsg_udp(void) {
        return sent_in(SENDMSG);
}

static bool try_sendmmsg_udp(void) {
        return sent_in(SENDMMSG);
}

static bool try_sendto_dgram(void) {
        return sent_un(SENDTO);
}

static bool try_sendmsg_dgram(void) {
        return sent_un(SENDMSG);
}

static bool try_sendmmsg_dgram(void) {
        return sent_un(SENDMMSG);
}

/* ---- Who is who ---- */

static const struct race {
        const char *name;
        void (*prepare)(void);
        bool (*attempt)(void);
        void (*swap)(int which);
} races[] = {
        { "open", prepare_file, try_open, swap_byte },
        { "openat", prepare_file, try_openat, swap_byte },
        { "openat2", prepare_file, try_openat2, swap_byte },
        { "openat2-how", prepare_how, try_how, swap_byte },
        { "creat", prepare_new, try_creat, swap_byte },
        { "open-exclusive", prepare_new, try_create_exclusive, swap_byte },
        { "open-tmpfile", prepare_folder, try_tmpfile, swap_byte },
        { "open-path", prepare_file, try_open_path, swap_byte },
        { "stat", prepare_file, try_stat, swap_byte },
        { "lstat", prepare_file, try_lstat, swap_byte },
        { "newfstatat", prepare_file, try_newfstatat, swap_byte },
        { "statx", prepare_file, try_statx, swap_byte },
        { "access", prepare_absent, try_access, swap_byte },
        { "faccessat", prepare_absent, try_faccessat, swap_byte },
        { "faccessat2", prepare_absent, try_faccessat2, swap_byte },
        { "readlink", prepare_link, try_readlink, swap_byte },
        { "readlinkat", prepare_link, try_readlinkat, swap_byte },
        { "execve", prepare_program, try_execve, swap_byte },
        { "execveat", prepare_program, try_execveat, swap_byte },
        { "symlink-open", prepare_symlink_file, try_open, swap_symlink },
        { "symlink-stat", prepare_symlink_file, try_stat, swap_symlink },
        { "symlink-access", prepare_symlink_absent, try_access, swap_symlink },
        { "symlink-folder", prepare_symlink_folder, try_openat, swap_symlink },
        { "symlink-dangling", prepare_symlink_new, try_open_create, swap_symlink },
        { "dotdot", prepare_dotdot, try_open, swap_dotdot },
        { "cwd", prepare_cwd, try_open, swap_cwd },
        { "connect-tcp", prepare_in, try_connect_tcp, swap_byte },
        { "connect-udp", prepare_in, try_connect_udp, swap_byte },
        { "connect-stream", prepare_stream, try_connect_stream, swap_byte },
        { "connect-dgram", prepare_dgram, try_connect_dgram, swap_byte },
        { "bind-tcp", prepare_bind, try_bind, swap_byte },
        { "sendto-udp", prepare_in, try_sendto_udp, swap_byte },
        { "sendmsg-udp", prepare_in, try_sendmsg_udp, swap_byte },
        { "sendmmsg-udp", prepare_in, try_sendmmsg_udp, swap_byte },
        { "sendto-dgram", prepare_dgram, try_sendto_dgram, swap_byte },
        { "sendmsg-dgram", prepare_dgram, try_sendmsg_dgram, swap_byte },
        { "sendmmsg-dgram", prepare_dgram, try_sendmmsg_dgram, swap_byte },
};

static void *swapper(void *userdata) {
        const struct race *race = userdata;

        for (unsigned i = 1; !stop; i++) {
                race->swap(i & 1);
                /* The call must also be seen to begin with the allowed one, however the CPUs are shared. */
                if (i % 1024 == 0)
                        sched_yield();
        }
        race->swap(0);
        return NULL;
}

int main(int argc, char **argv) {
        uint64_t wins = 0, tries = 0, enough = argc > 6 ? strtoull(argv[6], NULL, 10) : UINT64_MAX;
        const struct race *race = NULL;
        pthread_t thread;

        if (argc < 4)
                return 2;
        for (size_t i = 0; i < sizeof(races) / sizeof(*races); i++)
                if (strcmp(races[i].name, argv[1]) == 0)
                        race = &races[i];
        if (!race)
                return 2;
        folder = argv[3];
        port = argc > 4 ? atoi(argv[4]) : 0;
        bind_port = argc > 5 ? atoi(argv[5]) : 0;
        shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED)
                attack_die("mmap");
        race->prepare();

        uint64_t end = attack_now() + strtoull(argv[2], NULL, 10);
        if (pthread_create(&thread, NULL, swapper, (void *) race) != 0)
                attack_die("pthread_create");
        for (; attack_now() < end && wins < enough; tries++)
                wins += race->attempt();
        stop = true;
        pthread_join(thread, NULL);
        printf("wins %llu tries %llu\n", (unsigned long long) wins, (unsigned long long) tries);
        return wins > 0;
}
