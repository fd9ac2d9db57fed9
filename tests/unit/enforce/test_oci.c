/*
 * OCI seccomp profiles: what is merged answers as the stricter of both sides. The oracle is not the merging code's own reading but the two programs:
 * ours as filter_build makes it, theirs as the runtimes make it with libseccomp.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/syscall.h>

#include "../random.h"
#include "cleanup.h"
#include "cubes.h"
#include "filter.h"
#include "oci_profile.h"

#define NAMESPACES 0x7e020000U

static int32_t kind(uint32_t action) {
        return (int32_t) (action & SECCOMP_RET_ACTION_FULL);
}

static struct json_object *parse(const char *text) {
        struct json_object *o = json_tokener_parse(text);

        cr_assert(o, "%s", text);
        return o;
}

static void read_profile(const char *text, struct oci_profile *ret) {
        struct json_object *json = parse(text);
        char *why = NULL;
        int r = oci_profile_read(json, ret, &why);

        cr_assert_eq(r, 0, "%d: %s", r, why ? why : "");
        json_object_put(json);
}

/* As the modules do it for a sandbox: whole calls, bits, all but a few values, "not 0". */
static void collect(struct filter_builder *b) {
        static const int allowed[] = { __NR_read,        __NR_write,  __NR_close,  __NR_exit_group, __NR_getpid, __NR_ioctl, __NR_clone,
                                       __NR_personality, __NR_sendto, __NR_socket, __NR_kill,       __NR_mmap,   __NR_fcntl };

        for (size_t i = 0; i < ELEMENTSOF(allowed); i++)
                cr_assert_eq(filter_builder_allow(b, allowed[i]), 0);
        cr_assert_eq(filter_builder_notify(b, __NR_connect, NULL, 0), 0);
        cr_assert_eq(filter_builder_notify(b, __NR_bpf, NULL, 0), 0);
        for (uint32_t bit = 1; bit; bit <<= 1)
                if (NAMESPACES & bit)
                        cr_assert_eq(filter_builder_notify(b, __NR_clone, &(struct filter_arg) { 0, false, bit, bit }, 1), 0);
        for (uint32_t i = 0; i < 2; i++)
                cr_assert_eq(filter_builder_notify(b, __NR_ioctl, &(struct filter_arg) { 1, false, UINT32_MAX, i ? 0x5412 : 0x541c }, 1),
                             0);
        cr_assert_eq(filter_builder_notify(b, __NR_sendto, &(struct filter_arg) { .index = 4, .nonzero = true }, 1), 0);
        cr_assert_eq(filter_builder_notify(b, __NR_personality, &(struct filter_arg) { 0, false, 0x40000, 0x40000 }, 1), 0);
        cr_assert_eq(filter_builder_notify(b, __NR_socket,
                                           (struct filter_arg[]) { { 0, false, UINT32_MAX, 2 }, { .index = 2, .nonzero = true } }, 2),
                     0);
        cr_assert_eq(filter_builder_notify(b, __NR_socket, (struct filter_arg[]) { { 0, false, UINT32_MAX, 2 }, { 1, false, 0xf, 3 } }, 2),
                     0);
        cr_assert_eq(filter_builder_notify(b, __NR_socket, &(struct filter_arg) { 0, false, UINT32_MAX & ~3U, 16 }, 1), 0);
}

struct three {
        struct filter ours;
        struct sock_fprog theirs, merged;
        struct oci_profile theirs_profile, merged_profile;
};

static void three_done(struct three *t) {
        filter_done(&t->ours);
        free(t->theirs.filter);
        free(t->merged.filter);
        oci_profile_done(&t->theirs_profile);
        oci_profile_done(&t->merged_profile);
}

