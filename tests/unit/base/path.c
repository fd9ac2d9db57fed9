#include <criterion/criterion.h>

#include "path.h"

Test(path, covers) {
        cr_expect(path_covers("/a", "/a"));
        cr_expect(path_covers("/a", "/a/b"));
        cr_expect(path_covers("/", "/"));
        cr_expect(path_covers("/", "/a"));
        cr_expect_not(path_covers("/a", "/ab"));
        cr_expect_not(path_covers("/a/b", "/a"));
        cr_expect_not(path_covers("/a", "/"));
}
