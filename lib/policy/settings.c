#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "fd.h"
#include "folders.h"
#include "load.h"
#include "str.h"

#define POLICIES_MAX 16
#define CALLS_MIN 16

struct settings_storage {
        struct settings settings; /* the first, so that one pointer is the other */
        struct arena arena;
};

/* What the readers of values get: they see the first member. */
struct reader {
        struct loader loader;
        struct settings *settings;
        struct quota *quotas; /* which are being read */
};

static struct reader *reader_of(struct loader *l) {
        return (struct reader *) l;
}

/* ---- quota ---- */

const char *quota_name(enum quota_kind kind) {
        static const char *const names[QUOTA_KINDS] = {
                [QUOTA_SANDBOXES] = "sandboxes", [QUOTA_CONNECTIONS] = "connections",     [QUOTA_CALLS] = "calls",
                [QUOTA_MEMORY] = "memory",       [QUOTA_SANDBOX_CALLS] = "sandbox-calls", [QUOTA_SANDBOX_MEMORY] = "sandbox-memory",
        };

        return names[kind];
}

static int set_quota(struct loader *l, const struct yaml_node *node, enum quota_kind kind, uint64_t value) {
        reader_of(l)->quotas[kind] = (struct quota) { .set = true, .value = value, .place = node->place };
        return 0;
}

static int read_count(struct loader *l, const struct yaml_node *node, enum quota_kind kind, uint64_t min, uint64_t max) {
        uint64_t value;
        int r = value_number(l, node, quota_name(kind), min, max, &value);

        return r < 0 ? r : set_quota(l, node, kind, value);
}

static int read_sandboxes(struct loader *l, const struct yaml_node *node) {
        return read_count(l, node, QUOTA_SANDBOXES, 0, 100000);
}

static int read_connections(struct loader *l, const struct yaml_node *node) {
        return read_count(l, node, QUOTA_CONNECTIONS, 0, 100000);
}

/* With fewer, calls that wait for one another inside of a sandbox (the ends of a FIFO, say) would soon have nobody left to answer them. */
static int read_calls(struct loader *l, const struct yaml_node *node) {
        return read_count(l, node, QUOTA_CALLS, CALLS_MIN, 1000000);
}

static int read_sandbox_calls(struct loader *l, const struct yaml_node *node) {
        return read_count(l, node, QUOTA_SANDBOX_CALLS, CALLS_MIN, QUOTA_SANDBOX_CALLS_MAX);
}

static int read_bytes(struct loader *l, const struct yaml_node *node, enum quota_kind kind) {
        uint64_t value;
        int r = value_size(l, node, quota_name(kind), &value);

        if (r >= 0 && value < 32U << 20)
                return ERROR(l, node->place, "%s: a worker can't do with less than 32M", quota_name(kind));
        return r < 0 ? r : set_quota(l, node, kind, value);
}

static int read_memory(struct loader *l, const struct yaml_node *node) {
        return read_bytes(l, node, QUOTA_MEMORY);
}

static int read_sandbox_memory(struct loader *l, const struct yaml_node *node) {
        return read_bytes(l, node, QUOTA_SANDBOX_MEMORY);
}

/* Of one user, and of all whom no line of their own names. */
#define QUOTA_KEYS \
        { "sandboxes", read_sandboxes }, { "connections", read_connections }, { "calls", read_calls }, { "memory", read_memory }, \
                { "sandbox-calls", read_sandbox_calls }, { \
                "sandbox-memory", read_sandbox_memory \
        }

/* 1: nobody has this name. */
static int find_uid(struct loader *l, const struct yaml_node *key, uid_t *ret) {
        _cleanup_free_ char *word = str_escape(key->text);
        char *end;

        if (key->text[0] >= '0' && key->text[0] <= '9') {
                errno = 0;
                unsigned long n = strtoul(key->text, &end, 10);
                if (*end || errno == ERANGE || n >= UINT32_MAX)
                        return ERROR(l, key->place, "users: `%.80s` is neither a user's name nor a uid", word ? word : "");
                *ret = n;
                return 0;
        }
        errno = 0;
        const struct passwd *pw = getpwnam(key->text);
        if (!pw) {
                /* Where the accounts come over a network, it may be there tomorrow. */
                policy_report_add(l->report, true, key->place, "users: there is no user `%.80s`, and this counts for nobody",
                                  word ? word : "");
                return 1;
        }
        *ret = pw->pw_uid;
        return 0;
}

