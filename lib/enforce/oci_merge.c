/*
 * Merging a filter with a profile.
 *
 * Each call is said in the first of these ways that is small enough and that libseccomp makes right (it has merged rules wrongly before, so that
 * every program is run over its own cases):
 * - exactly: as disjoint cubes, each with the stricter action of both sides;
 * - their rules as they are, but for those that let pass: these send the call to the broker, which knows what ours says;
 * - the strictest action that the call has on either side, whatever its arguments are.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>

#include "cleanup.h"
#include "cubes.h"
#include "filter_program.h"
#include "oci_profile.h"

#define CALLS_MAX 512
#define EXACT_MAX 192 /* rules for one call */
#define UNKNOWN (SECCOMP_RET_ERRNO | ENOSYS)

enum way { WAY_EXACT, WAY_ASK, WAY_STRICTEST, WAYS };

struct merge {
        const struct filter_builder *ours;
        const struct oci_profile *theirs;
        struct oci_profile out;
        uint8_t ways[CALLS_MAX];
};

/* What one call gets, as disjoint cubes for each action. */
struct regions {
        struct region {
                uint32_t action;
                struct cubes cubes;
        } list[16];
        size_t n;
};

static void regions_done(struct regions *regions) {
        for (size_t i = 0; i < regions->n; i++)
                cubes_done(&regions->list[i].cubes);
}

/* ---- Answers ---- */

static int32_t kind(uint32_t action) {
        return (int32_t) (action & SECCOMP_RET_ACTION_FULL);
}

uint32_t oci_stricter(uint32_t a, uint32_t b) {
        return kind(b) < kind(a) ? b : a;
}

static bool lets_pass(uint32_t action) {
        return kind(action) > kind(SECCOMP_RET_USER_NOTIF);
}

static bool compare(const struct oci_arg *arg, uint64_t value) {
        switch (arg->op) {
        case SCMP_CMP_NE: return value != arg->value;
        case SCMP_CMP_LT: return value < arg->value;
        case SCMP_CMP_LE: return value <= arg->value;
        case SCMP_CMP_EQ: return value == arg->value;
        case SCMP_CMP_GE: return value >= arg->value;
        case SCMP_CMP_GT: return value > arg->value;
        default: return (value & arg->value) == arg->value_two;
        }
}

uint32_t oci_profile_answer(const struct oci_profile *p, int nr, const uint64_t args[6]) {
        uint32_t answer = SECCOMP_RET_ALLOW;
        bool any = false;

        for (size_t i = 0; i < p->n; i++) {
                const struct oci_rule *rule = p->rules + i;
                bool matches = rule->nr == nr;
                for (size_t j = 0; matches && j < rule->n_args; j++)
                        matches = compare(rule->args + j, args[rule->args[j].index]);
                if (matches)
                        answer = any ? oci_stricter(answer, rule->action) : rule->action;
                any |= matches;
        }
        return any ? answer : p->default_action;
}

static bool notifies(const struct filter_rule *rule, const uint64_t args[6]) {
        for (size_t i = 0; i < rule->n_args; i++) {
                const struct filter_arg *arg = rule->args + i;
                if (arg->nonzero ? args[arg->index] == 0 : ((uint32_t) args[arg->index] & arg->mask) != arg->value)
                        return false;
        }
        return true;
}

uint32_t oci_filter_answer(const struct filter_builder *b, int nr, const uint64_t args[6]) {
        for (size_t i = 0; i < b->n_notify; i++)
                if (b->notify[i].nr == nr && notifies(b->notify + i, args))
                        return SECCOMP_RET_USER_NOTIF;
        for (size_t i = 0; i < b->n_allow; i++)
                if (b->allow[i] == nr)
                        return SECCOMP_RET_ALLOW;
        return UNKNOWN;
}

static uint32_t wanted(const struct merge *m, int nr, const uint64_t args[6]) {
        uint32_t ours = oci_filter_answer(m->ours, nr, args);

        return m->theirs ? oci_stricter(ours, oci_profile_answer(m->theirs, nr, args)) : ours;
}

/* ---- Regions ---- */

static int regions_get(struct regions *regions, uint32_t action, struct cubes **ret) {
        for (size_t i = 0; i < regions->n; i++)
                if (regions->list[i].action == action) {
                        *ret = &regions->list[i].cubes;
                        return 0;
                }
        if (regions->n == ELEMENTSOF(regions->list))
                return -E2BIG;
        regions->list[regions->n].action = action;
        *ret = &regions->list[regions->n++].cubes;
        return 0;
}

