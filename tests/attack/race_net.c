/*
 * Addresses, which lie in memory as well. For what can't be done twice with one socket (connect, bind) the allowed address is one that fails by
 * itself: what matters is whether the forbidden one is reached.
 */
#include "race.h"

#include <arpa/inet.h>

static struct sockaddr_in in_b;
static struct sockaddr_un un_b;

/* ---- Addresses ---- */

static struct sockaddr_in loopback(uint16_t number) {
        return (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = htons(number), .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

static void prepare_port(uint16_t number) {
        race_shared->in = loopback(number);
        in_b = loopback(number ^ 1);
        race_set_byte((volatile char *) &race_shared->in.sin_port + 1, ((char *) &race_shared->in.sin_port)[1],
                      ((char *) &in_b.sin_port)[1]);
}

static void prepare_in(void) {
        prepare_port(race_port);
}

static void prepare_bind(void) {
        prepare_port(race_bind_port);
}

static void prepare_un(const char *name) {
        char path[PATH_MAX];

        race_path(path, "a/%s", name);
        if (strlen(path) >= sizeof(race_shared->un.sun_path))
                attack_die("%s is too long for a socket", path);
        race_shared->un = un_b = (struct sockaddr_un) { .sun_family = AF_UNIX };
        strcpy(race_shared->un.sun_path, path);
        strcpy(un_b.sun_path, path);
        race_set_byte(race_shared->un.sun_path + strlen(race_folder) + 1, 'a', 'b');
        un_b.sun_path[strlen(race_folder) + 1] = 'b';
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

static bool connected_in(int type) {
        struct sockaddr_in peer = {};
        socklen_t size = sizeof(peer);
        int fd = race_socket(AF_INET, type);
        bool win;

        connect(fd, (struct sockaddr *) &race_shared->in, sizeof(race_shared->in));
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
        int fd = race_socket(AF_UNIX, type);
        bool win;

        connect(fd, (struct sockaddr *) &race_shared->un, sizeof(race_shared->un));
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

/* In a somebody is there already, in b nobody: the referee sees the socket. */
static void prepare_bind_path(void) {
        prepare_un("taken");
        unlink(race_shared->un.sun_path);
        bind(race_socket(AF_UNIX, SOCK_DGRAM), (struct sockaddr *) &race_shared->un, sizeof(race_shared->un));
        if (access(race_shared->un.sun_path, F_OK) < 0)
                attack_die("bind %s", race_shared->un.sun_path);
}

static bool try_bind_path(void) {
        int fd = race_socket(AF_UNIX, SOCK_STREAM);

        bind(fd, (struct sockaddr *) &race_shared->un, sizeof(race_shared->un));
        close(fd);
        return false;
}

static bool try_bind(void) {
        struct sockaddr_in is = {};
        socklen_t size = sizeof(is);
        int fd = race_socket(AF_INET, SOCK_STREAM);
        bool win;

        bind(fd, (struct sockaddr *) &race_shared->in, sizeof(race_shared->in));
        win = getsockname(fd, (struct sockaddr *) &is, &size) == 0 && in_is_forbidden(&is);
        close(fd);
        return win;
}

/* ---- Datagrams: those that arrive at the forbidden place the witness counts ---- */

enum send { SENDTO, SENDMSG, SENDMMSG };

static bool send_by(enum send how, int domain, struct sockaddr *name, socklen_t size) {
        char text[] = "hello";
        struct iovec iov = { text, sizeof(text) };
        struct mmsghdr m = { .msg_hdr = { .msg_name = name, .msg_namelen = size, .msg_iov = &iov, .msg_iovlen = 1 } };
        static int fd = -1;

        if (fd < 0)
                fd = race_socket(domain, SOCK_DGRAM);
        if (how == SENDTO)
                sendto(fd, text, sizeof(text), MSG_DONTWAIT, name, size);
        else if (how == SENDMMSG)
                sendmmsg(fd, &m, 1, MSG_DONTWAIT);
        else
                sendmsg(fd, &m.msg_hdr, MSG_DONTWAIT);
        return false;
}

static bool sent_in(enum send how) {
        return send_by(how, AF_INET, (struct sockaddr *) &race_shared->in, sizeof(race_shared->in));
}

static bool sent_un(enum send how) {
        return send_by(how, AF_UNIX, (struct sockaddr *) &race_shared->un, sizeof(race_shared->un));
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

const struct race race_net[] = {
        { "connect-tcp", NULL, try_connect_tcp, prepare_in, race_swap_byte },
        { "connect-udp", NULL, try_connect_udp, prepare_in, race_swap_byte },
        { "connect-stream", NULL, try_connect_stream, prepare_stream, race_swap_byte },
        { "connect-dgram", NULL, try_connect_dgram, prepare_dgram, race_swap_byte },
        { "bind-tcp", NULL, try_bind, prepare_bind, race_swap_byte },
        { "bind-path", NULL, try_bind_path, prepare_bind_path, race_swap_byte },
        { "sendto-udp", NULL, try_sendto_udp, prepare_in, race_swap_byte },
        { "sendmsg-udp", NULL, try_sendmsg_udp, prepare_in, race_swap_byte },
        { "sendmmsg-udp", NULL, try_sendmmsg_udp, prepare_in, race_swap_byte },
        { "sendto-dgram", NULL, try_sendto_dgram, prepare_dgram, race_swap_byte },
        { "sendmsg-dgram", NULL, try_sendmsg_dgram, prepare_dgram, race_swap_byte },
        { "sendmmsg-dgram", NULL, try_sendmmsg_dgram, prepare_dgram, race_swap_byte },
        {},
};
