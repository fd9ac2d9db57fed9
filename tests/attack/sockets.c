/*
 * sockets none|host FOLDER PORT TAKEN: ways to the witness's forbidden places (FOLDER/b/stream, FOLDER/b/dgram, the port beside PORT, an abstract
 * name) other than connect with its plain address. FOLDER/b can be read and written: sockets in it need a rule of their own all the same.
 */
#include "attack.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

static const char *folder;
static bool host;
static uint16_t port, taken;

/* In a network of its own, what is asked of the loopback is asked of an empty one. 0 would end the list of errnos. */
#define OR_EMPTY (host ? EACCES : ECONNREFUSED)

static int new_socket(int domain, int type) {
        int fd = socket(domain, type, 0);

        if (fd < 0)
                attack_die("socket");
        return fd;
}

static ssize_t send_message(int fd, const void *name, socklen_t size, int flags) {
        struct iovec iov = { (char *) "x", 1 };
        struct msghdr m = { .msg_name = (void *) name, .msg_namelen = size, .msg_iov = &iov, .msg_iovlen = 1 };

        return sendmsg(fd, &m, flags | MSG_NOSIGNAL);
}

static int send_messages(int fd, const void *name, socklen_t size, int flags) {
        struct iovec iov = { (char *) "x", 1 };
        struct mmsghdr m[2] = { { .msg_hdr = { .msg_name = (void *) name, .msg_namelen = size, .msg_iov = &iov, .msg_iovlen = 1 } } };

        m[1] = m[0];
        return sendmmsg(fd, m, 2, flags | MSG_NOSIGNAL);
}

/* ---- Unix ---- */

static void refuse_unix(const char *path) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
        char what[256];

        snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
        for (size_t i = 0; i < 3; i++) {
                int fd = new_socket(AF_UNIX, types[i]);
                snprintf(what, sizeof(what), "connect, type %d, %s", types[i], un.sun_path);
                attack_refused(what, connect(fd, (struct sockaddr *) &un, sizeof(un)), EACCES, ENOENT);
                close(fd);
        }
        int fd = new_socket(AF_UNIX, SOCK_DGRAM);
        snprintf(what, sizeof(what), "sending to %s", un.sun_path);
        attack_refused(what, sendto(fd, "x", 1, MSG_NOSIGNAL, (struct sockaddr *) &un, sizeof(un)), EACCES, ENOENT);
        attack_refused(what, send_message(fd, &un, sizeof(un), 0), EACCES, ENOENT);
        attack_refused(what, send_messages(fd, &un, sizeof(un), 0), EACCES, ENOENT);
        close(fd);
}

static void unix_paths(void) {
        static const char *const names[] = { "stream", "dgram" };
        char path[4096], link[4096];

        for (int i = 0; i < 2; i++) {
                snprintf(path, sizeof(path), "%s/b/%s", folder, names[i]);
                refuse_unix(path);
                int fd = open(path, O_PATH);
                attack_expect(fd >= 0, "%s can't be seen: %s", path, strerror(errno));
                if (fd >= 0) {
                        char by_fd[64];
                        snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d", fd);
                        refuse_unix(by_fd);
                        snprintf(by_fd, sizeof(by_fd), "/dev/fd/%d", fd);
                        refuse_unix(by_fd);
                        close(fd);
                }
                snprintf(link, sizeof(link), "%s/a/l", folder);
                unlink(link);
                if (symlink(path, link) < 0)
                        attack_die("symlink");
                refuse_unix(link);
                unlink(link);
                /* By its own name a hard link is another path, but the socket is the same. It needs `write` on both names. */
                int linked = syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, link, 0);
                if (linked == 0) {
                        refuse_unix(link);
                        unlink(link);
                }
                snprintf(link, sizeof(link), "%s/b", folder);
                if (chdir(link) < 0)
                        attack_die("chdir %s", link);
                refuse_unix(names[i]);
                snprintf(link, sizeof(link), "../b/%s", names[i]);
                refuse_unix(link);
                snprintf(link, sizeof(link), "/proc/self/cwd/%s", names[i]);
                refuse_unix(link);
        }
}

