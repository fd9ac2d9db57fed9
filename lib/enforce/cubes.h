/*
 * Conditions on a call's arguments as sets of cubes: in a cube each bit of the six arguments is 0, 1, or either. Every comparison that seccomp
 * profiles know is a union of cubes, what two conditions have in common is again one, and a rule of an OCI profile (comparisons of different
 * arguments, all of which must hold) is exactly a cube, or a simpler thing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CUBE_ARGS 6

/* The arguments a with (a[i] & mask[i]) == value[i] for all i; value has no bits outside of mask. */
struct cube {
        uint64_t mask[CUBE_ARGS], value[CUBE_ARGS];
};

struct cubes {
        struct cube *list;
        size_t n, room;
};

/* More of them make no profile that could be loaded. */
#define CUBES_MAX 2048

/* All return 0, -ENOMEM, or -E2BIG where there would be more than CUBES_MAX. */
int cubes_add(struct cubes *s, const struct cube *cube);
int cubes_add_all(struct cubes *s); /* the cube that everything is in */
int cubes_append(struct cubes *s, const struct cubes *more);
/* Adds what both have in common: disjoint cubes where each of the two consists of disjoint ones. */
int cubes_add_common(struct cubes *s, const struct cubes *a, const struct cubes *b);
/* Takes a cube away; what is disjoint stays so. After an error there is some of it left. */
int cubes_subtract(struct cubes *s, const struct cube *cube);
void cubes_done(struct cubes *s);

bool cube_intersect(const struct cube *a, const struct cube *b, struct cube *ret);
bool cube_matches(const struct cube *cube, const uint64_t args[CUBE_ARGS]);

/* Adds the values of one argument above (or below) a bound, with the other arguments as in `rest`: at most 64 cubes. */
int cubes_add_above(struct cubes *s, const struct cube *rest, unsigned index, uint64_t bound);
int cubes_add_below(struct cubes *s, const struct cube *rest, unsigned index, uint64_t bound);