static int add_compared(struct cubes *to, const struct cube *rest, const struct oci_arg *arg) {
        struct cube one = {}, common;
        int r = 0;

        if (arg->op == SCMP_CMP_EQ || arg->op == SCMP_CMP_LE || arg->op == SCMP_CMP_GE || arg->op == SCMP_CMP_MASKED_EQ) {
                one.mask[arg->index] = arg->op == SCMP_CMP_MASKED_EQ ? arg->value : UINT64_MAX;
                one.value[arg->index] = arg->op == SCMP_CMP_MASKED_EQ ? arg->value_two : arg->value;
                r = cube_intersect(rest, &one, &common) ? cubes_add(to, &common) : 0;
        }
        if (r >= 0 && (arg->op == SCMP_CMP_NE || arg->op == SCMP_CMP_LT || arg->op == SCMP_CMP_LE))
                r = cubes_add_below(to, rest, arg->index, arg->value);
        if (r >= 0 && (arg->op == SCMP_CMP_NE || arg->op == SCMP_CMP_GT || arg->op == SCMP_CMP_GE))
                r = cubes_add_above(to, rest, arg->index, arg->value);
        return r;
}

static int cubes_of_rule(const struct oci_rule *rule, struct cubes *ret) {
        int r = cubes_add_all(ret);

        for (size_t i = 0; r >= 0 && i < rule->n_args; i++) {
                _cleanup_(cubes_done) struct cubes next = {};
                for (size_t j = 0; r >= 0 && j < ret->n; j++)
                        r = add_compared(&next, ret->list + j, rule->args + i);
                struct cubes old = *ret;
                *ret = next;
                next = old;
        }
        return r;
}

/* Gives an action to what of a rule's cubes nobody has yet. */
static int claim_cubes(struct regions *regions, uint32_t action, const struct cubes *of_rule, struct cubes *left) {
        struct cubes *to;
        int r = regions_get(regions, action, &to);

        for (size_t i = 0; r >= 0 && i < of_rule->n; i++) {
                struct cubes one = { .list = of_rule->list + i, .n = 1 };
                r = cubes_add_common(to, left, &one);
                if (r >= 0)
                        r = cubes_subtract(left, of_rule->list + i);
        }
        return r;
}

static int compare_strictness(const void *a, const void *b) {
        uint32_t x = kind((*(const struct oci_rule *const *) a)->action), y = kind((*(const struct oci_rule *const *) b)->action);

        return (int32_t) x < (int32_t) y ? -1 : (int32_t) x > (int32_t) y;
}

static int regions_theirs(const struct oci_profile *p, int nr, struct regions *ret) {
        _cleanup_free_ const struct oci_rule **rules = p ? calloc(p->n + 1, sizeof(*rules)) : NULL;
        _cleanup_(cubes_done) struct cubes left = {};
        struct cubes *rest;
        size_t n = 0;
        int r = cubes_add_all(&left);

        if (p && !rules)
                return -ENOMEM;
        for (size_t i = 0; p && i < p->n; i++)
                if (p->rules[i].nr == nr)
                        rules[n++] = p->rules + i;
        /* The strictest takes what it matches, then the next. */
        if (n > 1)
                qsort(rules, n, sizeof(*rules), compare_strictness);
        for (size_t i = 0; r >= 0 && i < n && left.n > 0; i++) {
                _cleanup_(cubes_done) struct cubes cubes = {};
                r = cubes_of_rule(rules[i], &cubes);
                if (r >= 0)
                        r = claim_cubes(ret, rules[i]->action, &cubes, &left);
        }
        if (r < 0 || left.n == 0)
                return r;
        r = regions_get(ret, p ? p->default_action : SECCOMP_RET_ALLOW, &rest);
        return r < 0 ? r : cubes_append(rest, &left);
}

/* The cubes that one of our rules notifies: disjoint. */
static int cubes_of_ours(const struct filter_rule *rule, struct cubes *ret) {
        struct oci_rule as = { .n_args = rule->n_args };

        for (size_t i = 0; i < rule->n_args; i++)
                as.args[i] = rule->args[i].nonzero ? (struct oci_arg) { .index = rule->args[i].index, .op = SCMP_CMP_NE }
                                                   : (struct oci_arg) { rule->args[i].index, SCMP_CMP_MASKED_EQ, rule->args[i].mask,
                                                                        rule->args[i].value };
        return cubes_of_rule(&as, ret);
}

