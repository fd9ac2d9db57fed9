/*
 * Private to the filters: growing BPF programs, and the tree over call numbers that `known` consists of.
 */
#pragma once

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#else
#error "no seccomp architecture is known for this machine"
#endif

#define FILTER_MAX 4096 /* BPF_MAXINSNS */

struct program {
        struct sock_filter *code;
        size_t n, room;
};

int program_add(struct program *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf);
void program_done(struct program *p);

/* Makes the program that allows the `n` sorted, distinct calls, kills foreign architectures, and answers the rest with ENOSYS. */
int program_known(const int *allow, size_t n, struct program *ret);

/* The program of a libseccomp context (scmp_filter_ctx); the caller frees `ret->filter`. -E2BIG: more than FILTER_MAX instructions. */
int filter_export(void *context, struct sock_fprog *ret);