static int read_user(struct loader *l, const struct yaml_node *key, const struct yaml_node *value) {
        static const struct key keys[] = { QUOTA_KEYS };
        struct reader *reader = reader_of(l);
        struct quota_user user = {};
        int r = find_uid(l, key, &user.uid);

        if (r < 0)
                return r;
        for (size_t i = 0; r == 0 && i < reader->settings->n_users; i++)
                if (reader->settings->users[i].uid == user.uid)
                        return ERROR(l, key->place, "users: uid %u is here a second time", user.uid);
        reader->quotas = user.quotas;
        int e = value_map(l, value, "a user's quota", keys, ELEMENTSOF(keys));
        reader->quotas = reader->settings->quotas;
        if (e < 0 || r > 0)
                return e;
        struct quota_user *slot = arena_push(l->arena, &reader->settings->users, &reader->settings->n_users, sizeof(*slot));
        if (!slot)
                return -ENOMEM;
        *slot = user;
        return 0;
}

static int read_users(struct loader *l, const struct yaml_node *node) {
        int result = 0;

        if (node->type != YAML_MAP)
                return ERROR(l, node->place, "users: expected a mapping (`NAME: { sandboxes: 10 }`)");
        for (size_t i = 0; i < node->n; i++) {
                int r = read_user(l, node->keys[i], node->items[i]);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

static int read_quota(struct loader *l, const struct yaml_node *node) {
        static const struct key keys[] = {
                QUOTA_KEYS,
                { "users", read_users },
        };

        return value_map(l, node, "quota", keys, ELEMENTSOF(keys));
}

/* ---- policies, oci ---- */

static int read_folder(struct loader *l, const struct yaml_node *item) {
        struct settings *s = reader_of(l)->settings;
        char *path;
        int r = value_text(l, item, "policies", &path);

        if (r < 0)
                return r;
        if (path[0] != '/')
                return ERROR(l, item->place, "policies: expected the absolute path of a folder");
        if (s->n_policies == POLICIES_MAX)
                return ERROR(l, item->place, "policies: %d folders at most", POLICIES_MAX);
        char **slot = arena_push(l->arena, &s->policies, &s->n_policies, sizeof(*slot));
        if (!slot)
                return -ENOMEM;
        *slot = path;
        return 0;
}

static int read_policies(struct loader *l, const struct yaml_node *node) {
        reader_of(l)->settings->policies_set = true;
        return value_list(l, node, "policies", read_folder);
}

static int read_policy_name(struct loader *l, const struct yaml_node *node, const char *what, char **ret) {
        char *name;
        int r = value_text(l, node, what, &name);

        if (r < 0)
                return r;
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
        if (name[n] || n > 63 || name[0] == '-') {
                _cleanup_free_ char *word = str_escape(name);
                return ERROR(l, node->place, "%s: expected the name of a policy, made of a-z, 0-9 and -, found `%.80s`", what,
                             word ? word : "");
        }
        *ret = name;
        return 0;
}

static int read_selectable_one(struct loader *l, const struct yaml_node *item) {
        struct settings_oci *oci = &reader_of(l)->settings->oci;
        char *name;
        int r = read_policy_name(l, item, "selectable", &name);

        if (r < 0)
                return r;
        char **slot = arena_push(l->arena, &oci->selectable, &oci->n_selectable, sizeof(*slot));
        if (!slot)
                return -ENOMEM;
        *slot = name;
        return 0;
}

static int read_selectable(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "selectable", read_selectable_one);
}

static int read_floor(struct loader *l, const struct yaml_node *node) {
        return read_policy_name(l, node, "floor", &reader_of(l)->settings->oci.floor);
}

static int read_default(struct loader *l, const struct yaml_node *node) {
        return read_policy_name(l, node, "default", &reader_of(l)->settings->oci.default_policy);
}

static int read_oci(struct loader *l, const struct yaml_node *node) {
        static const struct key keys[] = {
                { "selectable", read_selectable },
                { "floor", read_floor },
                { "default", read_default },
        };

        return value_map(l, node, "oci", keys, ELEMENTSOF(keys));
}

/* ---- the file ---- */

static int read_version(struct loader *l, const struct yaml_node *node) {
        uint64_t version;

        return value_number(l, node, "version", 1, 1, &version);
}

/* Scalars are read as those of policies are, which have variables. */
static void refuse_variables(struct loader *l, const struct yaml_node *node) {
        if (node->type == YAML_SCALAR && strstr(node->text, "${"))
                ERROR(l, node->place, "there are no variables in settings");
        for (size_t i = 0; node->type != YAML_SCALAR && i < node->n; i++)
                refuse_variables(l, node->items[i]);
}

static int read_top(struct loader *l, const struct yaml_node *top) {
        static const struct key keys[] = {
                { "version", read_version },
                { "quota", read_quota },
                { "policies", read_policies },
                { "oci", read_oci },
        };

        /* Nothing but comments: all is as by default. */
        if (!top)
                return 0;
        refuse_variables(l, top);
        return l->report->n_errors > 0 ? -EINVAL : value_map(l, top, "sandboxd.yaml", keys, ELEMENTSOF(keys));
}

int settings_parse(const char *file, const char *text, size_t size, struct settings **ret, struct policy_report *report) {
        struct settings_storage *storage = calloc(1, sizeof(*storage));

        if (!storage)
                return -ENOMEM;
        _cleanup_(settings_freep) struct settings *settings = &storage->settings;
        static const struct policy_request nobody;
        struct reader reader = {
                .loader = { .request = &nobody, .report = report, .arena = &storage->arena },
                .settings = settings,
                .quotas = settings->quotas,
        };
        struct yaml_node *top;

        settings->file = arena_strdup(&storage->arena, file);
        settings->text = arena_copy(&storage->arena, text, size);
        settings->size = size;
        if (!settings->file || !settings->text)
                return -ENOMEM;
        policy_report_keep(report, settings->file, text, size);
        int r = document_parse(&storage->arena, settings->file, text, size, &top, report);
        if (r >= 0)
                r = read_top(&reader.loader, top);
        if (r < 0)
                return r;
        if (report->n_errors > 0)
                return -EINVAL;
        *ret = TAKE_PTR(settings);
        return 0;
}

static int defaults(struct settings **ret) {
        struct settings_storage *storage = calloc(1, sizeof(*storage));

        if (!storage)
                return -ENOMEM;
        *ret = &storage->settings;
        return 0;
}

static int read_file(const char *path, uid_t uid, char **ret, size_t *ret_size, struct policy_report *report) {
        struct place place = { .file = path };
        struct stat st;

        /* O_NONBLOCK: a FIFO must not hold us. */
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
                return -ENOENT;
        /* In a folder that one can't look into, as with the HOME of who one was before, there is nothing of one's own. */
        if (fd < 0 && errno == EACCES && stat(path, &st) < 0)
                return -ENOENT;
        if (fd < 0 || fstat(fd, &st) < 0)
                policy_report_add(report, false, place, "it can't be opened: %s", strerror(errno));
        else if (!S_ISREG(st.st_mode))
                policy_report_add(report, false, place, "it is not a regular file");
        else if (!policy_owner_trusted(fd, st.st_uid, uid))
                policy_report_add(report, false, place, "it is refused: it belongs to uid %u, and must belong to %s", st.st_uid,
                                  uid == 0 ? "root" : "you or to root");
        else if (st.st_mode & (S_IWGRP | S_IWOTH))
                policy_report_add(report, false, place, "it is refused: others may write to it (mode %04o); chmod go-w it",
                                  st.st_mode & 07777);
        else {
                int r = fd_read_file(fd, DOCUMENT_SIZE_MAX, ret, ret_size);
                if (r >= 0 || r == -ENOMEM)
                        return r;
                policy_report_add(report, false, place, "it can't be read: %s", strerror(-r));
        }
        return -EINVAL;
}

int settings_load(const char *path, bool needed, uid_t uid, struct settings **ret, struct policy_report *report) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r = read_file(path, uid, &text, &size, report);

        if (r == -ENOENT && !needed)
                return defaults(ret);
        if (r == -ENOENT) {
                policy_report_add(report, false, (struct place) { .file = path }, "there is no such file");
                return -EINVAL;
        }
        return r < 0 ? r : settings_parse(path, text, size, ret, report);
}

