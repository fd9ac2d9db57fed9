/*
 * Each kind of mistake in a policy: where it is said to be, and what is said.
 */
#include "support.h"

static const struct {
        const char *text;
        unsigned line, column;
        const char *says;
} mistakes[] = {
        /* not YAML */
        { "version: 1\nfiles: [a\n", 3, 1, "not YAML" },
        { "version: 1\n\tfiles: {}\n", 2, 1, "not YAML" },
        { "files: {}\n---\nfiles: {}\n", 2, 1, "second document" },
        { "files: !!map {}\n", 1, 8, "tags" },
        { "description: !x y\n", 1, 14, "tags" },
        { "", 1, 1, "empty" },
        { "# only a comment\n", 1, 1, "empty" },
        { "just words\n", 1, 1, "expected a mapping" },
        { "[a, b]\n", 1, 1, "found a list" },
        { "? [a]\n: b\n", 1, 3, "a key must be" },
        { "description: a\nfiles: {}\ndescription: b\n", 3, 1, "a second time; the first is in line 1" },
        { "description: \"a\\0b\"\n", 1, 14, "NUL" },
        { "files: { read: [*x] }\n", 1, 17, "anchor" },
        { "files: &x { read: [*x] }\n", 1, 20, "inside of what it names" },
        /* keys and types */
        { "filse: {}\n", 1, 1, "did you mean `files`?" },
        { "nothing-like-it: {}\n", 1, 1, "its keys are: version, description" },
        { "files:\n  raed: [/a]\n", 2, 3, "did you mean `read`?" },
        { "version: 2\n", 1, 10, "version 1" },
        { "version: one\n", 1, 10, "whole number" },
        { "files: [/a]\n", 1, 8, "expected a mapping" },
        { "files:\nnetwork: {}\n", 1, 7, "found nothing" },
        { "files: { read: /a }\n", 1, 16, "expected a list" },
        { "files: { read: { a: b } }\n", 1, 16, "found a mapping" },
        { "files: { read: [[/a]] }\n", 1, 17, "found a list" },
        { "files: { default: maybe }\n", 1, 19, "expected hide, deny or read" },
        { "files: { enforce: brokr }\n", 1, 19, "did you mean `broker`?" },
        { "limits: { processes: many }\n", 1, 22, "whole number" },
        { "limits: { processes: 0 }\n", 1, 22, "from 1" },
        { "limits: { memory: 10X }\n", 1, 19, "expected a size" },
        { "limits: { memory: 99999999T }\n", 1, 19, "smaller size" },
        { "limits: { time: soon }\n", 1, 17, "expected a time" },
        { "environment: { keep: [A-B] }\n", 1, 23, "environment variable" },
        { "environment: { set: { 1A: x } }\n", 1, 23, "can't be the name" },
        { "devices: [../sda]\n", 1, 11, "below /dev" },
        { "devices: [mem]\n", 1, 11, "can't be named" },
        { "audit: { record: some }\n", 1, 18, "denied, all or none" },
        { "on-broker-loss: run\n", 1, 17, "wait or kill" },
        { "kernel: { hostname: a_b }\n", 1, 21, "letters, digits" },
        /* paths */
        { "files: { read: [etc] }\n", 1, 17, "absolute" },
        { "files: { read: [~/x] }\n", 1, 17, "${home}" },
        { "files: { read: [/a/../b] }\n", 1, 17, "`..`" },
        { "files: { read: [/a/b**] }\n", 1, 17, "whole component" },
        { "files: { read: [\"/a/[b\"] }\n", 1, 17, "a [ has no ]" },
        { "files: { read: [\"/a/{b\"] }\n", 1, 17, "a { has no }" },
        { "files: { read: [\"/a/{b,{c}}\"] }\n", 1, 17, "nested" },
        { "files: { read: [\"/{a,b,c,d,e}{a,b,c,d,e}{a,b,c,d,e}\"] }\n", 1, 17, "too many names" },
        { "files: { exec: [\"/a/*\"] }\n", 1, 17, "literal" },
        { "files: { private: [\"/a/*\"] }\n", 1, 20, "literal" },
        { "files: { private: [/] }\n", 1, 20, "stand in for /" },
        { "files: { overlay: [\"/a/*\"] }\n", 1, 20, "literal" },
        { "files:\n  private: [/a]\n  overlay: [/a]\n", 3, 13, "has both `private`" },
        { "files: { private: [{ size: 1M }] }\n", 1, 20, "path: PATH" },
        { "files: { replace: { /a: text } }\n", 1, 25, "content: TEXT" },
        { "files: { replace: { /a: { content: x, from: y } } }\n", 1, 25, "content: TEXT" },
        { "files: { binds: { /a: /b } }\n", 1, 23, "from: PATH" },
        { "files:\n  private: [/a]\n  binds: { /a: { from: /b } }\n", 3, 12, "has both `private`" },
        /* rules */
        { "rules: {}\n", 1, 8, "expected a list" },
        { "rules: [/a]\n", 1, 9, "expected a mapping" },
        { "rules: [{ files: { hide: [/a] } }]\n", 1, 9, "when: { exe: PATH }" },
        { "rules: [{ when: { exe: /a } }]\n", 1, 9, "when: { exe: PATH }" },
        { "rules: [{ when: {}, files: {} }]\n", 1, 9, "when: { exe: PATH }" },
        { "rules: [{ when: { exe: /a, user: me }, files: {} }]\n", 1, 28, "no key `user`" },
        { "rules: [{ when: { exe: \"/a*\" }, files: {} }]\n", 1, 24, "literal" },
        { "rules: [{ when: { exe: a }, files: {} }]\n", 1, 24, "absolute" },
        { "rules: [{ when: { exe: /a }, files: { read: [/b] } }]\n", 1, 45, "only takes away" },
        { "rules: [{ when: { exe: /a }, files: { default: deny } }]\n", 1, 48, "only takes away" },
        { "rules: [{ when: { exe: /a }, files: { hide: [b] } }]\n", 1, 46, "absolute" },
        { "rules: [{ when: { exe: /a }, files: {}, fils: {} }]\n", 1, 41, "did you mean `files`?" },
        /* network */
        { "network: { mode: all }\n", 1, 18, "none, host or brokered" },
        { "network: { connect: [\"tcp:1.2.3.4\"] }\n", 1, 22, "ports are missing" },
        { "network: { connect: [\"tcp:[::1]\"] }\n", 1, 22, "ports are missing" },
        { "network: { connect: [\"tcp:example.org:80\"] }\n", 1, 22, "names of hosts can't be used yet" },
        { "network: { connect: [\"tcp:1.2.3.4:99999\"] }\n", 1, 22, "65535" },
        { "network: { connect: [\"tcp:1.2.3.4:80-70\"] }\n", 1, 22, "range n-m" },
        { "network: { connect: [\"tcp:1.2.3.4:\"] }\n", 1, 22, "ports are a number" },
        { "network: { connect: [\"tcp:1.2.3.4:1,\"] }\n", 1, 22, "ports are a number" },
        { "network: { connect: [\"tcp:10.1.2.3/8:80\"] }\n", 1, 22, "below its prefix" },
        { "network: { connect: [\"tcp:10.0.0.0/33:80\"] }\n", 1, 22, "32 bits" },
        { "network: { connect: [\"sctp:1.2.3.4:1\"] }\n", 1, 22, "expected tcp:" },
        { "network: { connect: [\"unix:run/x\"] }\n", 1, 22, "absolute" },
        { "network: { connect: [\"unix:@\"] }\n", 1, 22, "abstract" },
        /* system calls */
        { "syscalls: { rules: [{ match: a }] }\n", 1, 21, "match: NAMES" },
        { "syscalls: { rules: [{ match: a, action: errno EPREM }] }\n", 1, 41, "did you mean `EPERM`?" },
        { "syscalls: { rules: [{ match: a, action: allow }] }\n", 1, 41, "rules only tighten" },
        { "syscalls: { rules: [{ match: a, action: kill, arg: [] }] }\n", 1, 47, "its keys are: match, args, action" },
        { "syscalls: { rules: [{ match: a, action: kill, args: [{ index: 6, equals: 1 }] }] }\n", 1, 63, "from 0 to 5" },
        { "syscalls: { rules: [{ match: a, action: kill, args: [{ index: 1, equals: TIOCSTO }] }] }\n", 1, 74, "did you mean `TIOCSTI`?" },
        { "syscalls: { rules: [{ match: a, action: kill, args: [{ index: 1, equals: 0x100000000 }] }] }\n", 1, 74, "bits: 64" },
        /* variables */
        { "files: { read: [\"${nope}\"] }\n", 1, 17, "no variable ${nope}" },
        { "vars: { docroot: /a }\nfiles: { read: [\"${dcroot}\"] }\n", 2, 17, "did you mean `docroot`?" },
        { "files: { read: [\"${env.NOT_THERE}\"] }\n", 1, 17, "NOT_THERE is not set" },
        { "files: { read: [\"${env.EMPTY}\"] }\n", 1, 17, "EMPTY is empty" },
        { "vars: { a: }\nfiles: { read: [\"/${a}\"] }\n", 2, 17, "--set a=VALUE" },
        { "vars: { a: \"${b}\", b: \"${a}\" }\nfiles: { read: [\"/${a}\"] }\n", 1, 12, "leads to itself" },
        { "files: { read: [\"/${a\"] }\n", 1, 17, "has no }" },
        { "vars: { home: /a }\n", 1, 9, "built in" },
        { "vars: { 1a: /a }\n", 1, 9, "begin with a digit" },
        { "vars: { a: [b] }\n", 1, 12, "a text" },
        { "vars: { a: \"../x\" }\nfiles: { read: [\"/y/${a}\"] }\n", 2, 17, "`..`" },
        /* extends */
        { "extends: base\n", 1, 10, "a list" },
        { "extends: [nope]\n", 1, 11, "no policy `nope`" },
        { "extends: [./nope.yaml]\n", 1, 11, "no policy file" },
        { "extends: [base.yaml]\n", 1, 11, "./base.yaml" },
        { "extends: [\"${home}/x.yaml\"]\n", 1, 11, "variables" },
        /* known, not built */
        { "mounts: []\n", 1, 1, "isn't built yet" },
        { "tests: []\n", 1, 1, "isn't built yet" },
        { "rules: [{ when: { exe: /a }, network: {} }]\n", 1, 30, "isn't built yet" },
        { "network: { mode: brokered }\n", 1, 18, "isn't built yet" },
        { "identity: { root: emulated }\n", 1, 13, "isn't built yet" },
        { "kernel: { cpus: 2 }\n", 1, 11, "isn't built yet" },
};