static int regions_ours(const struct filter_builder *b, int nr, struct regions *ret) {
        struct cubes *to;
        bool known = false;
        int r;

        for (size_t i = 0; i < b->n_allow; i++)
                known |= b->allow[i] == nr;
        if (!known) {
                r = regions_get(ret, UNKNOWN, &to);
                return r < 0 ? r : cubes_add_all(to);
        }
        _cleanup_(cubes_done) struct cubes left = {};
        r = cubes_add_all(&left);
        for (size_t i = 0; r >= 0 && i < b->n_notify && left.n > 0; i++) {
                _cleanup_(cubes_done) struct cubes cubes = {};
                if (b->notify[i].nr != nr)
                        continue;
                r = cubes_of_ours(b->notify + i, &cubes);
                if (r >= 0)
                        r = claim_cubes(ret, SECCOMP_RET_USER_NOTIF, &cubes, &left);
        }
        if (r < 0 || left.n == 0)
                return r;
        r = regions_get(ret, SECCOMP_RET_ALLOW, &to);
        return r < 0 ? r : cubes_append(to, &left);
}

/* What an own region and one of theirs have in common, in the fewer cubes of two ways: what both have, or the own without all the others of theirs. */
static int add_common(const struct region *own, const struct regions *theirs, size_t which, struct cubes *to) {
        _cleanup_(cubes_done) struct cubes both = {}, rest = {};
        int r = cubes_add_common(&both, &own->cubes, &theirs->list[which].cubes);

        if (r < 0 && r != -E2BIG)
                return r;
        int s = cubes_append(&rest, &own->cubes);
        for (size_t i = 0; s >= 0 && i < theirs->n; i++)
                for (size_t j = 0; s >= 0 && i != which && j < theirs->list[i].cubes.n; j++)
                        s = cubes_subtract(&rest, theirs->list[i].cubes.list + j);
        if (r < 0 && s < 0)
                return r;
        return cubes_append(to, r < 0 || (s >= 0 && rest.n < both.n) ? &rest : &both);
}

static int regions_merge(const struct regions *ours, const struct regions *theirs, struct regions *ret) {
        uint32_t strictest = SECCOMP_RET_ALLOW;
        int r = 0;

        for (size_t i = 0; i < ours->n; i++)
                strictest = oci_stricter(strictest, ours->list[i].action);
        for (size_t i = 0; r >= 0 && i < theirs->n; i++) {
                struct cubes *to;
                uint32_t action = theirs->list[i].action;
                if (kind(action) < kind(strictest)) {
                        r = regions_get(ret, action, &to);
                        if (r >= 0)
                                r = cubes_append(to, &theirs->list[i].cubes);
                        continue;
                }
                for (size_t j = 0; r >= 0 && j < ours->n; j++) {
                        r = regions_get(ret, oci_stricter(ours->list[j].action, action), &to);
                        if (r >= 0)
                                r = add_common(ours->list + j, theirs, i, to);
                }
        }
        return r;
}

/* ---- Rules ---- */

static int emit(struct merge *m, const struct oci_rule *rule) {
        return rule->action == m->out.default_action ? 0 : oci_profile_add(&m->out, rule);
}

static struct oci_rule cube_rule(int nr, uint32_t action, const struct cube *cube) {
        struct oci_rule rule = { .nr = nr, .action = action };

        for (unsigned i = 0; i < CUBE_ARGS; i++)
                if (cube->mask[i] == UINT64_MAX)
                        rule.args[rule.n_args++] = (struct oci_arg) { i, SCMP_CMP_EQ, cube->value[i], 0 };
                else if (cube->mask[i])
                        rule.args[rule.n_args++] = (struct oci_arg) { i, SCMP_CMP_MASKED_EQ, cube->mask[i], cube->value[i] };
        return rule;
}

static bool same_but(const struct cube *a, const struct cube *b, unsigned index) {
        for (unsigned i = 0; i < CUBE_ARGS; i++)
                if (i != index && (a->mask[i] != b->mask[i] || a->value[i] != b->value[i]))
                        return false;
        return true;
}

/* Cubes that differ in one argument only and together leave out one value of it are one rule ("not this value") instead of 64. */
static bool join(struct cubes *cubes, size_t first, unsigned index, uint64_t *ret_value) {
        _cleanup_(cubes_done) struct cubes left = {};
        size_t n = 0;

        if (cubes_add_all(&left) < 0)
                return false;
        for (size_t i = first; i < cubes->n; i++) {
                struct cube one = {};
                if (!same_but(cubes->list + i, cubes->list + first, index))
                        continue;
                one.mask[index] = cubes->list[i].mask[index];
                one.value[index] = cubes->list[i].value[index];
                if (cubes_subtract(&left, &one) < 0)
                        return false;
                n++;
        }
        if (n < 2 || left.n != 1 || left.list[0].mask[index] != UINT64_MAX)
                return false;
        *ret_value = left.list[0].value[index];
        for (size_t i = cubes->n; i-- > first + 1;)
                if (same_but(cubes->list + i, cubes->list + first, index))
                        cubes->list[i] = cubes->list[--cubes->n];
        return true;
}