static void abstract(void) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        int n = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "sandboxd-attack-%u", port);
        socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1 + n;
        int fd = new_socket(AF_UNIX, SOCK_STREAM);

        attack_refused("connect, abstract", connect(fd, (struct sockaddr *) &un, size), EACCES, EPERM, OR_EMPTY);
        close(fd);
        if (host) {
                /* The names are the host's network's. */
                memcpy(un.sun_path + 1, "sandboxd-attack-own", 19);
                size = offsetof(struct sockaddr_un, sun_path) + 20;
                for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
                        fd = new_socket(AF_UNIX, type);
                        attack_refused("bind, abstract", bind(fd, (struct sockaddr *) &un, size), EACCES);
                        close(fd);
                }
        }
}

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* The broker connects for us, and so is the peer of a server inside: that gives nothing against it. */
static void peer(void) {
        struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/tmp/peer" };
        int server = new_socket(AF_UNIX, SOCK_STREAM), client = new_socket(AF_UNIX, SOCK_STREAM), pidfd = -1;
        socklen_t size = sizeof(pidfd);
        struct ucred credentials = {};
        socklen_t credentials_size = sizeof(credentials);

        unlink(un.sun_path);
        if (bind(server, (struct sockaddr *) &un, sizeof(un)) < 0 || listen(server, 1) < 0) {
                /* In the host's network a name has to be named by a rule. */
                attack_expect(host, "bind %s: %s", un.sun_path, strerror(errno));
                close(server);
                close(client);
                return;
        }
        attack_expect(connect(client, (struct sockaddr *) &un, sizeof(un)) == 0, "connect to a socket of our own: %s", strerror(errno));
        int fd = accept(server, NULL, NULL);
        attack_expect(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &credentials_size) == 0 && credentials.uid == getuid() &&
                              credentials.gid == getgid(),
                      "the peer's ids are %u and %u", credentials.uid, credentials.gid);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0 && pidfd >= 0) {
                struct stat st;
                /* Another pid namespace's (EINVAL); and Landlock's scope keeps signals inside (6.12). */
                attack_refused("signal to the peer", syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0), EPERM, ESRCH, EINVAL);
                attack_refused("pidfd_getfd of the peer", syscall(SYS_pidfd_getfd, pidfd, 0, 0), EPERM);
                attack_refused("setns to the peer", syscall(SYS_setns, pidfd, 0x20000), EPERM);
                attack_refused("the peer's namespaces", syscall(SYS_ioctl, pidfd, 0xff03 /* PIDFD_GET_MNT_NAMESPACE */, 0), EPERM, EACCES,
                               ENOTTY, EINVAL, ESRCH);
                attack_expect(stat("/", &st) == 0, "the broker is gone");
        }
        close(fd);
        close(client);
        close(server);
        unlink(un.sun_path);
}

/* ---- Internet ---- */

static void refuse_in(const char *what, int domain, const void *name, socklen_t size) {
        char text[128];
        int fd = new_socket(domain, SOCK_STREAM);

        snprintf(text, sizeof(text), "connect, TCP, %s", what);
        attack_refused(text, connect(fd, name, size), EACCES, OR_EMPTY, ENETUNREACH, EADDRNOTAVAIL);
        close(fd);

        /* Fast open connects without connect. */
        fd = new_socket(domain, SOCK_STREAM);
        snprintf(text, sizeof(text), "fast open by sendto, %s", what);
        attack_refused(text, sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, name, size), EACCES, OR_EMPTY, ENETUNREACH, EADDRNOTAVAIL);
        close(fd);
        fd = new_socket(domain, SOCK_STREAM);
        snprintf(text, sizeof(text), "fast open by sendmsg, %s", what);
        attack_refused(text, send_message(fd, name, size, MSG_FASTOPEN), EACCES, OR_EMPTY, ENETUNREACH, EADDRNOTAVAIL);
        close(fd);
        fd = new_socket(domain, SOCK_STREAM);
        snprintf(text, sizeof(text), "fast open by sendmmsg, %s", what);
        attack_refused(text, send_messages(fd, name, size, MSG_FASTOPEN), EACCES, OR_EMPTY, ENETUNREACH, EADDRNOTAVAIL);
        close(fd);
        fd = new_socket(domain, SOCK_STREAM);
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one));
        snprintf(text, sizeof(text), "fast open by option, %s", what);
        if (connect(fd, name, size) == 0)
                attack_expect(send(fd, "x", 1, MSG_NOSIGNAL) < 0, "%s: sent", text);
        close(fd);

        fd = new_socket(domain, SOCK_DGRAM);
        snprintf(text, sizeof(text), "UDP, %s", what);
        if (host) {
                attack_refused(text, connect(fd, name, size), EACCES);
                attack_refused(text, sendto(fd, "x", 1, 0, name, size), EACCES);
                attack_refused(text, send_message(fd, name, size, 0), EACCES);
                attack_refused(text, send_messages(fd, name, size, 0), EACCES);
        }
        close(fd);
}

