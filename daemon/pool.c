/*
 * What the workers of one user count in together (lib/broker/pool.h): made with the user's first sandbox, kept by the service manager, dropped with the
 * last one.
 */
#include <errno.h>
#include <string.h>

#include "fd.h"
#include "sandboxd.h"

struct user_pool {
        uid_t uid;
        int fd;
        struct pool *pool;
        size_t n;   /* sandboxes that have a cell */
        bool found; /* and kept until all that may have one are here again */
        struct user_pool *next;
};

static struct user_pool *find(struct daemon *d, uid_t uid) {
        struct user_pool *u = d->pools;

        while (u && u->uid != uid)
                u = u->next;
        return u;
}

static struct user_pool *add(struct daemon *d, uid_t uid) {
        struct user_pool *u = calloc(1, sizeof(*u));

        if (!u)
                return NULL;
        *u = (struct user_pool) { .uid = uid, .fd = -1, .next = d->pools };
        d->pools = u;
        return u;
}

static void remove_pool(struct daemon *d, struct user_pool *u) {
        struct user_pool **place = &d->pools;

        while (*place != u)
                place = &(*place)->next;
        *place = u->next;
        pool_free(u->pool);
        fd_close(u->fd);
        free(u);
}

static int make(struct daemon *d, uid_t uid, struct user_pool **ret) {
        struct user_pool *u = add(d, uid);
        int r = u ? pool_new(&u->pool, &u->fd) : -ENOMEM;

        if (r >= 0)
                r = store_pool(uid, u->fd);
        if (r >= 0)
                *ret = u;
        else if (u)
                remove_pool(d, u);
        return r;
}

int pool_join(struct sandbox *s) {
        uint64_t max = quota_of(s->daemon, s->owner.uid, QUOTA_CALLS);
        struct user_pool *u = find(s->daemon, s->owner.uid);
        int r = u ? 0 : make(s->daemon, s->owner.uid, &u);

        if (r < 0)
                return r;
        atomic_store(&u->pool->max, max < UINT32_MAX ? max : UINT32_MAX);
        s->cell = r = pool_take(u->pool, s->name);
        if (r < 0)
                return r;
        u->n++;
        s->pool = u;
        return 0;
}

static void drop_unused(struct daemon *d, struct user_pool *u) {
        if (u->n > 0 || u->found)
                return;
        store_forget_pool(u->uid);
        remove_pool(d, u);
}

void pool_part(struct sandbox *s) {
        struct user_pool *u = s->pool;

        if (!u)
                return;
        pool_give_back(u->pool, s->cell);
        s->pool = NULL;
        u->n--;
        drop_unused(s->daemon, u);
}

int pool_fd(const struct sandbox *s) {
        return s->pool ? s->pool->fd : -1;
}

uint64_t pool_calls(const struct daemon *d, uid_t uid) {
        struct user_pool *u = find((struct daemon *) d, uid);

        return u ? pool_used(u->pool) : 0;
}

void pools_found(struct daemon *d, uid_t uid, int descriptor) {
        _cleanup_close_ int fd = descriptor;
        struct user_pool *u = find(d, uid) ? NULL : add(d, uid);

        if (!u)
                return;
        if (pool_map(fd, &u->pool) < 0)
                remove_pool(d, u);
        else {
                u->fd = TAKE_FD(fd);
                u->found = true;
        }
}

/* Of one that has ended while no daemon was there. */
static void sweep(struct daemon *d, struct user_pool *u) {
        for (uint32_t i = 0; i < u->pool->n && i < POOL_CELLS; i++) {
                char name[POOL_NAME + 1] = "";
                memcpy(name, u->pool->cells[i].name, POOL_NAME);
                const struct sandbox *s = name[0] ? sandbox_find(d, u->uid, name) : NULL;
                if (name[0] && (!s || s->pool != u || s->cell != (int) i))
                        pool_give_back(u->pool, i);
        }
}

void pools_settle(struct daemon *d) {
        for (struct user_pool *u = d->pools, *next; u; u = next) {
                next = u->next;
                u->found = false;
                sweep(d, u);
                drop_unused(d, u);
        }
}

void pools_leave(struct daemon *d) {
        while (d->pools)
                remove_pool(d, d->pools);
}
