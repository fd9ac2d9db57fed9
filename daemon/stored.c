/*
 * FD_STATE: what has to outlive the daemon of a sandbox and is no descriptor, in a memfd that is mapped as long as the sandbox is known.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "sandboxd.h"
#include "str.h"

void stored_unmap(struct sandbox *s) {
        if (s->stored)
                munmap(s->stored, s->stored_size);
        free(s->command);
        free(s->owner.groups);
        s->stored = NULL;
        s->command = NULL;
        s->owner.groups = NULL;
}

static void add_text(struct strbuf *b, const char *text) {
        strbuf_add(b, text ?: "", strlen(text ?: "") + 1);
}

static bool known_version(uint32_t version) {
        return version == STORED_VERSION || version == STORED_BEFORE;
}

/* Points to the stored texts. -EBADMSG: they aren't what we write. */
static int read_stored(struct sandbox *s) {
        const struct stored *st = s->stored;
        size_t head = sizeof(*st) + (size_t) st->n_groups * sizeof(gid_t), n = 0, words = 0, others = st->version == STORED_BEFORE ? 3 : 4;

        if (!known_version(st->version) || st->size != sizeof(*st) || st->n_groups > 65536 || head + st->text_size != s->stored_size)
                return -EBADMSG;
        const gid_t *groups = (const gid_t *) (st + 1);
        char *text = (char *) s->stored + head;
        for (size_t i = 0; i < st->text_size; i++)
                n += text[i] == 0;
        if (n < others || text[st->text_size - 1] != 0)
                return -EBADMSG;
        s->owner = (struct owner) {
                .uid = st->uid,
                .gid = st->gid,
                .n_groups = st->n_groups,
                .groups = calloc(st->n_groups + 1, sizeof(gid_t)),
                .low_ports = st->low_ports == STORED_LOW_PORTS,
        };
        s->command = calloc(n - others + 1, sizeof(char *));
        if (!s->owner.groups || !s->command)
                return -ENOMEM;
        memcpy(s->owner.groups, groups, st->n_groups * sizeof(gid_t));
        s->policy = text;
        s->output = text += strlen(text) + 1;
        s->cgroup = text += strlen(text) + 1;
        s->container = st->version == STORED_BEFORE ? "" : (text += strlen(text) + 1);
        while (words < n - others)
                s->command[words++] = text += strlen(text) + 1;
        return 0;
}

int stored_map(struct sandbox *s) {
        struct stat st;

        if (fstat(s->fds[FD_STATE], &st) < 0)
                return -errno;
        if (st.st_size < (off_t) sizeof(struct stored) || st.st_size > 16 << 20)
                return -EBADMSG;
        void *p = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fds[FD_STATE], 0);
        if (p == MAP_FAILED)
                return -errno;
        s->stored = p;
        s->stored_size = st.st_size;
        return read_stored(s);
}

int stored_take(struct sandbox *s, int state) {
        struct sandbox old = *s;

        s->stored = NULL;
        s->command = NULL;
        s->owner = (struct owner) {};
        s->fds[FD_STATE] = state;
        int r = stored_map(s);
        if (r < 0) {
                stored_unmap(s);
                *s = old;
                fd_close(state);
                return r;
        }
        stored_unmap(&old);
        fd_close(old.fds[FD_STATE]);
        return 0;
}

int stored_make_anew(const struct sandbox *s, const char *policy, int *ret) {
        const char *texts = (const char *) s->stored + s->stored_size - s->stored->text_size, *rest = texts + strlen(texts) + 1;
        size_t rest_size = s->stored->text_size - (rest - texts);
        struct stored st = *s->stored;
        struct strbuf all = {};

        st.stale = 1;
        st.text_size = strlen(policy) + 1 + rest_size;
        strbuf_add(&all, (const char *) &st, sizeof(st));
        strbuf_add(&all, (const char *) (s->stored + 1), st.n_groups * sizeof(gid_t));
        add_text(&all, policy);
        strbuf_add(&all, rest, rest_size);
        _cleanup_close_ int fd = all.failed ? -1 : memfd_create("sandboxd-state", MFD_CLOEXEC);
        int r = all.failed ? -ENOMEM : fd < 0 ? -errno : fd_write_full(fd, all.text, all.length);
        strbuf_done(&all);
        if (r >= 0)
                *ret = TAKE_FD(fd);
        return r;
}

int stored_make(struct sandbox *s, const struct owner *owner, const struct adoption *a) {
        struct timespec now, began;
        struct strbuf texts = {}, all = {};

        clock_gettime(CLOCK_REALTIME, &now);
        clock_gettime(CLOCK_BOOTTIME, &began);
        add_text(&texts, a->policy);
        add_text(&texts, a->output);
        add_text(&texts, a->cgroup);
        add_text(&texts, a->container);
        for (char *const *word = a->command; *word; word++)
                add_text(&texts, *word);
        struct stored st = {
                .version = STORED_VERSION,
                .size = sizeof(st),
                .uid = owner->uid,
                .gid = owner->gid,
                .n_groups = owner->n_groups,
                .record = a->record,
                .foreground = a->foreground,
                .kill_on_broker_loss = a->kill_on_broker_loss,
                .wait_killable = a->wait_killable,
                .low_ports = a->low_ports ? STORED_LOW_PORTS : 0,
                .time_usec = a->time_usec,
                .started = (uint64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000,
                .began = (uint64_t) began.tv_sec * 1000000 + began.tv_nsec / 1000,
                .text_size = texts.length,
        };
        strbuf_add(&all, (const char *) &st, sizeof(st));
        strbuf_add(&all, (const char *) owner->groups, owner->n_groups * sizeof(gid_t));
        strbuf_add(&all, texts.text ?: "", texts.length);
        int r = texts.failed || all.failed ? -ENOMEM : 0;
        if (r >= 0 && (s->fds[FD_STATE] = memfd_create("sandboxd-state", MFD_CLOEXEC)) < 0)
                r = -errno;
        if (r >= 0)
                r = fd_write_full(s->fds[FD_STATE], all.text, all.length);
        strbuf_done(&texts);
        strbuf_done(&all);
        return r < 0 ? r : stored_map(s);
}

void stored_end(struct sandbox *s, const struct ending *ending) {
        struct ending *e = &s->stored->ending;

        if (e->outcome[0])
                return;
        *e = *ending;
        /* What was written first is what counts, even should we be killed here: the outcome comes last. */
        char outcome = e->outcome[0];
        e->outcome[0] = 0;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        e->outcome[0] = outcome;
}

int stored_uid(int fd, uid_t *ret) {
        struct stored st;
        ssize_t n = pread(fd, &st, sizeof(st), 0);

        if (n != sizeof(st) || !known_version(st.version))
                return n < 0 ? -errno : -EBADMSG;
        *ret = st.uid;
        return 0;
}
