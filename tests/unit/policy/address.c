/*
 * Rule × address → allowed or refused.
 */
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <stddef.h>
#include <sys/un.h>

#include "support.h"

union address {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        struct sockaddr_storage storage;
};

static void parse(const char *host, uint16_t port, union address *a, socklen_t *size) {
        memset(a, 0, sizeof(*a));
        if (strchr(host, ':')) {
                a->in6.sin6_family = AF_INET6;
                a->in6.sin6_port = htons(port);
                cr_assert(inet_pton(AF_INET6, host, &a->in6.sin6_addr) == 1);
                *size = sizeof(a->in6);
        } else {
                a->in.sin_family = AF_INET;
                a->in.sin_port = htons(port);
                cr_assert(inet_pton(AF_INET, host, &a->in.sin_addr) == 1);
                *size = sizeof(a->in);
        }
}

static const struct {
        const char *rules; /* of network, besides the mode */
        enum net_use use;
        enum net_protocol protocol;
        const char *host;
        uint16_t port;
        bool host_mode, none_mode;
} table[] = {
        { "connect: []", NET_CONNECT, PROTOCOL_TCP, "1.2.3.4", 80, false, true },
        { "connect: [\"tcp:1.2.3.4:80\"]", NET_CONNECT, PROTOCOL_TCP, "1.2.3.4", 80, true, true },
        { "connect: [\"tcp:1.2.3.4:80\"]", NET_CONNECT, PROTOCOL_TCP, "1.2.3.4", 81, false, true },
        { "connect: [\"tcp:1.2.3.4:80\"]", NET_CONNECT, PROTOCOL_TCP, "1.2.3.5", 80, false, true },
        { "connect: [\"tcp:1.2.3.4:80\"]", NET_CONNECT, PROTOCOL_UDP, "1.2.3.4", 80, false, true },
        { "connect: [\"tcp:1.2.3.4:80\"]", NET_BIND, PROTOCOL_TCP, "1.2.3.4", 80, false, true },
        { "connect: [\"tcp:1.2.3.4:80\"]", NET_CONNECT, PROTOCOL_TCP, "::ffff:1.2.3.4", 80, true, true },
        { "connect: [\"tcp:[::ffff:1.2.3.4]:80\"]", NET_CONNECT, PROTOCOL_TCP, "1.2.3.4", 80, true, true },
        { "connect: [\"tcp:[::ffff:1.2.3.0]/120:80\"]", NET_CONNECT, PROTOCOL_TCP, "1.2.3.4", 80, true, true },
        { "connect: [\"tcp:10.0.0.0/8:80,90-99\"]", NET_CONNECT, PROTOCOL_TCP, "10.255.0.1", 95, true, true },
        { "connect: [\"tcp:10.0.0.0/8:80,90-99\"]", NET_CONNECT, PROTOCOL_TCP, "11.0.0.1", 95, false, true },
        { "connect: [\"tcp:10.0.0.0/8:80,90-99\"]", NET_CONNECT, PROTOCOL_TCP, "10.0.0.1", 89, false, true },
        { "connect: [\"tcp:172.16.0.0/12:*\"]", NET_CONNECT, PROTOCOL_TCP, "172.31.255.255", 1, true, true },
        { "connect: [\"tcp:172.16.0.0/12:*\"]", NET_CONNECT, PROTOCOL_TCP, "172.32.0.0", 1, false, true },
        { "connect: [\"tcp:*:443\"]", NET_CONNECT, PROTOCOL_TCP, "2001:db8::1", 443, true, true },
        { "connect: [\"tcp:[2001:db8::]/32:443\"]", NET_CONNECT, PROTOCOL_TCP, "2001:db8:1::1", 443, true, true },
        { "connect: [\"tcp:[2001:db8::]/32:443\"]", NET_CONNECT, PROTOCOL_TCP, "2001:db9::1", 443, false, true },
        { "connect: [\"tcp:0.0.0.0/0:443\"]", NET_CONNECT, PROTOCOL_TCP, "9.9.9.9", 443, true, true },
        { "connect: [\"tcp:0.0.0.0/0:443\"]", NET_CONNECT, PROTOCOL_TCP, "2001:db9::1", 443, false, true },
        { "connect: [any]", NET_CONNECT, PROTOCOL_OTHER, "9.9.9.9", 0, true, true },
        { "connect: [\"tcp:*:*\", \"udp:*:*\"]", NET_CONNECT, PROTOCOL_OTHER, "9.9.9.9", 0, false, true },
        /* the loopback by its other names */
        { "connect: [\"tcp:127.0.0.1:80\"]", NET_CONNECT, PROTOCOL_TCP, "0.0.0.0", 80, true, true },
        { "connect: [\"tcp:127.0.0.1:80\"]", NET_CONNECT, PROTOCOL_TCP, "::ffff:0.0.0.0", 80, true, true },
        { "connect: [\"tcp:[::1]:80\"]", NET_CONNECT, PROTOCOL_TCP, "::", 80, true, true },
        { "connect: [\"tcp:0.0.0.0:80\"]", NET_CONNECT, PROTOCOL_TCP, "127.0.0.1", 80, true, true },
        { "connect: [\"tcp:0.0.0.0:80\"]", NET_CONNECT, PROTOCOL_TCP, "1.2.3.4", 80, false, true },
        { "connect: [any], deny: [\"tcp:127.0.0.0/8:*\"]", NET_CONNECT, PROTOCOL_TCP, "0.0.0.0", 80, false, false },
        { "connect: [any], deny: [\"tcp:127.0.0.0/8:*\"]", NET_CONNECT, PROTOCOL_TCP, "::ffff:127.0.0.1", 80, false, false },
        { "connect: [any], deny: [\"tcp:[::1]:*\"]", NET_CONNECT, PROTOCOL_TCP, "::", 80, false, false },
        /* deny beats all */
        { "connect: [\"tcp:1.2.3.4:80\"], deny: [\"tcp:1.2.0.0/16:*\"]", NET_CONNECT, PROTOCOL_TCP, "1.2.3.4", 80, false, false },
        { "connect: [any], deny: [any]", NET_CONNECT, PROTOCOL_TCP, "1.2.3.4", 80, false, false },
        { "bind: [\"tcp:*:80\"], deny: [\"tcp:*:80\"]", NET_BIND, PROTOCOL_TCP, "0.0.0.0", 80, false, false },
        /* metadata of clouds */
        { "connect: [any]", NET_CONNECT, PROTOCOL_TCP, "169.254.169.254", 80, false, true },
        { "connect: [any]", NET_CONNECT, PROTOCOL_TCP, "::ffff:169.254.169.254", 80, false, true },
        { "connect: [\"tcp:*:80\"]", NET_CONNECT, PROTOCOL_TCP, "169.254.169.254", 80, false, true },
        { "connect: [\"tcp:169.254.0.0/16:80\"]", NET_CONNECT, PROTOCOL_TCP, "169.254.169.254", 80, false, true },
        { "connect: [any]", NET_CONNECT, PROTOCOL_TCP, "fd00:ec2::254", 80, false, true },
        { "connect: [any]", NET_CONNECT, PROTOCOL_TCP, "100.100.100.200", 80, false, true },
        { "connect: [\"tcp:169.254.169.254:80\"]", NET_CONNECT, PROTOCOL_TCP, "169.254.169.254", 80, true, true },
        { "connect: [any, \"udp:169.254.169.254:53\"]", NET_CONNECT, PROTOCOL_TCP, "169.254.169.254", 80, false, true },
        { "connect: [any]", NET_CONNECT, PROTOCOL_TCP, "169.254.169.253", 80, true, true },
        /* bind */
        { "bind: [\"tcp:0.0.0.0:80\"]", NET_BIND, PROTOCOL_TCP, "0.0.0.0", 80, true, true },
        { "bind: [\"tcp:0.0.0.0:80\"]", NET_BIND, PROTOCOL_TCP, "127.0.0.1", 80, true, true },
        { "bind: [\"tcp:0.0.0.0:80\"]", NET_BIND, PROTOCOL_TCP, "::", 80, false, true },
        { "bind: [\"tcp:127.0.0.1:80\"]", NET_BIND, PROTOCOL_TCP, "0.0.0.0", 80, false, true },
        { "bind: [\"tcp:[::]:80\"]", NET_BIND, PROTOCOL_TCP, "::", 80, true, true },
        { "bind: [\"tcp:*:80\"]", NET_BIND, PROTOCOL_TCP, "::", 80, true, true },
        { "bind: [\"tcp:*:80\"]", NET_BIND, PROTOCOL_TCP, "0.0.0.0", 0, false, true },
        { "bind: [\"udp:*:0\"]", NET_BIND, PROTOCOL_UDP, "0.0.0.0", 0, true, true },
};