Test(errors, each_has_its_place) {
        for (size_t i = 0; i < ELEMENTSOF(mistakes); i++) {
                FIXTURE;
                int r = load_text(&f, mistakes[i].text);
                cr_expect(r == -EINVAL, "%s: loads as %d", mistakes[i].text, r);
                cr_expect(f.policy == NULL);
                cr_expect_error(&f, mistakes[i].line, mistakes[i].column, mistakes[i].says);
        }
}

/* What loads, and can't be enforced. */
static const struct {
        const char *text;
        unsigned line, column;
        const char *says;
} unenforceable[] = {
        { "files: { read: [\"/dev/*\"] }\n", 1, 17, "can't name devices" },
        { "files: { hide: [\"/loop/*\"] }\n", 1, 17, "too many symbolic links" },
        { "files: { read: [\"/loop/*\"] }\n", 1, 17, "too many symbolic links" },
        { "rules: [{ when: { exe: /absent }, files: {} }]\n", 1, 24, "/absent can't be told from other programs: it doesn't exist" },
        { "rules: [{ when: { exe: /a }, files: {} }]\n", 1, 24, "no program" },
        { "rules: [{ when: { exe: /loop }, files: {} }]\n", 1, 24, "too many symbolic links" },
        { "files: { overlay: [/a] }\nrules: [{ when: { exe: /a/secret }, files: {} }]\n", 2, 24, "/a isn't the host's own" },
        { "files: { private: [/a] }\nrules: [{ when: { exe: /a/secret }, files: {} }]\n", 2, 24, "/a isn't the host's own" },
        /* Said once, also where the plan is compiled twice. */
        { "files: { read: [/a], hide: [/a/secret], write: [/absent] }\n", 1, 49, "doesn't exist" },
        { "files: { write: [/absent] }\n", 1, 18, "doesn't exist" },
        { "files: { binds: { /x: { from: /does/not/exist } } }\n", 1, 19, "can't be bound" },
        { "files: { overlay: [/absent] }\n", 1, 20, "doesn't exist" },
        { "files: { overlay: [/a/secret] }\n", 1, 20, "no directory" },
        { "files: { overlay: [/a/sub, /link] }\n", 1, 28, "is the same place" },
        { "files: { overlay: [/proc/sys] }\n", 1, 20, "sandbox's own" },
        { "files: { replace: { /x: { from: /does/not/exist } } }\n", 1, 21, "can't be read" },
        { "files: { read: [/a], private: [/a/nothing] }\n", 1, 32, "nothing of this name" },
        { "files: { read: [/a], private: [/a/secret] }\n", 1, 32, "a file there" },
        { "files: { read: [/a], replace: { /a/sub: { content: x } } }\n", 1, 33, "a folder there" },
        { "files: { replace: { /proc/x: { content: x } } }\n", 1, 21, "sandbox's own" },
        { "files: { read: [/dev/sda] }\n", 1, 17, "devices: [sda]" },
        { "files: { exec: [/dev/shm] }\n", 1, 17, "can be executed" },
        { "files: { read: [/dev/shm] }\n", 1, 17, "use `private`" },
        { "files: { read: [/loop] }\n", 1, 17, "too many symbolic links" },
        { "files: { read: [/], private: [/link], binds: { /a/sub: { from: / } } }\n", 1, 31, "is the same place" },
};

