/*
 * Rule × path → what the matcher says. `-` hidden, `!` denied, `^` ancestor, else the rights, with `o` for the sandbox's own.
 */
#include "support.h"
#include "tree.h"

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

/* The matcher knows patterns already; a plan refuses them, so it is built by hand here. */
struct glob_fixture {
        struct arena arena;
        struct matcher matcher;
        struct compiler compiler;
        struct file_rule rules[8];
};

static void add_rule(struct glob_fixture *g, size_t i, enum file_kind kind, const char *pattern, unsigned rights) {
        struct file_rule *rule = g->rules + i;

        *rule = (struct file_rule) { .kind = kind, .pattern = (char *) pattern, .place = { .file = "x.yaml", .line = 1 } };
        if (glob_literal(pattern)) {
                struct tree_node *node = tree_place(&g->compiler, pattern);
                if (kind == FILE_HIDE)
                        node->hide = rule;
                else if (kind == FILE_DENY)
                        node->deny = rule;
                else {
                        node->rights = rights;
                        node->grant = rule;
                        node->reopens = true;
                }
                return;
        }
        struct glob_rule *glob = arena_push(&g->arena, &g->matcher.globs, &g->matcher.n_globs, sizeof(*glob));
        *glob = (struct glob_rule) { .rule = rule, .glob = glob_new(&g->arena, pattern), .rank = glob_rank(pattern), .rights = rights };
}

static const struct {
        struct {
                enum file_kind kind;
                const char *pattern;
                unsigned rights;
        } rules[4];
        struct asked paths[8];
} globs[] = {
        { { { FILE_READ, "/a/*/c", RIGHT_READ } },
          { { "/", "^" }, { "/a", "^" }, { "/a/x", "^" }, { "/a/x/c", "r" }, { "/a/x/c/d", "r" }, { "/a/x/d", "-" }, { "/b", "-" } } },
        /* The longest literal prefix wins, */
        { { { FILE_WRITE, "/a", RIGHTS_WRITE }, { FILE_READ, "/a/**/*.conf", RIGHT_READ } },
          { { "/a/x", "raw" }, { "/a/x.conf", "r" }, { "/a/b/x.conf", "r" } } },
        { { { FILE_READ, "/a/*", RIGHT_READ }, { FILE_WRITE, "/a/b/c", RIGHTS_WRITE } },
          { { "/a/b", "r" }, { "/a/b/c/d", "raw" }, { "/a/b/x", "r" } } },
        /* then fewest wildcards, then the longest. */
        { { { FILE_READ, "/a/*x*", RIGHT_READ }, { FILE_WRITE, "/a/*x", RIGHTS_WRITE } }, { { "/a/yx", "raw" }, { "/a/yxy", "r" } } },
        { { { FILE_READ, "/a/*", RIGHT_READ }, { FILE_EXEC, "/a/*", RIGHTS_EXEC } }, { { "/a/b", "rx" } } },
        /* hide and deny beat all; a glob hide is lifted by nothing. */
        { { { FILE_READ, "/a", RIGHT_READ }, { FILE_HIDE, "/a/**/*.key", 0 }, { FILE_READ, "/a/b.key", RIGHT_READ } },
          { { "/a/x", "r" }, { "/a/b.key", "-" }, { "/a/d/e.key", "-" } } },
        { { { FILE_READ, "/a/*", RIGHT_READ }, { FILE_DENY, "/a/b", 0 } }, { { "/a/b", "!" }, { "/a/c", "r" } } },
        { { { FILE_HIDE, "/a", 0 }, { FILE_READ, "/a/*", RIGHT_READ } }, { { "/a/b", "-" }, { "/a", "-" } } },
};

Test(verdicts, patterns) {
        for (size_t i = 0; i < ELEMENTSOF(globs); i++) {
                struct glob_fixture g = {};
                char out[8];
                g.compiler = (struct compiler) { .arena = &g.arena, .matcher = &g.matcher, .root = "" };
                g.matcher.root = tree_root(&g.compiler);
                for (size_t k = 0; k < ELEMENTSOF(globs[i].rules) && globs[i].rules[k].pattern; k++)
                        add_rule(&g, k, globs[i].rules[k].kind, globs[i].rules[k].pattern, globs[i].rules[k].rights);
                matcher_finish(&g.compiler);
                for (const struct asked *a = globs[i].paths; a->path; a++) {
                        const char *says = verdict(matcher_match(&g.matcher, a->path), out);
                        cr_expect(strcmp(says, a->says) == 0, "%zu: %s is %s, not %s", i, a->path, says, a->says);
                }
                arena_done(&g.arena);
        }
}
