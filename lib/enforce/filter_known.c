#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdlib.h>

#include "cleanup.h"
#include "filter_program.h"

int program_add(struct program *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf) {
        if (p->n == p->room) {
                size_t room = p->room ? p->room * 2 : 128;
                struct sock_filter *bigger = reallocarray(p->code, room, sizeof(*bigger));
                if (!bigger)
                        return -ENOMEM;
                p->code = bigger;
                p->room = room;
        }
        p->code[p->n++] = (struct sock_filter) { .code = code, .jt = jt, .jf = jf, .k = k };
        return 0;
}

void program_done(struct program *p) {
        free(p->code);
        *p = (struct program) {};
}

/* Calls from `first` up to the next range's have the same answer. */
struct range {
        uint32_t first, action;
};

/* The tree over ranges[0..n), with the call's number in the accumulator. Jumps go forward only, so the left half is emitted first and the
 * jump over it is filled in when its length is known; 8 bits of a conditional jump may not reach, those of JA do. */
static int emit_tree(struct program *p, const struct range *ranges, size_t n) {
        if (n == 1)
                return program_add(p, BPF_RET | BPF_K, ranges[0].action, 0, 0);

        size_t middle = n / 2;
        int r = program_add(p, BPF_JMP | BPF_JGE | BPF_K, ranges[middle].first, 0, 1);
        if (r < 0)
                return r;
        size_t jump = p->n;
        r = program_add(p, BPF_JMP | BPF_JA, 0, 0, 0);
        if (r < 0)
                return r;
        r = emit_tree(p, ranges, middle);
        if (r < 0)
                return r;
        p->code[jump].k = p->n - jump - 1;
        return emit_tree(p, ranges + middle, n - middle);
}

int program_known(const int *allow, size_t n, struct program *ret) {
        const uint32_t unknown = SECCOMP_RET_ERRNO | ENOSYS;
        _cleanup_(program_done) struct program p = {};
        _cleanup_free_ struct range *ranges = calloc(2 * n + 3, sizeof(*ranges));
        size_t n_ranges = 0;
        int r;

        if (!ranges)
                return -ENOMEM;
        for (size_t i = 0, next = 0; i < n; i++) {
                if ((size_t) allow[i] > next || n_ranges == 0) {
                        if (allow[i] > 0)
                                ranges[n_ranges++] = (struct range) { next, unknown };
                        ranges[n_ranges++] = (struct range) { allow[i], SECCOMP_RET_ALLOW };
                }
                next = allow[i] + 1;
        }
        ranges[n_ranges] = (struct range) { n_ranges ? allow[n - 1] + 1 : 0, unknown };
        n_ranges++;
        /* A tracer skips a call by changing its number to -1; the kernel does nothing then, and an ENOSYS here would overwrite the
         * result that the tracer chose. x32 calls (bit 30) fall into the range before. */
        ranges[n_ranges++] = (struct range) { UINT32_MAX, SECCOMP_RET_ALLOW };

        const struct sock_filter start[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        };
        for (size_t i = 0; i < ELEMENTSOF(start); i++) {
                r = program_add(&p, start[i].code, start[i].k, start[i].jt, start[i].jf);
                if (r < 0)
                        return r;
        }
        r = emit_tree(&p, ranges, n_ranges);
        if (r < 0)
                return r;
        *ret = p;
        p = (struct program) {};
        return 0;
}
