#include <criterion/criterion.h>
#include <errno.h>

#include "str.h"

Test(str, sizes) {
        static const struct {
                const char *text;
                int r;
                uint64_t value;
        } cases[] = {
                { "0", 0, 0 },
                { "64", 0, 64 },
                { "1K", 0, 1024 },
                { "512M", 0, 512U << 20 },
                { "2G", 0, UINT64_C(2) << 30 },
                { "1T", 0, UINT64_C(1) << 40 },
                { "", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { " 1", -EINVAL, 0 },
                { "1k", -EINVAL, 0 },
                { "1KB", -EINVAL, 0 },
                { "1.5G", -EINVAL, 0 },
                { "K", -EINVAL, 0 },
                { "99999999999999999999", -ERANGE, 0 },
                { "18446744073709551615", 0, UINT64_MAX },
                { "16777216T", -ERANGE, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t value = 0;
                int r = str_parse_size(cases[i].text, &value);
                cr_expect(r == cases[i].r && (r < 0 || value == cases[i].value), "%s: %d", cases[i].text, r);
        }
}

Test(str, times) {
        static const struct {
                const char *text;
                int r;
                uint64_t value;
        } cases[] = {
                { "30", 0, 30000000 },
                { "30s", 0, 30000000 },
                { "10m", 0, 600000000 },
                { "2h", 0, UINT64_C(7200000000) },
                { "500ms", 0, 500000 },
                { "1m30s", 0, 90000000 },
                { "1d", 0, UINT64_C(86400000000) },
                { "7us", 0, 7 },
                { "", -EINVAL, 0 },
                { "s", -EINVAL, 0 },
                { "1x", -EINVAL, 0 },
                { "-1s", -EINVAL, 0 },
                { "1m s", -EINVAL, 0 },
                { "99999999999999999999d", -ERANGE, 0 },
                { "999999999999999d", -ERANGE, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t value = 0;
                int r = str_parse_time(cases[i].text, &value);
                cr_expect(r == cases[i].r && (r < 0 || value == cases[i].value), "%s: %d", cases[i].text, r);
        }
}

Test(str, format) {
        char buffer[64];
        cr_expect_str_eq(str_format_time(90000000, buffer, sizeof(buffer)), "1m30s");
        cr_expect_str_eq(str_format_time(0, buffer, sizeof(buffer)), "0s");
        cr_expect_str_eq(str_format_time(500000, buffer, sizeof(buffer)), "500ms");
        cr_expect_str_eq(str_format_size(512U << 20, buffer, sizeof(buffer)), "512M");
        cr_expect_str_eq(str_format_size(1000, buffer, sizeof(buffer)), "1000");
        cr_expect_str_eq(str_format_size(1536, buffer, sizeof(buffer)), "1.5K");
        /* What is written is what is read. */
        for (uint64_t t = 1; t < UINT64_C(1) << 50; t = t * 7 + 3) {
                uint64_t again = 0;
                cr_expect(str_parse_time(str_format_time(t, buffer, sizeof(buffer)), &again) == 0 && again == t, "%s", buffer);
        }
}

Test(str, escape) {
        static const struct {
                const char *text, *escaped;
        } cases[] = {
                { "plain äö €", "plain äö €" },        { "a\nb\tc\r", "a\\nb\\tc\\r" }, { "a\\b", "a\\\\b" },
                { "\x1b[31m\x7f", "\\x1b[31m\\x7f" },  { "\xc2\x9b", "\\x9b" },         { "\xe2\x80\xae", "\\u202e" },
                { "\xe2\x81\xa6", "\\u2066" },         { "\xff\xfe", "\\xff\\xfe" },    { "\xc0\xaf", "\\xc0\\xaf" },
                { "\xed\xa0\x80", "\\xed\\xa0\\x80" }, { "\xe2\x82", "\\xe2\\x82" },    { "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
                { "\xef\xbb\xbf", "\\ufeff" },         { "\xe2\x80\xa8", "\\u2028" },   { "", "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *escaped = str_escape(cases[i].text);
                cr_expect_str_eq(escaped, cases[i].escaped);
        }
        struct strbuf b = {};
        strbuf_escape(&b, "a\0b", 3);
        cr_expect_str_eq(b.text, "a\\x00b");
        strbuf_done(&b);
}

Test(str, buffer) {
        struct strbuf b = {};
        for (int i = 0; i < 10000; i++)
                strbuf_printf(&b, "%d,", i);
        cr_expect(b.length == 48890);
        cr_expect(strlen(b.text) == b.length);
        char *text = strbuf_take(&b);
        cr_expect(b.text == NULL && b.length == 0);
        free(text);
        text = strbuf_take(&b);
        cr_expect_str_eq(text, "");
        free(text);
}

Test(str, nearest) {
        static const char *const words[] = { "files", "network", "limits", "environment", "rw" };
        cr_expect_str_eq(str_nearest("filse", words, 5), "files");
        cr_expect_str_eq(str_nearest("netwrok", words, 5), "network");
        cr_expect_str_eq(str_nearest("limit", words, 5), "limits");
        cr_expect_str_eq(str_nearest("enviroment", words, 5), "environment");
        cr_expect(str_nearest("something else", words, 5) == NULL);
        cr_expect(str_nearest("", words, 5) == NULL);
        cr_expect(str_nearest("x", words, 0) == NULL);
        char longer[200];
        memset(longer, 'f', sizeof(longer));
        longer[199] = 0;
        cr_expect(str_nearest(longer, words, 5) == NULL);
}
