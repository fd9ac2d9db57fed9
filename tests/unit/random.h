/*
 * Numbers that look random and are the same in each run.
 */
#pragma once

#include <stdint.h>

static uint64_t random_state = 88172645463325252u;

static inline uint64_t random_number(void) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return random_state * UINT64_C(0x2545f4914f6cdd1d);
}

static inline uint64_t random_below(uint64_t n) {
        return random_number() % n;
}
