#include "filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "digest.h"
#include "fd.h"
#include "filter_program.h"
#include "sys.h"

int filter_builder_notify(struct filter_builder *b, int nr, const struct filter_arg *args, size_t n_args) {
        struct filter_rule rule = { .nr = nr, .n_args = n_args };

        if (nr < 0 || n_args > ELEMENTSOF(rule.args))
                return -EINVAL;
        for (size_t i = 0; i < n_args; i++) {
                if (args[i].index > 5 || (!args[i].nonzero && (args[i].value & ~args[i].mask)))
                        return -EINVAL;
                rule.args[i] = args[i];
        }

        struct filter_rule *bigger = reallocarray(b->notify, b->n_notify + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        b->notify = bigger;
        b->notify[b->n_notify++] = rule;
        return filter_builder_allow(b, nr);
}

int filter_builder_allow(struct filter_builder *b, int nr) {
        if (nr < 0)
                return -EINVAL;
        int *bigger = reallocarray(b->allow, b->n_allow + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        b->allow = bigger;
        b->allow[b->n_allow++] = nr;
        return 0;
}

/* Member by member: what pads a struct is anything. */
static struct digest rule_digest(const struct filter_rule *rule) {
        uint32_t numbers[2 + 4 * ELEMENTSOF(rule->args)], n = 0;
        struct digest d = {};

        numbers[n++] = rule->nr;
        numbers[n++] = rule->n_args;
        for (size_t i = 0; i < rule->n_args; i++) {
                numbers[n++] = rule->args[i].index;
                numbers[n++] = rule->args[i].nonzero;
                numbers[n++] = rule->args[i].mask;
                numbers[n++] = rule->args[i].value;
        }
        digest_add(&d, numbers, n * sizeof(numbers[0]));
        return d;
}

void filter_builder_digest(const struct filter_builder *b, struct digest *ret) {
        for (size_t i = 0; i < b->n_notify; i++) {
                const struct digest d = rule_digest(&b->notify[i]);
                digest_add_unordered(ret, &d);
        }
        for (size_t i = 0; i < b->n_allow; i++) {
                struct digest d = {};
                digest_add(&d, &b->allow[i], sizeof(b->allow[i]));
                digest_add_unordered(ret, &d);
        }
}

void filter_builder_done(struct filter_builder *b) {
        free(b->notify);
        free(b->allow);
        *b = (struct filter_builder) {};
}

static int compare_int(const void *a, const void *b) {
        return *(const int *) a - *(const int *) b;
}

/* A whole list of 350 calls takes libseccomp 2.4 ms (of its binary tree, 1.4 ms), and every start would pay it. Neighbouring calls have the
 * same answer here, so that the tree over ranges has some 80 instructions and takes microseconds. */
static int build_known(const struct filter_builder *b, struct sock_fprog *ret) {
        _cleanup_(program_done) struct program p = {};
        _cleanup_free_ int *sorted = calloc(b->n_allow + 1, sizeof(*sorted));
        size_t n = 0;
        int r;

        if (!sorted)
                return -ENOMEM;
        if (b->n_allow > 0)
                memcpy(sorted, b->allow, b->n_allow * sizeof(*sorted));
        qsort(sorted, b->n_allow, sizeof(*sorted), compare_int);
        for (size_t i = 0; i < b->n_allow; i++)
                if (n == 0 || sorted[n - 1] != sorted[i])
                        sorted[n++] = sorted[i];

        r = program_known(sorted, n, &p);
        if (r < 0)
                return r;
        if (p.n > FILTER_MAX)
                return -E2BIG;
        *ret = (struct sock_fprog) { .len = p.n, .filter = TAKE_PTR(p.code) };
        return 0;
}

/* Whether a call is notified whatever its arguments are. */
static bool swallowed(const struct filter_builder *b, int nr) {
        for (size_t i = 0; i < b->n_notify; i++)
                if (b->notify[i].nr == nr && b->notify[i].n_args == 0)
                        return true;
        return false;
}

static void release_context(scmp_filter_ctx *context) {
        if (*context)
                seccomp_release(*context);
}

static int add_notify(scmp_filter_ctx context, const struct filter_rule *rule) {
        struct scmp_arg_cmp args[ELEMENTSOF(rule->args)];

        for (size_t i = 0; i < rule->n_args; i++) {
                const struct filter_arg *a = rule->args + i;
                args[i] = a->nonzero ? SCMP_CMP64(a->index, SCMP_CMP_NE, 0) : SCMP_CMP64(a->index, SCMP_CMP_MASKED_EQ, a->mask, a->value);
        }
        int r = seccomp_rule_add_exact_array(context, SCMP_ACT_NOTIFY, rule->nr, rule->n_args, args);
        return r == -EEXIST ? 0 : r; /* the same rule twice */
}

int filter_export(void *context, struct sock_fprog *ret) {
        _cleanup_close_ int fd = memfd_create("filter", MFD_CLOEXEC);
        _cleanup_free_ char *code = NULL;
        size_t size;
        int r;

        if (fd < 0)
                return -errno;
        r = seccomp_export_bpf(context, fd);
        if (r < 0)
                return r;
        if (lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        r = fd_read_file(fd, (FILTER_MAX + 1) * sizeof(struct sock_filter), &code, &size);
        if (r < 0)
                return r == -EFBIG ? -E2BIG : r;
        if (size / sizeof(struct sock_filter) > FILTER_MAX)
                return -E2BIG;
        *ret = (struct sock_fprog) { .len = size / sizeof(struct sock_filter), .filter = (struct sock_filter *) TAKE_PTR(code) };
        return 0;
}

static int build_notify(const struct filter_builder *b, struct sock_fprog *ret) {
        _cleanup_(release_context) scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
        int r;

        if (!context)
                return -ENOMEM;
        /* `known` has killed foreign architectures already; the stricter answer counts, so that any answer but ALLOW would do as well. x32
         * calls are a foreign architecture to libseccomp, and ENOSYS in `known`. */
        r = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
        if (r < 0)
                return r;
        r = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
        if (r < 0)
                return r;
        for (size_t i = 0; i < b->n_notify; i++) {
                if (b->notify[i].n_args > 0 && swallowed(b, b->notify[i].nr))
                        continue;
                r = add_notify(context, b->notify + i);
                if (r < 0)
                        return r;
        }
        return filter_export(context, ret);
}

/* Runs what was built over every rule's own case and the calls without rules: an error of the library's (it has merged rules wrongly
 * before) must not become a hole. */
static int verify(const struct filter_builder *b, const struct filter *filter) {
        for (size_t i = 0; i < b->n_allow; i++)
                if (filter_simulate(&filter->known, FILTER_ARCH, b->allow[i], (uint64_t[6]) {}) != SECCOMP_RET_ALLOW)
                        return -EBADMSG;

        for (size_t i = 0; i < b->n_notify; i++) {
                const struct filter_rule *rule = b->notify + i;
                uint64_t low[6] = {}, high[6];
                for (size_t j = 0; j < 6; j++)
                        high[j] = UINT64_MAX;
                for (size_t j = 0; j < rule->n_args; j++) {
                        const struct filter_arg *a = rule->args + j;
                        low[a->index] = a->nonzero ? UINT64_C(1) << 32 : a->value;
                        high[a->index] = a->nonzero ? 1 : ~(uint64_t) a->mask | a->value;
                }
                if (filter_simulate(&filter->notify, FILTER_ARCH, rule->nr, low) != SECCOMP_RET_USER_NOTIF ||
                    filter_simulate(&filter->notify, FILTER_ARCH, rule->nr, high) != SECCOMP_RET_USER_NOTIF)
                        return -EBADMSG;
        }
        return 0;
}

int filter_build(const struct filter_builder *b, struct filter *ret) {
        _cleanup_(filter_done) struct filter filter = {};
        int r;

        r = build_known(b, &filter.known);
        if (r < 0)
                return r;
        r = build_notify(b, &filter.notify);
        if (r < 0)
                return r;
        r = verify(b, &filter);
        if (r < 0)
                return r;
        *ret = filter;
        filter = (struct filter) {};
        return 0;
}

static bool program_equal(const struct sock_fprog *a, const struct sock_fprog *b) {
        return a->len == b->len && memcmp(a->filter, b->filter, a->len * sizeof(*a->filter)) == 0;
}

bool filter_equal(const struct filter *a, const struct filter *b) {
        return program_equal(&a->known, &b->known) && program_equal(&a->notify, &b->notify);
}

void filter_done(struct filter *filter) {
        free(filter->known.filter);
        free(filter->notify.filter);
        *filter = (struct filter) {};
}

int filter_load(const struct filter *filter, bool wait_killable) {
        unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | (wait_killable ? SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV : 0);

        /* FOR TESTS: the same sandbox with nothing filtered and nobody asked, to hold the broker's answers against the kernel's. */
        static struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        const struct sock_fprog nothing = { .len = 1, .filter = &allow };
        if (sys_unsafe("filter")) {
                int listener = sys_seccomp(SECCOMP_SET_MODE_FILTER, flags, (void *) &nothing);
                return listener < 0 ? -errno : listener;
        }

        /* `known` first: it allows seccomp(2), which `notify` may send to a listener that nobody serves yet. */
        if (sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, (void *) &filter->known) < 0)
                return -errno;
        int listener = sys_seccomp(SECCOMP_SET_MODE_FILTER, flags, (void *) &filter->notify);
        return listener < 0 ? -errno : listener;
}