Test(errors, what_cannot_be_enforced) {
        for (size_t i = 0; i < ELEMENTSOF(unenforceable); i++) {
                FIXTURE;
                make_file(&f, "root/a/secret", "");
                make_file(&f, "root/a/sub/x", "");
                make_link(&f, "root/loop", "loop");
                make_link(&f, "root/link", "a/sub");
                int r = compile_text(&f, unenforceable[i].text);
                cr_expect(r == -EINVAL, "%s: compiles as %d", unenforceable[i].text, r);
                cr_expect(f.plan == NULL);
                cr_expect(f.report.n == 1, "%s: %zu", unenforceable[i].text, f.report.n);
                cr_expect_error(&f, unenforceable[i].line, unenforceable[i].column, unenforceable[i].says);
        }
}

Test(errors, no_more_conditions_than_bits) {
        for (int n = 64; n < 66; n++) {
                FIXTURE;
                struct strbuf b = {};
                strbuf_puts(&b, "rules:\n");
                for (int i = 0; i < n; i++)
                        strbuf_puts(&b, "  - { when: { exe: /a }, files: {} }\n");
                int r = load_text(&f, b.text);
                strbuf_done(&b);
                cr_expect(r == (n == 64 ? 0 : -EINVAL));
                if (n == 65)
                        cr_expect_error(&f, 66, 5, "64 at most");
        }
}

