/*
 * What the rules say of an address, and how addresses are written.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <sys/un.h>

#include "path.h"
#include "plan.h"
#include "str.h"

/* An address in one form: IPv4-mapped ones are IPv4. */
struct normal {
        int family;
        struct in6_addr address; /* IPv4 in the first four bytes */
        uint16_t port;
};

/* The instance metadata of clouds: whoever can ask it gets the machine's credentials. */
static const char *const metadata[] = {
        "169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.0.23", "100.100.100.200",
        "192.0.0.192",     "168.63.129.16", "fd00:ec2::254",  "fd00:ec2::23", "fd20:ce::254",
};

static struct net_match verdict(bool allowed, const struct net_rule *rule, const char *why) {
        return (struct net_match) { .allowed = allowed, .rule = rule, .why = why };
}

/* ---- IP ---- */

static bool normalise(int family, const struct sockaddr *address, socklen_t size, struct normal *ret) {
        struct sockaddr_in in;
        struct sockaddr_in6 in6;

        *ret = (struct normal) { .family = family };
        if (family == AF_INET) {
                if (size < sizeof(in))
                        return false;
                memcpy(&in, address, sizeof(in));
                memcpy(&ret->address, &in.sin_addr, 4);
                ret->port = ntohs(in.sin_port);
                return true;
        }
        /* The kernel takes addresses without the scope too. */
        if (size < offsetof(struct sockaddr_in6, sin6_scope_id))
                return false;
        memcpy(&in6, address, offsetof(struct sockaddr_in6, sin6_scope_id));
        ret->address = in6.sin6_addr;
        ret->port = ntohs(in6.sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
                memset(&ret->address, 0, sizeof(ret->address));
                memcpy(&ret->address, in6.sin6_addr.s6_addr + 12, 4);
                ret->family = AF_INET;
        }
        return true;
}

static bool unspecified(int family, const struct in6_addr *address) {
        static const struct in6_addr zero;

        return memcmp(address, &zero, family == AF_INET ? 4 : 16) == 0;
}

/* Connecting to the unspecified address reaches the loopback. */
static void to_loopback(int family, struct in6_addr *address) {
        if (!unspecified(family, address))
                return;
        if (family == AF_INET)
                memcpy(address, &(struct in_addr) { htonl(INADDR_LOOPBACK) }, 4);
        else
                *address = in6addr_loopback;
}

static bool prefix_equal(const struct in6_addr *a, const struct in6_addr *b, unsigned bits) {
        if (memcmp(a, b, bits / 8) != 0)
                return false;
        if (bits % 8 == 0)
                return true;
        uint8_t mask = 0xff << (8 - bits % 8);
        return ((a->s6_addr[bits / 8] ^ b->s6_addr[bits / 8]) & mask) == 0;
}

static bool whole(const struct net_rule *rule) {
        return rule->prefix == (rule->family == AF_INET ? 32 : 128);
}

static bool rule_host(const struct net_rule *rule, enum net_use use, const struct normal *n) {
        struct in6_addr address = rule->address;

        if (rule->family == AF_UNSPEC)
                return true;
        if (rule->family != n->family)
                return false;
        if (whole(rule) && unspecified(rule->family, &address)) {
                /* To bind "all addresses" is the most one can ask for: each single one is less. */
                if (use == NET_BIND)
                        return true;
                to_loopback(rule->family, &address);
        }
        return prefix_equal(&address, &n->address, rule->prefix);
}

static bool rule_ports(const struct net_rule *rule, uint16_t port) {
        for (size_t i = 0; i < rule->n_ports; i++)
                if (rule->ports[i].first <= port && port <= rule->ports[i].last)
                        return true;
        return false;
}

static bool rule_ip(const struct net_rule *rule, enum net_use use, enum net_protocol protocol, const struct normal *n) {
        if (rule->kind == NET_ANY)
                return true;
        if (rule->kind != (protocol == PROTOCOL_TCP ? NET_TCP : protocol == PROTOCOL_UDP ? NET_UDP : NET_ANY))
                return false;
        return rule_host(rule, use, n) && rule_ports(rule, n->port);
}

static bool is_metadata(const struct normal *n) {
        struct in6_addr known;

        for (size_t i = 0; i < ELEMENTSOF(metadata); i++) {
                int family = strchr(metadata[i], ':') ? AF_INET6 : AF_INET;
                memset(&known, 0, sizeof(known));
                if (family == n->family && inet_pton(family, metadata[i], &known) == 1 &&
                    memcmp(&known, &n->address, family == AF_INET ? 4 : 16) == 0)
                        return true;
        }
        return false;
}

static struct net_match match_ip(const struct plan *plan, enum net_use use, enum net_protocol protocol, const struct normal *asked) {
        const struct policy_network *network = &plan->policy->network;
        const struct net_rules *rules = use == NET_CONNECT ? &network->connect : &network->bind;
        struct normal n = *asked;

        if (use == NET_CONNECT)
                to_loopback(n.family, &n.address);
        for (size_t i = 0; i < network->deny.n; i++)
                if (rule_ip(network->deny.rules + i, use, protocol, &n))
                        return verdict(false, network->deny.rules + i, NULL);
        if (network->mode == NETWORK_NONE && setting_is_foreign(plan->setting))
                return verdict(false, NULL, "`mode: none`, in a network that is not the sandbox's own");
        if (network->mode == NETWORK_NONE)
                return verdict(true, NULL, "the sandbox's own network");
        bool sensitive = use == NET_CONNECT && is_metadata(&n);
        for (size_t i = 0; i < rules->n; i++) {
                const struct net_rule *rule = rules->rules + i;
                if (sensitive && (rule->kind == NET_ANY || rule->family == AF_UNSPEC || !whole(rule)))
                        continue;
                if (rule_ip(rule, use, protocol, &n))
                        return verdict(true, rule, NULL);
        }
        return verdict(false, NULL, sensitive ? "the metadata address of a cloud, which a rule must name literally" : "no rule names it");
}

