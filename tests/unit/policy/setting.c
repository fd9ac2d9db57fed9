/*
 * Plans for sandboxes whose namespaces are not ours: rules are the broker's, what a launcher would make is refused by name, and what its mounts would
 * hold is held by the matcher.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/un.h>
#include <unistd.h>

#include "support.h"

static void make_root(const struct fixture *f) {
        make_file(f, "root/usr/bin/sh", "");
        make_link(f, "root/bin", "usr/bin");
        make_file(f, "root/etc/app/conf", "");
        make_file(f, "root/proc/sys/kernel/core_pattern", "");
        make_file(f, "root/proc/kcore", "");
        make_file(f, "root/dev/null", "");
        make_link(f, "root/dev/log", "/run/log");
        make_file(f, "root/run/log", "");
        make_folder(f, "root/srv");
        make_folder(f, "root/tmp");
}

static bool granted(const struct fixture *f, const char *path, unsigned rights) {
        struct match match = plan_match(f->plan, path);

        return match.state == MATCH_GRANTED && match.rights == rights && !match.own;
}

#define READ_WRITE (RIGHT_READ | RIGHT_APPEND | RIGHT_WRITE)

Test(setting, rules_are_the_brokers) {
        for (enum plan_setting setting = PLAN_IN_PLACE; setting <= PLAN_CONTAINER; setting++) {
                FIXTURE;
                make_root(&f);
                f.plan_request.setting = setting;
                cr_assert_loads(&f, compile_text(&f, "files: { exec: [/bin], read: [/etc], write: [/srv], deny: [/etc/app] }\n"
                                                     "devices: [null, fuse]\n"));
                cr_expect(f.plan->files_brokered && f.plan->brokered_why && f.plan->setting == setting && !f.plan->root);
                cr_expect(f.plan->n_nodes == 1 && strcmp(f.plan->nodes[0].path, "/") == 0);
                cr_expect(granted(&f, "/usr/bin/sh", RIGHT_READ | RIGHT_EXEC));
                cr_expect(granted(&f, "/srv/new", READ_WRITE));
                cr_expect(plan_match(f.plan, "/etc/app/conf").state == MATCH_DENIED);
                cr_expect(plan_match(f.plan, "/root").state == MATCH_HIDDEN);
                cr_expect(!plan_exec_everywhere(f.plan));
                /* In the place of masks and of a /dev of one's own. */
                cr_expect(granted(&f, "/proc/1/status", READ_WRITE));
                cr_expect(granted(&f, "/proc/sys/kernel/core_pattern", RIGHT_READ));
                cr_expect(granted(&f, "/proc/sysrq-trigger", RIGHT_READ));
                cr_expect(plan_match(f.plan, "/proc/kcore").state == MATCH_DENIED);
                cr_expect(granted(&f, "/dev/null", READ_WRITE));
                cr_expect(granted(&f, "/dev/fuse", READ_WRITE));
                cr_expect(granted(&f, "/dev/pts/3", READ_WRITE));
                cr_expect(plan_match(f.plan, "/dev/sda").state == MATCH_HIDDEN);
                /* A container has its own of these. */
                cr_expect(setting == PLAN_CONTAINER ? granted(&f, "/dev/shm/x", READ_WRITE)
                                                    : plan_match(f.plan, "/dev/shm/x").state == MATCH_HIDDEN);
        }
}

Test(setting, rules_lift_what_is_built_in) {
        FIXTURE;
        make_root(&f);
        f.plan_request.setting = PLAN_IN_PLACE;
        cr_assert_loads(&f,
                        compile_text(&f, "files: { default: read, write: [/proc/sys/kernel/core_pattern, /dev/log], read: [/proc/kcore],\n"
                                         "  hide: [/proc/sys/kernel/x], exec: [/] }\n"));
        cr_expect(granted(&f, "/proc/sys/kernel/core_pattern", READ_WRITE));
        cr_expect(granted(&f, "/proc/sys/kernel/ostype", RIGHT_READ));
        cr_expect(plan_match(f.plan, "/proc/sys/kernel/x").state == MATCH_HIDDEN);
        cr_expect(granted(&f, "/proc/kcore", RIGHT_READ));
        cr_expect(plan_match(f.plan, "/proc/kmsg").state == MATCH_DENIED);
        cr_expect(granted(&f, "/run/log", READ_WRITE));
        cr_expect(plan_match(f.plan, "/dev/log").state == MATCH_GRANTED);
}

