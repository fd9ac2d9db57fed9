/*
 * Layers, variables, flags, and showing what came out.
 */
#include <arpa/inet.h>
#include <unistd.h>

#include "digest.h"
#include "support.h"

Test(load, sections) {
        FIXTURE;
        cr_assert_loads(&f, load_text(&f, "version: 1\n"
                                          "description: a test\n"
                                          "files:\n"
                                          "  default: hide\n"
                                          "  read: [/etc/nginx/, /a//b]\n"
                                          "  private: [{ path: /tmp, size: 64M }, /run]\n"
                                          "  replace: { /etc/motd: { content: \"hello\\n\" } }\n"
                                          "  binds: { /data: { from: /srv/data, write: true } }\n"
                                          "  enforce: broker\n"
                                          "network:\n"
                                          "  mode: host\n"
                                          "  connect: [\"tcp:10.0.0.0/8:5432,80-90\", \"unix:/run/php.sock\"]\n"
                                          "  bind: [\"tcp:[::]:80\", \"unix:@x\"]\n"
                                          "  deny: [any]\n"
                                          "kernel: { uname: { release: 6.1.0 }, hostname: web-1, memory: 512M }\n"
                                          "identity: { ids: subordinate }\n"
                                          "limits: { processes: 64, open-files: 1024, file-size: 1G, memory: 512M, time: 10m }\n"
                                          "syscalls:\n"
                                          "  default: deny\n"
                                          "  rules:\n"
                                          "    - { match: [ptrace, \"io_uring_*\"], action: errno ENOSYS }\n"
                                          "    - { match: ioctl, args: [{ index: 1, equals: TIOCSTI }], action: kill }\n"
                                          "audit: { record: all }\n"
                                          "on-broker-loss: kill\n"));
        const struct policy *p = f.policy;
        cr_expect_str_eq(p->description, "a test");
        cr_expect(find_rule(&f, FILE_READ, "/etc/nginx") && find_rule(&f, FILE_READ, "/a/b"));
        cr_expect(find_rule(&f, FILE_PRIVATE, "/tmp")->size == 64U << 20);
        cr_expect_str_eq(find_rule(&f, FILE_REPLACE, "/etc/motd")->content, "hello\n");
        cr_expect(find_rule(&f, FILE_BIND, "/data")->write);
        cr_expect(p->files.enforce_broker);
        cr_expect(p->network.mode == NETWORK_HOST && p->network.connect.n == 2 && p->network.bind.n == 2 && p->network.deny.n == 1);
        cr_expect(p->network.connect.rules[0].n_ports == 2 && p->network.connect.rules[0].ports[1].last == 90);
        cr_expect(p->network.connect.rules[0].prefix == 8);
        cr_expect(p->network.bind.rules[1].abstract);
        cr_expect_str_eq(p->kernel.hostname, "web-1");
        cr_expect(p->kernel.memory == 512U << 20);
        cr_expect(p->subordinate_ids && p->kill_on_broker_loss && p->audit == AUDIT_ALL);
        cr_expect(p->limits.processes == 64 && p->limits.time_usec == 600000000);
        cr_expect(p->syscalls.deny_unnamed && p->syscalls.n_rules == 2);
        cr_expect(p->syscalls.rules[0].error == 38 && p->syscalls.rules[0].n_names == 2);
        cr_expect(p->syscalls.rules[1].args[0].value == 0x5412 && p->syscalls.rules[1].args[0].mask == 0xffffffff);
        cr_expect(p->n_sources == 1);
}

