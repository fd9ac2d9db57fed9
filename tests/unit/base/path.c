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

Test(path, kernel_tree) {
        cr_expect_str_eq(path_of_kernel_tree("proc"), "/proc");
        cr_expect_str_eq(path_of_kernel_tree("cgroup2"), "/sys/fs/cgroup");
        cr_expect_null(path_of_kernel_tree("tmpfs"));
        cr_expect_not(path_kernel_tree_elsewhere("/proc", "/", "/proc"));
        cr_expect_not(path_kernel_tree_elsewhere("/proc", "/sys", "/proc/sys"));
        cr_expect(path_kernel_tree_elsewhere("/proc", "/", "/p"));
        cr_expect(path_kernel_tree_elsewhere("/proc", "/sys", "/proc"));
        cr_expect(path_kernel_tree_elsewhere("/proc", "/sys", "/proc/bus"));
        cr_expect(path_kernel_tree_elsewhere("/proc", "/", "/procs"));
        cr_expect(path_kernel_tree_elsewhere("/proc", "/", "/"));
        /* A hierarchy of control groups has a folder of its own, and a container its own group. */
        cr_expect_not(path_kernel_tree_elsewhere("/sys/fs/cgroup", "/docker/x", "/sys/fs/cgroup/memory"));
        cr_expect(path_kernel_tree_elsewhere("/sys/fs/cgroup", "/", "/c"));
}

Test(path, unescape) {
        char text[] = "/a\\040b\\134\\011\\01\\9", plain[] = "/a/b", end[] = "\\04";

        path_unescape(text);
        cr_expect_str_eq(text, "/a b\\\t\\01\\9");
        path_unescape(plain);
        cr_expect_str_eq(plain, "/a/b");
        path_unescape(end);
        cr_expect_str_eq(end, "\\04");
}