Test(errors, all_of_a_file_are_shown) {
        FIXTURE;
        cr_assert(load_text(&f, "filse: {}\nlimits: { time: soon, memory: x }\nnetwork: { connect: [a, b] }\n") == -EINVAL);
        cr_expect(f.report.n == 5 && f.report.n_errors == 5, "%zu", f.report.n);
}

Test(errors, line_and_caret) {
        FIXTURE;
        cr_assert(load_text(&f, "version: 1\nfiles: { raed: [/a] }\r\n") == -EINVAL);
        _cleanup_free_ char *text = report_text(&f);
        cr_expect(strstr(text, "policy.yaml:2:10: error: files has no key `raed`; did you mean `read`?\n"
                               "    files: { raed: [/a] }\n"
                               "             ^\n"),
                  "%s", text);
}

Test(errors, long_lines_are_cut) {
        FIXTURE;
        struct strbuf b = {};
        for (int i = 0; i < 200; i++)
                strbuf_puts(&b, i ? ", ä" : "description: [ä");
        strbuf_puts(&b, ", !x b]\n");
        cr_assert(load_text(&f, b.text) == -EINVAL);
        strbuf_done(&b);
        cr_assert(f.report.messages[0].source);
        cr_expect(strlen(f.report.messages[0].source) < 300);
        cr_expect(str_starts(f.report.messages[0].source, "…"));
        cr_expect_error(&f, 1, 14 + 1 + 3 * 200, "tags");
        /* The caret stands below the `!`. */
        size_t column = 1;
        const char *at = strchr(f.report.messages[0].source, '!');
        for (const char *p = f.report.messages[0].source; p < at; p++)
                column += (*p & 0xc0) != 0x80;
        cr_expect(column == f.report.messages[0].caret, "%zu %u", column, f.report.messages[0].caret);
}

Test(errors, what_is_printed_is_escaped) {
        FIXTURE;
        cr_assert(load_text(&f, "\"a\\e[31m\\u202e\": 1\nfiles: { read: [\"b\\nc\"] }\n# \xe2\x80\xae\n\"\xe2\x80\xae\": x\n") == -EINVAL);
        _cleanup_free_ char *text = report_text(&f);
        cr_expect(!strchr(text, '\033'), "%s", text);
        cr_expect(!strstr(text, "\xe2\x80\xae"), "%s", text);
        cr_expect(strstr(text, "a\\x1b[31m\\u202e"), "%s", text);
        cr_expect(strstr(text, "b\\nc"), "%s", text);
}

Test(errors, an_option_has_no_line) {
        FIXTURE;
        struct policy_flag flags[] = { { FLAG_SET, "nope=1" }, { FLAG_NET, "all" }, { FLAG_TIME, "x" }, { FLAG_BIND, "a:b" } };
        cr_assert(load_flags(&f, "version: 1\n", flags, ELEMENTSOF(flags)) == -EINVAL);
        _cleanup_free_ char *text = report_text(&f);
        cr_expect(strstr(text, "--set: error: the policy has no variable `nope`"), "%s", text);
        cr_expect(strstr(text, "--net: error: expected none or host, found `all`"), "%s", text);
        cr_expect(strstr(text, "--time: error: expected a time"), "%s", text);
        cr_expect(strstr(text, "--bind: error: expected OUT:IN"), "%s", text);
}
