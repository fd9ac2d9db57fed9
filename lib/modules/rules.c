#include "module.h"

int rule_always(struct filter_builder *filter, int nr) {
        return filter_builder_notify(filter, nr, NULL, 0);
}

int rule_claims(struct filter_builder *filter, const struct claim *claims) {
        int r = 0;

        for (; r >= 0 && claims->name; claims++)
                r = rule_always(filter, claims->nr);
        return r;
}

int rule_bits(struct filter_builder *filter, int nr, unsigned index, uint32_t mask) {
        for (uint32_t bit = 1; bit; bit <<= 1) {
                if (!(mask & bit))
                        continue;
                int r = filter_builder_notify(filter, nr, &(struct filter_arg) { .index = index, .mask = bit, .value = bit }, 1);
                if (r < 0)
                        return r;
        }
        return 0;
}

int rule_equal(struct filter_builder *filter, int nr, unsigned index, uint32_t value) {
        return filter_builder_notify(filter, nr, &(struct filter_arg) { .index = index, .mask = UINT32_MAX, .value = value }, 1);
}

/* The numbers that begin with the bits of `prefix` (those in `fixed`, from the top down): one rule where none of the values is among them, else
 * both halves. So the complement of a few values becomes about 32 disjoint rules, of the kind that libseccomp merges rightly. */
static int cover(struct filter_builder *filter, int nr, unsigned index, uint32_t mask, uint32_t fixed, uint32_t prefix,
                 const uint32_t *values, size_t n, const struct filter_arg *also) {
        size_t inside = 0;

        for (size_t i = 0; i < n; i++)
                inside += (values[i] & fixed) == prefix;
        if (inside == 0) {
                struct filter_arg args[2] = { { .index = index, .mask = fixed, .value = prefix } };
                if (also)
                        args[1] = *also;
                return filter_builder_notify(filter, nr, args, also ? 2 : 1);
        }
        if (fixed == mask)
                return 0;

        uint32_t bit = UINT32_C(1) << (31 - __builtin_clz(mask & ~fixed));
        int r = cover(filter, nr, index, mask, fixed | bit, prefix, values, n, also);
        return r < 0 ? r : cover(filter, nr, index, mask, fixed | bit, prefix | bit, values, n, also);
}

int rule_unless(struct filter_builder *filter, int nr, unsigned index, uint32_t mask, const uint32_t *values, size_t n,
                const struct filter_arg *also) {
        return cover(filter, nr, index, mask, 0, 0, values, n, also);
}