static int emit_cubes(struct merge *m, int nr, uint32_t action, struct cubes *cubes) {
        for (size_t i = 0; i < cubes->n; i++) {
                struct oci_arg other = {};
                bool joined = false;
                for (unsigned index = 0; !joined && index < CUBE_ARGS; index++)
                        if (cubes->list[i].mask[index] && join(cubes, i, index, &other.value)) {
                                other.index = index;
                                other.op = SCMP_CMP_NE;
                                cubes->list[i].mask[index] = cubes->list[i].value[index] = 0;
                                joined = true;
                        }
                struct oci_rule rule = cube_rule(nr, action, cubes->list + i);
                if (joined)
                        rule.args[rule.n_args++] = other;
                int r = emit(m, &rule);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int emit_regions(struct merge *m, int nr, struct regions *regions) {
        size_t before = m->out.n, used = 0, last = 0;
        int r = 0;

        for (size_t i = 0; i < regions->n; i++)
                if (regions->list[i].cubes.n > 0) {
                        last = i;
                        used++;
                }
        if (used == 1)
                return emit(m, &(struct oci_rule) { .nr = nr, .action = regions->list[last].action });
        for (size_t i = 0; r >= 0 && i < regions->n; i++)
                if (regions->list[i].action != m->out.default_action)
                        r = emit_cubes(m, nr, regions->list[i].action, &regions->list[i].cubes);
        return r >= 0 && m->out.n - before > EXACT_MAX ? -E2BIG : r;
}

static int merge_exactly(struct merge *m, int nr) {
        _cleanup_(regions_done) struct regions ours = {}, theirs = {}, both = {};
        int r = regions_ours(m->ours, nr, &ours);

        if (r >= 0)
                r = regions_theirs(m->theirs, nr, &theirs);
        if (r >= 0)
                r = regions_merge(&ours, &theirs, &both);
        return r < 0 ? r : emit_regions(m, nr, &both);
}

/* What neither of their rules matches falls to our default, which is as strict as any errno and as theirs. */
static int merge_asking(struct merge *m, int nr) {
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; m->theirs && r >= 0 && i < m->theirs->n; i++) {
                struct oci_rule rule = m->theirs->rules[i];
                if (rule.nr != nr)
                        continue;
                n++;
                if (lets_pass(rule.action))
                        rule.action = SECCOMP_RET_USER_NOTIF;
                r = emit(m, &rule);
        }
        if (r < 0 || n > 0)
                return r;
        uint32_t all = m->theirs ? m->theirs->default_action : SECCOMP_RET_ALLOW;
        return emit(m, &(struct oci_rule) { .nr = nr, .action = oci_stricter(SECCOMP_RET_USER_NOTIF, all) });
}

static int merge_strictest(struct merge *m, int nr) {
        uint32_t action = m->theirs ? m->theirs->default_action : SECCOMP_RET_ALLOW;
        bool known = false;

        for (size_t i = 0; i < m->ours->n_allow; i++)
                known |= m->ours->allow[i] == nr;
        for (size_t i = 0; i < m->ours->n_notify; i++)
                if (m->ours->notify[i].nr == nr)
                        action = oci_stricter(action, SECCOMP_RET_USER_NOTIF);
        for (size_t i = 0; m->theirs && i < m->theirs->n; i++)
                if (m->theirs->rules[i].nr == nr)
                        action = oci_stricter(action, m->theirs->rules[i].action);
        return emit(m, &(struct oci_rule) { .nr = nr, .action = known ? action : oci_stricter(UNKNOWN, action) });
}

static bool is_known(const struct merge *m, int nr) {
        for (size_t i = 0; i < m->ours->n_allow; i++)
                if (m->ours->allow[i] == nr)
                        return true;
        return false;
}

static int merge_call(struct merge *m, int nr) {
        size_t before = m->out.n;
        int r = -E2BIG;

        /* The broker isn't asked about what it doesn't know. */
        if (m->ways[nr] == WAY_ASK && !is_known(m, nr))
                m->ways[nr] = WAY_STRICTEST;
        if (m->ways[nr] == WAY_EXACT)
                r = merge_exactly(m, nr);
        if (r == -E2BIG && m->ways[nr] == WAY_EXACT) {
                m->out.n = before;
                m->ways[nr] = WAY_ASK;
        }
        if (m->ways[nr] == WAY_ASK)
                r = merge_asking(m, nr);
        if (m->ways[nr] == WAY_STRICTEST)
                r = merge_strictest(m, nr);
        return r;
}

static int merge_calls(struct merge *m) {
        int r = 0;

        m->out.n = 0;
        m->out.default_action = m->theirs ? oci_stricter(UNKNOWN, m->theirs->default_action) : UNKNOWN;
        for (int nr = 0; r >= 0 && nr < CALLS_MAX; nr++) {
                _cleanup_free_ char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, nr);
                /* What has no name falls to the default. */
                if (name)
                        r = merge_call(m, nr);
        }
        return r;
}

