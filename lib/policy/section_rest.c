/*
 * The sections `environment`, `kernel`, `identity`, `devices`, `limits`, `audit` and `on-broker-loss`.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>

#include "load.h"
#include "str.h"

/* ---- environment ---- */

static bool valid_variable(const char *name, bool glob) {
        if (!*name || isdigit((unsigned char) *name))
                return false;
        for (; *name; name++)
                if (!isalnum((unsigned char) *name) && *name != '_' && !(glob && *name == '*'))
                        return false;
        return true;
}

static int add_text(struct loader *l, char ***list, size_t *n, char *text) {
        for (size_t i = 0; i < *n; i++)
                if (strcmp((*list)[i], text) == 0)
                        return 0;
        char **slot = arena_push(l->arena, list, n, sizeof(*slot));
        if (!slot)
                return -ENOMEM;
        *slot = text;
        return 0;
}

static int keep_item(struct loader *l, const struct yaml_node *item) {
        struct policy_environment *e = &l->policy->environment;
        char *name;
        int r = value_text(l, item, "environment: keep", &name);

        if (r < 0)
                return r;
        if (!valid_variable(name, true)) {
                _cleanup_free_ char *word = str_escape(name);
                return ERROR(l, item->place, "keep: expected the name of an environment variable, with * for any letters, found `%.80s`",
                             word ? word : "");
        }
        return add_text(l, &e->keep, &e->n_keep, name);
}

static int read_keep(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "keep", keep_item);
}

static int set_one(struct loader *l, const struct yaml_node *key, const struct yaml_node *value) {
        struct policy_environment *e = &l->policy->environment;
        char *text;

        if (!valid_variable(key->text, false)) {
                _cleanup_free_ char *word = str_escape(key->text);
                return ERROR(l, key->place, "set: `%.80s` can't be the name of an environment variable", word ? word : "");
        }
        int r = value_any_text(l, value, "environment: set", &text);
        if (r < 0)
                return r;
        size_t n = strlen(key->text);
        char *assignment = arena_alloc(l->arena, n + strlen(text) + 2);
        if (!assignment)
                return -ENOMEM;
        stpcpy(stpcpy(stpcpy(assignment, key->text), "="), text);
        for (size_t i = 0; i < e->n_set; i++)
                if (strncmp(e->set[i], assignment, n + 1) == 0) {
                        e->set[i] = assignment;
                        return 0;
                }
        char **slot = arena_push(l->arena, &e->set, &e->n_set, sizeof(*slot));
        if (!slot)
                return -ENOMEM;
        *slot = assignment;
        return 0;
}

