/*
 * sandboxd.yaml, and what it bounds. A daemon that begins anew and finds the file wrong goes on with the settings of the one before it, which are
 * kept with what is stored: nobody's sandboxes are to wait until somebody has mended a file.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/resource.h>
#include <sys/syslog.h>
#include <unistd.h>

#include "fd.h"
#include "sandboxd.h"
#include "str.h"

#define FDS_EACH (FD_COUNT + 2) /* of a sandbox, with its client's connection, and a further listener (replace.c) */
#define FDS_RESERVED 500
#define TEXT_MAX (1U << 20)

#define CONNECTIONS 2000
#define CALLS 4096
#define SANDBOX_CALLS 512
#define SANDBOX_MEMORY (256U << 20)

/* ---- reading ---- */

static void log_report(const struct policy_report *report) {
        for (size_t i = 0; i < report->n; i++) {
                const struct policy_message *m = &report->messages[i];
                _cleanup_free_ char *file = str_escape(m->place.file ?: "");
                int priority = m->warning ? LOG_WARNING : LOG_ERR;
                if (m->place.line > 0)
                        log_record(priority, MESSAGE_SETTINGS, NULL, "%s:%u:%u: %s", file, m->place.line, m->place.column, m->text);
                else
                        log_record(priority, MESSAGE_SETTINGS, NULL, "%s: %s", file, m->text);
        }
}

static int read_path(const char *config, char **ret) {
        if (!config)
                return settings_path(demand_user(), ret);
        *ret = strdup(config);
        return *ret ? 0 : -ENOMEM;
}

/* What the daemon before us had. */
static int read_kept(int fd, struct settings **ret) {
        struct policy_report report = {};
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r = lseek(fd, 0, SEEK_SET) < 0 ? -errno : fd_read_file(fd, TEXT_MAX, &text, &size);

        if (r >= 0)
                r = settings_parse("the settings kept from before", text, size, ret, &report);
        policy_report_done(&report);
        return r;
}

int configure(struct daemon *d, int kept, bool successor) {
        struct policy_report report = {};
        int r = settings_find(d->config, demand_user(), geteuid(), &d->settings, &report);

        log_report(&report);
        policy_report_done(&report);
        if (r >= 0 || r == -ENOMEM || !successor)
                return r;
        r = kept < 0 ? settings_parse("", "", 0, &d->settings, &report) : read_kept(kept, &d->settings);
        if (r >= 0)
                log_record(LOG_ERR, MESSAGE_SETTINGS, NULL, "it goes on with the settings that it had before");
        return r;
}

bool configure_check(const struct daemon *d) {
        struct policy_report report = {};
        _cleanup_(settings_freep) struct settings *settings = NULL;
        int r = settings_find(d->config, demand_user(), geteuid(), &settings, &report);

        if (r < 0)
                log_report(&report);
        policy_report_done(&report);
        return r >= 0;
}

int configure_show(const char *config) {
        struct policy_report report = {};
        _cleanup_(settings_freep) struct settings *settings = NULL;
        _cleanup_free_ char *path = NULL;
        int r = read_path(config, &path);

        if (r >= 0)
                r = settings_load(path, config != NULL, geteuid(), &settings, &report);
        policy_report_print(&report, stderr);
        policy_report_done(&report);
        _cleanup_free_ char *shown = str_escape(path ?: "");
        if (r >= 0 && settings->file)
                printf("%s: in order\n", shown);
        else if (r >= 0 || r == -ENOENT)
                printf("%s%sall is as by default\n", shown, path ? " is not there: " : "");
        return r < 0 && r != -ENOENT ? 1 : 0;
}

/* ---- quotas ---- */

/* Nobody but root may have more than half of what we can hold descriptors for; a daemon of one's own is all one's own. */
static uint64_t sandboxes_possible(uid_t uid) {
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur <= FDS_RESERVED)
                return 0;
        uint64_t all = (files.rlim_cur - FDS_RESERVED) / FDS_EACH;
        return uid == geteuid() ? all : all / 2;
}