static void merge(const struct filter_builder *b, const char *theirs, struct three *ret) {
        cr_assert_eq(filter_build(b, &ret->ours), 0);
        if (theirs) {
                read_profile(theirs, &ret->theirs_profile);
                cr_assert_eq(oci_profile_build(&ret->theirs_profile, &ret->theirs), 0);
        }
        int r = oci_profile_merge(b, theirs ? &ret->theirs_profile : NULL, &ret->merged_profile);
        cr_assert_eq(r, 0, "%s: %s", strerror(-r), theirs ? theirs : "");
        cr_assert_eq(oci_profile_build(&ret->merged_profile, &ret->merged), 0);
}

static uint32_t answer(const struct sock_fprog *p, int nr, const uint64_t args[6]) {
        return filter_simulate(p, AUDIT_ARCH_X86_64, nr, args);
}

static uint32_t strictest(const struct three *t, int nr, const uint64_t args[6]) {
        uint32_t a = oci_stricter(answer(&t->ours.known, nr, args), answer(&t->ours.notify, nr, args));

        return t->theirs.filter ? oci_stricter(a, answer(&t->theirs, nr, args)) : a;
}

/* Values that comparisons turn at, and any others. */
static uint64_t interesting(void) {
        static const uint64_t values[] = { 0,      1,      2,          3,       9,       10, 16,      17,        40,
                                           0x5412, 0x541c, NAMESPACES, 0x20000, 0x40000, 8,  0x20008, UINT32_MAX };
        uint64_t value = random_below(3) == 0 ? random_number() : values[random_below(ELEMENTSOF(values))];

        switch (random_below(6)) {
        case 0: return value + 1;
        case 1: return value - 1;
        case 2: return value | UINT64_C(1) << (32 + random_below(32));
        case 3: return value ^ UINT64_C(1) << random_below(64);
        default: return value;
        }
}

/* Random calls. `exact`: not only at least as strict, but as strict. */
static void compare(const struct three *t, bool exact, const char *theirs) {
        for (int nr = 0; nr < 500; nr++)
                for (unsigned i = 0; i < 200; i++) {
                        uint64_t args[6];
                        for (size_t j = 0; j < 6; j++)
                                args[j] = interesting();
                        uint32_t got = answer(&t->merged, nr, args), want = strictest(t, nr, args);
                        bool right = exact ? kind(got) == kind(want) : kind(got) <= kind(want);
                        cr_assert(right, "call %d (%#llx, %#llx, %#llx, …): %#x, wanted %#x, under %s", nr, (unsigned long long) args[0],
                                  (unsigned long long) args[1], (unsigned long long) args[2], got, want, theirs ? theirs : "nothing");
                }
        cr_assert_eq(answer(&t->merged, 100000, (uint64_t[6]) {}), SECCOMP_RET_ERRNO | ENOSYS);
        cr_assert_lt(kind(filter_simulate(&t->merged, AUDIT_ARCH_I386, 20, (uint64_t[6]) {})), kind(SECCOMP_RET_ERRNO));
        cr_assert_lt(kind(answer(&t->merged, 0x40000000 | __NR_getpid, (uint64_t[6]) {})), kind(SECCOMP_RET_USER_NOTIF));
}

static const char docker[] =
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":1,\"syscalls\":["
        "{\"names\":[\"read\",\"write\",\"close\",\"exit_group\",\"getpid\",\"ioctl\",\"sendto\",\"kill\",\"connect\",\"no_such_call\","
        "\"mmap\",\"openat\"],"
        "\"action\":\"SCMP_ACT_ALLOW\"},"
        "{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":2114060288,\"valueTwo\":0,\"op\":\"SCMP_CMP_"
        "MASKED_EQ\"}]},"
        "{\"names\":[\"clone3\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38},"
        "{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":40,\"op\":\"SCMP_CMP_NE\"}]},"
        "{\"names\":[\"personality\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":0,\"op\":\"SCMP_CMP_EQ\"}]},"
        "{\"names\":[\"personality\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":8,\"op\":\"SCMP_CMP_EQ\"}]},"
        "{\"names\":[\"personality\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":131080,\"op\":\"SCMP_CMP_EQ\"}]},"
        "{\"names\":[\"personality\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":4294967295,\"op\":\"SCMP_CMP_EQ\"}]}]"
        "}";

