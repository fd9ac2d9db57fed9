/*
 * The section `network`.
 */
#include <arpa/inet.h>
#include <errno.h>

#include "glob.h"
#include "load.h"
#include "str.h"

#define RULES_MAX 4096
#define PORT_RANGES_MAX 64
#define ABSTRACT_MAX 107 /* sun_path without the first NUL */

static int port_number(const char **text, uint16_t *ret) {
        const char *p = *text;
        unsigned n = 0;

        if (*p < '0' || *p > '9')
                return -EINVAL;
        for (; *p >= '0' && *p <= '9'; p++) {
                n = n * 10 + (*p - '0');
                if (n > UINT16_MAX)
                        return -EINVAL;
        }
        *ret = n;
        *text = p;
        return 0;
}

static int parse_ports(struct loader *l, struct net_rule *rule, const char *text) {
        if (strcmp(text, "*") == 0) {
                struct port_range *all = arena_push(l->arena, &rule->ports, &rule->n_ports, sizeof(*all));
                if (!all)
                        return -ENOMEM;
                *all = (struct port_range) { 0, UINT16_MAX };
                return 0;
        }
        for (;;) {
                struct port_range *range = arena_push(l->arena, &rule->ports, &rule->n_ports, sizeof(*range));
                if (!range)
                        return -ENOMEM;
                if (rule->n_ports > PORT_RANGES_MAX || port_number(&text, &range->first) < 0)
                        return -EINVAL;
                range->last = range->first;
                if (*text == '-') {
                        text++;
                        if (port_number(&text, &range->last) < 0 || range->last < range->first)
                                return -EINVAL;
                }
                if (*text == 0)
                        return 0;
                if (*text++ != ',')
                        return -EINVAL;
        }
}

/* An IPv4 address, one of IPv6, either with /n, or `*`. Returns static text where it is none. */
static const char *parse_host(struct net_rule *rule, char *host) {
        bool six = host[0] == '[';
        char *slash = strchr(host, '/');
        unsigned bits = six ? 128 : 32;

        if (strcmp(host, "*") == 0) {
                rule->family = AF_UNSPEC;
                return NULL;
        }
        if (slash)
                *slash++ = 0;
        if (six) {
                size_t n = strlen(host);
                if (n < 2 || host[n - 1] != ']')
                        return "an IPv6 address stands in brackets, as in tcp:[::1]:80";
                host[n - 1] = 0;
                host++;
        }
        rule->family = six ? AF_INET6 : AF_INET;
        if (inet_pton(rule->family, host, &rule->address) != 1)
                return six ? "this isn't an IPv6 address"
                           : "the host must be an IPv4 address, [IPv6], * or `resolvers`; names of hosts can't be used yet";
        rule->prefix = bits;
        if (slash) {
                char *end;
                if (*slash < '0' || *slash > '9')
                        return "after the / comes the number of bits that count";
                unsigned long n = strtoul(slash, &end, 10);
                if (*end || n > bits)
                        return six ? "an IPv6 address has 128 bits at most that count" : "an IPv4 address has 32 bits at most that count";
                rule->prefix = n;
        }
        for (unsigned i = rule->prefix; i < bits; i++)
                if (rule->address.s6_addr[i / 8] & (0x80 >> i % 8))
                        return "the address has bits set below its prefix (10.0.0.0/8, not 10.1.2.3/8)";
        if (six && IN6_IS_ADDR_V4MAPPED(&rule->address) && rule->prefix >= 96) {
                memmove(&rule->address, rule->address.s6_addr + 12, 4);
                memset(rule->address.s6_addr + 4, 0, 12);
                rule->family = AF_INET;
                rule->prefix -= 96;
        }
        return NULL;
}

static int rule_wrong(struct loader *l, struct place place, const char *text, const char *why) {
        _cleanup_free_ char *escaped = str_escape(text);

        return ERROR(l, place, "the network rule `%.120s`: %s", escaped ? escaped : "", why);
}

static int add_rule(struct loader *l, struct net_rules *rules, const struct net_rule *rule) {
        if (rules->n >= RULES_MAX)
                return ERROR(l, rule->place, "the policy has too many network rules (%u at most)", RULES_MAX);
        struct net_rule *slot = arena_push(l->arena, &rules->rules, &rules->n, sizeof(*slot));
        if (!slot)
                return -ENOMEM;
        *slot = *rule;
        return 0;
}

