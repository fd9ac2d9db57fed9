/*
 * Rule × path → what the matcher says. `-` hidden, `!` denied, `^` ancestor, else the rights, with `o` for the sandbox's own.
 */
#include "support.h"

static const char *verdict(struct match m, char out[8]) {
        size_t n = 0;

        if (m.state == MATCH_HIDDEN)
                return "-";
        if (m.state == MATCH_DENIED)
                return "!";
        if (m.state == MATCH_ANCESTOR)
                return "^";
        if (m.rights & RIGHT_READ)
                out[n++] = 'r';
        if (m.rights & RIGHT_APPEND)
                out[n++] = 'a';
        if (m.rights & RIGHT_WRITE)
                out[n++] = 'w';
        if (m.rights & RIGHT_EXEC)
                out[n++] = 'x';
        if (m.own)
                out[n++] = 'o';
        out[n] = 0;
        return out;
}

struct asked {
        const char *path, *says;
};

static const struct {
        const char *rules;
        struct asked paths[12];
} tables[] = {
        { "",
          { { "/", "^" },
            { "/a", "-" },
            { "/proc", "rawo" },
            { "/proc/1/status", "rawo" },
            { "/dev", "^" },
            { "/dev/sda", "-" },
            { "/dev/pts/3", "rawo" },
            { "/dev/fd", "ro" },
            { "/dev/null", "-" } } },
        { "read: [/a/b]", { { "/", "^" }, { "/a", "^" }, { "/a/b", "r" }, { "/a/b/c", "r" }, { "/a/bc", "-" }, { "/a/c", "-" } } },
        { "write: [/a], read: [/a/b]", { { "/a", "raw" }, { "/a/x", "raw" }, { "/a/b", "r" }, { "/a/b/c", "r" } } },
        { "read: [/a], write: [/a/b], exec: [/a/b]", { { "/a/x", "r" }, { "/a/b/c", "rawx" } } },
        { "append: [/a/b]", { { "/a/b", "a" }, { "/a", "^" } } },
        { "default: read, write: [/a/b]", { { "/", "r" }, { "/x", "r" }, { "/a/b/c", "raw" }, { "/dev/sda", "-" } } },
        { "private: [/t], exec: [/t]", { { "/t", "rawxo" }, { "/t/x", "rawxo" } } },
        { "private: [/a], read: [/a/b]", { { "/a/x", "rawo" }, { "/a/b/c", "r" } } },
        { "replace: { /a/b/c: { content: x } }, write: [/a]", { { "/a/b/c", "r" }, { "/a/b", "raw" } } },
        /* hide and deny beat every grant ... */
        { "hide: [/a], read: [/a]", { { "/a", "-" }, { "/a/b", "-" }, { "/", "^" } } },
        { "deny: [/a/b], write: [/a]", { { "/a", "raw" }, { "/a/b", "!" }, { "/a/b/c", "!" }, { "/a/x", "raw" } } },
        /* ... but what a literal path opens again below. */
        { "hide: [/a], read: [/a/b/c]", { { "/a", "^" }, { "/a/b", "^" }, { "/a/b/c", "r" }, { "/a/b/x", "-" }, { "/a/x", "-" } } },
        { "hide: [/a], read: [/a/b], deny: [/a/b/c]", { { "/a/b/x", "r" }, { "/a/b/c", "!" }, { "/a/x", "-" } } },
        { "default: read, hide: [/q]", { { "/q", "-" }, { "/q/x", "-" } } },
        /* Links: the rule holds where the object lies, and the link shows. */
        { "read: [/link/c]", { { "/link", "r" }, { "/a/b/c", "r" }, { "/a/b", "^" }, { "/link/c", "-" } } },
        { "read: [/a/b], deny: [/link/c]", { { "/a/b/c", "!" }, { "/a/b", "r" }, { "/link", "-" } } },
        /* What stays out unless it is named. */
        { "read: [/home/me]",
          { { "/home/me/x", "r" },
            { "/home/me/.ssh", "!" },
            { "/home/me/.ssh/id", "!" },
            { "/home/me/.config/gcloud", "!" },
            { "/home/me/.config", "r" },
            { "/home/me/.netrc", "!" },
            { "/home/me/.sshx", "r" } } },
        { "read: [/home/me, /home/me/.ssh/id]", { { "/home/me/.ssh/id", "r" }, { "/home/me/.ssh/other", "!" }, { "/home/me/.ssh", "^" } } },
        { "read: [/home/me/.ssh]", { { "/home/me/.ssh/id", "r" }, { "/home/me", "^" }, { "/home/me/.aws", "-" } } },
        /* Patterns. What could be matched below makes an ancestor, also of what turns out to be a file. */
        { "read: [\"/a/*/c\"]",
          { { "/", "^" }, { "/a", "^" }, { "/a/x", "^" }, { "/a/x/c", "r" }, { "/a/x/c/d", "r" }, { "/a/x/d", "-" }, { "/b", "-" } } },
        /* The longest literal beginning wins, */
        { "write: [/a], read: [\"/a/**/*.conf\"]", { { "/a/x", "raw" }, { "/a/x.conf", "r" }, { "/a/b/x.conf", "r" } } },
        { "read: [\"/a/*\"], write: [/a/b/c]", { { "/a/b", "r" }, { "/a/b/c/d", "raw" }, { "/a/b/x", "r" } } },
        /* then fewest wildcards, then the longest. */
        { "read: [\"/a/*x*\"], write: [\"/a/*x\"]", { { "/a/yx", "raw" }, { "/a/yxy", "r" } } },
        { "read: [\"/a/*y\"], write: [\"/a/*xy\"]", { { "/a/xy", "raw" }, { "/a/y", "r" } } },
        { "read: [\"/a/*\"], append: [\"/a/*\"]", { { "/a/b", "ra" } } },
        { "default: read, write: [\"/**/x\"]", { { "/q/x/y", "raw" }, { "/q/y", "r" } } },
        /* hide and deny beat all; a pattern that hides is lifted by nothing. */
        { "read: [/a, /a/b.key], hide: [\"/a/**/*.key\"]",
          { { "/a/x", "r" }, { "/a/b.key", "-" }, { "/a/d/e.key", "-" }, { "/a/d/e.key/f", "-" } } },
        { "read: [/a], hide: [\"/a/{b,x}\"], deny: [\"/a/**/c\"]",
          { { "/a/b", "-" }, { "/a/x/c", "-" }, { "/a/q/c/d", "!" }, { "/a/q", "r" } } },
        { "read: [\"/a/*\"], deny: [/a/b]", { { "/a/b", "!" }, { "/a/c", "r" } } },
        { "hide: [/a], read: [\"/a/*\"]", { { "/a/b", "-" }, { "/a", "-" } } },
        { "read: [/a], hide: [/a/b], write: [\"/a/b/*\"]", { { "/a/b", "-" }, { "/a/b/c", "-" } } },
        /* The literal beginning is resolved: the rule holds where the objects lie. */
        { "read: [\"/link/*\"]", { { "/link", "r" }, { "/a/b/c", "r" }, { "/a/b", "^" }, { "/link/c", "-" } } },
        { "read: [/a], hide: [\"/link/*\"]", { { "/a/b", "r" }, { "/a/b/c", "-" }, { "/link/c", "-" } } },
        { "read: [/a], deny: [\"/{link,t}\"]", { { "/a/b", "!" }, { "/a/b/c", "!" }, { "/link", "!" }, { "/t", "!" }, { "/a", "r" } } },
        { "read: [\"/{link,t}/c\"]", { { "/a/b/c", "r" }, { "/t", "^" }, { "/t/c", "r" }, { "/link", "r" } } },
        /* A grant that a link leads to takes nothing from a wider one. */
        { "write: [/a], read: [\"/link/*\"]", { { "/a/b/c", "raw" } } },
        { "write: [\"/a/**\"], read: [/link/c]", { { "/a/b/c", "raw" } } },
        { "read: [/a], write: [\"/link/*\"]", { { "/a/b/c", "raw" }, { "/a/b", "r" } } },
        /* What stays out, what is the sandbox's own, and what mounts hold. */
        { "read: [\"/home/**\"]", { { "/home/me/x", "r" }, { "/home/me/.ssh/id", "!" }, { "/home/me/.ssh", "!" } } },
        { "read: [\"/home/me/.ssh/*\"]", { { "/home/me/.ssh/id", "!" }, { "/home/me", "^" } } },
        { "write: [\"/**\"], private: [/t], replace: { /a/b/c: { content: x } }",
          { { "/x", "raw" },
            { "/proc/1", "rawo" },
            { "/dev/sda", "-" },
            { "/dev/pts/1", "rawo" },
            { "/t/x", "rawo" },
            { "/a/b/c", "r" },
            { "/a/b/d", "raw" } } },
        { "binds: { /q: { from: /usr } }, write: [\"/q/*\", /q/share]", { { "/q/lib", "r" }, { "/q/share/y", "raw" }, { "/q", "r" } } },
        /* A name and no more; a directory can be passed through. */
        { "default: deny, read: [/a/b], hide: [/q]",
          { { "/", "^" },
            { "/t", "^" },
            { "/t/x/y", "^" },
            { "/a", "^" },
            { "/a/b/c", "r" },
            { "/q", "-" },
            { "/home/me/.ssh", "!" },
            { "/dev/sda", "^" } } },
        { "default: deny, deny: [/a]", { { "/a", "!" }, { "/a/b", "!" } } },
};

