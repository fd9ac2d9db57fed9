/*
 * Plans: which objects the view is made of.
 */
#include <unistd.h>

#include "support.h"

static const char *const kinds[] = {
        [NODE_DIR] = "dir",   [NODE_LINK] = "link", [NODE_BIND] = "bind", [NODE_TMPFS] = "tmpfs",     [NODE_FILE] = "file",
        [NODE_MASK] = "mask", [NODE_PROC] = "proc", [NODE_DEV] = "dev",   [NODE_OVERLAY] = "overlay",
};

/* "kind path rights" of each, but /proc and /dev, which are in every view. */
static char *view_text(const struct fixture *f) {
        struct strbuf b = {};

        for (size_t i = 0; i < f->plan->n_nodes; i++) {
                const struct node *n = f->plan->nodes + i;
                if (n->kind == NODE_PROC || n->kind == NODE_DEV)
                        continue;
                strbuf_printf(&b, "%s %s", kinds[n->kind], n->path);
                if (n->kind == NODE_LINK)
                        strbuf_printf(&b, " %s", n->text);
                if (n->kind == NODE_BIND || n->kind == NODE_OVERLAY || n->kind == NODE_TMPFS)
                        strbuf_printf(&b, " %s%s%s%s", n->rights & RIGHT_READ ? "r" : "", n->rights & RIGHT_APPEND ? "a" : "",
                                      n->rights & RIGHT_WRITE ? "w" : "", n->rights & RIGHT_EXEC ? "x" : "");
                if (n->stays_out)
                        strbuf_puts(&b, " stays out");
                strbuf_puts(&b, "\n");
        }
        return strbuf_take(&b);
}

static void make_root(const struct fixture *f) {
        make_file(f, "root/usr/bin/sh", "");
        make_file(f, "root/usr/lib/x", "");
        make_link(f, "root/bin", "usr/bin");
        make_link(f, "root/lib", "/usr/lib");
        make_file(f, "root/etc/app/conf", "");
        make_file(f, "root/etc/app/private/key", "");
        make_link(f, "root/etc/localtime", "/usr/share/zone");
        make_file(f, "root/usr/share/zone", "");
        make_file(f, "root/srv/data/a/b", "");
        make_file(f, "root/home/me/project/x", "");
        make_file(f, "root/home/me/.ssh/id", "");
        make_folder(f, "root/tmp/inner");
        make_folder(f, "root/run");
        make_link(f, "root/var/run", "../run");
}