static struct net_match ask(struct fixture *f, enum net_use use, enum net_protocol protocol, const union address *a, socklen_t size,
                            const char *resolved, bool own) {
        return plan_match_address(f->plan, use, protocol, &a->any, size, resolved, own);
}

Test(address, internet) {
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                for (int mode = 0; mode < 2; mode++) {
                        FIXTURE;
                        char text[256];
                        union address a;
                        socklen_t size;
                        snprintf(text, sizeof(text), "network: { mode: %s, %s }\n", mode ? "none" : "host", table[i].rules);
                        cr_assert_loads(&f, compile_text(&f, text));
                        parse(table[i].host, table[i].port, &a, &size);
                        struct net_match m = ask(&f, table[i].use, table[i].protocol, &a, size, NULL, false);
                        bool expected = mode ? table[i].none_mode : table[i].host_mode;
                        cr_expect(m.allowed == expected, "%s: %s %u: %s", text, table[i].host, table[i].port,
                                  m.allowed ? "allowed" : "refused");
                        cr_expect(m.rule || m.why);
                }
}

static socklen_t unix_address(union address *a, const char *path, size_t length) {
        memset(a, 0, sizeof(*a));
        a->un.sun_family = AF_UNIX;
        memcpy(a->un.sun_path, path, length);
        return offsetof(struct sockaddr_un, sun_path) + length;
}