static void make_root(const struct fixture *f) {
        make_file(f, "root/a/b/c", "");
        make_folder(f, "root/a/x");
        make_link(f, "root/link", "a/b");
        make_file(f, "root/home/me/.ssh/id", "");
        make_folder(f, "root/q");
        make_folder(f, "root/t");
}

Test(verdicts, rules_and_paths) {
        for (size_t i = 0; i < ELEMENTSOF(tables); i++) {
                FIXTURE;
                char text[512], out[8];
                make_root(&f);
                snprintf(text, sizeof(text), "files: { enforce: broker, %s }\n", tables[i].rules);
                cr_assert_loads(&f, compile_text(&f, text));
                for (const struct asked *a = tables[i].paths; a->path; a++) {
                        const char *says = verdict(plan_match(f.plan, a->path), out);
                        cr_expect(strcmp(says, a->says) == 0, "%s: %s is %s, not %s", tables[i].rules, a->path, says, a->says);
                }
        }
}

Test(verdicts, flags_lift_nothing) {
        FIXTURE;
        char out[8];
        make_root(&f);
        struct policy_flag flags[] = { { FLAG_READ, "/a/b" }, { FLAG_WRITE, "/a/b/c" }, { FLAG_READ, "/home/me/.ssh" } };
        cr_assert_loads(&f, compile_flags(&f, "files: { hide: [/a], read: [/home/me] }\n", flags, 3));
        cr_expect_str_eq(verdict(plan_match(f.plan, "/a/b"), out), "-");
        cr_expect_str_eq(verdict(plan_match(f.plan, "/a/b/c"), out), "-");
        /* What stays out is no rule: to name it is enough. */
        cr_expect_str_eq(verdict(plan_match(f.plan, "/home/me/.ssh/id"), out), "r");
        cr_expect(!find_node(&f, "/a/b") && !find_node(&f, "/a"));
}