static int read_set(struct loader *l, const struct yaml_node *node) {
        int result = 0;

        if (node->type != YAML_MAP)
                return ERROR(l, node->place, "set: expected a mapping (`NAME: value`)");
        for (size_t i = 0; i < node->n; i++) {
                int r = set_one(l, node->keys[i], node->items[i]);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

int section_environment(struct loader *l, const struct yaml_node *node) {
        static const struct key keys[] = { { "keep", read_keep }, { "set", read_set } };

        return value_map(l, node, "environment", keys, ELEMENTSOF(keys));
}

/* ---- kernel ---- */

/* What uname(2) has room for. */
static int uname_field(struct loader *l, const struct yaml_node *node, const char *what, char **field) {
        char *text;
        int r = value_text(l, node, what, &text);

        if (r < 0)
                return r;
        if (strlen(text) > 64)
                return ERROR(l, node->place, "%s: at most 64 bytes fit", what);
        *field = text;
        return 0;
}

static int read_sysname(struct loader *l, const struct yaml_node *node) {
        return uname_field(l, node, "sysname", &l->policy->kernel.sysname);
}

static int read_release(struct loader *l, const struct yaml_node *node) {
        return uname_field(l, node, "release", &l->policy->kernel.release);
}

static int read_kernel_version(struct loader *l, const struct yaml_node *node) {
        return uname_field(l, node, "version", &l->policy->kernel.version);
}

static int read_machine(struct loader *l, const struct yaml_node *node) {
        return uname_field(l, node, "machine", &l->policy->kernel.machine);
}

static int read_uname(struct loader *l, const struct yaml_node *node) {
        static const struct key keys[] = {
                { "sysname", read_sysname },
                { "release", read_release },
                { "version", read_kernel_version },
                { "machine", read_machine },
        };

        return value_map(l, node, "uname", keys, ELEMENTSOF(keys));
}

static int read_hostname(struct loader *l, const struct yaml_node *node) {
        int r = uname_field(l, node, "hostname", &l->policy->kernel.hostname);

        if (r >= 0)
                for (const char *c = l->policy->kernel.hostname; *c; c++)
                        if (!isalnum((unsigned char) *c) && *c != '-' && *c != '.')
                                return ERROR(l, node->place, "hostname: a host's name is made of letters, digits, - and .");
        return r;
}

static int read_kernel_memory(struct loader *l, const struct yaml_node *node) {
        return value_size(l, node, "memory", &l->policy->kernel.memory);
}

int section_kernel(struct loader *l, const struct yaml_node *node) {
        static const struct key keys[] = {
                { "uname", read_uname },
                { "hostname", read_hostname },
                { "cpus", NULL, "programs see the host's processors" },
                { "memory", read_kernel_memory },
        };

        return value_map(l, node, "kernel", keys, ELEMENTSOF(keys));
}

/* ---- identity ---- */

static int read_ids(struct loader *l, const struct yaml_node *node) {
        static const char *const words[] = { "own", "subordinate" };
        size_t which;
        int r = value_word(l, node, "identity: ids", words, ELEMENTSOF(words), &which);

        if (r >= 0)
                l->policy->subordinate_ids = which == 1;
        return r;
}

int section_identity(struct loader *l, const struct yaml_node *node) {
        static const struct key keys[] = {
                { "ids", read_ids },
                { "root", NULL, "the sandbox runs with the caller's own identity" },
        };

        return value_map(l, node, "identity", keys, ELEMENTSOF(keys));
}

/* ---- devices ---- */

static bool valid_device(const char *name) {
        if (!*name || strlen(name) > 200)
                return false;
        for (const char *p = name; *p;) {
                size_t n = strcspn(p, "/");
                if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
                        return false;
                p += n;
                if (*p == '/' && !*++p)
                        return false;
        }
        return true;
}

/* Names that stand for the sandbox's own, or that lead out of it. */
static bool reserved_device(const char *name) {
        static const char *const reserved[] = { "pts", "ptmx", "shm", "mqueue", "fd", "stdin", "stdout", "stderr", "mem", "kmem", "port" };

        for (size_t i = 0; i < ELEMENTSOF(reserved); i++) {
                size_t n = strlen(reserved[i]);
                if (strncmp(name, reserved[i], n) == 0 && (name[n] == 0 || name[n] == '/'))
                        return true;
        }
        return false;
}

static int device_item(struct loader *l, const struct yaml_node *item) {
        char *name;
        int r = value_text(l, item, "devices", &name);

        if (r < 0)
                return r;
        if (!valid_device(name)) {
                _cleanup_free_ char *word = str_escape(name);
                return ERROR(l, item->place, "devices: expected a name below /dev (null, dri/card0), found `%.80s`", word ? word : "");
        }
        if (reserved_device(name))
                return ERROR(l, item->place, "devices: `%s` can't be named: it is the sandbox's own, or would be a way out of it", name);
        return add_text(l, &l->policy->devices, &l->policy->n_devices, name);
}

int section_devices(struct loader *l, const struct yaml_node *node) {
        return value_list(l, node, "devices", device_item);
}

/* ---- limits ---- */

static int read_processes(struct loader *l, const struct yaml_node *node) {
        return value_number(l, node, "processes", 1, 1U << 22, &l->policy->limits.processes);
}

static int read_open_files(struct loader *l, const struct yaml_node *node) {
        return value_number(l, node, "open-files", 3, 1U << 30, &l->policy->limits.open_files);
}

static int read_file_size(struct loader *l, const struct yaml_node *node) {
        return value_size(l, node, "file-size", &l->policy->limits.file_size);
}

static int read_memory(struct loader *l, const struct yaml_node *node) {
        return value_size(l, node, "memory", &l->policy->limits.memory);
}

static int read_time(struct loader *l, const struct yaml_node *node) {
        return value_time(l, node, "time", &l->policy->limits.time_usec);
}

int section_limits(struct loader *l, const struct yaml_node *node) {
        static const struct key keys[] = {
                { "processes", read_processes }, { "open-files", read_open_files },
                { "file-size", read_file_size }, { "memory", read_memory },
                { "time", read_time },
        };

        return value_map(l, node, "limits", keys, ELEMENTSOF(keys));
}

/* ---- audit, on-broker-loss ---- */

static int read_record(struct loader *l, const struct yaml_node *node) {
        static const char *const words[] = { [AUDIT_DENIED] = "denied", [AUDIT_ALL] = "all", [AUDIT_NONE] = "none" };
        size_t which;
        int r = value_word(l, node, "audit: record", words, ELEMENTSOF(words), &which);

        if (r >= 0)
                l->policy->audit = which;
        return r;
}

int section_audit(struct loader *l, const struct yaml_node *node) {
        static const struct key keys[] = { { "record", read_record } };

        return value_map(l, node, "audit", keys, ELEMENTSOF(keys));
}

int section_on_broker_loss(struct loader *l, const struct yaml_node *node) {
        static const char *const words[] = { "wait", "kill" };
        size_t which;
        int r = value_word(l, node, "on-broker-loss", words, ELEMENTSOF(words), &which);

        if (r >= 0)
                l->policy->kill_on_broker_loss = which == 1;
        return r;
}
