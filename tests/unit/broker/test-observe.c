/*
 * The memory that supervisor and worker share: its versions, and what is seen of calls.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broker.h"
#include "slots.h"

/* A receiver of a worker, at a call of this number on this object. */
struct fixture {
        struct worker worker;
        struct receiver receiver;
        struct seccomp_notif notif;
        struct claim claim;
        struct shared *shared;
        int fd;
};

static void init(struct fixture *f) {
        *f = (struct fixture) { .claim = { .name = "openat" } };
        cr_assert_eq(shared_new(&f->shared, &f->fd), 0);
        pthread_mutex_init(&f->worker.observe_lock, NULL);
        f->worker.shared = f->shared;
        f->receiver.worker = &f->worker;
        f->receiver.call.notif = &f->notif;
        f->receiver.call.claim = &f->claim;
        f->receiver.call.why = "no rule names it";
}

static void deny(struct fixture *f, int nr, const char *subject, int error) {
        f->notif.data.nr = nr;
        f->receiver.call.subject = subject;
        observe_denied(&f->receiver, error);
}

static const struct denied_call *find(struct fixture *f, const char *subject, struct denied_call *d) {
        for (size_t i = 0; i < DENIED_MAX; i++)
                if (observe_read(&f->shared->observed.denied[i], d) && strcmp(d->subject, subject) == 0)
                        return d;
        return NULL;
}

Test(observe, the_same_call_on_the_same_object_is_counted) {
        struct fixture f;
        struct denied_call d;

        init(&f);
        deny(&f, 1, "/a", EACCES);
        deny(&f, 1, "/b", ENOENT);
        deny(&f, 1, "/a", EACCES);
        cr_assert(find(&f, "/a", &d));
        cr_expect(d.count == 2 && d.error == EACCES && d.last > 0);
        cr_expect_str_eq(d.call, "openat");
        cr_expect_str_eq(d.rule, "no rule names it");
        cr_assert(find(&f, "/b", &d));
        cr_expect(d.count == 1 && d.error == ENOENT);
        /* Another call. */
        deny(&f, 2, "/b", EPERM);
        size_t n = 0;
        for (size_t i = 0; i < DENIED_MAX; i++)
                n += observe_read(&f.shared->observed.denied[i], &d);
        cr_expect(n == 3);
}

Test(observe, the_one_denied_longest_ago_makes_room) {
        struct fixture f;
        struct denied_call d;
        char subject[32];

        init(&f);
        for (int i = 0; i < DENIED_MAX; i++) {
                snprintf(subject, sizeof(subject), "/%d", i);
                deny(&f, 1, subject, EACCES);
                usleep(1);
        }
        deny(&f, 1, "/0", EACCES);
        usleep(1);
        deny(&f, 1, "/new", EACCES);
        cr_expect(find(&f, "/0", &d) && d.count == 2);
        cr_expect(find(&f, "/new", &d) && d.count == 1);
        cr_expect(!find(&f, "/1", &d));
        cr_expect(find(&f, "/2", &d));
}

Test(observe, long_objects_keep_both_ends_and_stay_apart) {
        struct fixture f;
        struct denied_call d;
        char one[1000], other[1000];
        size_t n = 0;

        init(&f);
        memset(one, 'x', sizeof(one) - 1);
        one[999] = 0;
        memcpy(one, "/begin", 6);
        memcpy(one + 994, "/end", 5);
        strcpy(other, one);
        other[500] = 'y';
        deny(&f, 1, one, EACCES);
        deny(&f, 1, other, EACCES);
        for (size_t i = 0; i < DENIED_MAX; i++) {
                if (!observe_read(&f.shared->observed.denied[i], &d))
                        continue;
                n++;
                cr_expect(strncmp(d.subject, "/begin", 6) == 0 && strcmp(d.subject + strlen(d.subject) - 4, "/end") == 0, "%s", d.subject);
                cr_expect(strstr(d.subject, "…") && strlen(d.subject) < sizeof(d.subject));
        }
        cr_expect(n == 2);
}