/* ---- Unix ---- */

static bool rule_unix(const struct net_rule *rule, const char *path, const char *name, size_t name_size) {
        if (rule->kind == NET_ANY)
                return true;
        if (rule->kind != NET_UNIX || rule->abstract != (name != NULL))
                return false;
        if (name)
                return strlen(rule->path) == name_size && memcmp(rule->path, name, name_size) == 0;
        return path && path_covers(rule->path, path);
}

static struct net_match match_unix(const struct plan *plan, enum net_use use, const struct sockaddr *address, socklen_t size,
                                   const char *resolved, bool own) {
        const struct policy_network *network = &plan->policy->network;
        const struct net_rules *rules = use == NET_CONNECT ? &network->connect : &network->bind;
        const size_t head = offsetof(struct sockaddr_un, sun_path);
        const char *path = (const char *) address + head, *name = NULL;
        size_t name_size = 0;

        if (size <= head)
                return verdict(true, NULL, "an unnamed address");
        if (path[0] == 0) {
                name = path + 1;
                name_size = size - head - 1;
        }
        for (size_t i = 0; i < network->deny.n; i++)
                if (rule_unix(network->deny.rules + i, resolved, name, name_size))
                        return verdict(false, network->deny.rules + i, NULL);
        if (name && network->mode == NETWORK_NONE && !setting_is_foreign(plan->setting))
                return verdict(true, NULL, "the sandbox's own network");
        if (!name && own)
                return verdict(true, NULL, "a socket of the sandbox's own");
        for (size_t i = 0; i < rules->n; i++)
                if (rule_unix(rules->rules + i, resolved, name, name_size))
                        return verdict(true, rules->rules + i, NULL);
        return verdict(false, NULL, "no `unix:` rule names it");
}

struct net_match plan_match_address(const struct plan *plan, enum net_use use, enum net_protocol protocol, const struct sockaddr *address,
                                    socklen_t size, const char *resolved, bool own) {
        struct net_match match = plan_match_address_alone(plan, use, protocol, address, size, resolved, own);

        return plan->floor && match.allowed ? plan_match_address(plan->floor, use, protocol, address, size, resolved, own) : match;
}

struct net_match plan_match_address_alone(const struct plan *plan, enum net_use use, enum net_protocol protocol,
                                          const struct sockaddr *address, socklen_t size, const char *resolved, bool own) {
        struct normal n;
        sa_family_t family;

        if (size < sizeof(family))
                return verdict(true, NULL, "no address, which the kernel refuses");
        memcpy(&family, address, sizeof(family));
        switch (family) {
        case AF_UNSPEC:
                /* connect(2): dissolves an association. But bind(2), and sends on an IPv4 UDP socket, take it for AF_INET: so it is that where
                 * it names a port. */
                if (!normalise(AF_INET, address, size, &n) || (n.port == 0 && use == NET_CONNECT))
                        return verdict(true, NULL, "no address");
                return match_ip(plan, use, protocol, &n);
        case AF_INET:
        case AF_INET6:
                if (!normalise(family, address, size, &n))
                        return verdict(true, NULL, "too short an address, which the kernel refuses");
                return match_ip(plan, use, protocol, &n);
        case AF_UNIX: return match_unix(plan, use, address, size, resolved, own);
        case AF_NETLINK: return verdict(true, NULL, "netlink, which is the kernel");
        default: return verdict(false, NULL, "no rule can name this address family");
        }
}

/* ---- Writing ---- */

static void format_unix(const struct sockaddr *address, socklen_t size, char *buffer, size_t room) {
        const size_t head = offsetof(struct sockaddr_un, sun_path);
        const char *path = (const char *) address + head;
        struct strbuf b = {};

        strbuf_puts(&b, "unix:");
        if (size > head && path[0] == 0) {
                strbuf_puts(&b, "@");
                strbuf_escape(&b, path + 1, size - head - 1);
        } else if (size > head)
                strbuf_escape(&b, path, strnlen(path, size - head));
        snprintf(buffer, room, "%s", b.text ? b.text : "unix:");
        strbuf_done(&b);
}

const char *net_format(enum net_protocol protocol, const struct sockaddr *address, socklen_t size, char *buffer, size_t room) {
        const char *kind = protocol == PROTOCOL_TCP ? "tcp" : protocol == PROTOCOL_UDP ? "udp" : "ip";
        char text[INET6_ADDRSTRLEN] = "?";
        sa_family_t family;
        struct normal n;

        if (size < sizeof(family)) {
                snprintf(buffer, room, "no address");
                return buffer;
        }
        memcpy(&family, address, sizeof(family));
        if (family == AF_UNIX)
                format_unix(address, size, buffer, room);
        else if ((family == AF_INET || family == AF_INET6) && normalise(family, address, size, &n)) {
                inet_ntop(n.family, &n.address, text, sizeof(text));
                snprintf(buffer, room, n.family == AF_INET6 ? "%s:[%s]:%u" : "%s:%s:%u", kind, text, n.port);
        } else if (family == AF_NETLINK)
                snprintf(buffer, room, "netlink");
        else
                snprintf(buffer, room, "family %u", family);
        return buffer;
}
