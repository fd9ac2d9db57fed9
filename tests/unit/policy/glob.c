#include "glob.h"

#include "support.h"

/* What a pattern says of a path: `=` it or a folder above it matches, `<` something below could, `-` neither. */
static const struct {
        const char *pattern, *path;
        char is;
} cases[] = {
        { "/a/b", "/a/b", '=' },
        { "/a/b", "/a/b/c", '=' },
        { "/a/b", "/a", '<' },
        { "/a/b", "/", '<' },
        { "/a/b", "/a/bc", '-' },
        { "/a/b", "/b", '-' },
        { "/", "/x/y", '=' },
        { "/a/*", "/a/b", '=' },
        { "/a/*", "/a/.b", '=' },
        { "/a/*", "/a/b/c", '=' },
        { "/a/*", "/a", '<' },
        { "/a/*.c", "/a/b.c", '=' },
        { "/a/*.c", "/a/b/x.c", '-' },
        { "/a/*.c", "/a/.c", '=' },
        { "/a/*.c", "/a/b.cc", '-' },
        { "/a/?", "/a/b", '=' },
        { "/a/?", "/a/bc", '-' },
        { "/a/?", "/a/ä", '=' },
        { "/a/??", "/a/ä", '-' },
        { "/a/[a-c]x", "/a/bx", '=' },
        { "/a/[a-c]x", "/a/dx", '-' },
        { "/a/[!a-c]x", "/a/dx", '=' },
        { "/a/[!a-c]x", "/a/ax", '-' },
        { "/a/[]x]", "/a/]", '=' },
        { "/a/[^x]", "/a/x", '-' },
        { "/a/[a\\]]", "/a/]", '=' },
        { "/a/[a-]", "/a/-", '=' },
        { "/**", "/", '=' },
        { "/**/x", "/x", '=' },
        { "/**/x", "/a/b/x", '=' },
        { "/**/x", "/a/b", '<' },
        { "/a/**/b", "/a/b", '=' },
        { "/a/**/b", "/a/x/y/b", '=' },
        { "/a/**/b", "/a/x/y/b/z", '=' },
        { "/a/**/b", "/x/b", '-' },
        { "/a/**/b/**/c", "/a/b/c", '=' },
        { "/a/**/b/**/c", "/a/b/x", '<' },
        { "/a/**/*.key", "/a/x.key", '=' },
        { "/a/{b,c}", "/a/b", '=' },
        { "/a/{b,c}", "/a/c", '=' },
        { "/a/{b,c}", "/a/d", '-' },
        { "/a/{b,c}x{1,2}", "/a/cx1", '=' },
        { "/a/{b*,c}/d", "/a/bb/d", '=' },
        { "/a/{b*,c}/d", "/a/c", '<' },
        { "/a/{b*,c}/d", "/a/d", '-' },
        { "/a/b/*", "/a/bc", '-' },
        { "/a/b/*", "/a/b", '<' },
        { "/a/b/*", "/aa", '-' },
        { "/a\\*/b/c*", "/a*/b", '<' },
        { "/a\\*/b/c*", "/a*/b/cd/e", '=' },
        { "/a/**/**/b", "/a/b", '=' },
        { "/a/**/**/b", "/a/x/b", '=' },
        { "/a/**", "/a", '=' },
        { "/*/**", "/a", '=' },
        { "/*/**", "/", '<' },
        { "/a/{b,c\\,d}", "/a/c,d", '=' },
        { "/a/x{,y}", "/a/x", '=' },
        { "/a/x{,y}", "/a/xy", '=' },
        { "/a/\\*", "/a/*", '=' },
        { "/a/\\*", "/a/b", '-' },
        { "/a/\\\\", "/a/\\", '=' },
        { "/a/\\{b\\}", "/a/{b}", '=' },
        { "/a/*b*c*d", "/a/xbxxcxd", '=' },
        { "/a/*b*c*d", "/a/xbxxdxc", '-' },
};