Test(verdicts, devices) {
        FIXTURE;
        char out[8];
        cr_assert_loads(&f, compile_text(&f, "devices: [null, dri/card0]\nfiles: { private: [/dev/shm] }\n"));
        cr_expect_str_eq(verdict(plan_match(f.plan, "/dev/null"), out), "rawo");
        cr_expect_str_eq(verdict(plan_match(f.plan, "/dev/dri/card0"), out), "rawo");
        cr_expect_str_eq(verdict(plan_match(f.plan, "/dev/dri"), out), "^");
        cr_expect_str_eq(verdict(plan_match(f.plan, "/dev/dri/card1"), out), "-");
        cr_expect_str_eq(verdict(plan_match(f.plan, "/dev/shm/x"), out), "rawo");
        cr_expect_str_eq(verdict(plan_match(f.plan, "/dev/zero"), out), "-");
}

Test(verdicts, name_the_rule) {
        FIXTURE;
        make_root(&f);
        cr_assert_loads(&f, compile_text(&f, "files:\n  write: [/a]\n  deny: [/a/x]\n"));
        cr_expect(plan_match(f.plan, "/a/b").rule == find_rule(&f, FILE_WRITE, "/a"));
        cr_expect(plan_match(f.plan, "/a/x/y").rule == find_rule(&f, FILE_DENY, "/a/x"));
        cr_expect(plan_match(f.plan, "/a/x/y").rule->place.line == 3);
        cr_expect(plan_match(f.plan, "/b").rule == NULL);
}

