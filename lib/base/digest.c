#include "digest.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

void digest_add(struct digest *d, const void *data, size_t size) {
        __extension__ typedef unsigned __int128 number;
        const number prime = (number) 1 << 88 | 0x13b, basis = (number) UINT64_C(0x6c62272e07bb0142) << 64 | UINT64_C(0x62b821756295c58d);
        number value = d->value ^ basis;

        for (const unsigned char *p = data; size > 0; size--)
                value = (value ^ *p++) * prime;
        d->value = value ^ basis;
}

void digest_add_unordered(struct digest *d, const struct digest *other) {
        d->value += other->value;
}

const char *digest_text(const struct digest *d, char ret[DIGEST_TEXT_SIZE]) {
        snprintf(ret, DIGEST_TEXT_SIZE, "%016" PRIx64 "%016" PRIx64, (uint64_t) (d->value >> 64), (uint64_t) d->value);
        return ret;
}
