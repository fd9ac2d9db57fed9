/*
 * Saved plans: what is loaded again says the same as what was saved, whatever the host has become; and no text brings the loader down.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"
#include "tree.h"

/* ---- What a plan says ---- */

static void add_place(struct strbuf *out, const struct place *place) {
        strbuf_printf(out, " %s:%u:%u", place->file ? place->file : "-", place->line, place->column);
}

static void add_rule(struct strbuf *out, const struct file_rule *rule) {
        if (!rule) {
                strbuf_puts(out, " -");
                return;
        }
        strbuf_printf(out, " %d %s %s %s %s %zu %d %lu", rule->kind, rule->pattern, rule->path ? rule->path : "-",
                      rule->from ? rule->from : "-", rule->content ? rule->content : "-", rule->content_size, rule->write, rule->size);
        add_place(out, &rule->place);
}

static void add_match(struct strbuf *out, const char *path, struct match match) {
        strbuf_printf(out, "%s: %d %u %d %d", path, match.state, match.rights, match.otherwise, match.own);
        add_rule(out, match.rule);
        strbuf_puts(out, "\n");
}

static void add_matches(struct strbuf *out, const struct plan *plan, const char *path) {
        add_match(out, path, plan_match(plan, path));
        for (size_t i = 0; i < plan->n_conditions; i++)
                add_match(out, path, plan_match_when(plan, UINT64_C(1) << i, path));
}

static void add_address(struct strbuf *out, const struct plan *plan, enum net_use use, enum net_protocol protocol, const void *address,
                        socklen_t size, const char *resolved) {
        struct net_match match = plan_match_address(plan, use, protocol, address, size, resolved, false);

        strbuf_printf(out, "%d %d %d %s %s", use, protocol, match.allowed, match.rule ? match.rule->text : "-",
                      match.why ? match.why : "-");
        if (match.rule)
                add_place(out, &match.rule->place);
        strbuf_puts(out, "\n");
}

static void add_addresses(struct strbuf *out, const struct plan *plan) {
        static const char *const hosts[] = { "127.0.0.1", "0.0.0.0", "10.1.2.3", "10.2.0.1", "192.0.2.53", "169.254.169.254" };
        static const char *const hosts6[] = { "::1", "2001:db8::53", "2001:db8:1::1", "fd00:ec2::254" };
        static const char *const names[] = { "/run/app/socket", "/run/other", "\0name", "\0other" };
        static const uint16_t ports[] = { 0, 53, 80, 443, 8080, 9000 };

        for (int use = NET_CONNECT; use <= NET_BIND; use++) {
                for (int protocol = PROTOCOL_TCP; protocol <= PROTOCOL_OTHER; protocol++)
                        for (size_t p = 0; p < ELEMENTSOF(ports); p++) {
                                for (size_t i = 0; i < ELEMENTSOF(hosts); i++) {
                                        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(ports[p]) };
                                        cr_assert(inet_pton(AF_INET, hosts[i], &in.sin_addr) == 1);
                                        add_address(out, plan, use, protocol, &in, sizeof(in), NULL);
                                }
                                for (size_t i = 0; i < ELEMENTSOF(hosts6); i++) {
                                        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(ports[p]) };
                                        cr_assert(inet_pton(AF_INET6, hosts6[i], &in6.sin6_addr) == 1);
                                        add_address(out, plan, use, protocol, &in6, sizeof(in6), NULL);
                                }
                        }
                for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                        struct sockaddr_un un = { .sun_family = AF_UNIX };
                        size_t n = names[i][0] ? strlen(names[i]) : 1 + strlen(names[i] + 1);
                        memcpy(un.sun_path, names[i], n);
                        add_address(out, plan, use, PROTOCOL_OTHER, &un, offsetof(struct sockaddr_un, sun_path) + n,
                                    names[i][0] ? names[i] : NULL);
                }
        }
}

static void add_nodes(struct strbuf *out, const struct plan *plan) {
        for (size_t i = 0; i < plan->n_nodes; i++) {
                const struct node *n = plan->nodes + i;
                strbuf_printf(out, "%d %s %s %d %d %u %lu", n->kind, n->path, n->source ? n->source : "-", n->directory, n->stays_out,
                              n->rights, n->size);
                if (n->kind == NODE_LINK)
                        strbuf_printf(out, " %s %zu", n->text, n->text_size);
                add_rule(out, n->rule);
                strbuf_puts(out, "\n");
        }
}