/* What is found decides: above something there are only directories. */
Test(verdicts, files_are_no_ancestors) {
        static const struct {
                const char *rules, *path;
                enum match_state file;
        } cases[] = {
                { "read: [\"/a/**/c\"]", "/a/b/x", MATCH_HIDDEN },
                { "default: deny", "/a/b/x", MATCH_DENIED },
                { "default: deny, hide: [/a], read: [/a/b]", "/a", MATCH_HIDDEN },
                { "deny: [/a], read: [/a/b]", "/a", MATCH_DENIED },
        };
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                FIXTURE;
                char text[256];
                make_root(&f);
                snprintf(text, sizeof(text), "files: { enforce: broker, %s }\n", cases[i].rules);
                cr_assert_loads(&f, compile_text(&f, text));
                struct match m = plan_match(f.plan, cases[i].path);
                cr_expect(m.state == MATCH_ANCESTOR, "%s", cases[i].rules);
                cr_expect(match_object(m, true).state == MATCH_ANCESTOR && match_object(m, false).state == cases[i].file, "%s",
                          cases[i].rules);
        }
}

/* A policy's own files stay as they are, whatever grants. */
Test(verdicts, policies_and_patterns) {
        FIXTURE;
        char text[512], path[256];
        free((char *) f.plan_request.root);
        f.plan_request.root = NULL;
        snprintf(text, sizeof(text), "files: { write: [\"%s/*\"], append: [\"%s/*\"] }\n", f.folder, f.folder);
        cr_assert_loads(&f, compile_text(&f, text));
        snprintf(path, sizeof(path), "%s/policy.yaml", f.folder);
        cr_expect(plan_match(f.plan, path).state == MATCH_GRANTED && plan_match(f.plan, path).rights == RIGHT_READ);
        strcat(path, "x");
        cr_expect(plan_match(f.plan, path).rights & RIGHT_WRITE);
        snprintf(text, sizeof(text), "files: { append: [\"%s/*\"] }\n", f.folder);
        cr_assert_loads(&f, compile_text(&f, text));
        snprintf(path, sizeof(path), "%s/policy.yaml", f.folder);
        cr_expect(plan_match(f.plan, path).state == MATCH_DENIED);
}

/* What holds for one program: bits of the conditions, a path, and what is said. */
Test(verdicts, programs) {
        static const struct {
                uint64_t active;
                const char *path, *says;
        } asked[] = {
                { 0, "/a/x", "raw" }, { 1, "/a/x", "-" },   { 1, "/a/x/y", "-" },   { 2, "/a/x", "!" },   { 3, "/a/x", "-" },
                { 2, "/a/b/c", "!" }, { 2, "/a/b", "raw" }, { 1, "/a/b/c", "raw" }, { 4, "/a/b/c", "-" }, { 4, "/link/c", "-" },
                { 7, "/q", "-" },     { 1, "/a", "raw" },   { 2, "/a/d/e/c", "!" }, { 1, "/home", "-" },
        };
        FIXTURE;
        char out[8];
        make_root(&f);
        cr_assert_loads(&f, compile_text(&f, "files: { write: [/a, /a/x/y] }\n"
                                             "rules:\n"
                                             "  - { when: { exe: /link/c }, files: { hide: [/a/x] } }\n"
                                             "  - { when: { exe: /a/b/c }, files: { deny: [\"/a/**/c\", /a/x] } }\n"
                                             "  - { when: { exe: /home/me/.ssh/id }, files: { hide: [/link] } }\n"));
        cr_assert(f.plan->n_conditions == 3);
        cr_expect(f.plan->conditions[0].ino == f.plan->conditions[1].ino && f.plan->conditions[0].dev == f.plan->conditions[1].dev);
        cr_expect(f.plan->conditions[0].ino != f.plan->conditions[2].ino);
        for (size_t i = 0; i < ELEMENTSOF(asked); i++) {
                const char *says = verdict(plan_match_when(f.plan, asked[i].active, asked[i].path), out);
                cr_expect(strcmp(says, asked[i].says) == 0, "%s for %x is %s, not %s", asked[i].path, (unsigned) asked[i].active, says,
                          asked[i].says);
        }
        struct match m = plan_match_when(f.plan, 2, "/a/x");
        cr_expect(m.rule && m.rule->kind == FILE_DENY && m.rule->place.line == 4);
}
