/*
 * Who has how much of what quotas bound, for Manager1.Usage: everybody's for root, else the caller's own.
 */
#include <errno.h>

#include "sandboxd.h"

static uint64_t connections(const struct daemon *d, uid_t uid) {
        uint64_t n = 0;

        for (size_t i = 0; i < d->n_peers; i++)
                n += d->peers[i]->owner.uid == uid;
        return n;
}

static int append(sd_bus_message *reply, const struct daemon *d, uid_t uid, uint64_t sandboxes) {
        const struct {
                enum quota_kind kind;
                uint64_t used;
        } all[] = {
                { QUOTA_SANDBOXES, sandboxes },
                { QUOTA_CONNECTIONS, connections(d, uid) },
                { QUOTA_CALLS, pool_calls(d, uid) },
                { QUOTA_MEMORY, sandboxes * quota_of(d, uid, QUOTA_SANDBOX_MEMORY) },
        };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(all); i++)
                r = sd_bus_message_append(reply, "(ustt)", uid, quota_name(all[i].kind), all[i].used, quota_of(d, uid, all[i].kind));
        return r;
}

int usage_get(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
              sd_bus_error *error) {
        struct peer *p = userdata;
        const struct daemon *d = p->daemon;
        int r = sd_bus_message_open_container(reply, 'a', "(ustt)");
        bool own = false;

        /* They are sorted by owner. */
        for (size_t i = 0; r >= 0 && i < d->n_sandboxes;) {
                uid_t uid = d->sandboxes[i]->owner.uid;
                uint64_t n = 0;
                for (; i < d->n_sandboxes && d->sandboxes[i]->owner.uid == uid; i++)
                        n += sandbox_running(d->sandboxes[i]);
                if (p->owner.uid != 0 && p->owner.uid != uid)
                        continue;
                own = own || p->owner.uid == uid;
                r = append(reply, d, uid, n);
        }
        if (r >= 0 && !own)
                r = append(reply, d, p->owner.uid, 0);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
