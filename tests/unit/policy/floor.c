/*
 * The floor: whatever is asked of a plan that has one is allowed exactly where both policies, each for itself, allow it.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/un.h>

#include "../random.h"
#include "support.h"

#define PAIRS 300
#define QUESTIONS 400

#define PICK(list) ((list)[random_below(ELEMENTSOF(list))])

/* ---- Random policies ---- */

static const char *const literals[] = { "/",  "/a",   "/a/b",     "/a/b/c",      "/a/b/c/d.x", "/a/e",
                                        "/f", "/f/g", "/f/g/h.x", "/usr/bin/sh", "/dev/null" };
static const char *const globs[] = { "/a/*", "/**/c", "/f/*.x", "/a/**/*.x", "/f/g/*", "/{a,f}/*" };
static const char *const addresses[] = {
        "tcp:10.0.0.0/8:80", "tcp:10.1.2.3:80-90",    "tcp:*:443", "udp:*:53", "any", "unix:/a/b", "unix:@x",
        "tcp:[::1]:80",      "tcp:169.254.169.254:80"
};

static void make_root(const struct fixture *f) {
        make_file(f, "root/a/b/c/d.x", "");
        make_file(f, "root/a/e", "");
        make_file(f, "root/f/g/h.x", "");
        make_file(f, "root/usr/bin/sh", "");
        make_file(f, "root/dev/null", "");
}

static void add_list(struct strbuf *out, const char *key, const char *const *words, size_t n, unsigned percent) {
        bool any = false;

        for (size_t i = 0; i < n; i++) {
                if (random_below(100) >= percent)
                        continue;
                strbuf_printf(out, "%s\"%s\"", any ? ", " : key, words[i]);
                any = true;
        }
        if (any)
                strbuf_puts(out, "]\n");
}

static void make_policy(struct strbuf *out) {
        static const char *const defaults[] = { "hide", "hide", "deny", "read" }, *const modes[] = { "host", "host", "none" };
        static const char *const grants[] = { "read", "append", "write" }, *const refusals[] = { "deny", "hide" };
        char key[64];

        strbuf_printf(out, "files:\n  default: %s\n", PICK(defaults));
        for (size_t i = 0; i < ELEMENTSOF(grants); i++) {
                const char *words[] = { PICK(literals), PICK(literals), PICK(globs) };
                snprintf(key, sizeof(key), "  %s: [", grants[i]);
                add_list(out, key, words, ELEMENTSOF(words), 60);
        }
        const char *programs[] = { PICK(literals) };
        add_list(out, "  exec: [", programs, 1, 60);
        for (size_t i = 0; i < ELEMENTSOF(refusals); i++) {
                const char *words[] = { PICK(literals), PICK(globs) };
                snprintf(key, sizeof(key), "  %s: [", refusals[i]);
                add_list(out, key, words, ELEMENTSOF(words), 25);
        }
        if (random_below(2))
                strbuf_printf(out, "rules:\n  - { when: { exe: /usr/bin/sh }, files: { %s: [\"%s\"] } }\n", PICK(refusals),
                              random_below(2) ? PICK(literals) : PICK(globs));
        strbuf_printf(out, "network:\n  mode: %s\n", PICK(modes));
        add_list(out, "  connect: [", addresses, ELEMENTSOF(addresses), 30);
        add_list(out, "  bind: [", addresses, ELEMENTSOF(addresses), 30);
        add_list(out, "  deny: [", addresses, ELEMENTSOF(addresses), 10);
}

/* ---- Two policies, and both as one ---- */

struct pair {
        struct fixture own, floor;
        struct strbuf texts[2];
        struct plan *alone; /* `own` without the floor */
        struct policy *saved_policy;
        struct plan *saved; /* both, saved and loaded again */
};

static void pair_done(struct pair *p) {
        plan_free(p->saved);
        policy_free(p->saved_policy);
        plan_free(p->alone);
        fixture_done(&p->own);
        fixture_done(&p->floor);
        strbuf_done(&p->texts[0]);
        strbuf_done(&p->texts[1]);
}

static bool pair_make(struct pair *p) {
        struct policy_report report = {};
        struct strbuf saved = {};

        fixture_init(&p->own);
        fixture_init(&p->floor);
        make_root(&p->own);
        make_root(&p->floor);
        p->own.plan_request.setting = p->floor.plan_request.setting = PLAN_CONTAINER;
        make_policy(&p->texts[0]);
        make_policy(&p->texts[1]);
        /* Some have two rules that can't be. */
        if (compile_text(&p->own, p->texts[0].text) < 0 || compile_text(&p->floor, p->texts[1].text) < 0)
                return false;
        cr_assert_eq(plan_compile(p->own.policy, &p->own.plan_request, &p->alone, &report), 0);
        cr_assert_eq(plan_add_floor(p->own.plan, p->floor.plan, &report), 0);
        cr_assert_eq(plan_save(p->own.plan, &saved), 0);
        cr_assert_eq(plan_load_saved(saved.text, saved.length, &p->saved_policy, &p->saved, &report), 0);
        strbuf_done(&saved);
        policy_report_done(&report);
        return true;
}