Test(oci, without_another_profile) {
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        _cleanup_(three_done) struct three t = {};

        collect(&b);
        merge(&b, NULL, &t);
        compare(&t, true, NULL);
        cr_expect_eq(answer(&t.merged, __NR_ioctl, (uint64_t[6]) { 0, 0x100005412 }), SECCOMP_RET_USER_NOTIF);
        cr_expect_eq(answer(&t.merged, __NR_ioctl, (uint64_t[6]) { 0, 0x5413 }), SECCOMP_RET_ALLOW);
}

Test(oci, with_dockers) {
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        _cleanup_(three_done) struct three t = {};

        collect(&b);
        merge(&b, docker, &t);
        compare(&t, true, docker);
        /* Their errno, where the call is theirs to refuse; ours, where nobody has the call. */
        cr_expect_eq(answer(&t.merged, __NR_clone, (uint64_t[6]) { 0x20000 }), SECCOMP_RET_ERRNO | EPERM);
        cr_expect_eq(answer(&t.merged, __NR_clone, (uint64_t[6]) { 17 }), SECCOMP_RET_ALLOW);
        cr_expect_eq(answer(&t.merged, __NR_bpf, (uint64_t[6]) {}), SECCOMP_RET_ERRNO | EPERM);
        cr_expect_eq(answer(&t.merged, __NR_clone3, (uint64_t[6]) {}), SECCOMP_RET_ERRNO | ENOSYS);
        cr_expect_eq(answer(&t.merged, __NR_personality, (uint64_t[6]) { 7 }), SECCOMP_RET_ERRNO | EPERM);
        cr_expect_eq(answer(&t.merged, __NR_personality, (uint64_t[6]) { 8 }), SECCOMP_RET_ALLOW);
        cr_expect_eq(answer(&t.merged, __NR_connect, (uint64_t[6]) {}), SECCOMP_RET_USER_NOTIF);
        cr_expect_eq(answer(&t.merged, __NR_fcntl, (uint64_t[6]) {}), SECCOMP_RET_ERRNO | EPERM);
        cr_expect_eq(answer(&t.merged, __NR_socket, (uint64_t[6]) { 40 }), SECCOMP_RET_ERRNO | EPERM);
        cr_expect_eq(answer(&t.merged, __NR_socket, (uint64_t[6]) { 1, 1, 0 }), SECCOMP_RET_ALLOW);
}

/* Two comparisons of one argument in a list mean: any of all. */
Test(oci, comparisons_of_one_argument) {
        static const char text[] =
                "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"kill\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":["
                "{\"index\":1,\"value\":9,\"op\":\"SCMP_CMP_EQ\"},{\"index\":1,\"value\":15,\"op\":\"SCMP_CMP_EQ\"}]}]}";
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        _cleanup_(three_done) struct three t = {};

        collect(&b);
        merge(&b, text, &t);
        compare(&t, true, text);
        cr_expect_eq(answer(&t.merged, __NR_kill, (uint64_t[6]) { 1, 9 }), SECCOMP_RET_ERRNO | EPERM);
        cr_expect_eq(answer(&t.merged, __NR_kill, (uint64_t[6]) { 1, 15 }), SECCOMP_RET_ERRNO | EPERM);
        cr_expect_eq(answer(&t.merged, __NR_kill, (uint64_t[6]) { 1, 10 }), SECCOMP_RET_ALLOW);
}

Test(oci, a_default_that_kills_stays) {
        static const char text[] = "{\"defaultAction\":\"SCMP_ACT_KILL_PROCESS\",\"syscalls\":[{\"names\":[\"getpid\",\"io_uring_setup\"],"
                                   "\"action\":\"SCMP_ACT_ALLOW\"}]}";
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        _cleanup_(three_done) struct three t = {};

        collect(&b);
        merge(&b, text, &t);
        cr_expect_eq(answer(&t.merged, __NR_getpid, (uint64_t[6]) {}), SECCOMP_RET_ALLOW);
        cr_expect_eq(answer(&t.merged, __NR_kill, (uint64_t[6]) {}), SECCOMP_RET_KILL_PROCESS);
        cr_expect_eq(answer(&t.merged, __NR_io_uring_setup, (uint64_t[6]) {}), SECCOMP_RET_ERRNO | ENOSYS);
        cr_expect_eq(answer(&t.merged, 100000, (uint64_t[6]) {}), SECCOMP_RET_KILL_PROCESS);
}

