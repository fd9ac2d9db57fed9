/*
 * connect, bind and the sends, on loopback and on Unix sockets in a folder of /tmp that it makes, with what goes wrong.
 */
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "probe.h"

static volatile sig_atomic_t pipes_broken;

static void on_sigpipe(int number) {
        (void) number;
        pipes_broken++;
}

static struct sockaddr_in loopback(uint16_t port) {
        return (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int listener(struct sockaddr_in *ret) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof(*ret);

        *ret = loopback(0);
        if (fd < 0 || bind(fd, (struct sockaddr *) ret, size) < 0 || listen(fd, 4) < 0 ||
            getsockname(fd, (struct sockaddr *) ret, &size) < 0)
                abort();
        return fd;
}

static int do_connect(int fd, const void *address, socklen_t size) {
        return connect(fd, address, size);
}

static void tcp(void) {
        struct sockaddr_in address, refused;
        int server = listener(&address), other = listener(&refused), fd, peer, flag = 1;
        char text[8] = "";

        close(other);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        printf("tcp connect %s\n", SHOW(do_connect(fd, &address, sizeof(address))));
        peer = accept(server, NULL, NULL);
        struct sockaddr_in name;
        socklen_t size = sizeof(name);
        printf("tcp peer %s", SHOW(getpeername(fd, (struct sockaddr *) &name, &size)));
        printf(" %d\n", name.sin_port == address.sin_port);
        printf("tcp again %s\n", SHOW(do_connect(fd, &address, sizeof(address))));
        printf("tcp data %zd", send(fd, "hello", 5, 0));
        printf(" %zd\n", recv(peer, text, 5, MSG_WAITALL));
        /* An address is of no interest to a connected stream. */
        printf("tcp sendto %zd\n", sendto(fd, "x", 1, 0, (struct sockaddr *) &refused, sizeof(refused)));
        close(fd);
        close(peer);

        fd = socket(AF_INET, SOCK_STREAM, 0);
        printf("tcp refused %s\n", SHOW(do_connect(fd, &refused, sizeof(refused))));
        printf("tcp short %s\n", SHOW(do_connect(fd, &address, 8)));
        printf("tcp none %s\n", SHOW(do_connect(fd, &address, 0)));
        printf("tcp one byte %s\n", SHOW(do_connect(fd, &address, 1)));
        printf("tcp huge %s\n", SHOW(do_connect(fd, &address, 129)));
        printf("tcp negative %s\n", SHOW(do_connect(fd, &address, -1)));
        printf("tcp fault %s\n", SHOW(do_connect(fd, (void *) 8, 16)));
        struct sockaddr_un wrong = { .sun_family = AF_UNIX, .sun_path = "/x" };
        printf("tcp family %s\n", SHOW(do_connect(fd, &wrong, sizeof(wrong))));
        struct sockaddr none = { .sa_family = AF_UNSPEC };
        printf("tcp unspec %s\n", SHOW(do_connect(fd, &none, sizeof(none))));
        close(fd);

        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        printf("tcp non-blocking %s\n", SHOW(do_connect(fd, &address, sizeof(address))));
        struct pollfd p = { .fd = fd, .events = POLLOUT };
        poll(&p, 1, 1000);
        printf("tcp ready %d, connected %s\n", p.revents, SHOW(do_connect(fd, &address, sizeof(address))));
        printf("tcp connected again %s\n", SHOW(do_connect(fd, &address, sizeof(address))));
        close(fd);

        fd = socket(AF_INET, SOCK_STREAM, 0);
        printf("fast open %d\n", (int) sendto(fd, "fast", 4, MSG_FASTOPEN, (struct sockaddr *) &address, sizeof(address)));
        printf("nodelay %s\n", SHOW(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &flag, sizeof(flag))));
        close(fd);
        printf("no fd %s, file %s, path %s\n", SHOW(do_connect(99, &address, sizeof(address))),
               SHOW(do_connect(open("/", O_RDONLY), &address, 16)), SHOW(do_connect(open("/", O_PATH), &address, 16)));
        close(server);
}

/* A stream larger than any buffer, in a blocking sendmsg. */
static void *drain(void *userdata) {
        static char buffer[65536];
        long total = 0;
        ssize_t n;

        while ((n = read(*(int *) userdata, buffer, sizeof(buffer))) > 0) {
                for (ssize_t i = 0; i < n; i++)
                        if (buffer[i] != (char) ((total + i) % 251))
                                abort();
                total += n;
        }
        return (void *) total;
}