static const struct {
        const char *rules;
        enum net_use use;
        const char *name; /* begins with @: abstract; empty: unnamed */
        bool own, host_mode, none_mode;
} unix_table[] = {
        { "connect: []", NET_CONNECT, "/run/x", false, false, false },
        { "connect: []", NET_CONNECT, "/tmp/x", true, true, true },
        { "connect: [\"unix:/run/x\"]", NET_CONNECT, "/run/x", false, true, true },
        { "connect: [\"unix:/run\"]", NET_CONNECT, "/run/x/y", false, true, true },
        { "connect: [\"unix:/run/x\"]", NET_CONNECT, "/run/xy", false, false, false },
        { "connect: [\"unix:/run/x\"]", NET_BIND, "/run/x", false, false, false },
        { "bind: [\"unix:/run/x\"]", NET_BIND, "/run/x", false, true, true },
        { "connect: [any]", NET_CONNECT, "/run/docker.sock", false, true, true },
        { "connect: [any], deny: [\"unix:/run/docker.sock\"]", NET_CONNECT, "/run/docker.sock", false, false, false },
        { "deny: [\"unix:/tmp\"]", NET_CONNECT, "/tmp/x", true, false, false },
        { "connect: []", NET_CONNECT, "@x", false, false, true },
        { "connect: [\"unix:@x\"]", NET_CONNECT, "@x", false, true, true },
        { "connect: [\"unix:@x\"]", NET_CONNECT, "@xy", false, false, true },
        { "connect: [\"unix:@x\"]", NET_CONNECT, "/x", false, false, false },
        { "connect: [\"unix:/x\"]", NET_CONNECT, "@/x", false, false, true },
        { "deny: [\"unix:@x\"]", NET_BIND, "@x", false, false, false },
        { "bind: []", NET_BIND, "", false, true, true },
        { "connect: [\"tcp:*:*\"]", NET_CONNECT, "/run/x", false, false, false },
};

Test(address, unix_sockets) {
        for (size_t i = 0; i < ELEMENTSOF(unix_table); i++)
                for (int mode = 0; mode < 2; mode++) {
                        FIXTURE;
                        char text[256];
                        union address a;
                        const char *name = unix_table[i].name;
                        snprintf(text, sizeof(text), "network: { mode: %s, %s }\n", mode ? "none" : "host", unix_table[i].rules);
                        cr_assert_loads(&f, compile_text(&f, text));
                        socklen_t size = unix_address(&a, name, strlen(name));
                        if (name[0] == '@')
                                a.un.sun_path[0] = 0;
                        struct net_match m =
                                ask(&f, unix_table[i].use, PROTOCOL_OTHER, &a, size, name[0] == '/' ? name : NULL, unix_table[i].own);
                        cr_expect(m.allowed == (mode ? unix_table[i].none_mode : unix_table[i].host_mode), "%s: %s: %s", text, name,
                                  m.allowed ? "allowed" : "refused");
                }
}