static const struct {
        const char *text, *view;
} views[] = {
        { "files: { exec: [/usr, /bin, /lib, /lib64] }\n", "link /bin usr/bin\nlink /lib /usr/lib\nbind /usr rx\n" },
        { "files: { read: [/etc/app/conf, /etc/missing] }\n", "dir /etc\ndir /etc/app\nbind /etc/app/conf r\n" },
        { "files: { read: [/etc/localtime] }\n",
          "dir /etc\nlink /etc/localtime /usr/share/zone\ndir /usr\ndir /usr/share\nbind /usr/share/zone r\n" },
        /* A grant over a link takes nothing from a wider one. */
        { "files: { exec: [/usr], read: [/etc/localtime] }\n", "dir /etc\nlink /etc/localtime /usr/share/zone\nbind /usr rx\n" },
        { "files: { write: [/srv], read: [/srv/data/a] }\n", "bind /srv raw\nbind /srv/data/a r\n" },
        { "files: { read: [/srv], write: [/srv/data] }\n", "bind /srv r\nbind /srv/data raw\n" },
        { "files: { write: [/srv], exec: [/srv] }\n", "bind /srv rawx\n" },
        { "files: { read: [/srv, /srv/data] }\n", "bind /srv r\n" },
        { "files: { default: read, write: [/srv/data] }\n", "bind / r\nmask /home/me/.ssh stays out\nbind /srv/data raw\n" },
        { "files: { read: [/] }\n", "bind / r\nmask /home/me/.ssh stays out\n" },
        { "files: { private: [/tmp], exec: [/tmp] }\n", "tmpfs /tmp rawx\n" },
        { "files: { private: [/tmp], write: [/tmp/inner, /tmp/new] }\n", "tmpfs /tmp raw\nbind /tmp/inner raw\n" },
        { "files: { private: [/not/there] }\n", "dir /not\ntmpfs /not/there raw\n" },
        { "files: { replace: { /etc/passwd: { content: x } } }\n", "dir /etc\nfile /etc/passwd\n" },
        /* What stands in for a link that nothing else shows stands at its name. */
        { "files: { private: [/var/run] }\n", "dir /var\ntmpfs /var/run raw\n" },
        { "files: { read: [/var], private: [/var/run] }\n", "tmpfs /run raw\nbind /var r\n" },
        { "files: { replace: { /etc/localtime: { content: x } } }\n", "dir /etc\nfile /etc/localtime\n" },
        { "files: { read: [/etc/app], deny: [/etc/app/private, /etc/app/missing] }\n",
          "dir /etc\nbind /etc/app r\nmask /etc/app/private\n" },
        { "files: { deny: [/etc/app] }\n", "" },
        /* Denied is not hidden: where a grant would show the name, it shows. */
        { "files: { read: [/etc/app/conf], deny: [/etc/app/conf] }\n", "dir /etc\ndir /etc/app\nfile /etc/app/conf\nmask /etc/app/conf\n" },
        { "files: { write: [/srv/data], deny: [/srv/data] }\n", "dir /srv\ndir /srv/data\nmask /srv/data\n" },
        { "files: { hide: [/etc/app], read: [/etc/app/conf] }\n", "dir /etc\ndir /etc/app\nbind /etc/app/conf r\n" },
        { "files: { hide: [/etc/app], read: [/etc/app] }\n", "" },
        { "files: { read: [/home/me] }\n", "dir /home\nbind /home/me r\nmask /home/me/.ssh stays out\n" },
        { "files: { read: [/home/me, /home/me/.ssh] }\n", "dir /home\nbind /home/me r\n" },
        { "files: { read: [/home/me/.ssh] }\n", "dir /home\ndir /home/me\nbind /home/me/.ssh r\n" },
        { "files: { append: [/srv/data/a/b] }\n", "bind / rawx\n" },
        { "files: { overlay: [/srv] }\n", "overlay /srv raw\n" },
        { "files: { overlay: [/srv/data], read: [/srv], exec: [/srv/data] }\n", "bind /srv r\noverlay /srv/data rawx\n" },
        /* What is named below shows the host's own again. */
        { "files: { overlay: [/srv], write: [/srv/data], read: [/srv/data/a] }\n",
          "overlay /srv raw\nbind /srv/data raw\nbind /srv/data/a r\n" },
        { "files: { overlay: [/srv], deny: [/srv/data] }\n", "overlay /srv raw\nmask /srv/data\n" },
        { "files: { overlay: [/home/me] }\n", "dir /home\noverlay /home/me raw\nmask /home/me/.ssh stays out\n" },
        { "files: { enforce: broker, overlay: [/srv], read: [/etc/app], write: [/srv/data/a] }\n",
          "bind / rawx\noverlay /srv raw\nbind /srv/data/a raw\n" },
        { "files: { enforce: broker, private: [/tmp], read: [/tmp/inner], replace: { /tmp/a/b: { content: x } } }\n",
          "bind / rawx\ntmpfs /tmp raw\ndir /tmp/a\nfile /tmp/a/b\nbind /tmp/inner r\n" },
        { "files: { read: [/bin/sh] }\n", "link /bin usr/bin\ndir /usr\ndir /usr/bin\nbind /usr/bin/sh r\n" },
};