static void large(int domain) {
        enum { SIZE = 5000000 };
        char *data = malloc(SIZE);
        struct iovec iov[] = { { data, 7 }, { data + 7, 0 }, { data + 7, 3000000 }, { data + 3000007, SIZE - 3000007 } };
        struct msghdr message = { .msg_iov = iov, .msg_iovlen = 4 };
        struct sockaddr_in address;
        int pair[2], server = -1;
        pthread_t thread;
        void *total;

        for (long i = 0; i < SIZE; i++)
                data[i] = i % 251;
        if (domain == AF_UNIX) {
                if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
                        abort();
        } else {
                server = listener(&address);
                pair[0] = socket(AF_INET, SOCK_STREAM, 0);
                if (connect(pair[0], (struct sockaddr *) &address, sizeof(address)) < 0)
                        abort();
                pair[1] = accept(server, NULL, NULL);
        }
        pthread_create(&thread, NULL, drain, &pair[1]);
        printf("large sendmsg %zd\n", sendmsg(pair[0], &message, 0));
        close(pair[0]);
        pthread_join(thread, &total);
        printf("large received %ld\n", (long) total);
        close(pair[1]);
        close(server);
        free(data);
}

static void udp(void) {
        struct sockaddr_in a = loopback(0), b = loopback(0);
        socklen_t size = sizeof(a);
        int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0);
        static char big[70000], text[100];

        if (bind(one, (struct sockaddr *) &a, size) < 0 || bind(two, (struct sockaddr *) &b, size) < 0 ||
            getsockname(one, (struct sockaddr *) &a, &size) < 0 || getsockname(two, (struct sockaddr *) &b, &size) < 0)
                abort();
        printf("udp sendto %d\n", (int) sendto(one, "abc", 3, 0, (struct sockaddr *) &b, size));
        struct sockaddr_in from;
        socklen_t from_size = sizeof(from);
        printf("udp got %zd", recvfrom(two, text, sizeof(text), 0, (struct sockaddr *) &from, &from_size));
        printf(" from the sender %d\n", from.sin_port == a.sin_port);
        printf("udp empty %zd", sendto(one, NULL, 0, 0, (struct sockaddr *) &b, size));
        printf(" %zd\n", recv(two, text, sizeof(text), MSG_DONTWAIT));
        printf("udp too large %s\n", SHOW(sendto(one, big, sizeof(big), 0, (struct sockaddr *) &b, size)));
        printf("udp fault %s\n", SHOW(sendto(one, (void *) 8, 8, 0, (struct sockaddr *) &b, size)));
        printf("udp address fault %s\n", SHOW(sendto(one, "x", 1, 0, (void *) 8, size)));
        printf("udp no address %s\n", SHOW(sendto(one, "x", 1, 0, NULL, 0)));
        printf("udp size 0 %s\n", SHOW(sendto(one, "x", 1, 0, (struct sockaddr *) &b, 0)));
        printf("udp short %s\n", SHOW(sendto(one, "x", 1, 0, (struct sockaddr *) &b, 7)));
        b.sin_family = AF_UNSPEC;
        printf("udp unspec %d\n", (int) sendto(one, "u", 1, 0, (struct sockaddr *) &b, size));
        printf("udp got %zd\n", recv(two, text, sizeof(text), MSG_DONTWAIT));
        b.sin_family = AF_INET;

        struct iovec iov[] = { { (char[]) { "one" }, 3 }, { (char[]) { "two" }, 3 } };
        struct msghdr message = { .msg_name = &b, .msg_namelen = size, .msg_iov = iov, .msg_iovlen = 2 };
        printf("udp sendmsg %d", (int) sendmsg(one, &message, 0));
        printf(" %d\n", (int) recv(two, text, sizeof(text), MSG_DONTWAIT));
        message.msg_iovlen = 1025;
        printf("udp vector %s\n", SHOW(sendmsg(one, &message, 0)));
        message.msg_iovlen = 2;
        message.msg_namelen = -1;
        printf("udp negative %s\n", SHOW(sendmsg(one, &message, 0)));
        message.msg_namelen = size;
        message.msg_iov = (void *) 8;
        printf("udp vector fault %s\n", SHOW(sendmsg(one, &message, 0)));
        printf("udp message fault %s\n", SHOW(sendmsg(one, (void *) 8, 0)));
        message.msg_iov = iov;

        struct mmsghdr many[4] = { { .msg_hdr = message }, { .msg_hdr = message }, { .msg_hdr = message }, { .msg_hdr = message } };
        many[2].msg_hdr.msg_iov = (void *) 8;
        printf("udp sendmmsg %d", sendmmsg(one, many, 4, 0));
        printf(" lengths %u %u %u\n", many[0].msg_len, many[1].msg_len, many[2].msg_len);
        printf("udp sendmmsg 0 %d", sendmmsg(one, many, 0, 0));
        printf(" fault %s\n", SHOW(sendmmsg(one, many + 2, 1, 0)));
        printf("udp connect %s", SHOW(connect(one, (struct sockaddr *) &b, size)));
        printf(" send %d", (int) send(one, "x", 1, 0));
        struct sockaddr none = { .sa_family = AF_UNSPEC };
        printf(" disconnect %s", SHOW(connect(one, &none, sizeof(none))));
        printf(" send %s\n", SHOW(send(one, "x", 1, 0)));
        close(one);
        close(two);
}

