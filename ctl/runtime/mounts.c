#include "mounts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cleanup.h"
#include "json_member.h"
#include "modules.h"
#include "path.h"
#include "profile.h"
#include "str.h"

static size_t length(struct json_object *array) {
        return array ? json_object_array_length(array) : 0;
}

static bool lists(struct json_object *array, const char *text) {
        for (size_t i = 0; i < length(array); i++) {
                struct json_object *value = json_object_array_get_idx(array, i);
                if (json_object_is_type(value, json_type_string) && str_equal(json_object_get_string(value), text))
                        return true;
        }
        return false;
}

/* ---- the container ---- */

static const char *check_namespaces(struct json_object *os) {
        struct json_object *list = json_member(os, "namespaces", json_type_array);
        bool pid = false, mount = false;

        for (size_t i = 0; i < length(list); i++) {
                struct json_object *one = json_object_array_get_idx(list, i);
                const char *type = json_member_text(one, "type"), *path = json_member_text(one, "path");
                bool own = !path || !path[0];
                if (str_equal(type, "user"))
                        return "it has a user namespace";
                pid = pid || (own && str_equal(type, "pid"));
                mount = mount || (own && str_equal(type, "mount"));
        }
        return pid && mount ? NULL : "it has no mount and pid namespace of its own";
}