Test(plan, views) {
        for (size_t i = 0; i < ELEMENTSOF(views); i++) {
                FIXTURE;
                make_root(&f);
                cr_assert_loads(&f, compile_text(&f, views[i].text));
                _cleanup_free_ char *text = view_text(&f);
                cr_expect(strcmp(text, views[i].view) == 0, "%s gives\n%snot\n%s", views[i].text, text, views[i].view);
                const struct node *proc = find_node(&f, "/proc"), *dev = find_node(&f, "/dev");
                cr_expect(proc && proc->kind == NODE_PROC && dev && dev->kind == NODE_DEV);
                for (size_t k = 0; k + 1 < f.plan->n_nodes; k++) {
                        size_t n = strlen(f.plan->nodes[k + 1].path);
                        cr_expect(strncmp(f.plan->nodes[k].path, f.plan->nodes[k + 1].path, n) != 0 || f.plan->nodes[k].path[n] != '/',
                                  "%s comes after what is below it", f.plan->nodes[k + 1].path);
                }
        }
}

/* --overlay, --dry-run: nothing of the host can be changed. */
static const struct {
        const char *text, *view;
} overlaid[] = {
        { "files: { write: [/srv], read: [/etc/app] }\n", "dir /etc\nbind /etc/app r\noverlay /srv raw\n" },
        { "files: { write: [/srv, /srv/data, /srv/data/a/b] }\n", "overlay /srv raw\n" },
        { "files: { write: [/srv, /srv/data/a], read: [/srv/data] }\n", "overlay /srv raw\nbind /srv/data r\noverlay /srv/data/a raw\n" },
        { "files: { private: [/tmp], write: [/tmp/inner] }\n", "tmpfs /tmp raw\noverlay /tmp/inner raw\n" },
        { "files: { binds: { /data: { from: /usr, write: true } } }\n", "overlay /data raw\n" },
        { "files: { enforce: broker, write: [/srv, /srv/data], read: [/etc/app] }\n", "bind / rawx\noverlay /srv raw\n" },
        { "files: { append: [/srv/data], read: [/etc/app] }\n", "bind / rawx\noverlay /srv/data a\n" },
        { "files: { overlay: [/srv], write: [/srv/data] }\n", "overlay /srv raw\n" },
        { "files: { write: [\"/srv/data/*\", /srv/data/a], read: [\"/etc/*\"] }\n", "bind / rawx\noverlay /srv/data raw\n" },
        { "files: { write: [\"/{srv,etc}/*\", \"/missing/*\"] }\n", "bind / rawx\noverlay /etc raw\noverlay /srv raw\n" },
};

Test(plan, writes_are_overlaid) {
        for (size_t i = 0; i < ELEMENTSOF(overlaid); i++) {
                FIXTURE;
                make_root(&f);
                f.plan_request.overlay_writes = true;
                cr_assert_loads(&f, compile_text(&f, overlaid[i].text));
                _cleanup_free_ char *text = view_text(&f);
                cr_expect(strcmp(text, overlaid[i].view) == 0, "%s gives\n%snot\n%s", overlaid[i].text, text, overlaid[i].view);
        }
}

Test(plan, a_file_cannot_be_overlaid) {
        static const char *const texts[] = {
                "files: { write: [/srv/data/a/b] }\n",
                "files: { append: [/srv/data/a/b] }\n",
                "files: { write: [/srv/data/a/b], read: [/srv] }\n",
                "files: { binds: { /x: { from: /etc/passwd, write: true } } }\n",
        };
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                FIXTURE;
                make_root(&f);
                f.plan_request.overlay_writes = true;
                cr_expect(compile_text(&f, texts[i]) == -EINVAL, "%s", texts[i]);
                cr_assert(f.report.n == 1);
                cr_expect(strstr(f.report.messages[0].text, "name the one that it lies in"), "%s", f.report.messages[0].text);
        }
}