/* Sends that have to wait, and what a signal does to them. */
struct helper {
        int fd;
        pthread_t main;
        int signal;
        bool drain;
};

static void on_signal(int number) {
        (void) number;
}

static void *help(void *userdata) {
        struct helper *h = userdata;
        static char buffer[65536];

        usleep(60000);
        if (h->signal) {
                pthread_kill(h->main, h->signal);
                usleep(60000);
        }
        if (h->drain)
                for (int i = 0; i < 100 && recv(h->fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0; i++)
                        ;
        return NULL;
}

static void waiting(int type, int number, bool restart, bool drains) {
        static char block[4000];
        struct iovec iov = { block, sizeof(block) };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        struct sigaction action = { .sa_handler = on_signal, .sa_flags = restart ? SA_RESTART : 0 };
        struct helper helper = { .main = pthread_self(), .signal = number, .drain = drains };
        int pair[2];
        pthread_t thread;

        sigaction(SIGUSR1, &action, NULL);
        if (socketpair(AF_UNIX, type, 0, pair) < 0)
                abort();
        while (sendmsg(pair[0], &message, MSG_DONTWAIT) > 0)
                ;
        helper.fd = pair[1];
        pthread_create(&thread, NULL, help, &helper);
        int r = sendmsg(pair[0], &message, 0);
        printf("waiting %d %d %d: %s", type, number, restart, SHOW(r));
        printf(" %d\n", r);
        pthread_join(thread, NULL);
        close(pair[0]);
        close(pair[1]);
}

static struct sockaddr_un unix_address(const char *path) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };

        strcpy(a.sun_path, path);
        return a;
}

static int unix_connect(int type, const char *path) {
        struct sockaddr_un a = unix_address(path);
        int fd = socket(AF_UNIX, type, 0);
        int r = connect(fd, (struct sockaddr *) &a, sizeof(a)), error = errno;

        close(fd);
        errno = error;
        return r;
}