enum question { EXISTS, LOOKS, READS, APPENDS, WRITES, EXECUTES, QUESTIONS_N };

/* As the modules read a match: what is denied is there, and no more. */
static bool may(struct match match, bool directory, enum question q) {
        static const unsigned rights[] = { [APPENDS] = RIGHT_APPEND, [WRITES] = RIGHT_WRITE, [EXECUTES] = RIGHT_EXEC };

        match = match_object(match, directory);
        switch (q) {
        case EXISTS: return match.state != MATCH_HIDDEN;
        case LOOKS: return match.state == MATCH_ANCESTOR || match.state == MATCH_GRANTED;
        case READS: return match_reads(match);
        default: return match.state == MATCH_GRANTED && (match.rights & rights[q]);
        }
}

static void random_path(char ret[64]) {
        static const char *const below[] = { "", "", "/x", "/c", "/y.x", "/b/c" };
        const char *above = PICK(literals), *word = PICK(below);

        snprintf(ret, 64, "%s%s", *word && above[1] == 0 ? "" : above, word);
}

Test(floor, files_are_what_both_allow, .timeout = 120) {
        size_t asked = 0, allowed = 0, unlike = 0;

        for (unsigned i = 0; i < PAIRS; i++) {
                _cleanup_(pair_done) struct pair p = {};
                if (!pair_make(&p))
                        continue;
                size_t n = p.alone->n_conditions, all = plan_conditions(p.own.plan);
                for (unsigned k = 0; k < QUESTIONS; k++) {
                        uint64_t active = random_below(UINT64_C(1) << all);
                        bool directory = random_below(2);
                        char path[64];
                        random_path(path);
                        struct match a = plan_match_when(p.alone, active & ((UINT64_C(1) << n) - 1), path),
                                     b = plan_match_when(p.floor.plan, active >> n, path), both = plan_match_when(p.own.plan, active, path),
                                     saved = plan_match_when(p.saved, active, path);
                        if (active == 0) {
                                struct match unconditional = plan_match(p.own.plan, path);
                                cr_assert(unconditional.state == both.state && unconditional.rights == both.rights);
                        }
                        cr_assert(saved.state == both.state && saved.rights == both.rights && saved.otherwise == both.otherwise);
                        for (enum question q = EXISTS; q < QUESTIONS_N; q++) {
                                bool of_a = may(a, directory, q), of_b = may(b, directory, q);
                                cr_assert(may(both, directory, q) == (of_a && of_b), "%s (%d), question %d, %d and %d, with\n%s\nand\n%s",
                                          path, directory, q, of_a, of_b, p.texts[0].text, p.texts[1].text);
                                asked++;
                                allowed += of_a && of_b;
                                unlike += of_a != of_b;
                        }
                }
        }
        /* The questions were such as can have either answer. */
        cr_expect(asked > 100000 && allowed > asked / 20 && unlike > asked / 20, "%zu, %zu, %zu", asked, allowed, unlike);
}

Test(floor, directories_move_where_both_let_them, .timeout = 120) {
        size_t moved = 0, held = 0;

        for (unsigned i = 0; i < PAIRS; i++) {
                _cleanup_(pair_done) struct pair p = {};
                if (!pair_make(&p))
                        continue;
                for (unsigned k = 0; k < 40; k++) {
                        char from[64], to[64];
                        random_path(from);
                        random_path(to);
                        bool both = plan_same_below(p.own.plan, from, to);
                        cr_assert(both == (plan_same_below(p.alone, from, to) && plan_same_below(p.floor.plan, from, to)));
                        moved += both;
                        held += !both;
                }
        }
        cr_expect(moved > 100 && held > 100, "%zu, %zu", moved, held);
}

/* ---- Addresses ---- */

union address {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
};

static socklen_t random_address(union address *a, const char **ret_path) {
        static const char *const hosts[] = { "10.1.2.3", "10.9.9.9", "8.8.8.8", "127.0.0.1", "169.254.169.254" };
        static const uint16_t ports[] = { 53, 80, 85, 443, 444 };

        *a = (union address) {};
        *ret_path = NULL;
        switch (random_below(4)) {
        case 0:
                a->in6 = (struct sockaddr_in6) { .sin6_family = AF_INET6,
                                                 .sin6_port = htons(PICK(ports)),
                                                 .sin6_addr = IN6ADDR_LOOPBACK_INIT };
                return sizeof(a->in6);
        case 1:
                a->un = (struct sockaddr_un) { .sun_family = AF_UNIX };
                if (random_below(2)) {
                        a->un.sun_path[1] = random_below(2) ? 'x' : 'y';
                        return offsetof(struct sockaddr_un, sun_path) + 2;
                }
                *ret_path = PICK(literals);
                strcpy(a->un.sun_path, *ret_path);
                return sizeof(a->un);
        default:
                a->in = (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = htons(PICK(ports)) };
                cr_assert(inet_pton(AF_INET, PICK(hosts), &a->in.sin_addr) == 1);
                return sizeof(a->in);
        }
}

