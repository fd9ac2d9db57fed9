/*
 * Which directories can be renamed where, as far as what lies below them is concerned.
 */
#include "support.h"

static const struct {
        const char *rules, *from, *to;
        bool same;
} table[] = {
        /* Nothing tells names below apart. */
        { "write: [/w]", "/w/a", "/w/b", true },
        { "write: [/w]", "/w/a", "/w/b/c", true },
        { "write: [/w, /v]", "/w/a", "/v/a", true },
        { "write: [/w], append: [/v]", "/w/a", "/v/a", true },
        { "write: [/w], append: [/v]", "/v/a", "/w/a", false },
        { "write: [/w, /v], exec: [/v]", "/w/a", "/v/a", false },
        { "write: [/w, /v], exec: [/v]", "/v/a", "/w/a", true },
        { "write: [/w]", "/w/a", "/out", true },
        { "default: read, write: [/w]", "/out", "/w/a", false },
        /* Literal rules below. */
        { "write: [/w], read: [/w/a/r]", "/w/a", "/w/b", false },
        { "write: [/w], read: [/w/a/r]", "/w/b", "/w/a", true },
        { "write: [/w], hide: [/w/a/h/i]", "/w/a", "/w/b", false },
        { "write: [/w], hide: [/w/a/h/i]", "/w/a/h", "/w/x", false },
        { "write: [/w], hide: [/w/a/h/i]", "/w/c", "/w/a", true },
        { "write: [/w], deny: [/w/a/h]", "/w/a", "/w/b", false },
        { "write: [/w], deny: [/w/a/h, /w/b/h]", "/w/a", "/w/b", true },
        { "write: [/w], deny: [/w/a/h], hide: [/w/b/h]", "/w/a", "/w/b", true },
        { "write: [/w], deny: [/w/a/h], hide: [/w/b/h]", "/w/b", "/w/a", false },
        { "write: [/w], hide: [/w/a/h, /w/b/h], read: [/w/b/h/o]", "/w/a", "/w/b", false },
        { "write: [/w], hide: [/w/a/h, /w/b/h], read: [/w/b/h/o]", "/w/b", "/w/a", true },
        { "write: [/w], exec: [/w/b/x]", "/w/a", "/w/b", false },
        { "write: [/w], exec: [/w/b/x]", "/w/b", "/w/a", false },
        { "append: [/w], read: [/w/b/x/y]", "/w/a", "/w/b", false },
        /* A mount would move along. */
        { "write: [/w], private: [/w/d]", "/w", "/v", false },
        { "write: [/w], overlay: [/w/d]", "/w", "/v", false },
        { "write: [/w], private: [/w/d]", "/w/a", "/w/b", true },
        { "private: [/w]", "/w/a", "/w/b", true },
        /* Patterns that hide and deny. */
        { "write: [/w], hide: [\"/w/**/*.key\"]", "/w/a", "/w/b", true },
        { "write: [/w], hide: [\"/w/**/*.key\"]", "/w/a/b/c", "/w/d", true },
        { "write: [/w, /v], hide: [\"/w/**/*.key\"]", "/w/a", "/v/a", false },
        { "write: [/w, /v], hide: [\"/w/**/*.key\"]", "/v/a", "/w/a", true },
        { "write: [/w], hide: [\"/w/*/k\"]", "/w/a", "/w/b", true },
        { "write: [/w], hide: [\"/w/*/k\"]", "/w/a", "/w/b/c", false },
        { "write: [/w], hide: [\"/w/*/k\"]", "/w/b/c", "/w/a", true },
        { "write: [/w], hide: [\"/w/*/k\"]", "/w/a/x", "/w/b/c/d", true },
        { "write: [/w], deny: [\"/w/*/{k,l}/m\"]", "/w/a/k", "/w/b/k", true },
        { "write: [/w], deny: [\"/w/*/{k,l}/m\"]", "/w/a/k", "/w/b/n", false },
        { "write: [/w], deny: [\"/w/a*/k\"]", "/w/ab", "/w/b", false },
        { "write: [/w], deny: [\"/w/a*/k\"]", "/w/b", "/w/ab", true },
        { "write: [/w], hide: [\"/**/k\"]", "/w/a", "/w/b/c/d", true },
        { "write: [/w], hide: [\"/**/k\"]", "/w/a", "/w/k", true },
        { "default: deny, write: [/w], hide: [\"/w/*/k\"]", "/w/a", "/w/b", true },
        /* Patterns that grant. */
        { "write: [\"/w/**\"]", "/w/a", "/w/b/c", true },
        { "read: [/w], write: [\"/w/*/out\"]", "/w/a/out", "/w/b/out", true },
        { "write: [/w], read: [\"/w/**/*.conf\"]", "/w/a", "/w/b/c", true },
        { "write: [/w, /v], read: [\"/w/**/*.conf\"]", "/w/a", "/v/b", false },
        { "write: [/w, /v], read: [\"/w/**/*.conf\"]", "/v/b", "/w/a", true },
        { "append: [/w], write: [\"/w/b/*.log\"]", "/w/a", "/w/b", false },
        { "write: [\"/w/*\"], read: [\"/w/*/**/x\"]", "/w/a", "/w/b", true },
        { "write: [\"/w/*\", /v]", "/v/a", "/w/b", true },
        { "write: [\"/w/*\", /v]", "/w/b", "/v/a", false }, /* in doubt */
        /* Hidden here by a literal rule, and there opened by a pattern. */
        { "hide: [/w/a/s], read: [\"/w/*/s/*\"]", "/w/a", "/w/b", false },
        { "write: [/w], hide: [/w/a/s], read: [\"/w/*/s/*\"]", "/w/a", "/w/b", false },
        { "default: deny, write: [/w], deny: [/w/a/s]", "/w/a", "/w/b", false },
        /* What a condition takes away it takes away whoever renames. */
        { "write: [/w] }\nrules: [{ when: { exe: /w/b/x/y }, files: { hide: [\"/w/**/*.key\"] } }]\nnetwork: {", "/w/a", "/w/b", true },
        { "write: [/w] }\nrules: [{ when: { exe: /w/b/x/y }, files: { hide: [/w/a/h] } }]\nnetwork: {", "/w/a", "/w/b", false },
        { "write: [/w] }\nrules: [{ when: { exe: /w/b/x/y }, files: { deny: [/w/a] } }]\nnetwork: {", "/w/a", "/w/b", false },
        { "write: [/w] }\nrules: [{ when: { exe: /w/b/x/y }, files: { deny: [/w/a] } }]\nnetwork: {", "/w/b", "/w/a", true },
        { "write: [/w] }\nrules: [{ when: { exe: /w/b/x/y }, files: { deny: [/w/a] } }]\nnetwork: {", "/w/b/h", "/w/c", true },
        /* What stays out of a home. */
        { "write: [/home]", "/home/me", "/home/you", false },
        { "write: [/home]", "/home/you", "/home/me", true },
        { "write: [\"/home/**\"]", "/home/me", "/home/you", false },
        { "write: [\"/home/**\"]", "/home/me/x", "/home/you", true },
};