static void add_net_rules(struct strbuf *out, const struct net_rules *rules) {
        for (size_t i = 0; i < rules->n; i++) {
                const struct net_rule *rule = rules->rules + i;
                char address[INET6_ADDRSTRLEN] = "";
                if (rule->family)
                        inet_ntop(rule->family, &rule->address, address, sizeof(address));
                strbuf_printf(out, "%d %d %s/%u %s %d", rule->kind, rule->family, address, rule->prefix, rule->path ? rule->path : "-",
                              rule->abstract);
                for (size_t k = 0; k < rule->n_ports; k++)
                        strbuf_printf(out, " %u-%u", rule->ports[k].first, rule->ports[k].last);
                add_place(out, &rule->place);
                strbuf_puts(out, "\n");
        }
}

static void add_policy(struct strbuf *out, const struct policy *policy) {
        policy_show(policy, out);
        strbuf_puts(out, policy->name);
        for (size_t i = 0; i < policy->files.n_rules; i++)
                add_rule(out, policy->files.rules + i);
        for (size_t i = 0; i < policy->n_whens; i++) {
                strbuf_puts(out, policy->whens[i].exe);
                add_place(out, &policy->whens[i].place);
                for (size_t k = 0; k < policy->whens[i].n_rules; k++)
                        add_rule(out, policy->whens[i].rules + k);
        }
        add_net_rules(out, &policy->network.connect);
        add_net_rules(out, &policy->network.bind);
        add_net_rules(out, &policy->network.deny);
        for (size_t i = 0; i < policy->syscalls.n_rules; i++) {
                add_place(out, &policy->syscalls.rules[i].place);
                strbuf_printf(out, " %d %d\n", policy->syscalls.rules[i].action, policy->syscalls.rules[i].error);
        }
        for (size_t i = 0; i < policy->n_sources; i++)
                strbuf_printf(out, "%s\n", policy->sources[i]);
}

static void add_plan(struct strbuf *out, const struct plan *plan) {
        strbuf_printf(out, "%s %d %s %d", plan->root ? plan->root : "-", plan->files_brokered,
                      plan->brokered_why ? plan->brokered_why : "-", plan_exec_by_directory(plan));
        add_place(out, &plan->brokered_at);
        for (size_t i = 0; i < plan->n_conditions; i++)
                strbuf_printf(out, " %lu %lu", plan->conditions[i].dev, plan->conditions[i].ino);
        for (size_t i = 0; i < plan->n_low_ports; i++)
                strbuf_printf(out, " %u", plan->low_ports[i]);
        strbuf_puts(out, "\n");
        add_nodes(out, plan);
        add_addresses(out, plan);
}

/* The paths that a plan is asked about: of its tree, and what lies beside and below. */
static void add_paths(struct arena *arena, const struct tree_node *node, char ***list, size_t *n) {
        static const char *const below[] = { "", "/x", "/x/y.conf", "/.ssh", "x" };
        const char *path = node->path[1] ? node->path : "";

        for (size_t i = path[0] ? 0 : 1; i + (path[0] ? 0 : 1) < ELEMENTSOF(below); i++) {
                char **slot = arena_push(arena, list, n, sizeof(*slot));
                cr_assert(slot && (*slot = arena_alloc(arena, strlen(path) + strlen(below[i]) + 1)));
                stpcpy(stpcpy(*slot, path), below[i]);
        }
        for (size_t i = 0; i < node->n_children; i++)
                add_paths(arena, node->children[i], list, n);
}

/* All that a plan says, asked about the same paths as another one (which was compiled, and knows them). */
static char *sayings(const struct plan *plan, const struct plan *of) {
        _cleanup_(arena_done) struct arena arena = {};
        struct strbuf out = {};
        char **paths = NULL;
        size_t n = 0;

        add_policy(&out, plan->policy);
        add_plan(&out, plan);
        add_paths(&arena, of->matcher->root, &paths, &n);
        add_matches(&out, plan, "/");
        for (size_t i = 0; i < n; i++)
                add_matches(&out, plan, paths[i]);
        for (size_t i = 0; i < n; i += 1 + n / 60)
                for (size_t k = 0; k < n; k += 1 + n / 60)
                        strbuf_puts(&out, plan_same_below(plan, paths[i], paths[k]) ? "1" : "0");
        cr_assert(!out.failed && n > 20);
        return strbuf_take(&out);
}

/* ---- Saving and loading ---- */

struct saved {
        struct strbuf text;
        struct policy *policy;
        struct plan *plan;
        struct policy_report report;
};

static void saved_done(struct saved *s) {
        strbuf_done(&s->text);
        plan_free(s->plan);
        policy_free(s->policy);
        policy_report_done(&s->report);
}