static const char *random_profile(char *buffer, size_t size) {
        static const char *const names[] = { "ioctl", "clone",   "personality", "sendto", "socket", "kill",
                                             "mmap",  "connect", "getpid",      "bpf",    "openat" };
        static const char *const all[] = { "ALLOW", "ERRNO", "KILL_PROCESS", "LOG", "TRAP", "ALLOW", "ALLOW", "ERRNO" };
        static const char *const ops[] = { "NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ", "MASKED_EQ", "EQ" };
        /* One action for each call: what libseccomp makes of a call's overlapping rules with several is its own matter. */
        const char *action[ELEMENTSOF(names)];
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                action[i] = all[random_below(ELEMENTSOF(all))];
        n += snprintf(buffer, size, "{\"defaultAction\":\"SCMP_ACT_%s\",\"syscalls\":[", all[random_below(2)]);
        for (unsigned i = 0; i < 14; i++) {
                size_t which = random_below(ELEMENTSOF(names));
                unsigned n_args = random_below(3);
                n += snprintf(buffer + n, size - n, "%s{\"names\":[\"%s\"],\"action\":\"SCMP_ACT_%s\",\"args\":[", i ? "," : "",
                              names[which], action[which]);
                for (unsigned j = 0; j < n_args; j++) {
                        const char *op = ops[random_below(ELEMENTSOF(ops))];
                        uint64_t value = interesting(), two = strcmp(op, "MASKED_EQ") == 0 ? random_number() & value : 0;
                        n += snprintf(buffer + n, size - n, "%s{\"index\":%u,\"value\":%llu,\"valueTwo\":%llu,\"op\":\"SCMP_CMP_%s\"}",
                                      j ? "," : "", (unsigned) random_below(3), (unsigned long long) value, (unsigned long long) two, op);
                }
                n += snprintf(buffer + n, size - n, "]}");
        }
        snprintf(buffer + n, size - n, "]}");
        return buffer;
}

/* Where libseccomp itself makes something else of a profile than it says, the merged one is held to the stricter reading of both. */
Test(oci, random_profiles, .timeout = 120) {
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        static char text[16384];
        unsigned built = 0;

        collect(&b);
        for (unsigned i = 0; i < 40; i++) {
                _cleanup_(three_done) struct three t = {};
                read_profile(random_profile(text, sizeof(text)), &t.theirs_profile);
                if (oci_profile_build(&t.theirs_profile, &t.theirs) < 0)
                        continue;
                built++;
                oci_profile_done(&t.theirs_profile);
                free(t.theirs.filter);
                t.theirs.filter = NULL;
                merge(&b, text, &t);
                compare(&t, false, text);
        }
        cr_assert_gt(built, 20);
}

static void refused(const char *text, const char *part) {
        _cleanup_(oci_profile_done) struct oci_profile p = {};
        struct json_object *json = parse(text);
        _cleanup_free_ char *why = NULL;

        cr_expect_eq(oci_profile_read(json, &p, &why), -EINVAL, "%s", text);
        cr_expect(why && strstr(why, part), "%s: %s", text, why ? why : "no reason");
        json_object_put(json);
}

/* Nobody traces; and the broker, whose answers come first, would let it be. */
Test(oci, what_is_to_be_traced_is_refused) {
        _cleanup_(oci_profile_done) struct oci_profile p = {};
        const uint64_t args[6] = {};

        read_profile("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_TRACE\","
                     "\"errnoRet\":7}]}",
                     &p);
        cr_expect_eq(oci_profile_answer(&p, __NR_mkdir, args), SECCOMP_RET_ERRNO | ENOSYS);
        cr_expect_eq(oci_profile_answer(&p, __NR_rmdir, args), SECCOMP_RET_ALLOW);
}