Test(load, layers) {
        FIXTURE;
        make_file(&f, "one.yaml",
                  "limits: { processes: 1, memory: 1G }\nfiles: { read: [/a], private: [/tmp] }\n"
                  "environment: { keep: [A], set: { X: one } }\ndescription: the first\n"
                  "syscalls: { rules: [{ match: a, action: kill }, { match: b, action: kill }] }\nnetwork: { mode: host }\n");
        make_file(&f, "two.yaml",
                  "extends: [./one.yaml]\nlimits: { processes: 2 }\nfiles: { read: [/b] }\n"
                  "syscalls: { rules: [{ match: c, action: kill }] }\n");
        cr_assert_loads(&f,
                        load_text(&f, "extends: [./one.yaml, ./two.yaml]\nfiles: { read: [/a, /c], private: [{ path: /tmp, size: 1M }] }\n"
                                      "environment: { keep: [A, B], set: { X: three } }\nnetwork: { mode: none }\n"
                                      "syscalls: { rules: [{ match: d, action: kill }, { match: e, action: kill }] }\n"));
        const struct policy *p = f.policy;
        cr_expect(p->limits.processes == 2 && p->limits.memory == 1U << 30);
        cr_expect(p->files.n_rules == 4, "%zu", p->files.n_rules);
        cr_expect(find_rule(&f, FILE_PRIVATE, "/tmp")->size == 1U << 20);
        cr_expect(strstr(find_rule(&f, FILE_READ, "/a")->place.file, "policy.yaml"));
        cr_expect(p->environment.n_keep == 2 && p->environment.n_set == 1);
        cr_expect_str_eq(p->environment.set[0], "X=three");
        cr_expect(p->network.mode == NETWORK_NONE);
        cr_expect(p->description == NULL);
        cr_expect(p->n_sources == 3);
        /* The last layer's rules first, each layer's own in its order. */
        char order[8] = "";
        for (size_t i = 0; i < p->syscalls.n_rules; i++)
                strcat(order, p->syscalls.rules[i].names[0]);
        cr_expect_str_eq(order, "decab");
}

Test(load, variables) {
        FIXTURE;
        struct policy_flag flags[] = { { FLAG_SET, "set=/from/${home}" } };
        make_file(&f, "below.yaml",
                  "vars: { over: /below, set: /below, plain: /p, needed: }\nfiles: { read: [\"${over}\", \"${set}\"] }\n");
        cr_assert_loads(&f, load_flags(&f,
                                       "extends: [./below.yaml]\n"
                                       "vars: { over: \"${plain}/x\", star: \"/s/*\" }\n"
                                       "files:\n"
                                       "  read: [\"/v/${env.STAR}\", \"${home}/y\", \"/n/${name}\", \"/u/${uid}\", \"${cwd}/*.c\", "
                                       "\"/l/$${x}\", \"${star}\"]\n"
                                       "  replace: { \"${home}/f\": { content: \"$ $${ ${user}\" } }\n",
                                       flags, 1));
        char uid[64];
        snprintf(uid, sizeof(uid), "/u/%u", f.request.uid);
        cr_expect(find_rule(&f, FILE_READ, "/p/x"), "a later layer's value holds in earlier layers too");
        cr_expect(find_rule(&f, FILE_READ, "/from/$\\{home\\}"), "--set is literal");
        cr_expect(find_rule(&f, FILE_READ, "/v/a\\*b"), "a star in a value is a star");
        cr_expect(find_rule(&f, FILE_READ, "/s/\\*"));
        cr_expect_str_eq(find_rule(&f, FILE_READ, "/v/a\\*b")->path, "/v/a*b");
        cr_expect(find_rule(&f, FILE_READ, "/home/me/y") && find_rule(&f, FILE_READ, "/n/test") && find_rule(&f, FILE_READ, uid));
        cr_expect(find_rule(&f, FILE_READ, "/home/me/project/*.c")->path == NULL);
        cr_expect_str_eq(find_rule(&f, FILE_REPLACE, "/home/me/f")->content, "$ ${ me");
}