static int load(struct saved *s, const char *text, size_t size) {
        /* Of exactly its size, so that a sanitizer sees what reads past it. */
        _cleanup_free_ char *copy = malloc(size ? size : 1);

        memcpy(copy, text, size);
        s->plan = plan_free(s->plan);
        s->policy = policy_free(s->policy);
        policy_report_done(&s->report);
        return plan_load_saved(copy, size, &s->policy, &s->plan, &s->report);
}

static void check_same(const struct plan *plan, struct saved *s, const char *what) {
        struct strbuf again = {};

        int r = load(s, s->text.text, s->text.length);
        cr_assert(r == 0, "%s: %s", what, s->report.n ? s->report.messages[0].text : strerror(-r));
        cr_expect(s->report.n == 0);
        cr_assert(s->plan->policy == s->policy);
        _cleanup_free_ char *before = sayings(plan, plan), *after = sayings(s->plan, plan);
        if (strcmp(before, after) != 0) {
                size_t at = 0;
                while (before[at] == after[at])
                        at++;
                at = at > 100 ? at - 100 : 0;
                cr_assert(false, "%s:\n%.300s\nnot\n%.300s", what, after + at, before + at);
        }
        cr_assert(plan_save(s->plan, &again) == 0);
        cr_expect(again.length == s->text.length && memcmp(again.text, s->text.text, again.length) == 0, "%s: saved again", what);
        strbuf_done(&again);
}

#define SAVED(name, plan) \
        _cleanup_(saved_done) struct saved name = {}; \
        cr_assert(plan_save(plan, &name.text) == 0)

static void make_root(const struct fixture *f) {
        make_file(f, "root/usr/bin/sh", "#!/usr/lib/inter\n");
        make_file(f, "root/usr/bin/tool", "#!/opt/inter/run -x\n");
        make_file(f, "root/usr/lib/inter", "x");
        make_file(f, "root/opt/inter/run", "#!/opt/other/run\n");
        make_file(f, "root/opt/other/run", "x");
        make_link(f, "root/bin", "usr/bin");
        make_link(f, "root/lib", "/usr/lib");
        make_file(f, "root/etc/app/conf", "");
        make_file(f, "root/etc/app/private/key", "");
        make_file(f, "root/etc/shadow", "");
        make_link(f, "root/etc/localtime", "/usr/share/zone");
        make_file(f, "root/usr/share/zone", "");
        make_file(f, "root/srv/data/a/b", "");
        make_file(f, "root/srv/data/c.conf", "");
        make_link(f, "root/srv/current", "data/a");
        make_file(f, "root/home/me/project/x", "");
        make_file(f, "root/home/me/.ssh/id", "");
        make_link(f, "root/home/me/.aws", "/srv/data");
        make_folder(f, "root/tmp/inner");
        make_folder(f, "root/run");
        make_folder(f, "root/own");
        make_link(f, "root/var/run", "../run");
        make_file(f, "root/odd/\xff\xfe\"\\\x01\xe2\x80\xae/f\n", "");
        make_file(f, "out/file", "outside");
        make_file(f, "out/folder/file", "");
        make_link(f, "out/link", "folder");
        make_file(f, "resolv.conf", "nameserver 192.0.2.53\nnameserver 2001:db8::53\n");
}