static void internet(void) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port ^ 1), .sin_addr = { htonl(INADDR_LOOPBACK) } };
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = in.sin_port };

        refuse_in("127.0.0.1", AF_INET, &in, sizeof(in));
        in.sin_addr.s_addr = 0;
        refuse_in("0.0.0.0", AF_INET, &in, sizeof(in));
        in.sin_addr.s_addr = htonl(0x7f000002);
        if (host)
                refuse_in("127.0.0.2", AF_INET, &in, sizeof(in));
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        inet_pton(AF_INET6, "::ffff:127.0.0.1", &in6.sin6_addr);
        refuse_in("::ffff:127.0.0.1", AF_INET6, &in6, sizeof(in6));
        inet_pton(AF_INET6, "::1", &in6.sin6_addr);
        refuse_in("::1", AF_INET6, &in6, sizeof(in6));
        inet_pton(AF_INET6, "::", &in6.sin6_addr);
        refuse_in("::", AF_INET6, &in6, sizeof(in6));
        if (!host)
                return;

        /* A UDP socket of IPv4 takes AF_UNSPEC for AF_INET; one of IPv6 takes IPv4 addresses. */
        int fd = new_socket(AF_INET, SOCK_DGRAM);
        in.sin_family = AF_UNSPEC;
        attack_refused("sendto, AF_UNSPEC", sendto(fd, "x", 1, 0, (struct sockaddr *) &in, sizeof(in)), EACCES);
        attack_refused("sendmsg, AF_UNSPEC", send_message(fd, &in, sizeof(in), 0), EACCES);
        close(fd);
        in.sin_family = AF_INET;
        fd = new_socket(AF_INET6, SOCK_DGRAM);
        attack_refused("sendto, IPv4 by IPv6", sendto(fd, "x", 1, 0, (struct sockaddr *) &in, sizeof(in)), EACCES);
        close(fd);

        /* Two messages in one call, the second to the forbidden port: the first counts, the second is not sent. */
        struct sockaddr_in allowed = in;
        allowed.sin_port = htons(port);
        struct iovec iov = { (char *) "x", 1 };
        struct mmsghdr m[2] = {
                { .msg_hdr = { .msg_name = &allowed, .msg_namelen = sizeof(allowed), .msg_iov = &iov, .msg_iovlen = 1 } },
                { .msg_hdr = { .msg_name = &in, .msg_namelen = sizeof(in), .msg_iov = &iov, .msg_iovlen = 1 } },
        };
        fd = new_socket(AF_INET, SOCK_DGRAM);
        int n = sendmmsg(fd, m, 2, 0);
        attack_expect(n == 1, "sendmmsg of an allowed and a forbidden message: %d, %s", n, strerror(errno));

        /* Connected to the allowed port, the address of a message counts all the same. */
        attack_expect(connect(fd, (struct sockaddr *) &allowed, sizeof(allowed)) == 0, "connect to the allowed port: %s", strerror(errno));
        attack_refused("sendto, connected", sendto(fd, "x", 1, 0, (struct sockaddr *) &in, sizeof(in)), EACCES);
        close(fd);

        fd = new_socket(AF_INET, SOCK_STREAM);
        attack_refused("bind to a port without a rule", bind(fd, (struct sockaddr *) &in, sizeof(in)), EACCES);
        attack_refused("listen without bind", listen(fd, 1), EACCES);
        int one = 1;
        in.sin_port = htons(taken ^ 1);
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
        attack_refused("bind beside the taken port", bind(fd, (struct sockaddr *) &in, sizeof(in)), EACCES);
        char options[8] = { 0x83, 7, 4, 127, 0, 0, 1, 0 };
        attack_refused("source routing", setsockopt(fd, IPPROTO_IP, IP_OPTIONS, options, sizeof(options)), EPERM);
        close(fd);
}

int main(int argc, char **argv) {
        setvbuf(stdout, NULL, _IONBF, 0);
        if (argc != 5)
                return 2;
        host = strcmp(argv[1], "host") == 0;
        folder = argv[2];
        port = atoi(argv[3]);
        taken = atoi(argv[4]);
        unix_paths();
        abstract();
        peer();
        internet();
        attack_end();
}
