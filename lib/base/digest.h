/*
 * Digests: whether two sides mean the same, of which neither has reason to deceive the other. Nothing that an adversary could not make collide (FNV-1a, of
 * 128 bits).
 */
#pragma once

#include <stddef.h>

/* Zero-initialise it. */
struct digest {
        __extension__ unsigned __int128 value;
};

#define DIGEST_TEXT_SIZE 33

void digest_add(struct digest *d, const void *data, size_t size);
/* Adds another one, in any order with others. */
void digest_add_unordered(struct digest *d, const struct digest *other);
/* Its 32 hexadecimal digits. */
const char *digest_text(const struct digest *d, char ret[DIGEST_TEXT_SIZE]);