/* What is said of a container's places: "PATH rights" of each that needs a mount; NULL: the rules are the broker's, because of `why`. */
static const struct {
        const char *text, *mounts, *why;
} mounted[] = {
        { "files: { write: [/], exec: [/], read: [/sys] }\n", "/ rawx\n/proc raw\n/proc/sys r\n/sys r\n", NULL },
        { "files: { exec: [/], read: [/], write: [/vol] }\n", "/ rx\n/proc raw\n/proc/sys r\n/vol raw\n", NULL },
        { "files: { write: [/], exec: [/, /etc], read: [/etc] }\n", "/ rawx\n/etc rx\n/proc raw\n/proc/sys r\n", NULL },
        { "files: { write: [/], exec: [/, /vol], read: [/vol] }\n", "/ rawx\n/proc raw\n/proc/sys r\n/vol rx\n", NULL },
        { "files: { write: [/], exec: [/, /etc/app], read: [/etc/app] }\n", NULL, "could be moved away" },
        { "files: { write: [/], exec: [/], read: [/etc] }\n", NULL, "no libraries" },
        { "files: { read: [/], exec: [/], write: [/srv] }\n", NULL, "no mount of its own" },
        { "files: { write: [/], exec: [/], read: [/sys], hide: [/etc/app] }\n", NULL, "out of the listing" },
        { "files: { write: [/], exec: [/], deny: [/absent] }\n", NULL, "out of the listing" },
        { "files: { write: [/], exec: [/], append: [/srv] }\n", NULL, "appending" },
        { "files: { exec: [/], read: [/], write: [\"/{srv,tmp}\"] }\n", NULL, "pattern" },
        { "files: { write: [/], exec: [/usr] }\n", NULL, "not everything" },
        { "files: { write: [/srv], exec: [/usr] }\n", NULL, "not everything" },
        { "files: { default: read, exec: [/usr] }\n", NULL, "not everything" },
        { "files: { write: [/], exec: [/], enforce: broker }\n", NULL, NULL },
};

static char *mounts_text(const struct fixture *f) {
        struct strbuf b = {};

        for (size_t i = 0; i < f->plan->n_nodes; i++) {
                const struct node *n = f->plan->nodes + i;
                /* Of what is built in, one stands for all. */
                if (n->kind == NODE_MASK || (strncmp(n->path, "/proc/", 6) == 0 && strcmp(n->path, "/proc/sys") != 0) ||
                    strncmp(n->path, "/dev", 4) == 0)
                        continue;
                strbuf_printf(&b, "%s %s%s%s%s\n", n->path, n->rights & RIGHT_READ ? "r" : "", n->rights & RIGHT_APPEND ? "a" : "",
                              n->rights & RIGHT_WRITE ? "w" : "", n->rights & RIGHT_EXEC ? "x" : "");
        }
        return strbuf_take(&b);
}

Test(setting, mounts_of_a_container_hold_what_they_can) {
        static const char *const points[] = { "/proc", "/sys", "/dev", "/dev/shm", "/vol" };

        for (size_t i = 0; i < ELEMENTSOF(mounted); i++) {
                FIXTURE;
                make_root(&f);
                make_folder(&f, "root/sys");
                f.plan_request.setting = PLAN_CONTAINER;
                f.plan_request.mounts = true;
                f.plan_request.mounted = points;
                f.plan_request.n_mounted = ELEMENTSOF(points);
                cr_assert_loads(&f, compile_text(&f, mounted[i].text));
                _cleanup_free_ char *text = mounts_text(&f);
                cr_expect(f.plan->files_brokered == !mounted[i].mounts, "%s", mounted[i].text);
                if (mounted[i].mounts)
                        cr_expect_str_eq(text, mounted[i].mounts, "%s gives\n%s", mounted[i].text, text);
                else
                        cr_expect(!mounted[i].why || (f.plan->brokered_why && strstr(f.plan->brokered_why, mounted[i].why)), "%s: %s",
                                  mounted[i].text, f.plan->brokered_why ?: "?");
        }
}

static const struct {
        const char *text, *of_unit, *of_container; /* NULL: it is no error */
} refused[] = {
        { "files: { private: [/tmp] }\n", "no tier: /tmp: `private`", "no tier: /tmp: `private`" },
        { "files: { overlay: [/srv] }\n", "no tier: /srv: `overlay`", "volume or tmpfs" },
        { "files: { replace: { /etc/x: { content: x } } }\n", "no tier: /etc/x: `replace`", "no tier: /etc/x: `replace`" },
        { "files: { binds: { /x: { from: /etc } } }\n", "BindPaths=", "no tier: /x: `binds`" },
        { "kernel: { hostname: x }\n", "no tier: kernel: hostname", "no tier: kernel: hostname" },
        { "kernel: { uname: { release: x } }\n", NULL, NULL },
        { "limits: { memory: 1G }\n", "MemoryMax=", "--memory" },
        { "limits: { processes: 100 }\n", "TasksMax=", "--pids-limit" },
        { "limits: { open-files: 100 }\n", NULL, "no tier: limits: open-files" },
        { "limits: { file-size: 1G }\n", NULL, "no tier: limits: file-size" },
        { "limits: { time: 10m }\n", NULL, NULL },
        { "identity: { ids: subordinate }\n", "no tier: identity", "no tier: identity" },
        { "environment: { keep: [PATH], set: { A: b } }\n", NULL, NULL },
        { "network: { mode: none }\n", NULL, NULL },
        { "on-broker-loss: kill\naudit: { record: all }\n", NULL, NULL },
};