Test(oci, what_is_not_understood_is_refused) {
        refused("[]", "no object");
        refused("{}", "`defaultAction` is no action");
        refused("{\"defaultAction\":\"SCMP_ACT_WHATEVER\"}", "`defaultAction` is no action");
        refused("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/x\"}", "an agent of its own");
        refused("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":\"SCMP_ARCH_X86\"}", "`architectures` is no list");
        refused("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[5]}", "something else than names");
        refused("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86\",\"SCMP_ARCH_NOTHING\"]}",
                "'SCMP_ARCH_NOTHING' is no");
        refused("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}",
                "an agent of its own");
        refused("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":{}}", "no list");
        refused("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[3],\"action\":\"SCMP_ACT_ERRNO\"}]}", "`names`");
        refused("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"kill\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":"
                "70000}]}",
                "`errnoRet`");
        refused("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"kill\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{"
                "\"index\":6,\"op\":\"SCMP_CMP_EQ\"}]}]}",
                "`index`");
        refused("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"kill\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{"
                "\"index\":1,\"op\":\"SCMP_CMP_XX\"}]}]}",
                "`op`");
        refused("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"kill\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{"
                "\"index\":1,\"value\":\"9\",\"op\":\"SCMP_CMP_EQ\"}]}]}",
                "`value`");
}

static char *replace(const char *text, const char *what, const char *by) {
        char *out = malloc(strlen(text) + 1), *end = out;

        for (const char *at; (at = strstr(text, what)); text = at + strlen(what)) {
                end = mempcpy(end, text, at - text);
                end = stpcpy(end, by);
        }
        strcpy(end, text);
        return out;
}

/* Written and read again, it is the same program. */
Test(oci, written_profiles_say_the_same) {
        _cleanup_(filter_builder_done) struct filter_builder b = {};
        _cleanup_(three_done) struct three t = {};
        _cleanup_(oci_profile_done) struct oci_profile again = {};
        struct sock_fprog program;
        _cleanup_free_ char *why = NULL;

        collect(&b);
        merge(&b, docker, &t);
        struct json_object *theirs = parse("{\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"]}"),
                           *json = oci_profile_write(&t.merged_profile, true, theirs), *value;
        oci_profile_listen(json, "/run/agent", "{\"policy\":\"x\"}");
        cr_assert(json_object_object_get_ex(json, "listenerPath", &value));
        cr_expect_str_eq(json_object_get_string(value), "/run/agent");
        cr_assert(json_object_object_get_ex(json, "listenerMetadata", &value));
        cr_expect_str_eq(json_object_get_string(value), "{\"policy\":\"x\"}");
        cr_assert(json_object_object_get_ex(json, "flags", &value));
        cr_expect_str_eq(json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN),
                         "[\"SECCOMP_FILTER_FLAG_LOG\",\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"]");

        /* As another profile it would be refused for its agent: read its rules with that taken out. */
        json_object_object_del(json, "listenerPath");
        _cleanup_free_ char *text = replace(json_object_to_json_string(json), "SCMP_ACT_NOTIFY", "SCMP_ACT_LOG");
        read_profile(text, &again);
        for (size_t i = 0; i < again.n; i++)
                if (again.rules[i].action == SECCOMP_RET_LOG)
                        again.rules[i].action = SECCOMP_RET_USER_NOTIF;
        cr_assert_eq(oci_profile_build(&again, &program), 0);
        cr_expect_eq(program.len, t.merged.len);
        for (int nr = 0; nr < 500; nr++)
                for (unsigned i = 0; i < 50; i++) {
                        uint64_t args[6];
                        for (size_t j = 0; j < 6; j++)
                                args[j] = interesting();
                        cr_assert_eq(answer(&program, nr, args), answer(&t.merged, nr, args));
                }
        free(program.filter);
        json_object_put(json);
        json_object_put(theirs);
}