/* What comes to a mount later has other attributes. */
static bool propagates(struct json_object *options) {
        static const char *const words[] = { "shared", "rshared", "slave", "rslave" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (lists(options, words[i]))
                        return true;
        return false;
}

/* Whether what lies at a path of the host brings along what the kernel shows of itself: a procfs leads to what is masked in the container's own, and rules name
 * all else by its usual place. */
static bool brings_kernel(const char *source, const char *at) {
        _cleanup_fclose_ FILE *file = fopen("/proc/self/mountinfo", "re");
        _cleanup_free_ char *line = NULL, *real = realpath(source, NULL);
        bool brings = false;
        size_t room = 0, longest = 0;

        if (!file || !real)
                return true;
        while (getline(&line, &room, file) > 0) {
                char root[4096], path[4096], type[64], now[8192];
                const char *end = strstr(line, " - ");
                if (!end || sscanf(line, "%*s %*s %*s %4095s %4095s", root, path) != 2 || sscanf(end, " - %63s", type) != 1)
                        return true;
                const char *usual = path_of_kernel_tree(type);
                size_t n = path[1] ? strlen(path) : 0;
                if (path_covers(real, path)) {
                        snprintf(now, sizeof(now), "%s%s", at, path + (real[1] ? strlen(real) : 0));
                        if (usual && (str_equal(type, "proc") || path_kernel_tree_elsewhere(usual, root, now)))
                                return true;
                }
                /* That which it lies on is the last of those with the longest path. */
                if (path_covers(path, real) && n >= longest) {
                        longest = n;
                        snprintf(now, sizeof(now), "%s%s", root[1] ? root : "", real[1] ? real + n : "");
                        brings = usual && (str_equal(type, "proc") || path_kernel_tree_elsewhere(usual, now[0] ? now : "/", at));
                }
        }
        return brings;
}

/* Our own folders, as plan.c has them stay out, come along. */
static bool brings_ours(const char *destination, const char *source) {
        static const char *const ours[] = { "/run/sandboxd", "/var/run/sandboxd", "/var/lib/sandboxd", "/run/user/0/sandboxd" };
        char path[4096];
        struct stat st;

        for (size_t i = 0; i < ELEMENTSOF(ours); i++)
                if (path_covers(destination, ours[i]) &&
                    snprintf(path, sizeof(path), "%s%s", source, ours[i] + strlen(destination)) < (int) sizeof(path) &&
                    lstat(path, &st) >= 0)
                        return true;
        return false;
}

static const char *check_mount(struct json_object *mount) {
        struct json_object *options = json_member(mount, "options", json_type_array);
        const char *type = json_member_text(mount, "type"), *source = json_member_text(mount, "source"),
                   *at = json_member_text(mount, "destination");
        bool bind = str_equal(type, "bind") || lists(options, "bind") || lists(options, "rbind");
        size_t n = at ? strlen(at) : 0;

        /* As the kernel writes it: so it is compared. */
        if (n < 2 || at[0] != '/' || at[n - 1] == '/' || strstr(at, "//") || strstr(at, "/./") || strstr(at, "/../"))
                return "one of its mounts is at a path that isn't written plainly";
        if (propagates(options))
                return "what is mounted elsewhere later can come to one of its mounts";
        if (str_equal(at, "/proc") && (bind || !str_equal(type, "proc")))
                return "its /proc is none of its own";
        if (str_equal(at, "/dev") && (bind || !str_equal(type, "tmpfs")))
                return "its /dev is none of its own";
        if (str_equal(at, "/sys") && !str_equal(type, "sysfs") && !(bind && str_equal(source, "/sys")))
                return "its /sys is none of the kernel's";
        if (!bind && type && path_of_kernel_tree(type) && path_kernel_tree_elsewhere(path_of_kernel_tree(type), "/", at))
                return "what the kernel shows below /proc and /sys is mounted elsewhere as well";
        if (bind && (!source || brings_kernel(source, at)))
                return "one of its mounts brings what the kernel shows below /proc and /sys along";
        return bind && brings_ours(at, source) ? "one of its mounts brings sandboxd's own files along" : NULL;
}

static const char *check_config(struct json_object *config, bool crun) {
        struct json_object *os = json_member(config, "linux", json_type_object);
        const char *propagation = json_member_text(os, "rootfsPropagation"),
                   *cwd = json_member_text(json_member(config, "process", json_type_object), "cwd");
        const char *why = check_namespaces(os);

        if (!crun)
                return "the runtime below isn't crun";
        if (!agent_is_root())
                return "its engine isn't root's";
        if (why)
                return why;
        if (propagation && propagation[0] && !str_equal(propagation, "private") && !str_equal(propagation, "rprivate"))
                return "its root takes what is mounted elsewhere";
        return cwd && path_covers("/proc", cwd) ? "its program begins in /proc" : NULL;
}

int mounts_read(struct json_object *config, bool crun, struct container_mounts *ret) {
        struct json_object *list = json_member(config, "mounts", json_type_array);

        *ret = (struct container_mounts) { .why = check_config(config, crun), .points = calloc(length(list) + 1, sizeof(*ret->points)) };
        if (!ret->points)
                return -ENOMEM;
        for (size_t i = 0; i < length(list); i++) {
                struct json_object *mount = json_object_array_get_idx(list, i);
                if (!ret->why)
                        ret->why = check_mount(mount);
                if (json_member_text(mount, "destination"))
                        ret->points[ret->n++] = json_member_text(mount, "destination");
        }
        return 0;
}

void mounts_done(struct container_mounts *m) {
        free(m->points);
        free(m->masked);
        free(m->read_only);
        *m = (struct container_mounts) {};
}

/* ---- the policy ---- */

static bool is_point(const struct container_mounts *m, const char *path) {
        for (size_t i = 0; i < m->n; i++)
                if (str_equal(m->points[i], path))
                        return true;
        return false;
}

/* The place of the rule in the image is not the one in the container. */
static bool is_covered(const struct container_mounts *m, const char *path) {
        for (size_t i = 0; i < m->n; i++)
                if (!str_equal(m->points[i], path) && path_covers(m->points[i], path) && !str_equal(m->points[i], "/proc") &&
                    !str_equal(m->points[i], "/dev"))
                        return true;
        return false;
}

/* Without a mode or numbers it is one of those that every container has. */
static bool device_agrees(const struct plan *plan, struct json_object *device) {
        struct json_object *major = json_member(device, "major", json_type_int), *minor = json_member(device, "minor", json_type_int);
        const char *type = json_member_text(device, "type");
        struct stat st = {};

        if (str_equal(type, "p"))
                return true;
        if (!major || !minor || !type || (strcmp(type, "c") != 0 && strcmp(type, "u") != 0 && strcmp(type, "b") != 0))
                return false;
        st.st_mode = type[0] == 'b' ? S_IFBLK : S_IFCHR;
        st.st_rdev = makedev(json_object_get_int(major), json_object_get_int(minor));
        return modules_device_named(plan, &st);
}

static bool agrees(const struct container_mounts *m, struct json_object *os, const struct plan *plan) {
        struct json_object *devices = json_member(os, "devices", json_type_array);

        for (size_t i = 0; i < length(devices); i++)
                if (!device_agrees(plan, json_object_array_get_idx(devices, i)))
                        return false;
        for (size_t i = 0; i < plan->n_nodes; i++)
                if (is_covered(m, plan->nodes[i].path))
                        return false;
        return true;
}

static bool is_there(const char *path) {
        struct stat st;

        /* The host's /proc has what the container's will have. */
        return !path_covers("/proc", path) || lstat(path, &st) >= 0;
}

/* The list of the config with what isn't in it yet; NULL: there is nothing to add, or no memory. */
static char *extend(struct json_object *os, const char *name, const struct container_mounts *m, const struct plan *plan,
                    enum node_kind kind) {
        struct json_object *list = json_member(os, name, json_type_array), *longer = json_object_new_array();
        char *text = NULL;
        bool more = false;

        for (size_t i = 0; i < length(list); i++)
                json_object_array_add(longer, json_object_get(json_object_array_get_idx(list, i)));
        for (size_t i = 0; i < plan->n_nodes; i++) {
                const struct node *node = plan->nodes + i;
                if (node->kind != kind || (node->rights & RIGHT_WRITE) || !node->path[1] || is_point(m, node->path) ||
                    lists(list, node->path) || !is_there(node->path))
                        continue;
                json_object_array_add(longer, json_object_new_string(node->path));
                more = true;
        }
        if (more)
                text = strdup(json_object_to_json_string_ext(longer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        json_object_put(longer);
        return text;
}

void mounts_plan(struct container_mounts *m, struct json_object *config, const struct plan *plan) {
        struct json_object *os = json_member(config, "linux", json_type_object);

        m->hold = !plan->files_brokered && agrees(m, os, plan);
        if (m->hold) {
                m->masked = extend(os, "maskedPaths", m, plan, NODE_MASK);
                m->read_only = extend(os, "readonlyPaths", m, plan, NODE_BIND);
        }
}