Test(floor, addresses_are_what_both_allow, .timeout = 120) {
        size_t allowed = 0, unlike = 0;

        for (unsigned i = 0; i < PAIRS; i++) {
                _cleanup_(pair_done) struct pair p = {};
                if (!pair_make(&p))
                        continue;
                for (unsigned k = 0; k < QUESTIONS; k++) {
                        enum net_use use = random_below(2) ? NET_CONNECT : NET_BIND;
                        enum net_protocol protocol = random_below(2) ? PROTOCOL_TCP : PROTOCOL_UDP;
                        union address address;
                        const char *path;
                        socklen_t size = random_address(&address, &path);
                        bool own = random_below(2);
#define ASK(plan) plan_match_address(plan, use, protocol, &address.any, size, path, own).allowed
                        bool a = ASK(p.alone), b = ASK(p.floor.plan), both = ASK(p.own.plan), saved = ASK(p.saved);
                        cr_assert(both == (a && b) && saved == both, "with\n%s\nand\n%s", p.texts[0].text, p.texts[1].text);
                        allowed += both;
                        unlike += a != b;
                }
        }
        cr_expect(allowed > 1000 && unlike > 1000, "%zu, %zu", allowed, unlike);
}

/* ---- The rest ---- */

static int add(struct fixture *own, struct fixture *floor, const char *own_text, const char *floor_text) {
        own->plan_request.setting = floor->plan_request.setting = PLAN_CONTAINER;
        make_root(own);
        make_root(floor);
        cr_assert_loads(own, compile_text(own, own_text));
        cr_assert_loads(floor, compile_text(floor, floor_text));
        return plan_add_floor(own->plan, floor->plan, &floor->report);
}

Test(floor, settings) {
        static const struct {
                const char *own, *floor;
                enum audit_record audit;
                uint64_t seconds;
                bool kill;
        } table[] = {
                { "audit: { record: none }\n", "audit: { record: denied }\n", AUDIT_DENIED, 0, false },
                { "audit: { record: all }\nlimits: { time: 5s }\n", "audit: { record: denied }\n", AUDIT_ALL, 5, false },
                { "limits: { time: 9s }\n", "audit: { record: all }\nlimits: { time: 7s }\non-broker-loss: kill\n", AUDIT_ALL, 7, true },
                { "limits: { time: 3s }\non-broker-loss: kill\n", "limits: { time: 7s }\n", AUDIT_DENIED, 3, true },
                { "version: 1\n", "limits: { time: 7s }\n", AUDIT_DENIED, 7, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(fixture_done) struct fixture own = {}, floor = {};
                fixture_init(&own);
                fixture_init(&floor);
                cr_assert_eq(add(&own, &floor, table[i].own, table[i].floor), 0);
                cr_expect(plan_audit(own.plan) == table[i].audit, "%zu", i);
                cr_expect(plan_time_usec(own.plan) == table[i].seconds * 1000000, "%zu", i);
                cr_expect(plan_kills_on_broker_loss(own.plan) == table[i].kill, "%zu", i);
        }
}

Test(floor, nothing_is_made_by_it) {
        _cleanup_(fixture_done) struct fixture own = {}, floor = {};

        fixture_init(&own);
        fixture_init(&floor);
        cr_expect_eq(add(&own, &floor, "files: { read: [/a] }\n", "files:\n  default: read\nkernel: { uname: { release: \"1\" } }\n"),
                     -EINVAL);
        cr_expect_error(&floor, 0, 0, "a floor (oci: floor in sandboxd.yaml) can't: it only takes away");
        cr_expect(!own.plan->floor);
        /* These don't even compile for a container; one that did is refused all the same. */
        ((struct policy *) floor.policy)->kernel.release = NULL;
        floor.policy->files.n_rules = 1;
        floor.policy->files.rules =
                &(struct file_rule) { .kind = FILE_PRIVATE, .pattern = (char *) "/tmp", .place = { .file = "f", .line = 3 } };
        policy_report_done(&floor.report);
        floor.report = (struct policy_report) {};
        cr_expect_eq(plan_add_floor(own.plan, floor.plan, &floor.report), -EINVAL);
        cr_expect_error(&floor, 3, 0, "/tmp: `private` puts something into the container");
}

Test(floor, is_kept_by_an_apply) {
        _cleanup_(fixture_done) struct fixture own = {}, floor = {};
        struct strbuf differences = {};
        struct plan *without;

        fixture_init(&own);
        fixture_init(&floor);
        cr_assert_eq(add(&own, &floor, "files: { read: [/a] }\n", "files: { read: [/a/b] }\n"), 0);
        cr_assert_eq(plan_compile(own.policy, &own.plan_request, &without, &own.report), 0);
        cr_expect_eq(plan_compare(own.plan, own.plan, &differences), 0);
        cr_expect_eq(plan_compare(own.plan, without, &differences), 1);
        cr_expect(strstr(differences.text, "oci: floor"));
        cr_expect_eq(plan_compare(without, own.plan, &differences), 1);
        plan_free(without);
        strbuf_done(&differences);
}