Test(load, the_home_is_not_given_away) {
        static const char *const folders[] = { "/", "/home", "/home/me" };

        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                FIXTURE;
                f.request.cwd = folders[i];
                cr_expect(load_text(&f, "vars: { project: \"${cwd}\" }\nfiles: { write: [\"${project}\"] }\n") == -EINVAL);
                cr_expect_error(&f, 1, 18, "the policy would grant all of it");
                struct policy_flag flag = { FLAG_SET, "project=/home/me" };
                cr_assert_loads(&f, load_flags(&f, "vars: { project: \"${cwd}\" }\nfiles: { write: [\"${project}\"] }\n", &flag, 1));
                f.request.inspect = true;
                cr_assert_loads(&f, load_text(&f, "files: { write: [\"${cwd}\"] }\n"));
        }
        FIXTURE;
        f.request.cwd = "/home/mean";
        cr_assert_loads(&f, load_text(&f, "files: { write: [\"${cwd}\"] }\n"));
}

Test(load, flags) {
        FIXTURE;
        struct policy_flag flags[] = {
                { FLAG_READ, "/r/[x]" },      { FLAG_WRITE, "/w" }, { FLAG_EXEC, "/e" },  { FLAG_BIND, "/out:1:/in" },
                { FLAG_BIND, "/out:/rw:rw" }, { FLAG_NET, "host" }, { FLAG_TIME, "90s" }, { FLAG_ENFORCE_BROKER, NULL },
        };
        cr_assert_loads(&f, load_flags(&f, "limits: { time: 1s }\n", flags, ELEMENTSOF(flags)));
        cr_expect_str_eq(find_rule(&f, FILE_READ, "/r/\\[x\\]")->path, "/r/[x]");
        cr_expect(find_rule(&f, FILE_WRITE, "/w") && find_rule(&f, FILE_EXEC, "/e"));
        cr_expect_str_eq(find_rule(&f, FILE_BIND, "/in")->from, "/out:1");
        cr_expect(find_rule(&f, FILE_BIND, "/rw")->write && !find_rule(&f, FILE_BIND, "/in")->write);
        cr_expect(f.policy->network.mode == NETWORK_HOST && f.policy->limits.time_usec == 90000000 && f.policy->files.enforce_broker);
}

