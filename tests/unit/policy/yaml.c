/*
 * Files that mean harm: bounded in time and memory, and said where.
 */
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

static double seconds(void) {
        struct timespec t;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return t.tv_sec + t.tv_nsec / 1e9;
}

/* Repeats a text until it has about this size. */
static char *repeat(const char *head, const char *text, size_t size) {
        struct strbuf b = {};

        strbuf_puts(&b, head);
        while (b.length + strlen(text) < size)
                strbuf_puts(&b, text);
        return strbuf_take(&b);
}

static const struct {
        const char *head, *text;
        size_t size;
        const char *says;
} bombs[] = {
        { "files: ", "[", 1000000, "nested too deeply" },
        { "files: ", "{a: ", 1000000, "nested too deeply" },
        { "files:\n", "- ", 1000000, "nested too deeply" },
        { "", "? ", 1000000, "a key must be" },
        { "files: { read: [", "a, ", 1000000, "too many entries" },
        { "files: { read: [", "*a, ", 1000000, "anchor" },
        { "", "a: b\n", 1000000, "more errors" },
        { "description: ", "x", 1100000, "too large" },
        { "description: \"", "\\n", 1000000, "not YAML" },
        { "", "&a ", 1000000, "not YAML" },
        { "", "%TAG ! x\n", 1000000, "not YAML" },
};

Test(yaml, bombs_are_bounded) {
        for (size_t i = 0; i < ELEMENTSOF(bombs); i++) {
                FIXTURE;
                _cleanup_free_ char *text = repeat(bombs[i].head, bombs[i].text, bombs[i].size);
                double start = seconds();
                int r = load_text(&f, text);
                double took = seconds() - start;
                _cleanup_free_ char *said = report_text(&f);
                cr_expect(r == -EINVAL, "%.20s: %d", bombs[i].text, r);
                cr_expect(took < 3, "%.20s took %f s", bombs[i].text, took);
                cr_expect(strstr(said, bombs[i].says), "%.20s: not `%s`: %.500s", bombs[i].text, bombs[i].says, said);
                cr_expect(strlen(said) < 100000);
        }
}

Test(yaml, billion_laughs) {
        FIXTURE;
        struct strbuf b = {};
        strbuf_puts(&b, "a0: &a0 [x, x]\n");
        for (int i = 1; i < 40; i++)
                strbuf_printf(&b, "a%d: &a%d [*a%d, *a%d]\n", i, i, i - 1, i - 1);
        double start = seconds();
        cr_assert(load_text(&f, b.text) == -EINVAL);
        cr_expect(seconds() - start < 1);
        strbuf_done(&b);
        cr_expect(strstr(f.report.messages[0].text, "too many entries") || strstr(f.report.messages[0].text, "nested too deeply"), "%s",
                  f.report.messages[0].text);
}

Test(yaml, variables_do_not_grow) {
        FIXTURE;
        struct strbuf b = {};
        strbuf_puts(&b, "vars:\n  a0: xxxxxxxxxxxxxxxx\n");
        for (int i = 1; i < 60; i++)
                strbuf_printf(&b, "  a%d: \"${a%d}${a%d}\"\n", i, i - 1, i - 1);
        strbuf_puts(&b, "environment: { set: { A: \"${a59}\" } }\n");
        double start = seconds();
        cr_assert(load_text(&f, b.text) == -EINVAL);
        cr_expect(seconds() - start < 1);
        strbuf_done(&b);
        cr_expect(strstr(f.report.messages[0].text, "too long"), "%s", f.report.messages[0].text);
}

Test(yaml, a_small_alias_is_fine) {
        FIXTURE;
        cr_assert_loads(&f, load_text(&f, "files: { read: &some [/a, /b], write: *some }\n"));
        cr_expect(find_rule(&f, FILE_READ, "/b") && find_rule(&f, FILE_WRITE, "/b"));
}

/* Bytes that load_text can't write. */
static int load_bytes(struct fixture *f, const char *bytes, size_t size) {
        char path[128];

        (void) load_text(f, "version: 1\n");
        policy_report_done(&f->report);
        policy_free(f->policy);
        f->policy = NULL;
        snprintf(path, sizeof(path), "%s/policy.yaml", f->folder);
        FILE *out = fopen(path, "w");
        fwrite(bytes, 1, size, out);
        fclose(out);
        return policy_load(&f->request, &f->policy, &f->report);
}

Test(yaml, bytes) {
        static const struct {
                const char *bytes;
                size_t size;
                unsigned line, column;
                const char *says;
        } bad[] = {
                { "version: 1\na\0b: c\n", 19, 2, 2, "NUL" },
                { "version: 1\nä: \xff\n", 18, 2, 4, "UTF-8" },
                { "a: \xc0\x80\n", 6, 1, 4, "UTF-8" },
                { "a: \xed\xa0\x80\n", 7, 1, 4, "UTF-8" },
                { "a: \xf4\x90\x80\x80\n", 8, 1, 4, "UTF-8" },
                { "a: \xe2\x82", 5, 1, 4, "UTF-8" },
                { "a: \x1b[0m\n", 8, 1, 4, "control character" },
                { "\xff\xfe"
                  "a\0",
                  4, 1, 1, "UTF-16" },
                { "\xfe\xff\0a", 4, 1, 1, "UTF-16" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                FIXTURE;
                cr_expect(load_bytes(&f, bad[i].bytes, bad[i].size) == -EINVAL);
                cr_expect_error(&f, bad[i].line, bad[i].column, bad[i].says);
        }
}

Test(yaml, byte_order_mark_and_crlf) {
        FIXTURE;
        const char text[] = "\xef\xbb\xbfversion: 1\r\nfiles:\r\n  read:\r\n    - /a\r\n";
        cr_assert_loads(&f, load_bytes(&f, text, sizeof(text) - 1));
        cr_expect(find_rule(&f, FILE_READ, "/a"));
        const char wrong[] = "\xef\xbb\xbfversion: 1\r\nfilse: {}\r\n";
        cr_expect(load_bytes(&f, wrong, sizeof(wrong) - 1) == -EINVAL);
        cr_expect_error(&f, 2, 1, "filse");
}

Test(yaml, words_are_texts) {
        FIXTURE;
        cr_assert_loads(&f, load_text(&f, "devices: [null, zero]\nenvironment: { set: { A: yes, B: 010, C: null, D: \"\" } }\n"
                                          "kernel: { uname: { release: 6.10 } }\n"));
        cr_expect_str_eq(f.policy->devices[0], "null");
        cr_expect_str_eq(f.policy->environment.set[0], "A=yes");
        cr_expect_str_eq(f.policy->environment.set[1], "B=010");
        cr_expect_str_eq(f.policy->environment.set[2], "C=null");
        cr_expect_str_eq(f.policy->environment.set[3], "D=");
        cr_expect_str_eq(f.policy->kernel.release, "6.10");
}