static const char *const policies[] = {
        "{}\n",
        "description: \"a \\\"b\\\" ${c} \\x85 \\u263a\"\nfiles: { exec: [/usr, /bin, /lib, /lib64] }\n",
        "files: { read: [/etc/app/conf, /etc/missing, /etc/localtime], exec: [/bin/sh, /bin/tool] }\n",
        "files: { default: read, write: [/srv/data], hide: [/etc/shadow], deny: [/etc/app/private] }\n",
        "files: { default: deny, write: [/srv/data], read: [/etc/app] }\n",
        "files: { read: [/], write: [/home/me], hide: [/home/me/project], deny: [/srv] }\n",
        "files: { read: [/home/me, /home/me/.ssh/id], hide: [/srv/data] }\n",
        "files: { read: [\"/srv/**/*.conf\", \"/etc/{app,other}/*\", \"/srv/current/*\", /etc], write: [\"/srv/data/[a-c]*/b\"],\n"
        "  hide: [\"/**/private\", \"/home/*/.netrc\"], deny: [\"/etc/app/k?y\"] }\n",
        "files: { append: [/srv/data/a/b], read: [/srv] }\n",
        "files: { private: [/tmp, { path: /run, size: 9223372036854775807 }], overlay: [/srv/data], read: [/tmp/inner, /srv],\n"
        "  replace: { /etc/passwd: { content: \"a\\nb\\t\\\"\\\\ ☺\" }, /etc/group: { make: group }, /etc/localtime: { from: out/file } "
        "},\n"
        "  binds: { /mnt/in: { from: out/link }, /mnt/out: { from: out/file, write: true } } }\n",
        "files: { enforce: broker, overlay: [/srv], read: [/etc/app, /var/run], write: [/srv/data/a], private: [/var/run] }\n",
        "files: { read: [/etc, /srv], exec: [/usr] }\n"
        "rules:\n  - when: { exe: /bin/sh }\n    files: { hide: [/srv/current, \"/etc/**/key\"], deny: [/etc/app/conf] }\n"
        "  - when: { exe: /usr/bin/tool }\n    files: { deny: [/srv] }\n",
        "network: { mode: host, connect: [\"tcp:resolvers:53\", \"udp:resolvers:53\", \"tcp:10.1.0.0/16:80,8000-9000\",\n"
        "  \"tcp:[2001:db8:1::]/48:*\", \"tcp:169.254.169.254:80\", \"unix:/run/app\", \"unix:@name\"],\n"
        "  bind: [\"tcp:*:80,443\", \"udp:0.0.0.0:53\", \"tcp:[::1]:8080\"], deny: [\"tcp:10.1.2.3:443\", \"unix:/run/other\"] }\n"
        "files: { write: [/run] }\n",
        "network: { mode: host, connect: [any], bind: [any] }\n",
        "environment: { keep: [LANG, \"LC_*\"], set: { A: \"\", B: \"x=y \\x01\" } }\n"
        "kernel: { uname: { release: 6.1.0, version: \"#1\", sysname: Linux, machine: x }, hostname: box, memory: 3G }\n"
        "identity: { ids: subordinate }\ndevices: [null, dri/card0]\n"
        "limits: { processes: 10, open-files: 20, file-size: 30, memory: 9223372036854775807, time: 1h }\n"
        "syscalls:\n  default: deny\n  rules:\n    - { match: [\"read*\", write], action: log }\n"
        "    - { match: [socket], args: [{ index: 0, equals: 16 }, { index: 2, equals: 18446744073709551615, bits: 64 }], action: errno "
        "EPERM }\n"
        "    - { match: [ptrace], action: kill }\n"
        "audit: { record: all }\non-broker-loss: kill\n",
};

static const struct policy_flag flags[] = {
        { FLAG_READ, "/odd/\xff\xfe\"\\\x01\xe2\x80\xae" },
        { FLAG_WRITE, "/home/me/project" },
        { FLAG_EXEC, "/opt/inter" },
        { FLAG_READ, "/etc/app/private/key" },
};

/* How each policy is compiled: plainly, with rules of the command line, with layers, with the policy's own file in what it may write. */
enum { PLAIN, FLAGS, LAYERS, OWN_FILE, WAYS };

static int compile_way(struct fixture *f, const char *text, int way) {
        _cleanup_free_ char *resolvers = NULL, *own = NULL;

        cr_assert(asprintf(&resolvers, "%s/resolv.conf", f->folder) > 0);
        cr_assert(asprintf(&own, "%s:/own:rw", f->folder) > 0);
        f->request.resolv_conf = resolvers;
        f->plan_request.overlay_writes = way == LAYERS;
        const struct policy_flag bind = { FLAG_BIND, own };
        int r = compile_flags(f, text, way == FLAGS ? flags : &bind, way == FLAGS ? ELEMENTSOF(flags) : way == OWN_FILE ? 1 : 0);
        f->request.resolv_conf = NULL;
        return r;
}

Test(saved, same) {
        for (int way = 0; way < WAYS; way++) {
                size_t n = 0;
                for (size_t i = 0; i < ELEMENTSOF(policies); i++) {
                        FIXTURE;
                        make_root(&f);
                        int r = compile_way(&f, policies[i], way);
                        _cleanup_free_ char *report = report_text(&f);
                        /* A layer can't lie above a file or a pattern's beginning. */
                        if (way == LAYERS && r == -EINVAL)
                                continue;
                        cr_assert(r == 0, "%s%s", policies[i], report);
                        SAVED(s, f.plan);
                        check_same(f.plan, &s, policies[i]);
                        n++;
                }
                cr_expect(n >= ELEMENTSOF(policies) - 4, "way %d: %zu", way, n);
        }
}