static void unix_sockets(void) {
        static const char *const paths[] = { "sock",   "./sock", "link", "dgram", "file",      "nope",
                                             "nope/x", "file/x", "dir",  "loop",  "dark/sock", "far/../sock" };
        struct sockaddr_un a = unix_address("sock"), d = unix_address("dgram"), c = unix_address("client"), name;
        socklen_t size = sizeof(name);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0), dgram = socket(AF_UNIX, SOCK_DGRAM, 0), client = socket(AF_UNIX, SOCK_DGRAM, 0);
        char text[32];

        printf("unix bind %s\n", SHOW(bind(fd, (struct sockaddr *) &a, sizeof(a))));
        printf("unix bind again %s\n", SHOW(bind(dgram, (struct sockaddr *) &a, sizeof(a))));
        printf("unix name %s %.20s\n", SHOW(getsockname(fd, (struct sockaddr *) &name, &size)), name.sun_path);
        struct stat st;
        printf("unix node %s", SHOW(stat("sock", &st)));
        printf(" %o\n", st.st_mode);
        printf("unix dgram %s %s\n", SHOW(bind(dgram, (struct sockaddr *) &d, sizeof(d))),
               SHOW(bind(client, (struct sockaddr *) &c, sizeof(c))));
        printf("unix connect before listen %s\n", SHOW(unix_connect(SOCK_STREAM, "sock")));
        listen(fd, 50);
        for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
                printf("unix %s: %s %s\n", paths[i], SHOW(unix_connect(SOCK_STREAM, paths[i])), SHOW(unix_connect(SOCK_DGRAM, paths[i])));
        printf("unix unterminated %s\n", SHOW(connect(client, (struct sockaddr *) &d, offsetof(struct sockaddr_un, sun_path) + 5)));
        size = sizeof(name);
        memset(&name, 0, sizeof(name));
        printf("unix peer %s %.20s\n", SHOW(getpeername(client, (struct sockaddr *) &name, &size)), name.sun_path);
        printf("unix family only %s\n", SHOW(connect(client, (struct sockaddr *) &d, 2)));
        printf("unix too long %s\n", SHOW(connect(client, (struct sockaddr *) &d, 111)));
        printf("unix sendto %d", (int) sendto(client, "hi", 2, 0, (struct sockaddr *) &d, sizeof(d)));
        printf(" %d\n", (int) recv(dgram, text, 32, MSG_DONTWAIT));
        printf("unix sendto nobody %s\n", SHOW(sendto(client, "hi", 2, 0, (struct sockaddr *) &a, sizeof(a))));

        int stream = socket(AF_UNIX, SOCK_STREAM, 0);
        printf("unix stream %s", SHOW(connect(stream, (struct sockaddr *) &a, sizeof(a))));
        printf(" with an address %s\n", SHOW(sendto(stream, "hi", 2, 0, (struct sockaddr *) &a, sizeof(a))));
        int accepted = accept(fd, NULL, NULL);
        struct ucred credentials;
        size = sizeof(credentials);
        getsockopt(accepted, SOL_SOCKET, SO_PEERCRED, &credentials, &size);
        printf("unix peer is %d\n", credentials.uid == getuid() && credentials.gid == getgid());
        close(accepted);
        close(stream);

        struct sockaddr_un abstract = { .sun_family = AF_UNIX };
        snprintf(abstract.sun_path + 1, 40, "probe-%d", getpid());
        int ab = socket(AF_UNIX, SOCK_STREAM, 0), to = socket(AF_UNIX, SOCK_STREAM, 0);
        printf("abstract bind %s", SHOW(bind(ab, (struct sockaddr *) &abstract, 20)));
        printf(" listen %s", SHOW(listen(ab, 1)));
        printf(" connect %s", SHOW(connect(to, (struct sockaddr *) &abstract, 20)));
        printf(" other size %s\n", SHOW(unix_connect(SOCK_STREAM, "")));
        close(ab);
        close(to);
        close(fd);
        close(dgram);
        close(client);
}