Test(plan, sources_are_below_the_root) {
        FIXTURE;
        char expected[128];
        make_root(&f);
        cr_assert_loads(&f, compile_text(&f, "files: { read: [/bin/sh], default: read }\n"));
        snprintf(expected, sizeof(expected), "%s/root/usr/bin/sh", f.folder);
        cr_expect_str_eq(find_node(&f, "/usr/bin/sh") ? find_node(&f, "/usr/bin/sh")->source : expected, expected);
        snprintf(expected, sizeof(expected), "%s/root", f.folder);
        cr_expect_str_eq(find_node(&f, "/")->source, expected);
        cr_expect_str_eq(f.plan->root, expected);
}

Test(plan, binds) {
        FIXTURE;
        char text[512], expected[128];
        make_root(&f);
        make_file(&f, "outside/sub/file", "");
        make_link(&f, "over", "outside");
        snprintf(
                text, sizeof(text),
                "files: { binds: { /data: { from: ./over, write: true }, /in/f: { from: \"%s/outside/sub/file\" } }, read: [/data/sub] }\n",
                f.folder);
        cr_assert_loads(&f, compile_text(&f, text));
        snprintf(expected, sizeof(expected), "%s/outside", f.folder);
        cr_expect_str_eq(find_node(&f, "/data")->source, expected);
        cr_expect(find_node(&f, "/data")->rights & RIGHT_WRITE);
        snprintf(expected, sizeof(expected), "%s/outside/sub", f.folder);
        cr_expect_str_eq(find_node(&f, "/data/sub")->source, expected);
        cr_expect(find_node(&f, "/data/sub")->rights == RIGHT_READ);
        cr_expect(!find_node(&f, "/in/f")->directory && find_node(&f, "/data")->directory);
}

Test(plan, replaced_from_a_file) {
        FIXTURE;
        make_file(&f, "text", "from outside\n");
        cr_assert_loads(&f, compile_text(&f, "files: { replace: { /etc/x: { from: ./text } } }\n"));
        const struct node *n = find_node(&f, "/etc/x");
        cr_assert(n && n->kind == NODE_FILE && n->text_size == 13);
        cr_expect(memcmp(n->text, "from outside\n", 13) == 0);
}

/* A policy that its own sandbox could write would be another one the next time. */
Test(plan, policies_stay_read_only) {
        FIXTURE;
        char text[512], path[256];
        make_file(&f, "sub/dir/more.yaml", "version: 1\n");
        snprintf(text, sizeof(text), "extends: [./sub/dir/more.yaml]\nfiles: { binds: { /work: { from: \"%s\", write: true } } }\n",
                 f.folder);
        cr_assert_loads(&f, compile_text(&f, text));
        const struct node *policy = find_node(&f, "/work/policy.yaml"), *more = find_node(&f, "/work/sub/dir/more.yaml");
        cr_assert(policy && more);
        cr_expect(policy->kind == NODE_BIND && policy->rights == RIGHT_READ && !policy->directory);
        snprintf(path, sizeof(path), "%s/policy.yaml", f.folder);
        cr_expect_str_eq(policy->source, path);
        cr_expect(more->rights == RIGHT_READ);
        /* Folders on the way are mount points, so that they can't be renamed away. */
        cr_expect(find_node(&f, "/work/sub") && (find_node(&f, "/work/sub")->rights & RIGHT_WRITE) &&
                  find_node(&f, "/work/sub")->directory);
        cr_expect(find_node(&f, "/work/sub/dir") && (find_node(&f, "/work/sub/dir")->rights & RIGHT_WRITE));
        cr_expect(plan_match(f.plan, "/work/policy.yaml").rights == RIGHT_READ);
        cr_expect(plan_match(f.plan, "/work/sub/dir/more.yaml").rights == RIGHT_READ);
        cr_expect(plan_match(f.plan, "/work/sub/dir/other").rights & RIGHT_WRITE);
        cr_expect(plan_match(f.plan, "/work/policy.yaml2").rights & RIGHT_WRITE);

        snprintf(text, sizeof(text), "files: { binds: { /p: { from: \"%s/policy.yaml\", write: true } } }\n", f.folder);
        cr_assert_loads(&f, compile_text(&f, text));
        cr_expect(find_node(&f, "/p")->rights == RIGHT_READ);
        cr_expect(plan_match(f.plan, "/p").rights == RIGHT_READ);
}