/* Of the processor: a busy machine changes nothing. */
static double milliseconds(void) {
        struct timespec t;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

/* Every shipped policy, on the host as it is. */
Test(saved, shipped) {
        static const char *const folders[] = { POLICIES };
        _cleanup_free_ char **names = NULL;
        size_t n;

        cr_assert(policy_names(folders, 1, &names, NULL, &n) == 0 && n > 0);
        for (size_t i = 0; i < n; i++) {
                FIXTURE;
                f.request.folders = folders;
                f.request.n_folders = 1;
                f.request.cwd = "/usr/share";
                f.request.policy = strdup(names[i]);
                cr_assert_loads(&f, policy_load(&f.request, &f.policy, &f.report));
                cr_assert(plan_compile(f.policy, &(struct plan_request) { .home = "/root" }, &f.plan, &f.report) == 0);
                SAVED(s, f.plan);
                check_same(f.plan, &s, names[i]);
                double begin = milliseconds();
                cr_assert(load(&s, s.text.text, s.text.length) == 0);
                cr_log_info("%s: %zu bytes, loaded in %.2f ms", names[i], s.text.length, milliseconds() - begin);
                cr_expect(s.text.length < 200000, "%s: %zu bytes", names[i], s.text.length);
        }
}

/* ---- A host that has changed ---- */

static void replace_by_link(const struct fixture *f, const char *path, const char *target) {
        _cleanup_free_ char *full = NULL, *aside = NULL;

        cr_assert(asprintf(&full, "%s/%s", f->folder, path) > 0);
        cr_assert(asprintf(&aside, "%s.aside", full) > 0);
        cr_assert(rename(full, aside) == 0);
        cr_assert(symlink(target, full) == 0);
}

static void take_away(const struct fixture *f, const char *path) {
        _cleanup_free_ char *full = NULL;

        cr_assert(asprintf(&full, "%s/%s", f->folder, path) > 0);
        cr_assert(unlink(full) == 0);
}

/* What the sandbox may have done while its worker was away; each changes what compiling comes to. */
static void change_all(const struct fixture *f) {
        replace_by_link(f, "root/srv/data", "/etc");
        replace_by_link(f, "root/run", "/etc");
        replace_by_link(f, "root/home/me/project", "../../etc");
        replace_by_link(f, "root/tmp", "etc");
        replace_by_link(f, "root/etc/app", "/home/me");
        replace_by_link(f, "out/folder", "../root/etc");
        make_file(f, "root/usr/bin/sh", "#!/etc/shadow\n");
        make_file(f, "root/usr/bin/tool", "\177ELF");
        take_away(f, "root/opt/other/run");
        take_away(f, "root/etc/localtime");
        make_file(f, "root/etc/localtime", "");
        make_file(f, "root/etc/missing", "");
        take_away(f, "out/file");
        make_file(f, "resolv.conf", "nameserver 10.2.0.1\n");
}

Test(saved, changed_host) {
        size_t changed = 0;

        for (size_t i = 0; i < ELEMENTSOF(policies); i++) {
                FIXTURE;
                make_root(&f);
                cr_assert_loads(&f, compile_way(&f, policies[i], PLAIN));
                SAVED(s, f.plan);
                change_all(&f);
                check_same(f.plan, &s, policies[i]);

                /* The test has teeth only where compiling anew gives another plan. */
                _cleanup_free_ char *before = sayings(f.plan, f.plan);
                struct plan *compiled = f.plan;
                struct policy *policy = f.policy;
                f.plan = NULL;
                f.policy = NULL;
                int r = compile_way(&f, policies[i], PLAIN);
                _cleanup_free_ char *after = r < 0 ? NULL : sayings(f.plan, compiled);
                changed += !after || strcmp(before, after) != 0;
                plan_free(compiled);
                policy_free(policy);
        }
        cr_expect(changed >= 10, "%zu of %zu", changed, ELEMENTSOF(policies));
}

Test(saved, attack) {
        FIXTURE;
        make_root(&f);
        cr_assert_loads(&f, compile_text(&f, "files: { write: [/srv/data] }\n"));
        SAVED(s, f.plan);
        replace_by_link(&f, "root/srv/data", "/etc");

        struct plan *anew = NULL;
        cr_assert(plan_compile(f.policy, &f.plan_request, &anew, &f.report) == 0);
        cr_expect(plan_match(anew, "/etc/shadow").state == MATCH_GRANTED, "what a plan compiled anew would give away");
        plan_free(anew);
        cr_assert(load(&s, s.text.text, s.text.length) == 0);
        cr_expect(plan_match(s.plan, "/etc/shadow").state == MATCH_HIDDEN);
        cr_expect(plan_match(s.plan, "/srv/data/x").rights == (RIGHT_READ | RIGHT_APPEND | RIGHT_WRITE));
}

/* ---- Nothing is asked of the host ---- */

#if defined(__SANITIZE_ADDRESS__)
Test(saved, no_calls) {
        cr_skip_test("the sanitizer makes calls of its own");
}
#else
/* Kills at any call but those that memory comes from. */
static int only_memory(void) {
        static const int allowed[] = { SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_madvise, SYS_exit_group };
        struct sock_filter code[2 * ELEMENTSOF(allowed) + 2] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)) };
        struct sock_fprog program = { .len = ELEMENTSOF(code), .filter = code };
        size_t n = 1;

        for (size_t i = 0; i < ELEMENTSOF(allowed); i++) {
                code[n++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
                code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        }
        code[n] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

static int confined(const struct saved *s, bool look) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                struct policy *policy;
                struct plan *plan;
                struct policy_report report = {};
                struct stat st;
                if (only_memory() < 0)
                        _exit(2);
                if (look)
                        (void) lstat("/", &st);
                _exit(plan_load_saved(s->text.text, s->text.length, &policy, &plan, &report) < 0 ? 1 : 0);
        }
        cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
        return status;
}