static void control(void) {
        union {
                char room[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
                struct cmsghdr header;
        } sent = {}, got = {};
        struct iovec iov = { (char[]) { "x" }, 1 };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &sent, .msg_controllen = CMSG_SPACE(sizeof(int)) };
        int pair[2], files[2], on = 1;
        char text[8];

        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || pipe(files) < 0)
                abort();
        sent.header = (struct cmsghdr) { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
        memcpy(CMSG_DATA(&sent.header), &files[1], sizeof(int));
        printf("rights %d", (int) sendmsg(pair[0], &message, 0));
        struct iovec in = { text, sizeof(text) };
        struct msghdr receive = { .msg_iov = &in, .msg_iovlen = 1, .msg_control = &got, .msg_controllen = sizeof(got) };
        printf(" received %d", (int) recvmsg(pair[1], &receive, 0));
        int fd = -1;
        if (receive.msg_controllen >= CMSG_LEN(sizeof(int)))
                memcpy(&fd, CMSG_DATA(&got.header), sizeof(int));
        printf(" wrote %d", (int) write(fd, "y", 1));
        close(files[1]);
        close(fd);
        printf(" read %d\n", (int) read(files[0], text, 1));
        int bad = 99;
        memcpy(CMSG_DATA(&sent.header), &bad, sizeof(int));
        printf("rights to nothing %s\n", SHOW(sendmsg(pair[0], &message, 0)));
        sent.header.cmsg_len = 3;
        printf("control too short %s\n", SHOW(sendmsg(pair[0], &message, 0)));
        sent.header.cmsg_len = 300;
        printf("control too long %s\n", SHOW(sendmsg(pair[0], &message, 0)));
        message.msg_controllen = 1UL << 33;
        printf("control huge %s\n", SHOW(sendmsg(pair[0], &message, 0)));
        message.msg_controllen = 24;
        message.msg_control = (void *) 8;
        printf("control fault %s\n", SHOW(sendmsg(pair[0], &message, 0)));

        setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
        struct ucred me = { getpid(), getuid(), getgid() };
        sent.header = (struct cmsghdr) { .cmsg_len = CMSG_LEN(sizeof(me)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS };
        memcpy(CMSG_DATA(&sent.header), &me, sizeof(me));
        message.msg_control = &sent;
        message.msg_controllen = CMSG_SPACE(sizeof(me));
        printf("credentials %s\n", SHOW(sendmsg(pair[0], &message, 0)));
        me.pid = 1;
        memcpy(CMSG_DATA(&sent.header), &me, sizeof(me));
        printf("other's credentials %s\n", SHOW(sendmsg(pair[0], &message, 0)));
        close(pair[0]);
        close(pair[1]);
}

static void broken(void) {
        struct iovec iov = { (char[]) { "x" }, 1 };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        static char block[200000];
        struct iovec large_iov = { block, sizeof(block) };
        struct msghdr large_message = { .msg_iov = &large_iov, .msg_iovlen = 1 };
        int pair[2];

        signal(SIGPIPE, on_sigpipe);
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
                abort();
        printf("full %d\n", (int) sendmsg(pair[0], &large_message, MSG_DONTWAIT) > 0);
        while (sendmsg(pair[0], &large_message, MSG_DONTWAIT) > 0)
                ;
        printf("full then %s\n", SHOW(sendmsg(pair[0], &large_message, MSG_DONTWAIT)));
        struct timeval limit = { .tv_usec = 20000 };
        setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        printf("timeout %s\n", SHOW(sendmsg(pair[0], &large_message, 0)));
        close(pair[1]);
        int r = sendmsg(pair[0], &message, MSG_NOSIGNAL);
        printf("no signal %s", SHOW(r));
        printf(" %d\n", (int) pipes_broken);
        r = sendmsg(pair[0], &message, 0);
        printf("signal %s", SHOW(r));
        printf(" %d\n", (int) pipes_broken);
        close(pair[0]);

        struct iovec half[] = { { block, 10 }, { (void *) 8, 10 } };
        struct msghdr fault = { .msg_iov = half, .msg_iovlen = 2 };
        if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
                abort();
        printf("half a datagram %s\n", SHOW(sendmsg(pair[0], &fault, 0)));
        printf("empty datagram %d\n", (int) sendmsg(pair[0], &(struct msghdr) {}, 0));
        large_iov.iov_len = sizeof(block);
        printf("large datagram %d\n", (int) sendmsg(pair[0], &large_message, 0));
        close(pair[0]);
        close(pair[1]);
        printf("sockets %s %s %s\n", SHOW(socket(AF_UNIX, SOCK_SEQPACKET, 0)), SHOW(socket(AF_INET6, SOCK_DGRAM, 0)),
               SHOW(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)));
}

int main(void) {
        alarm(30);
        char folder[] = "/tmp/probe.XXXXXX";
        struct sockaddr_un dark = unix_address("dark/sock");

        if (!mkdtemp(folder) || chdir(folder) < 0)
                return 2;
        probe_drop_rights();
        umask(027);
        (void) mkdir("dir", 0755);
        (void) mkdir("dark", 0755);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (symlink("sock", "link") < 0 || symlink("loop", "loop") < 0 || symlink("dir", "far") < 0 ||
            bind(fd, (struct sockaddr *) &dark, sizeof(dark)) < 0)
                return 2;
        (void) chmod("dark", 0);
        close(open("file", O_WRONLY | O_CREAT, 0644));
        tcp();
        udp();
        unix_sockets();
        control();
        broken();
        waiting(SOCK_DGRAM, 0, false, true);
        waiting(SOCK_STREAM, 0, false, true);
        waiting(SOCK_DGRAM, SIGUSR1, false, false);
        waiting(SOCK_STREAM, SIGUSR1, false, false);
        waiting(SOCK_DGRAM, SIGUSR1, true, true);
        waiting(SOCK_STREAM, SIGUSR1, true, true);
        large(AF_UNIX);
        large(AF_INET);
        (void) chmod("dark", 0755);
        fflush(stdout);
        if (chdir("/") < 0 || execl("/bin/rm", "rm", "-rf", folder, NULL) < 0)
                return 2;
}
