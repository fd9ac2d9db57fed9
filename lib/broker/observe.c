#include "observe.h"

#include <string.h>
#include <time.h>

#include "audit.h"
#include "broker.h"
#include "str.h"

#define TRIES 3

void observe_repair(struct observed *o) {
        for (size_t i = 0; i < DENIED_MAX; i++) {
                struct denied_call *d = &o->denied[i];
                uint32_t sequence = atomic_load(&d->sequence);
                if (!(sequence & 1))
                        continue;
                d->count = 0;
                atomic_store(&d->sequence, sequence + 1);
        }
}

/* FNV-1a */
static uint64_t hash_of(const struct call *call) {
        uint64_t h = 0xcbf29ce484222325 ^ (uint32_t) call->notif->data.nr;

        for (const char *p = call->subject ?: ""; *p; p++)
                h = (h ^ (unsigned char) *p) * 0x100000001b3;
        return h;
}

/* Both ends of a long text say more than its middle. */
static void copy_text(char *to, size_t size, const char *text) {
        static const char left_out[] = "…";
        size_t n = strlen(text), half = (size - sizeof(left_out)) / 2;

        if (n < size) {
                memcpy(to, text, n + 1);
                return;
        }
        memcpy(to, text, half);
        memcpy(to + half, left_out, sizeof(left_out) - 1);
        memcpy(to + half + sizeof(left_out) - 1, text + n - half, half + 1);
}

/* The one with this hash, else the one that was denied least recently. */
static struct denied_call *find(struct observed *o, uint64_t hash) {
        struct denied_call *oldest = &o->denied[0];

        for (size_t i = 0; i < DENIED_MAX; i++) {
                struct denied_call *d = &o->denied[i];
                if (d->count > 0 && d->hash == hash)
                        return d;
                if (d->count == 0 ? oldest->count > 0 : oldest->count > 0 && d->last < oldest->last)
                        oldest = d;
        }
        return oldest;
}

void observe_denied(struct receiver *r, int error) {
        const struct call *call = &r->call;
        char rule[PATH_MAX + 256], number[32];
        uint64_t hash = hash_of(call);
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        snprintf(number, sizeof(number), "syscall %d", call->notif->data.nr);
        const char *why = audit_rule_text(call, rule, sizeof(rule)) ?: call->why ?: "";

        /* Only this process writes: a predecessor is quite dead. */
        pthread_mutex_lock(&r->worker->observe_lock);
        struct denied_call *d = find(&r->worker->shared->observed, hash);
        atomic_fetch_add(&d->sequence, 1);
        d->count = d->hash == hash ? d->count + 1 : 1;
        d->hash = hash;
        d->error = error;
        d->last = (uint64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
        copy_text(d->call, sizeof(d->call), call->claim ? call->claim->name : number);
        copy_text(d->subject, sizeof(d->subject), call->subject ?: "");
        copy_text(d->rule, sizeof(d->rule), why);
        atomic_fetch_add(&d->sequence, 1);
        pthread_mutex_unlock(&r->worker->observe_lock);
}

bool observe_read(const struct denied_call *from, struct denied_call *ret) {
        for (int i = 0; i < TRIES; i++) {
                uint32_t sequence = atomic_load(&from->sequence);
                if (sequence & 1)
                        continue;
                memcpy(ret, from, sizeof(*ret));
                atomic_thread_fence(memory_order_seq_cst);
                if (atomic_load(&from->sequence) != sequence)
                        continue;
                ret->call[sizeof(ret->call) - 1] = ret->subject[sizeof(ret->subject) - 1] = ret->rule[sizeof(ret->rule) - 1] = 0;
                return ret->count > 0;
        }
        return false;
}