Test(saved, no_calls) {
        for (size_t i = 0; i < ELEMENTSOF(policies); i++) {
                FIXTURE;
                make_root(&f);
                cr_assert_loads(&f, compile_way(&f, policies[i], PLAIN));
                SAVED(s, f.plan);
                int status = confined(&s, false);
                cr_expect(status == 0, "%s%x", policies[i], status);
                status = confined(&s, true);
                cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "a look would be seen: %x", status);
        }
}
#endif

/* ---- Hostile texts ---- */

static const struct {
        const char *text, *says;
} hostile[] = {
        { "", "isn't whole" },
        { "[", "isn't whole" },
        { "{}", "no saved plan" },
        { "[]", "no saved plan" },
        { "null", "isn't whole" },
        { "[\"sandboxd plan\",1,[],[],[]] x", "isn't whole" },
        { "[\"sandboxd plan\",1,[],[]]", "no saved plan" },
        { "[\"other\",1,[],[],[]]", "no saved plan" },
        { "[\"sandboxd plan\",\"1\",[],[],[]]", "no saved plan" },
        { "[\"sandboxd plan\",2,[],[],[]]", "it is of version 2, and this sandboxd reads version 1" },
        { "[\"sandboxd plan\",-1,[],[],[]]", "it is of version -1" },
        { "[\"sandboxd plan\",1,{},[],[]]", "a policy: a list of other length" },
        { "[\"sandboxd plan\",1,[],[],[]]", "a policy: a text is expected" },
        { "[\"sandboxd plan\",1,[1],[],[]]", "a policy: a text is expected" },
        { "[\"sandboxd plan\",1,[\"a\\u0000b\"],[],[]]", "a NUL is in a text" },
        { "[\"sandboxd plan\",1,[\"n\"],[],[]]", "a matcher: something is missing" },
        { "[\"sandboxd plan\",1,[\"n\",0,0,0,0,0,0,0,0,0,0,0,0,0,0],[],[]]", "a policy: a list of other length" },
        { "[\"sandboxd plan\",1,[\"n\",null,[3]],[],[]]", "files: a number is expected" },
        { "[\"sandboxd plan\",1,[\"n\",null,[-1]],[],[]]", "files: a number is expected" },
        { "[\"sandboxd plan\",1,[\"n\",null,[1.0]],[],[]]", "files: a number is expected" },
        { "[\"sandboxd plan\",1,[\"n\",null,[1e30]],[],[]]", "files: a number is expected" },
        { "[\"sandboxd plan\",1,[\"n\",null,[0,0,[[[\"f\"],\"/a\\\\\"]]]],[],[]]", "it is no pattern" },
        { "[\"sandboxd plan\",1,[\"n\",null,[0,0,[[[\"f\"],\"/[a\"]]]],[],[]]", "it is no pattern" },
        { "[\"sandboxd plan\",1,[\"n\",null,[0,0,[[[\"f\"],\"a\"]]]],[],[]]", "it is no pattern" },
        { "[\"sandboxd plan\",1,[\"n\",null,[0,0,[[[],\"/a\"]]]],[],[]]", "a place: a text is expected" },
        { "[\"sandboxd plan\",1,[\"n\",null,[0,0,[[[\"f\"],\"/a\",8]]]],[],[]]", "a file rule: what it shows is missing" },
        { "[\"sandboxd plan\",1,[\"n\",null,[0,0,[[[\"f\"],\"/a\",9,null,\"c\"]]]],[],[]]", "a file rule: what it shows is missing" },
        { "[\"sandboxd plan\",1,[\"n\",null,null,[[[\"f\"],\"/*\"]]],[],[]]", "a program can't be a pattern" },
        { "[\"sandboxd plan\",1,[\"n\",null,null,[[[\"f\"],\"/a\"]]],[],[[[\"\"]]]]", "a matcher: something is missing" },
        { "[\"sandboxd plan\",1,[\"n\",null,null,null,[0,[[[[\"f\"],\"t\",3]]]]],[],[]]", "the path is missing" },
        { "[\"sandboxd plan\",1,[\"n\",null,null,null,[0,[[[[\"f\"],\"t\",1,2,0,0,0,0,33]]]]],[],[]]", "the prefix is too long" },
        { "[\"sandboxd plan\",1,[\"n\",null,null,null,null,[[],[\"x\"]]],[],[]]", "a variable has no value" },
        { "[\"sandboxd plan\",1,[\"n\"],[null,0,null,null,0,0,[],[],[[\"/\",2]]],[[[\"\"]]]]", "what it shows is missing" },
        { "[\"sandboxd plan\",1,[\"n\"],[null,0,null,null,0,0,[],[],[[\"/\",0,16]]],[[[\"\"]]]]", "an object of the view: a number" },
        { "[\"sandboxd plan\",1,[\"n\"],[],[[[\"\"],[\"a\",1]]]]", "its parent is missing" },
        { "[\"sandboxd plan\",1,[\"n\"],[],[[[\"\"],[\"a\",4294967295]]]]", "its parent is missing" },
        { "[\"sandboxd plan\",1,[\"n\"],[],[[[\"\"],[\"a\",4294967296]]]]", "a node: a number is expected" },
        { "[\"sandboxd plan\",1,[\"n\"],[],[[[\"\"],[\"a\"],[\"a\"]]]]", "its name is out of order" },
        { "[\"sandboxd plan\",1,[\"n\"],[],[[[\"\"],[\"b\"],[\"a\"]]]]", "its name is out of order" },
        { "[\"sandboxd plan\",1,[\"n\"],[],[[[\"\"],[\"a/b\"]]]]", "its name is out of order" },
        { "[\"sandboxd plan\",1,[\"n\"],[],[[[\"\"],[\"\"]]]]", "its name is out of order" },
        { "[\"sandboxd plan\",1,[\"n\"],[],[[[\"\",0,0,1]]]]", "there is no such rule" },
        { "[\"sandboxd plan\",1,[\"n\"],[],[[[\"\",0,0,18446744073709551615]]]]", "there is no such rule" },
        { "[\"sandboxd plan\",1,[\"n\"],[],[[[\"\",0,0,0,0,0,3]]]]", "its rule is missing" },
        { "[\"sandboxd plan\",1,[\"n\"],[],[[[\"\"]],[[[\"/*\"]]]]]", "a pattern: there is no such rule" },
        { "[\"sandboxd plan\",1,[\"n\",null,[0,0,[[[\"f\"],\"/a\"]]]],[],[[[\"\"]],[[[\"/[a\",1]]]]]", "a pattern: it is none" },
        { "[\"sandboxd plan\",1,[\"n\"],[],[[[\"\"]],[],[[]]]]", "a matcher: something is missing" },
        { "[\"sandboxd plan\",1,[\"n\"],[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]],[]]", "isn't whole" },
};