Test(plan, whole_tree) {
        FIXTURE;
        make_root(&f);
        cr_assert_loads(
                &f,
                compile_text(
                        &f,
                        "files: { enforce: broker, read: [/srv], write: [/srv/data], deny: [/srv/data/a], hide: [/home], private: [/tmp],"
                        " replace: { /etc/app/conf: { content: x } } }\n"));
        _cleanup_free_ char *text = view_text(&f);
        cr_expect_str_eq(text, "bind / rawx\nfile /etc/app/conf\ntmpfs /tmp raw\n");
        cr_expect(plan_match(f.plan, "/etc/app").state == MATCH_ANCESTOR);
        cr_expect(plan_match(f.plan, "/usr").state == MATCH_HIDDEN);
        cr_expect(plan_match(f.plan, "/srv/data/a").state == MATCH_DENIED);
}

Test(plan, interpreters_come_along) {
        FIXTURE;
        make_file(&f, "root/opt/tool", "#! /opt/interpreter -x\n");
        make_link(&f, "root/opt/interpreter", "real");
        make_file(&f, "root/opt/real", "#!/opt/last\n");
        make_file(&f, "root/opt/last", "no header");
        cr_assert_loads(&f, compile_text(&f, "files: { exec: [/opt/tool] }\n"));
        _cleanup_free_ char *text = view_text(&f);
        cr_expect_str_eq(text, "dir /opt\nlink /opt/interpreter real\nbind /opt/last rx\nbind /opt/real rx\nbind /opt/tool rx\n");

        /* A real program's loader, of the host. */
        free((char *) f.plan_request.root);
        f.plan_request.root = NULL;
        cr_assert_loads(&f, compile_text(&f, "files: { exec: [/bin/ls] }\n"));
        bool loader = false;
        for (size_t i = 0; i < f.plan->n_nodes; i++)
                loader |= f.plan->nodes[i].kind == NODE_BIND && strstr(f.plan->nodes[i].path, "/ld-") &&
                          (f.plan->nodes[i].rights & RIGHT_EXEC);
        cr_expect(loader);
}

Test(plan, an_interpreter_lifts_no_hide) {
        FIXTURE;
        make_file(&f, "root/opt/tool", "#!/hidden/sh\n");
        make_file(&f, "root/hidden/sh", "");
        cr_assert_loads(&f, compile_text(&f, "files: { exec: [/opt/tool], hide: [/hidden] }\n"));
        cr_expect(plan_match(f.plan, "/hidden/sh").state == MATCH_HIDDEN);
        cr_expect(find_node(&f, "/hidden/sh") == NULL);
}

Test(plan, low_ports) {
        FIXTURE;
        cr_assert_loads(&f, compile_text(&f, "network: { mode: host, bind: [\"tcp:*:80,443,8080\", \"udp:*:443\", \"tcp:*:*\", "
                                             "\"tcp:*:1000-1030\", \"tcp:*:20-22\"] }\n"));
        cr_expect(f.plan->n_low_ports == 5, "%zu", f.plan->n_low_ports);
        cr_expect(f.plan->low_ports[0] == 80 && f.plan->low_ports[1] == 443 && f.plan->low_ports[4] == 22);
        cr_assert_loads(&f, compile_text(&f, "network: { mode: none, bind: [\"tcp:*:80\"] }\n"));
        cr_expect(f.plan->n_low_ports == 0);
}