static int parse_unix(struct loader *l, struct net_rules *rules, struct net_rule *rule) {
        const char *path = rule->text + strlen("unix:");
        struct strbuf escaped = {};
        char *pattern;

        rule->kind = NET_UNIX;
        if (path[0] == '@') {
                if (!path[1] || strlen(path + 1) > ABSTRACT_MAX)
                        return rule_wrong(l, rule->place, rule->text, "an abstract name has 1 to 107 bytes");
                rule->abstract = true;
                rule->path = arena_strdup(l->arena, path + 1);
                return rule->path ? add_rule(l, rules, rule) : -ENOMEM;
        }
        glob_escape(&escaped, path);
        const char *wrong = escaped.failed ? "out of memory" : glob_normalise(l->arena, escaped.text ? escaped.text : "", &pattern);
        strbuf_done(&escaped);
        if (wrong)
                return rule_wrong(l, rule->place, rule->text, wrong);
        rule->path = glob_unescape(l->arena, pattern);
        return rule->path ? add_rule(l, rules, rule) : -ENOMEM;
}

static int add_resolvers(struct loader *l, struct net_rules *rules, struct net_rule *rule) {
        struct resolver resolvers[RESOLVERS_MAX];
        const char *path = l->request->resolv_conf ? l->request->resolv_conf : "/etc/resolv.conf";
        size_t n = resolvers_read(path, resolvers);

        for (size_t i = 0; i < n; i++) {
                rule->family = resolvers[i].family;
                rule->address = resolvers[i].address;
                rule->prefix = rule->family == AF_INET ? 32 : 128;
                int r = add_rule(l, rules, rule);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int parse_rule(struct loader *l, struct net_rules *rules, struct net_rule *rule) {
        char *host, *ports;

        if (strcmp(rule->text, "any") == 0) {
                rule->kind = NET_ANY;
                return add_rule(l, rules, rule);
        }
        if (str_starts(rule->text, "unix:"))
                return parse_unix(l, rules, rule);
        rule->kind = str_starts(rule->text, "udp:") ? NET_UDP : NET_TCP;
        if (rule->kind == NET_TCP && !str_starts(rule->text, "tcp:"))
                return rule_wrong(l, rule->place, rule->text, "expected tcp:HOST:PORTS, udp:HOST:PORTS, unix:PATH, unix:@NAME or `any`");
        host = arena_strdup(l->arena, rule->text + 4);
        if (!host)
                return -ENOMEM;
        ports = strrchr(host, ':');
        if (!ports || strchr(ports, ']'))
                return rule_wrong(l, rule->place, rule->text, "the ports are missing; write tcp:HOST:PORTS, with * for all ports");
        *ports++ = 0;
        int r = parse_ports(l, rule, ports);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return rule_wrong(l, rule->place, rule->text,
                                  "ports are a number up to 65535, a range n-m, a list of them with commas, or *");
        if (strcmp(host, "resolvers") == 0)
                return add_resolvers(l, rules, rule);
        const char *wrong = parse_host(rule, host);
        return wrong ? rule_wrong(l, rule->place, rule->text, wrong) : add_rule(l, rules, rule);
}

static int read_rule(struct loader *l, struct net_rules *rules, const struct yaml_node *item) {
        struct net_rule rule = { .place = item->place };
        bool known = false;
        int r = value_text(l, item, "a network rule", &rule.text);

        if (r < 0)
                return r;
        for (size_t i = 0; i < rules->n; i++)
                if (strcmp(rules->rules[i].text, rule.text) == 0) {
                        rules->rules[i].place = rule.place;
                        known = true;
                }
        return known ? 0 : parse_rule(l, rules, &rule);
}

static int connect_rule(struct loader *l, const struct yaml_node *item) {
        return read_rule(l, &l->policy->network.connect, item);
}

static int bind_rule(struct loader *l, const struct yaml_node *item) {
        return read_rule(l, &l->policy->network.bind, item);
}

static int deny_rule(struct loader *l, const struct yaml_node *item) {
        return read_rule(l, &l->policy->network.deny, item);
}

static int read_connect(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "connect", connect_rule);
}

static int read_bind(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "bind", bind_rule);
}

static int read_deny(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "deny", deny_rule);
}

static int read_mode(struct loader *l, const struct yaml_node *node) {
        static const char *const words[] = { "none", "host", "brokered" };
        size_t which;
        int r = value_word(l, node, "network: mode", words, ELEMENTSOF(words), &which);

        if (r < 0)
                return r;
        if (which == 2)
                return ERROR(l, node->place, "`mode: brokered` isn't built yet: only `none` and `host` are");
        l->policy->network.mode = which == 0 ? NETWORK_NONE : NETWORK_HOST;
        return 0;
}

int section_network(struct loader *l, const struct yaml_node *node) {
        static const struct key keys[] = {
                { "mode", read_mode },
                { "connect", read_connect },
                { "bind", read_bind },
                { "deny", read_deny },
        };

        return value_map(l, node, "network", keys, ELEMENTSOF(keys));
}