struct settings *settings_free(struct settings *settings) {
        if (settings) {
                struct settings_storage *storage = (struct settings_storage *) settings;
                arena_done(&storage->arena);
                free(storage);
        }
        return NULL;
}

const char *settings_home(uid_t uid) {
        const char *home = getenv("HOME");
        const struct passwd *pw = home && home[0] == '/' ? NULL : getpwuid(uid);

        if (pw)
                home = pw->pw_dir;
        return home && home[0] == '/' ? home : NULL;
}

int settings_path(uid_t uid, char **ret) {
        const char *config = getenv("XDG_CONFIG_HOME"), *home;
        int n;

        if (uid == 0)
                n = asprintf(ret, "%s", SANDBOXD_SYSTEM_CONFIG);
        else if (config && config[0] == '/')
                n = asprintf(ret, "%s/sandboxd/sandboxd.yaml", config);
        else if ((home = settings_home(uid)))
                n = asprintf(ret, "%s/.config/sandboxd/sandboxd.yaml", home);
        else
                return -ENOENT;
        return n < 0 ? -ENOMEM : 0;
}

int settings_find(const char *named, uid_t whose, uid_t reader, struct settings **ret, struct policy_report *report) {
        _cleanup_free_ char *path = NULL;

        if (named)
                return settings_load(named, true, reader, ret, report);
        int r = settings_path(whose, &path);
        /* Without a home there is no file. */
        if (r == -ENOENT)
                return defaults(ret);
        return r < 0 ? r : settings_load(path, false, reader, ret, report);
}

const struct quota *settings_quota(const struct settings *settings, uid_t uid, enum quota_kind kind) {
        for (size_t i = 0; i < settings->n_users; i++)
                if (settings->users[i].uid == uid && settings->users[i].quotas[kind].set)
                        return &settings->users[i].quotas[kind];
        return &settings->quotas[kind];
}