Test(setting, what_has_no_tier_is_refused) {
        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                for (enum plan_setting setting = PLAN_IN_PLACE; setting <= PLAN_CONTAINER; setting++) {
                        const char *words = setting == PLAN_IN_PLACE ? refused[i].of_unit : refused[i].of_container;
                        FIXTURE;
                        make_root(&f);
                        f.plan_request.setting = setting;
                        int r = compile_text(&f, refused[i].text);
                        _cleanup_free_ char *said = report_text(&f);
                        cr_expect(r == (words ? -EINVAL : 0), "%s gives %d, and says:\n%s", refused[i].text, r, said);
                        cr_expect(!words || strstr(said, words), "%s doesn't say `%s`, but:\n%s", refused[i].text, words, said);
                }
}

static bool allowed(const struct fixture *f, enum net_use use, uint32_t address, uint16_t port) {
        const struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address), .sin_port = htons(port) };

        return plan_match_address(f->plan, use, PROTOCOL_TCP, (const struct sockaddr *) &in, sizeof(in), NULL, false).allowed;
}

Test(setting, no_network_is_refused_call_by_call) {
        const struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0name" };

        for (enum plan_setting setting = PLAN_OWN; setting <= PLAN_CONTAINER; setting++) {
                bool own = setting == PLAN_OWN;
                FIXTURE;
                make_root(&f);
                f.plan_request.setting = setting;
                cr_assert_loads(&f, compile_text(&f, "network: { mode: none }\n"));
                cr_expect(allowed(&f, NET_CONNECT, INADDR_LOOPBACK, 80) == own);
                cr_expect(allowed(&f, NET_BIND, INADDR_ANY, 8080) == own);
                cr_expect(
                        plan_match_address(f.plan, NET_CONNECT, PROTOCOL_OTHER, (const struct sockaddr *) &name, 7, NULL, false).allowed ==
                        own);
                cr_assert_loads(&f, compile_text(&f, "network: { mode: host, connect: [\"tcp:127.0.0.1:80\"], bind: [\"tcp:*:80\"] }\n"));
                cr_expect(allowed(&f, NET_CONNECT, INADDR_LOOPBACK, 80) && !allowed(&f, NET_CONNECT, INADDR_LOOPBACK, 81));
                cr_expect(allowed(&f, NET_BIND, INADDR_ANY, 80) && f.plan->n_low_ports == own);
        }
}

/* By a link of procfs, as that of a process in a container, which reads as another path than it leads to. */
Test(setting, the_root_is_where_the_link_leads) {
        FIXTURE;
        char link[64];
        make_root(&f);
        int root = open(f.plan_request.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        cr_assert(root >= 0);
        snprintf(link, sizeof(link), "/proc/self/fd/%d", root);
        free((char *) f.plan_request.root);
        f.plan_request.root = strdup(link);
        f.plan_request.setting = PLAN_CONTAINER;
        cr_assert_loads(&f, compile_text(&f, "files: { exec: [/bin/sh] }\n"));
        cr_expect(granted(&f, "/usr/bin/sh", RIGHT_READ | RIGHT_EXEC));
        close(root);
}

Test(setting, is_saved) {
        FIXTURE;
        make_root(&f);
        f.plan_request.setting = PLAN_CONTAINER;
        cr_assert_loads(&f, compile_text(&f, "files: { read: [/etc] }\n"));
        _cleanup_(strbuf_done) struct strbuf text = {};
        _cleanup_(policy_freep) struct policy *policy = NULL;
        _cleanup_(plan_freep) struct plan *plan = NULL;
        cr_assert_eq(plan_save(f.plan, &text), 0);
        cr_assert_eq(plan_load_saved(text.text, text.length, &policy, &plan, &f.report), 0);
        cr_expect(plan->setting == PLAN_CONTAINER && plan->files_brokered);
        cr_expect(plan_match(plan, "/proc/kcore").state == MATCH_DENIED);
}