Test(glob, matches) {
        _cleanup_(arena_done) struct arena arena = {};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                size_t n = 0;
                char **patterns = glob_expand(&arena, cases[i].pattern, &n);
                unsigned m = 0;
                cr_assert(patterns);
                for (size_t k = 0; k < n; k++) {
                        const struct glob *glob = glob_new(&arena, patterns[k]);
                        cr_assert(glob);
                        m |= glob_match(glob, cases[i].path);
                }
                char is = m & GLOB_MATCHES ? '=' : m & GLOB_ABOVE ? '<' : '-';
                cr_expect(is == cases[i].is, "%s of %s: %c", cases[i].pattern, cases[i].path, is);
        }
}

Test(glob, literal_beginning) {
        static const struct {
                const char *pattern;
                size_t length;
        } beginnings[] = { { "/a/b*/c", 2 }, { "/*", 0 }, { "/**/x", 0 }, { "/a/b", 4 }, { "/a\\*/b?", 4 }, { "/a/b/[x]", 4 }, { "/", 1 } };

        for (size_t i = 0; i < ELEMENTSOF(beginnings); i++)
                cr_expect(glob_literal_length(beginnings[i].pattern) == beginnings[i].length, "%s", beginnings[i].pattern);
}

/* What a path leaves to be matched below it. */
Test(glob, states) {
        _cleanup_(arena_done) struct arena arena = {};
        const struct glob *key = glob_new(&arena, "/w/**/*.key"), *one = glob_new(&arena, "/w/*/x");

        cr_expect(glob_states(key, "/w/a") == glob_states(key, "/w/b/c"));
        cr_expect((glob_states(key, "/w/a") & ~glob_states(key, "/w")) == 0);
        cr_expect(glob_states(key, "/v") == 0);
        cr_expect(glob_states(key, "/w/a.key") == GLOB_ALL);
        cr_expect(glob_states(one, "/w/a") == glob_states(one, "/w/b"));
        cr_expect(glob_states(one, "/w/a/b") == 0);
        cr_expect((glob_states(one, "/w/a") & ~glob_states(one, "/w")) != 0);
}

Test(glob, normalises) {
        static const char *const pairs[][2] = {
                { "/", "/" }, { "//a///b/", "/a/b" }, { "/a/./b/.", "/a/b" }, { "/a/.b", "/a/.b" }, { "/a/...", "/a/..." }, { "/./", "/" },
        };
        _cleanup_(arena_done) struct arena arena = {};

        for (size_t i = 0; i < ELEMENTSOF(pairs); i++) {
                char *out = NULL;
                cr_expect(glob_normalise(&arena, pairs[i][0], &out) == NULL);
                cr_expect_str_eq(out, pairs[i][1]);
        }
}

Test(glob, more_specific_first) {
        /* The longest literal prefix, then the fewest wildcards, then the longest; each is more specific than the next. */
        static const char *const order[] = { "/a/bcdef*", "/a/b/c", "/a/b/*", "/a/b*", "/a/b", "/a/*xyz", "/a/*", "/a/*/*", "/**" };

        for (size_t i = 0; i + 1 < ELEMENTSOF(order); i++) {
                struct glob_rank a = glob_rank(order[i]), b = glob_rank(order[i + 1]);
                /* A literal pattern is all prefix. */
                if (i == 3)
                        cr_expect(glob_rank_compare(&b, &a) > 0, "%s %s", order[i], order[i + 1]);
                else
                        cr_expect(glob_rank_compare(&a, &b) > 0, "%s %s", order[i], order[i + 1]);
        }
        struct glob_rank one = glob_rank("/a/*b"), two = glob_rank("/a/*b*"), longer = glob_rank("/a/*bcd");
        cr_expect(glob_rank_compare(&one, &two) > 0);
        cr_expect(glob_rank_compare(&longer, &one) > 0);
        cr_expect(glob_rank_compare(&one, &one) == 0);
}

Test(glob, star_is_not_exponential) {
        _cleanup_(arena_done) struct arena arena = {};
        struct strbuf pattern = {}, path = {};

        strbuf_puts(&pattern, "/");
        for (int i = 0; i < 100; i++)
                strbuf_puts(&pattern, "*a");
        strbuf_puts(&path, "/");
        for (int i = 0; i < 250; i++)
                strbuf_puts(&path, "a");
        strbuf_puts(&path, "b");
        const struct glob *glob = glob_new(&arena, pattern.text);
        cr_expect(glob_match(glob, path.text) == 0);
        strbuf_done(&pattern);
        strbuf_done(&path);
}