/* What mounts can't hold goes to the broker, and the plan says why. */
static const struct {
        const char *rules, *why;
        unsigned column;
} brokered[] = {
        { "read: [/srv]", NULL },
        { "enforce: broker, hide: [\"/srv/*\"]", "", 0 },
        { "append: [/srv/data/a/b]", "appending", 19 },
        { "read: [\"/srv/*\"]", "pattern", 17 },
        { "default: deny", "default: deny", 0 },
        { "read: [/srv], hide: [/srv/data]", "listing", 31 },
        { "read: [/srv], hide: [/srv/missing]", "listing", 31 },
        { "default: read, hide: [/srv]", "listing", 32 },
        { "private: [/tmp], hide: [/tmp/x]", "listing", 34 },
        { "overlay: [/srv], hide: [/srv/data]", "listing", 34 },
        { "read: [/etc/app], hide: [/srv]", NULL },
        { "write: [/srv], deny: [/srv/missing]", "from being made", 32 },
        { "overlay: [/srv], deny: [/srv/missing]", "from being made", 34 },
        { "read: [/srv], deny: [/srv/missing]", NULL },
        { "read: [/srv], deny: [/srv/data]", NULL },
        { "read: [/srv, /srv/data/a], deny: [/srv/data]", "open something below", 44 },
        { "private: [/tmp], deny: [/tmp/x]", "from being made", 34 },
        { "private: [/tmp], deny: [/tmp/inner]", "private place", 34 },
        { "deny: [/dev/pts]", "devices in it", 17 },
        { "hide: [/proc]", "/proc", 17 },
        { "deny: [/proc/sys]", NULL },
        { "read: [/srv] }\nrules: [{ when: { exe: /etc/app/conf }, files: { hide: [/srv/data] } }]\nnetwork: {",
          "the same for all programs", 24 },
};

Test(plan, brokered) {
        for (size_t i = 0; i < ELEMENTSOF(brokered); i++) {
                FIXTURE;
                char text[256];
                make_root(&f);
                snprintf(text, sizeof(text), "files: { %s }\n", brokered[i].rules);
                cr_assert_loads(&f, compile_text(&f, text));
                const char *why = f.plan->brokered_why;
                cr_expect(f.plan->files_brokered == (brokered[i].why != NULL), "%s", brokered[i].rules);
                cr_expect(!brokered[i].why || !*brokered[i].why ? !why : why && strstr(why, brokered[i].why), "%s: %s", brokered[i].rules,
                          why);
                cr_expect(f.plan->brokered_at.column == brokered[i].column, "%s: %u", brokered[i].rules, f.plan->brokered_at.column);
                if (f.plan->files_brokered)
                        cr_expect_str_eq(f.plan->nodes[0].path, "/");
        }
}

Test(plan, warns_of_patterns_that_grant_nothing) {
        static const struct {
                const char *rule;
                size_t warnings;
        } cases[] = {
                { "read: [\"/home/me/.ssh/*.pub\"]", 1 },
                { "read: [\"/home/me/.ssh/*.pub\", /home/me/.ssh]", 0 },
                { "read: [\"/home/me/*\"]", 0 },
                { "hide: [\"/home/me/.ssh/*\"]", 0 },
                { "read: [\"/run/*\"]", 1 },
                { "read: [\"/run/*/x\", \"/srv/*\"]", 1 },
                { "read: [\"/run/a*\", \"/run/*.pid\"]", 0 },
        };
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                FIXTURE;
                char text[256];
                make_root(&f);
                snprintf(text, sizeof(text), "files: { %s }\n", cases[i].rule);
                cr_assert_loads(&f, compile_text(&f, text));
                cr_expect(f.report.n == cases[i].warnings && f.report.n_errors == 0, "%s: %zu", cases[i].rule, f.report.n);
        }
}

Test(plan, warns_of_what_a_private_place_covers) {
        FIXTURE;
        make_root(&f);
        cr_assert_loads(&f, compile_text(&f, "files: { private: [/tmp], read: [/tmp] }\n"));
        cr_expect(f.report.n == 1 && f.report.messages[0].warning);
}