/* Besides those of the sandboxes, an eighth. */
static uint64_t connections_possible(uid_t uid) {
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur <= FDS_RESERVED)
                return 0;
        return (files.rlim_cur - FDS_RESERVED) / (uid == geteuid() ? 2 : 8);
}

static uint64_t possible(uid_t uid, enum quota_kind kind) {
        switch (kind) {
        case QUOTA_SANDBOXES: return sandboxes_possible(uid);
        case QUOTA_CONNECTIONS: return connections_possible(uid);
        default: return UINT64_MAX;
        }
}

/* Of those that aren't told; root's own, and those of a daemon of one's own, have no bound of ours on calls. */
static uint64_t by_default(uid_t uid, enum quota_kind kind) {
        switch (kind) {
        case QUOTA_CONNECTIONS: return CONNECTIONS;
        case QUOTA_CALLS: return uid == geteuid() ? UINT64_MAX : CALLS;
        case QUOTA_SANDBOX_CALLS: return SANDBOX_CALLS;
        case QUOTA_SANDBOX_MEMORY: return SANDBOX_MEMORY;
        default: return UINT64_MAX;
        }
}

static uint64_t least(uint64_t a, uint64_t b) {
        return a < b ? a : b;
}

uint64_t quota_of(const struct daemon *d, uid_t uid, enum quota_kind kind) {
        const struct quota *q = settings_quota(d->settings, uid, kind);
        uint64_t n = least(q->set ? q->value : by_default(uid, kind), possible(uid, kind));

        /* One has no more than all. */
        if (kind == QUOTA_SANDBOX_CALLS)
                return least(n, quota_of(d, uid, QUOTA_CALLS));
        return kind == QUOTA_SANDBOX_MEMORY ? least(n, quota_of(d, uid, QUOTA_MEMORY)) : n;
}

bool quota_allows(const struct daemon *d, uid_t uid, size_t n, enum quota_kind *ret_over) {
        if (n >= quota_of(d, uid, QUOTA_SANDBOXES))
                *ret_over = QUOTA_SANDBOXES;
        else if (n >= quota_of(d, uid, QUOTA_MEMORY) / quota_of(d, uid, QUOTA_SANDBOX_MEMORY))
                *ret_over = QUOTA_MEMORY;
        else
                return true;
        return false;
}

const char *quota_why(const struct daemon *d, uid_t uid, enum quota_kind kind, char buffer[QUOTA_WHY]) {
        const struct quota *q = settings_quota(d->settings, uid, kind);
        uint64_t n = quota_of(d, uid, kind);

        if (kind == QUOTA_MEMORY) {
                _cleanup_free_ char *file = str_escape(q->place.file ?: "");
                snprintf(buffer, QUOTA_WHY,
                         "uid %u may have %" PRIu64 "M of memory in workers, of which each sandbox takes %" PRIu64
                         "M (quota: memory in %s:%u; sandbox-memory)",
                         uid, n >> 20, quota_of(d, uid, QUOTA_SANDBOX_MEMORY) >> 20, file, q->place.line);
        } else if (q->set && q->value == n) {
                _cleanup_free_ char *file = str_escape(q->place.file);
                snprintf(buffer, QUOTA_WHY, "uid %u may have %" PRIu64 " %s (quota: %s in %s:%u)", uid, n, quota_name(kind),
                         quota_name(kind), file, q->place.line);
        } else if (n == possible(uid, kind))
                snprintf(buffer, QUOTA_WHY, "uid %u may have %" PRIu64 " %s, since sandboxd has descriptors for no more (LimitNOFILE=)",
                         uid, n, quota_name(kind));
        else
                snprintf(buffer, QUOTA_WHY, "uid %u may have %" PRIu64 " %s by default (quota: %s in sandboxd.yaml sets another number)",
                         uid, n, quota_name(kind), quota_name(kind));
        return buffer;
}