Test(below, renames) {
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                FIXTURE;
                char text[512];
                make_folder(&f, "root/w/d");
                make_folder(&f, "root/v");
                make_file(&f, "root/w/b/x/y", "");
                make_file(&f, "root/w/b/h/o", "");
                make_file(&f, "root/w/a/r", "");
                make_file(&f, "root/home/me/.ssh/id", "");
                snprintf(text, sizeof(text), "files: { enforce: broker, %s }\n", table[i].rules);
                cr_assert_loads(&f, compile_text(&f, text));
                cr_expect(plan_same_below(f.plan, table[i].from, table[i].to) == table[i].same, "%s: %s to %s", table[i].rules,
                          table[i].from, table[i].to);
        }
}

Test(below, policies_stay_where_they_are) {
        FIXTURE;
        char text[512], from[256], to[256];
        free((char *) f.plan_request.root);
        f.plan_request.root = NULL;
        make_folder(&f, "sub");
        snprintf(text, sizeof(text), "files: { enforce: broker, write: [\"%s\"] }\n", f.folder);
        cr_assert_loads(&f, compile_text(&f, text));
        snprintf(from, sizeof(from), "%s/sub", f.folder);
        snprintf(to, sizeof(to), "%s/other", f.folder);
        cr_expect(plan_same_below(f.plan, from, to));
        cr_expect(!plan_same_below(f.plan, f.folder, to));
}