Test(saved, hostile) {
        for (size_t i = 0; i < ELEMENTSOF(hostile); i++) {
                _cleanup_(saved_done) struct saved s = {};
                cr_expect(load(&s, hostile[i].text, strlen(hostile[i].text)) == -EINVAL, "%s", hostile[i].text);
                cr_expect(s.report.n == 1 && strstr(s.report.messages[0].text, hostile[i].says), "%s says\n%s\nnot %s", hostile[i].text,
                          s.report.n ? s.report.messages[0].text : "nothing", hostile[i].says);
                cr_expect(!s.plan && !s.policy);
        }
        /* The least that is a plan: the table's texts fail for their own reason. */
        static const char least[] = "[\"sandboxd plan\",1,[\"n\"],[],[[[\"\"]]]]";
        _cleanup_(saved_done) struct saved s = {};
        cr_assert(load(&s, least, strlen(least)) == 0);
        cr_expect(plan_match(s.plan, "/a").state == MATCH_HIDDEN);
}

/* As large as a text can be, all of it what costs most. */
Test(saved, large) {
        static const char *const parts[][3] = {
                { "[", "[],", "" },
                { "[\"sandboxd plan\",1,[\"n\"],[],[[[\"\"]", ",[]", "]]]" },
                { "[\"sandboxd plan\",1,[\"n\"],[],[[[\"\"]", ",[\"a\",0]", "]]]" },
                { "[\"sandboxd plan\",1,[\"n\",null,null,null,null,[[\"x\"", ",\"x\"", "]]],[],[]]" },
                { "[\"sandboxd plan\",1,[\"", "x", "\"],[],[]]" },
                { "", "[", "" },
                { "", "1", "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                for (int more = 0; more < 2; more++) {
                        _cleanup_(saved_done) struct saved s = {};
                        size_t size = PLAN_SAVED_MAX + (more ? strlen(parts[i][1]) : 0), end = strlen(parts[i][2]);
                        strbuf_puts(&s.text, parts[i][0]);
                        while (s.text.length + strlen(parts[i][1]) + end <= size)
                                strbuf_puts(&s.text, parts[i][1]);
                        strbuf_puts(&s.text, parts[i][2]);
                        double begin = milliseconds();
                        cr_expect(load(&s, s.text.text, s.text.length) == -EINVAL);
                        double time = milliseconds() - begin;
                        cr_expect(time < 5000, "%s%s…: %.0f ms", parts[i][0], parts[i][1], time);
                        cr_log_info("%s%s…: %.0f ms", parts[i][0], parts[i][1], time);
                }
}

/* What is loaded from a mangled text is asked as a worker would. */
static void use(const struct plan *plan) {
        static const char *const paths[] = { "/",         "/etc",      "/etc/app/conf", "/srv/data/a/b", "/srv/data/c.conf",
                                             "/proc/1/x", "/dev/null", "/a/b/c" };

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                plan_match(plan, paths[i]);
                plan_match_when(plan, plan->n_conditions ? 1 : 0, paths[i]);
                for (size_t k = 0; k < ELEMENTSOF(paths); k++)
                        plan_same_below(plan, paths[i], paths[k]);
        }
        struct strbuf out = {}, again = {};
        add_policy(&out, plan->policy);
        add_plan(&out, plan);
        cr_expect(plan_save(plan, &again) == 0);
        strbuf_done(&out);
        strbuf_done(&again);
}