Test(load, accounts) {
        static const struct {
                uid_t uid;
                const char *user, *passwd, *group;
        } cases[] = {
                { 0, "root", "root:x:0:0:root:/home/me:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
                  "root:x:0:\nnogroup:x:65534:\n" },
                { 1000, "me",
                  "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\nme:x:1000:1000::/home/me:/"
                  "bin/sh\n",
                  "root:x:0:\nnogroup:x:65534:\nme:x:1000:\n" },
                { 1000, NULL,
                  "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\nuser:x:1000:1000::/home/me:/"
                  "bin/sh\n",
                  "root:x:0:\nnogroup:x:65534:\nuser:x:1000:\n" },
                { 1000, "a:0:0",
                  "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\nuser:x:1000:1000::/home/me:/"
                  "bin/sh\n",
                  "root:x:0:\nnogroup:x:65534:\nuser:x:1000:\n" },
                { 65534, "nobody", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
                  "root:x:0:\nnogroup:x:65534:\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                FIXTURE;
                /* The file belongs to whoever runs the test: ask as that one, and be called somebody else only where root may. */
                if (getuid() != 0)
                        cr_skip_test("only root's files may be used by everybody");
                f.request.uid = f.request.gid = cases[i].uid;
                f.request.user = cases[i].user;
                cr_assert_loads(&f, load_text(&f, "files: { replace: { /p: { make: passwd }, /g: { make: group } } }\n"));
                cr_expect_str_eq(find_rule(&f, FILE_REPLACE, "/p")->content, cases[i].passwd);
                cr_expect_str_eq(find_rule(&f, FILE_REPLACE, "/g")->content, cases[i].group);
        }
}

Test(load, resolvers) {
        FIXTURE;
        char path[128];
        snprintf(path, sizeof(path), "%s/resolv.conf", f.folder);
        f.request.resolv_conf = path;
        make_file(&f, "resolv.conf",
                  "# nameserver 9.9.9.9\nsearch x\nnameserver 10.0.0.1\r\nnameserver\t fe80::1%eth0\nnameserver nonsense\nnameserver "
                  "10.0.0.2 # x");
        cr_assert_loads(&f, load_text(&f, "network: { mode: host, connect: [\"udp:resolvers:53\", \"udp:resolvers:53\"] }\n"));
        const struct net_rules *c = &f.policy->network.connect;
        cr_assert(c->n == 3, "%zu", c->n);
        cr_expect(c->rules[0].family == AF_INET && c->rules[0].address.s6_addr[3] == 1 && c->rules[0].prefix == 32);
        cr_expect(c->rules[1].family == AF_INET6 && c->rules[1].prefix == 128);
        cr_expect(c->rules[2].address.s6_addr[3] == 2);
        make_file(&f, "resolv.conf", "");
        cr_assert_loads(&f, load_text(&f, "network: { mode: host, connect: [\"udp:resolvers:53\"] }\n"));
        cr_expect(f.policy->network.connect.n == 1 && f.policy->network.connect.rules[0].address.s6_addr[0] == 127);
}

Test(load, warns_of_sockets) {
        FIXTURE;
        cr_assert_loads(&f, load_text(&f, "files: { read: [/run, /run/x], binds: { /s: { from: /run/user/1000 } } }\n"));
        cr_expect(f.report.n == 2 && f.report.n_errors == 0 && f.report.messages[0].warning, "%zu", f.report.n);
}

static char *show(const struct policy *policy) {
        struct strbuf b = {};

        policy_show(policy, &b);
        return strbuf_take(&b);
}

/* Comments name places, which differ. */
static void drop_comments(char *text) {
        for (char *p = text; (p = strstr(p, "  # "));)
                memmove(p, p + strcspn(p, "\n"), strlen(p + strcspn(p, "\n")) + 1);
}

static void check_round_trip(struct fixture *f, const char *what) {
        _cleanup_free_ char *first = show(f->policy);
        cr_assert_loads(f, load_text(f, first));
        _cleanup_free_ char *second = show(f->policy);
        drop_comments(first);
        drop_comments(second);
        cr_expect(strcmp(first, second) == 0, "%s: shown as\n%s\nloads as\n%s", what, first, second);
}

Test(load, what_is_shown_loads_again) {
        FIXTURE;
        cr_assert_loads(
                &f,
                load_text(&f, "description: \"a \\\"quoted\\\" $${x} ${y} \\u202e \\t text\"\n"
                              "vars: { v: \"a*b${home}\" }\n"
                              "files:\n  read: [\"/a/*.c\", \"/b/\\\\*\", \"/${v}\", \"/$${z}\", \"/ä ö\"]\n  write: [/w]\n  append: "
                              "[/x]\n  exec: [/e]\n  deny: [/d]\n"
                              "  hide: [/h]\n  private: [/p, { path: /q, size: 4K }]\n"
                              "  replace: { /r: { content: \"a: b\\n\\e \\x80 $${x} $ $$ \\\\ \" }, /s: { from: ./x } }\n  binds: { /t: { "
                              "from: /y, write: true } }\n"
                              "  enforce: broker\n"
                              "network: { mode: host, connect: [\"tcp:*:80\", \"udp:resolvers:53\"], bind: [\"unix:@a b\"], deny: [any] }\n"
                              "environment: { keep: [\"A*\"], set: { B: \"c d\", E: \"\" } }\n"
                              "kernel: { uname: { sysname: L, release: \"6.10\", version: v, machine: m }, hostname: h, memory: 1G }\n"
                              "identity: { ids: subordinate }\ndevices: [null]\n"
                              "limits: { processes: 5, open-files: 6, file-size: 7, memory: 8K, time: 1h30m }\n"
                              "syscalls: { default: deny, rules: [{ match: [a, \"b*\"], args: [{ index: 1, equals: 3, mask: 0xff }, { "
                              "index: 2, equals: 0x100000000, bits: 64 }],"
                              " action: errno EPERM }, { match: c, action: log }] }\n"
                              "audit: { record: none }\non-broker-loss: kill\n"));
        check_round_trip(&f, "everything");
        cr_expect(f.policy->network.connect.n >= 2 && f.policy->syscalls.rules[0].n_args == 2);
        cr_expect(f.policy->syscalls.rules[0].args[0].mask == 0xff && f.policy->syscalls.rules[0].args[1].value == UINT64_C(1) << 32);
}

static void digest_of(struct fixture *f, const char *text, char ret[DIGEST_TEXT_SIZE]) {
        struct digest d = {};

        cr_assert_loads(f, load_text(f, text));
        cr_assert_eq(policy_digest(f->policy, &d), 0);
        digest_text(&d, ret);
}

Test(load, digest_of_what_is_said) {
        static const char *const others[] = {
                "files: { read: [/a], write: [/b] }\nnetwork: { mode: host, connect: [\"udp:resolvers:53\"] }\n",
                "files: { read: [/a] }\nnetwork: { mode: host, connect: [\"udp:resolvers:54\"] }\n",
                "files: { read: [/a] }\nnetwork: { mode: host, connect: [\"udp:resolvers:53\"], deny: [\"unix:/x\"] }\n",
                "files: { default: deny, read: [/a] }\nnetwork: { mode: host, connect: [\"udp:resolvers:53\"] }\n",
                "files: { read: [/a] }\nnetwork: { mode: host, connect: [\"udp:resolvers:53\"] }\naudit: { record: all }\n",
                "files: { read: [/a] }\nnetwork: { mode: host, connect: [\"udp:resolvers:53\"] }\n"
                "rules: [{ when: { exe: /bin/x }, files: { hide: [/a/b] } }]\n",
                "files: { read: [/a] }\nnetwork: { mode: host, connect: [\"udp:resolvers:53\"] }\n"
                "syscalls: { rules: [{ match: ptrace, action: errno EPERM }] }\n",
        };
        char path[128], one[DIGEST_TEXT_SIZE], other[DIGEST_TEXT_SIZE];
        FIXTURE;

        snprintf(path, sizeof(path), "%s/resolv.conf", f.folder);
        f.request.resolv_conf = path;
        make_file(&f, "resolv.conf", "nameserver 10.0.0.1\n");
        digest_of(&f, "files: { read: [/a] }\nnetwork: { mode: host, connect: [\"udp:resolvers:53\"] }\n", one);
        /* Not how it is written, and not who the host's resolvers are. */
        make_file(&f, "resolv.conf", "nameserver 10.0.0.2\nnameserver 10.0.0.3\n");
        digest_of(&f,
                  "description: the same\n# a comment\nnetwork:\n  mode: host\n  connect: [\"udp:resolvers:53\"]\n\nfiles:\n  read:\n  - "
                  "/a\n",
                  other);
        cr_expect_str_eq(one, other);
        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                digest_of(&f, others[i], other);
                cr_expect_str_neq(one, other, "%s", others[i]);
        }
}