/* ---- The check ---- */

static bool is_right(const struct merge *m, const struct sock_fprog *program, int nr, const uint64_t args[6]) {
        uint32_t got = filter_simulate(program, FILTER_ARCH, nr, args), want = wanted(m, nr, args);

        return m->ways[nr] == WAY_EXACT ? kind(got) == kind(want) : kind(got) <= kind(want);
}

/* Arguments that a rule matches, and those beside them. */
static bool check_rule(const struct merge *m, const struct sock_fprog *program, const struct oci_rule *rule, uint64_t fill) {
        static const uint64_t flips[] = { 1, UINT64_C(1) << 32, UINT64_C(1) << 63 };
        uint64_t args[6] = { fill, fill, fill, fill, fill, fill };

        for (size_t i = 0; i < rule->n_args; i++) {
                const struct oci_arg *arg = rule->args + i;
                args[arg->index] = arg->op == SCMP_CMP_MASKED_EQ ? arg->value_two | (fill & ~arg->value) : arg->value;
        }
        if (!is_right(m, program, rule->nr, args))
                return false;
        for (size_t i = 0; i < rule->n_args; i++)
                for (size_t j = 0; j < ELEMENTSOF(flips); j++) {
                        args[rule->args[i].index] ^= flips[j];
                        bool right = is_right(m, program, rule->nr, args);
                        args[rule->args[i].index] ^= flips[j];
                        if (!right)
                                return false;
                }
        return true;
}

/* Notes the calls that have to be said another way. */
static bool check(const struct merge *m, const struct sock_fprog *program, bool wrong[CALLS_MAX]) {
        const struct oci_profile *profiles[] = { &m->out, m->theirs };
        bool all = true;

        memset(wrong, 0, CALLS_MAX * sizeof(bool));
        for (int nr = 0; nr < CALLS_MAX; nr++) {
                _cleanup_free_ char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, nr);
                uint64_t ones[6] = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX };
                uint32_t got = filter_simulate(program, FILTER_ARCH, nr, ones);
                if (name)
                        wrong[nr] = !is_right(m, program, nr, (uint64_t[6]) {}) || !is_right(m, program, nr, ones);
                else
                        wrong[nr] = kind(got) > kind(UNKNOWN);
        }
        for (size_t p = 0; p < ELEMENTSOF(profiles); p++)
                for (size_t i = 0; profiles[p] && i < profiles[p]->n; i++) {
                        const struct oci_rule *rule = profiles[p]->rules + i;
                        if (rule->n_args > 0 && rule->nr < CALLS_MAX && !wrong[rule->nr])
                                wrong[rule->nr] = !check_rule(m, program, rule, 0) || !check_rule(m, program, rule, UINT64_MAX);
                }
        for (int nr = 0; nr < CALLS_MAX; nr++)
                all &= !wrong[nr];
        return all;
}

int oci_profile_merge(const struct filter_builder *b, const struct oci_profile *theirs, struct oci_profile *ret) {
        struct merge m = { .ours = b, .theirs = theirs };
        bool wrong[CALLS_MAX];
        int r;

        for (unsigned round = 0;; round++) {
                struct sock_fprog program = {};
                r = merge_calls(&m);
                if (r >= 0)
                        r = oci_profile_build(&m.out, &program);
                bool right = r >= 0 && check(&m, &program, wrong);
                free(program.filter);
                if (r < 0 || right)
                        break;
                r = -EBADMSG;
                if (round == WAYS)
                        break;
                for (int nr = 0; nr < CALLS_MAX; nr++)
                        if (wrong[nr] && m.ways[nr] < WAY_STRICTEST)
                                m.ways[nr]++;
        }
        if (r < 0) {
                oci_profile_done(&m.out);
                return r;
        }
        *ret = m.out;
        return 0;
}