Test(saved, mangled, .timeout = 120) {
        static const char bytes[] = "0123456789[],\"\\/*?-{}nul. \xff";
        size_t loaded = 0, refused = 0;
        unsigned seed = 1;

        for (size_t i = 0; i < ELEMENTSOF(policies); i++) {
                FIXTURE;
                make_root(&f);
                cr_assert_loads(&f, compile_way(&f, policies[i], FLAGS));
                SAVED(s, f.plan);
                for (size_t size = 0; size < s.text.length; size += 1 + s.text.length / 100) {
                        _cleanup_(saved_done) struct saved cut = {};
                        cr_expect(load(&cut, s.text.text, size) == -EINVAL, "%zu of %zu bytes", size, s.text.length);
                }
                for (int round = 0; round < 400; round++) {
                        _cleanup_(saved_done) struct saved m = {};
                        strbuf_add(&m.text, s.text.text, s.text.length);
                        for (int k = 0; k <= round % 3; k++)
                                m.text.text[rand_r(&seed) % m.text.length] = bytes[rand_r(&seed) % (sizeof(bytes) - 1)];
                        /* Or a piece of it twice, or not at all. */
                        if (round % 5 == 0) {
                                size_t at = rand_r(&seed) % m.text.length, n = rand_r(&seed) % (m.text.length - at) % 40;
                                size_t to = rand_r(&seed) % (m.text.length - n);
                                memmove(m.text.text + to, m.text.text + at, n);
                        }
                        int r = load(&m, m.text.text, m.text.length);
                        cr_assert(r == 0 || (r == -EINVAL && m.report.n == 1));
                        if (r == 0)
                                use(m.plan);
                        r == 0 ? loaded++ : refused++;
                }
        }
        cr_expect(loaded > 500 && refused > 500, "%zu loaded, %zu refused", loaded, refused);
}

Test(saved, too_much) {
        FIXTURE;
        make_root(&f);
        _cleanup_free_ char *content = malloc(900001), *deep = malloc(3001);
        struct strbuf text = {}, out = {};

        /* A link that leads deeper than trees are walked. */
        for (size_t i = 0; i < 3000; i += 2)
                memcpy(deep + i, "d/", 2);
        deep[3000] = 0;
        make_link(&f, "root/deep", deep);
        cr_assert_loads(&f, compile_text(&f, "files: { hide: [/deep/x] }\n"));
        cr_expect(plan_save(f.plan, &out) == -E2BIG);
        strbuf_done(&out);

        /* Contents from several files of the policy. */
        memset(content, '\\', 900000);
        content[900000] = 0;
        strbuf_puts(&text, "files: { replace: { ");
        for (int i = 0; i < 6; i++)
                strbuf_printf(&text, "%s/etc/%d: { content: '%.160000s' }", i ? ", " : "", i, content);
        strbuf_puts(&text, " } }\n");
        cr_assert_loads(&f, compile_text(&f, text.text));
        cr_expect(plan_save(f.plan, &out) == -E2BIG);
        strbuf_done(&text);
        strbuf_done(&out);
}
