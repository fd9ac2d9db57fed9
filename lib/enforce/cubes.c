#include "cubes.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"

int cubes_add(struct cubes *s, const struct cube *cube) {
        if (s->n == s->room) {
                size_t room = s->room ? 2 * s->room : 16;
                if (s->n >= CUBES_MAX)
                        return -E2BIG;
                struct cube *bigger = reallocarray(s->list, room, sizeof(*bigger));
                if (!bigger)
                        return -ENOMEM;
                s->list = bigger;
                s->room = room;
        }
        s->list[s->n++] = *cube;
        return 0;
}

int cubes_add_all(struct cubes *s) {
        return cubes_add(s, &(struct cube) {});
}

int cubes_append(struct cubes *s, const struct cubes *more) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < more->n; i++)
                r = cubes_add(s, more->list + i);
        return r;
}

void cubes_done(struct cubes *s) {
        free(s->list);
        *s = (struct cubes) {};
}

bool cube_intersect(const struct cube *a, const struct cube *b, struct cube *ret) {
        struct cube common;

        for (size_t i = 0; i < CUBE_ARGS; i++) {
                if ((a->value[i] ^ b->value[i]) & a->mask[i] & b->mask[i])
                        return false;
                common.mask[i] = a->mask[i] | b->mask[i];
                common.value[i] = a->value[i] | b->value[i];
        }
        *ret = common;
        return true;
}

bool cube_matches(const struct cube *cube, const uint64_t args[CUBE_ARGS]) {
        for (size_t i = 0; i < CUBE_ARGS; i++)
                if ((args[i] & cube->mask[i]) != cube->value[i])
                        return false;
        return true;
}

int cubes_add_common(struct cubes *s, const struct cubes *a, const struct cubes *b) {
        struct cube common;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < a->n; i++)
                for (size_t j = 0; r >= 0 && j < b->n; j++)
                        if (cube_intersect(a->list + i, b->list + j, &common))
                                r = cubes_add(s, &common);
        return r;
}

/* What of `from` isn't in `cube`: for each bit that only `cube` fixes, from the top, the half in which the bit is the other way. */
static int add_rest(struct cubes *s, struct cube from, const struct cube *cube) {
        for (size_t i = 0; i < CUBE_ARGS; i++)
                for (uint64_t free_bits = cube->mask[i] & ~from.mask[i]; free_bits;) {
                        uint64_t bit = UINT64_C(1) << (63 - __builtin_clzll(free_bits));
                        struct cube half = from;
                        half.mask[i] |= bit;
                        half.value[i] |= ~cube->value[i] & bit;
                        int r = cubes_add(s, &half);
                        if (r < 0)
                                return r;
                        from.mask[i] |= bit;
                        from.value[i] |= cube->value[i] & bit;
                        free_bits &= ~bit;
                }
        return 0;
}

int cubes_subtract(struct cubes *s, const struct cube *cube) {
        struct cube common;

        for (size_t i = 0; i < s->n;) {
                if (!cube_intersect(s->list + i, cube, &common)) {
                        i++;
                        continue;
                }
                /* What comes in its place, and at the end, has nothing in common with the cube. */
                struct cube from = s->list[i];
                s->list[i] = s->list[--s->n];
                int r = add_rest(s, from, cube);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The values that agree with the bound down to a bit, and there have a 1 for its 0 (or the other way round). */
static int add_beyond(struct cubes *s, const struct cube *rest, unsigned index, uint64_t bound, bool above) {
        for (uint64_t bit = UINT64_C(1) << 63; bit; bit >>= 1) {
                if (!(bound & bit) != above)
                        continue;
                struct cube cube = {}, common;
                cube.mask[index] = ~(bit - 1);
                cube.value[index] = (bound & ~(bit - 1)) ^ bit;
                if (!cube_intersect(&cube, rest, &common))
                        continue;
                int r = cubes_add(s, &common);
                if (r < 0)
                        return r;
        }
        return 0;
}

int cubes_add_above(struct cubes *s, const struct cube *rest, unsigned index, uint64_t bound) {
        return add_beyond(s, rest, index, bound, true);
}

int cubes_add_below(struct cubes *s, const struct cube *rest, unsigned index, uint64_t bound) {
        return add_beyond(s, rest, index, bound, false);
}
