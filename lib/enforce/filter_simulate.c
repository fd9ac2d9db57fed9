/*
 * The part of classic BPF that the kernel allows in seccomp programs (seccomp_check_filter), run over one call.
 */
#include <linux/seccomp.h>
#include <string.h>

#include "filter.h"

static uint32_t load(const struct seccomp_data *data, uint32_t offset) {
        uint32_t word = 0;

        if (offset % sizeof(word) == 0 && offset <= sizeof(*data) - sizeof(word))
                memcpy(&word, (const char *) data + offset, sizeof(word));
        return word;
}

static bool jump_taken(uint16_t code, uint32_t a, uint32_t b) {
        switch (BPF_OP(code)) {
        case BPF_JEQ: return a == b;
        case BPF_JGT: return a > b;
        case BPF_JGE: return a >= b;
        default: /* BPF_JSET */ return a & b;
        }
}

static uint32_t calculate(uint16_t code, uint32_t a, uint32_t b) {
        switch (BPF_OP(code)) {
        case BPF_ADD: return a + b;
        case BPF_SUB: return a - b;
        case BPF_MUL: return a * b;
        case BPF_DIV: return b ? a / b : 0;
        case BPF_AND: return a & b;
        case BPF_OR: return a | b;
        case BPF_XOR: return a ^ b;
        case BPF_LSH: return b < 32 ? a << b : 0;
        case BPF_RSH: return b < 32 ? a >> b : 0;
        default: /* BPF_NEG */ return -a;
        }
}

uint32_t filter_simulate(const struct sock_fprog *program, uint32_t arch, int nr, const uint64_t args[6]) {
        struct seccomp_data data = { .nr = nr, .arch = arch };
        uint32_t a = 0, x = 0, memory[BPF_MEMWORDS] = {};

        memcpy(data.args, args, sizeof(data.args));
        for (size_t pc = 0; pc < program->len; pc++) {
                const struct sock_filter *f = program->filter + pc;
                uint32_t operand = BPF_SRC(f->code) == BPF_X ? x : f->k;

                switch (BPF_CLASS(f->code)) {
                case BPF_RET: return BPF_RVAL(f->code) == BPF_A ? a : f->k;
                case BPF_LD:
                case BPF_LDX: {
                        uint32_t value = BPF_MODE(f->code) == BPF_ABS   ? load(&data, f->k)
                                         : BPF_MODE(f->code) == BPF_MEM ? memory[f->k % BPF_MEMWORDS]
                                         : BPF_MODE(f->code) == BPF_LEN ? sizeof(data)
                                                                        : f->k;
                        *(BPF_CLASS(f->code) == BPF_LD ? &a : &x) = value;
                        break;
                }
                case BPF_ST: memory[f->k % BPF_MEMWORDS] = a; break;
                case BPF_STX: memory[f->k % BPF_MEMWORDS] = x; break;
                case BPF_ALU: a = calculate(f->code, a, operand); break;
                case BPF_JMP:
                        if (BPF_OP(f->code) == BPF_JA)
                                pc += f->k;
                        else
                                pc += jump_taken(f->code, a, operand) ? f->jt : f->jf;
                        break;
                case BPF_MISC:
                        if (BPF_MISCOP(f->code) == BPF_TAX)
                                x = a;
                        else
                                a = x;
                        break;
                }
        }
        /* The kernel doesn't load a program that can end without a RET. */
        return SECCOMP_RET_KILL_PROCESS;
}
