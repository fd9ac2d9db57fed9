/*
 * Sandboxes whose namespaces are not ours: what no mechanism can enforce there, and what is held by rules in the place of the mounts that our own
 * launcher would make.
 */
#include <errno.h>

#include "str.h"
#include "tree.h"

const char *const plan_proc_read_only[] = {
        "sys", "sysrq-trigger", "irq", "bus", "fs", "driver", "dynamic_debug", "tty", "mtrr", "mdstat", "pressure", NULL,
};

const char *const plan_proc_masked[] = {
        "acpi",        "asound",        "kcore",      "keys",        "kmsg",        "kpagecgroup", "kpagecount",
        "kpageflags",  "latency_stats", "timer_list", "timer_stats", "sched_debug", "scsi",        "slabinfo",
        "vmallocinfo", "pagetypeinfo",  "interrupts", "vmcore",      "lock_stat",   NULL,
};

static bool in_place(const struct compiler *c) {
        return c->request->setting == PLAN_IN_PLACE;
}

const char *setting_why(enum plan_setting setting) {
        return setting == PLAN_IN_PLACE ? "a service keeps its unit's own view, in which nothing is mounted for it"
                                        : "a container's mounts are its runtime's";
}

int setting_refuse_content(struct compiler *c, const struct file_rule *rule) {
        _cleanup_free_ char *path = shown(rule->path);

        return PLAN_ERROR(c, rule->place, "no tier: %s: `%s` puts something of its own there, and %s: %s", path, file_kind_name(rule->kind),
                          setting_why(c->request->setting),
                          in_place(c)
                                  ? "let the unit do it (PrivateTmp=, TemporaryFileSystem=, BindPaths=), and grant `read` or `write` here"
                                  : "give the container a volume or tmpfs there, and grant `read` or `write` here");
}

static int refuse(struct compiler *c, const char *what, const char *of_unit, const char *of_runtime) {
        return PLAN_ERROR(c, ((struct place) { .file = c->policy->name }), "no tier: %s: %s: %s", what,
                          in_place(c) ? "that is the unit's to say" : "that is the container's runtime's to say",
                          in_place(c) ? of_unit : of_runtime);
}

int setting_check(struct compiler *c) {
        const struct policy *p = c->policy;
        int r = 0;

        if (p->kernel.hostname)
                r = refuse(c, "kernel: hostname", "leave it out", "leave it out, and use --hostname");
        if (p->limits.memory > 0)
                r = refuse(c, "limits: memory", "use MemoryMax=", "use --memory");
        if (p->limits.processes > 0)
                r = refuse(c, "limits: processes", "use TasksMax=", "use --pids-limit");
        /* A service sets these on itself before it becomes the program. */
        if (p->limits.open_files > 0 && !in_place(c))
                r = refuse(c, "limits: open-files", "", "use --ulimit nofile=N");
        if (p->limits.file_size > 0 && !in_place(c))
                r = refuse(c, "limits: file-size", "", "use --ulimit fsize=N");
        if (p->subordinate_ids)
                r = refuse(c, "identity: ids: subordinate", "use User= or DynamicUser=", "use a user namespace of the runtime's");
        return r;
}

static struct tree_node *add_below(struct compiler *c, const char *folder, const char *name, unsigned rights) {
        _cleanup_(strbuf_done) struct strbuf path = {};

        strbuf_printf(&path, "%s/%s", folder, name);
        struct tree_node *node = path.failed ? NULL : tree_place(c, path.text);
        if (node)
                node->rights = rights;
        return node;
}

int setting_add_built_in(struct compiler *c) {
        static const char *const terminals[] = { "pts", "ptmx", "tty", "console" }, *const links[] = { "fd", "stdin", "stdout", "stderr" },
                                 *const own[] = { "shm", "mqueue" };
        struct tree_node *proc = tree_place(c, "/proc");
        bool ok = proc;

        if (ok)
                proc->rights = RIGHTS_WRITE;
        for (const char *const *name = plan_proc_read_only; ok && *name; name++)
                ok = add_below(c, "/proc", *name, RIGHT_READ);
        for (size_t i = 0; ok && i < c->policy->n_devices; i++)
                ok = add_below(c, "/dev", c->policy->devices[i], RIGHTS_WRITE);
        for (size_t i = 0; ok && i < ELEMENTSOF(terminals); i++)
                ok = add_below(c, "/dev", terminals[i], RIGHTS_WRITE);
        for (size_t i = 0; ok && i < ELEMENTSOF(links); i++)
                ok = add_below(c, "/dev", links[i], RIGHT_READ);
        /* A service shares them with the whole host. */
        for (size_t i = 0; ok && !in_place(c) && i < ELEMENTSOF(own); i++)
                ok = add_below(c, "/dev", own[i], RIGHTS_WRITE);
        return ok ? 0 : -ENOMEM;
}

int setting_add_masks(struct compiler *c) {
        for (const char *const *name = plan_proc_masked; *name; name++) {
                _cleanup_(strbuf_done) struct strbuf path = {};
                strbuf_printf(&path, "/proc/%s", *name);
                struct tree_node *node = path.failed ? NULL : tree_place(c, path.text);
                if (!node)
                        return -ENOMEM;
                node->stays_out = !node->grant;
        }
        return 0;
}