Test(observe, what_a_killed_worker_was_writing_is_left_out) {
        struct fixture f;
        struct denied_call d;

        init(&f);
        deny(&f, 1, "/a", EACCES);
        deny(&f, 1, "/b", EACCES);
        for (size_t i = 0; i < DENIED_MAX; i++)
                if (strcmp(f.shared->observed.denied[i].subject, "/a") == 0)
                        f.shared->observed.denied[i].sequence++;
        cr_expect(!find(&f, "/a", &d) && find(&f, "/b", &d));
        observe_repair(&f.shared->observed);
        cr_expect(!find(&f, "/a", &d) && find(&f, "/b", &d));
        deny(&f, 1, "/a", EACCES);
        cr_expect(find(&f, "/a", &d) && d.count == 1);
}

Test(observe, hostile_memory_is_read_within_its_bounds) {
        struct denied_call d, *from;
        struct fixture f;

        init(&f);
        from = &f.shared->observed.denied[0];
        memset(from, 'A', sizeof(*from));
        from->sequence = 2;
        cr_assert(observe_read(from, &d));
        cr_expect(strlen(d.call) == sizeof(d.call) - 1 && strlen(d.subject) == sizeof(d.subject) - 1);
        from->sequence = 3;
        cr_expect(!observe_read(from, &d));
}

Test(observe, latencies) {
        static const struct {
                uint64_t nsec;
                unsigned bucket;
        } rows[] = { { 0, 0 }, { 1, 0 }, { 2, 1 }, { 3, 1 }, { 4, 2 }, { 1023, 9 }, { 1024, 10 }, { 1ULL << 39, 39 }, { UINT64_MAX, 39 } };
        struct fixture f;

        init(&f);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                uint64_t before = f.shared->observed.latency[rows[i].bucket];
                observe_latency(&f.shared->observed, rows[i].nsec);
                cr_expect(f.shared->observed.latency[rows[i].bucket] == before + 1, "%zu", i);
        }
}

/* ---- versions ---- */

static int file_of(uint32_t version, size_t size) {
        int fd = memfd_create("shared", MFD_CLOEXEC);

        cr_assert(fd >= 0 && ftruncate(fd, size) == 0);
        cr_assert(pwrite(fd, &version, sizeof(version), 0) == sizeof(version));
        return fd;
}

Test(shared, the_one_that_is_made_can_be_mapped_again) {
        struct shared *again;
        struct fixture f;

        init(&f);
        deny(&f, 1, "/a", EACCES);
        cr_assert_eq(shared_map(f.fd, &again), 0);
        cr_expect(again->observed.denied[0].count == 1);
        f.shared->counters.denied = 7;
        cr_expect(again->counters.denied == 7);
}

Test(shared, a_version_before_has_all_but_what_came_later) {
        int fd = file_of(3, offsetof(struct shared, joined));
        struct shared *one, *other;

        cr_assert_eq(shared_map(fd, &one), 0);
        cr_assert_eq(shared_map(fd, &other), 0);
        one->observed.denied[0].count = 5;
        cr_expect(other->observed.denied[0].count == 5);
        memset(one->joined, 'x', sizeof(one->joined));
}

Test(shared, the_first_version_has_all_but_what_is_seen) {
        int fd = file_of(2, offsetof(struct shared, observed));
        struct shared *one, *other;

        cr_assert_eq(shared_map(fd, &one), 0);
        cr_assert_eq(shared_map(fd, &other), 0);
        one->slots[SLOTS_MAX - 1].result = 42;
        one->counters.notified = 3;
        cr_expect(other->slots[SLOTS_MAX - 1].result == 42 && other->counters.notified == 3);
        /* Nothing beyond the file's end is out of bounds. */
        observe_latency(&one->observed, 1000);
        memset(one->observed.tiers, 'x', sizeof(one->observed.tiers));
        observe_repair(&one->observed);
}

Test(shared, others_are_refused) {
        struct shared *shared;

        cr_expect_eq(shared_map(file_of(1, offsetof(struct shared, observed)), &shared), -EBADMSG);
        cr_expect_eq(shared_map(file_of(3, offsetof(struct shared, observed)), &shared), -EBADMSG);
        cr_expect_eq(shared_map(file_of(2, sizeof(struct shared)), &shared), -EBADMSG);
        cr_expect_eq(shared_map(file_of(3, sizeof(struct shared)), &shared), -EBADMSG);
        cr_expect_eq(shared_map(file_of(5, sizeof(struct shared)), &shared), -EBADMSG);
        cr_expect_eq(shared_map(file_of(4, sizeof(struct shared) + 4096), &shared), -EBADMSG);
        cr_expect_eq(shared_map(file_of(3, 100), &shared), -EBADMSG);
}