Test(load, shipped_policies) {
        static const char *const folders[] = { POLICIES };
        static const char *const expected[] = { "base",
                                                "build",
                                                "container-db",
                                                "container-default",
                                                "container-untrusted",
                                                "container-web",
                                                "dns",
                                                "git",
                                                "nginx",
                                                "python",
                                                "redis",
                                                "service",
                                                "shell",
                                                "untrusted" };
        _cleanup_free_ char **names = NULL;
        size_t n;

        cr_assert(policy_names(folders, 1, &names, NULL, &n) == 0);
        cr_assert(n == ELEMENTSOF(expected));
        for (size_t i = 0; i < n; i++) {
                FIXTURE;
                cr_expect_str_eq(names[i], expected[i]);
                f.request.folders = folders;
                f.request.n_folders = 1;
                f.request.cwd = "/usr/share";
                f.request.policy = strdup(names[i]);
                cr_assert_loads(&f, policy_load(&f.request, &f.policy, &f.report));
                cr_expect(f.report.n == 0);
                cr_expect(f.policy->description && strstr(f.policy->description, "eft out"), "%s says what it leaves out", names[i]);
                cr_expect(plan_compile(f.policy, &(struct plan_request) { .home = "/home/me" }, &f.plan, &f.report) == 0);
                check_round_trip(&f, names[i]);
        }
}