Test(address, resolved_path_counts) {
        FIXTURE;
        union address a;
        cr_assert_loads(&f, compile_text(&f, "network: { mode: none, connect: [\"unix:/run/ok\"] }\n"));
        socklen_t size = unix_address(&a, "/run/ok", 7);
        cr_expect(!ask(&f, NET_CONNECT, PROTOCOL_OTHER, &a, size, "/run/docker.sock", false).allowed);
        cr_expect(!ask(&f, NET_CONNECT, PROTOCOL_OTHER, &a, size, NULL, false).allowed);
        size = unix_address(&a, "link", 4);
        cr_expect(ask(&f, NET_CONNECT, PROTOCOL_OTHER, &a, size, "/run/ok", false).allowed);
}

Test(address, other_families) {
        FIXTURE;
        union address a = {};
        cr_assert_loads(&f, compile_text(&f, "network: { mode: host, connect: [\"tcp:127.0.0.1:80\"] }\n"));
        a.any.sa_family = AF_UNSPEC;
        cr_expect(ask(&f, NET_CONNECT, PROTOCOL_TCP, &a, sizeof(a.in), NULL, false).allowed, "disconnecting");
        cr_expect(ask(&f, NET_CONNECT, PROTOCOL_TCP, &a, 2, NULL, false).allowed);
        /* sendto(2) on an IPv4 UDP socket takes AF_UNSPEC for AF_INET. */
        parse("1.2.3.4", 53, &a, &(socklen_t) { 0 });
        a.any.sa_family = AF_UNSPEC;
        cr_expect(!ask(&f, NET_CONNECT, PROTOCOL_UDP, &a, sizeof(a.in), NULL, false).allowed);
        cr_expect(!ask(&f, NET_BIND, PROTOCOL_TCP, &a, sizeof(a.in), NULL, false).allowed);
        a.any.sa_family = AF_NETLINK;
        cr_expect(ask(&f, NET_BIND, PROTOCOL_OTHER, &a, sizeof(struct sockaddr_nl), NULL, false).allowed);
        a.any.sa_family = AF_VSOCK;
        cr_expect(!ask(&f, NET_CONNECT, PROTOCOL_OTHER, &a, sizeof(struct sockaddr_vm), NULL, false).allowed);
        a.any.sa_family = AF_PACKET;
        cr_expect(!ask(&f, NET_BIND, PROTOCOL_OTHER, &a, 20, NULL, false).allowed);
}

Test(address, format) {
        union address a;
        socklen_t size;
        char buffer[128];
        parse("1.2.3.4", 80, &a, &size);
        cr_expect_str_eq(net_format(PROTOCOL_TCP, &a.any, size, buffer, sizeof(buffer)), "tcp:1.2.3.4:80");
        parse("::1", 53, &a, &size);
        cr_expect_str_eq(net_format(PROTOCOL_UDP, &a.any, size, buffer, sizeof(buffer)), "udp:[::1]:53");
        parse("::ffff:1.2.3.4", 53, &a, &size);
        cr_expect_str_eq(net_format(PROTOCOL_UDP, &a.any, size, buffer, sizeof(buffer)), "udp:1.2.3.4:53");
        size = unix_address(&a, "/run/\n", 6);
        cr_expect_str_eq(net_format(PROTOCOL_OTHER, &a.any, size, buffer, sizeof(buffer)), "unix:/run/\\n");
        size = unix_address(&a, "\0a\0b", 4);
        cr_expect_str_eq(net_format(PROTOCOL_OTHER, &a.any, size, buffer, sizeof(buffer)), "unix:@a\\x00b");
        cr_expect_str_eq(net_format(PROTOCOL_OTHER, &a.any, 2, buffer, sizeof(buffer)), "unix:");
        cr_expect_str_eq(net_format(PROTOCOL_OTHER, &a.any, 0, buffer, sizeof(buffer)), "no address");
}
