#include "differential.h"

/* splitmix64: every state, 0 and neighbouring seeds included, gives a good sequence. */
uint64_t random_next(struct random *r) {
        uint64_t z = (r->state += 0x9e3779b97f4a7c15);

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
}

unsigned random_below(struct random *r, unsigned n) {
        return n ? (random_next(r) >> 32) * n >> 32 : 0;
}

bool random_chance(struct random *r, unsigned percent) {
        return random_below(r, 100) < percent;
}
