#include <criterion/criterion.h>
#include <string.h>

#include "digest.h"

static void text_of(const char *const *parts, char ret[DIGEST_TEXT_SIZE]) {
        struct digest d = {};

        for (; *parts; parts++)
                digest_add(&d, *parts, strlen(*parts));
        digest_text(&d, ret);
}

Test(digest, is_the_same_however_it_comes) {
        char one[DIGEST_TEXT_SIZE], other[DIGEST_TEXT_SIZE];

        text_of((const char *const[]) { "abc", "def", NULL }, one);
        text_of((const char *const[]) { "a", "bcdef", "", NULL }, other);
        cr_expect_str_eq(one, other);
        text_of((const char *const[]) { "abcdeg", NULL }, other);
        cr_expect_str_neq(one, other);
        /* The basis of FNV-1a is xored out, so that nothing is 0: "a" gives d228cb696f1a8caf78912b704e4a8964 there. */
        text_of((const char *const[]) { "a", NULL }, one);
        cr_expect_str_eq(one, "be4aec4768a18ded1a290a052cdf4ce9");
}

Test(digest, unordered) {
        struct digest a = {}, b = {}, ab = {}, ba = {}, aa = {};

        digest_add(&a, "a", 1);
        digest_add(&b, "b", 1);
        digest_add_unordered(&ab, &a);
        digest_add_unordered(&ab, &b);
        digest_add_unordered(&ba, &b);
        digest_add_unordered(&ba, &a);
        digest_add_unordered(&aa, &a);
        digest_add_unordered(&aa, &a);
        cr_expect(ab.value == ba.value);
        cr_expect(ab.value != aa.value);
}
