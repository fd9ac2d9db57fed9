/*
 * Maps of user and group ids.
 *
 * Root maps every id it has to itself. Everybody else maps their own id to itself, and, where the policy asks for it, the ids that
 * /etc/subuid and /etc/subgid give them around it: the subordinate ids take the numbers from 0 up that are free, so that the usual system
 * users exist inside.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "start.h"
#include "str.h"

static int map_add(struct id_map *map, uint32_t inside, uint32_t outside, uint32_t count) {
        if (count == 0)
                return 0;
        if (map->n == ID_EXTENTS)
                return -E2BIG;
        map->extents[map->n++] = (struct id_extent) { inside, outside, count };
        return 0;
}

/* All ids that exist in our own namespace, each to itself. */
static int map_all(const char *path, struct id_map *map) {
        _cleanup_fclose_ FILE *f = fopen(path, "re");
        uint32_t inside, outside, count;
        int r;

        if (!f)
                return -errno;
        while (fscanf(f, "%" SCNu32 " %" SCNu32 " %" SCNu32, &inside, &outside, &count) == 3)
                if ((r = map_add(map, inside, inside, count)) < 0)
                        return r;
        return map->n > 0 ? 0 : -EINVAL;
}

/* The first range that a line "name:start:count" or "uid:start:count" gives. */
static int find_range(const char *path, const char *user, uid_t uid, uint32_t *ret_start, uint32_t *ret_count) {
        _cleanup_fclose_ FILE *f = fopen(path, "re");
        _cleanup_free_ char *line = NULL;
        char number[16];
        size_t room = 0;

        if (!f)
                return -errno;
        snprintf(number, sizeof(number), "%u", uid);
        while (getline(&line, &room, f) > 0) {
                char *colon = strchr(line, ':');
                uint32_t start = 0, count = 0;

                if (!colon)
                        continue;
                *colon = 0;
                if ((!user || strcmp(line, user) != 0) && strcmp(line, number) != 0)
                        continue;
                if (sscanf(colon + 1, "%" SCNu32 ":%" SCNu32, &start, &count) != 2 || count == 0 || start > UINT32_MAX - count)
                        continue;
                *ret_start = start;
                *ret_count = count;
                return 0;
        }
        return -ENOENT;
}

static int map_around(struct id_map *map, uint32_t own, uint32_t start, uint32_t count) {
        uint32_t below = own < count ? own : count;
        int r;

        if ((r = map_add(map, 0, start, below)) < 0 || (r = map_add(map, own, own, 1)) < 0)
                return r;
        return map_add(map, own + 1, start + below, count - below);
}

static int maps_subordinate(const struct launch_options *o, struct id_maps *maps, char **error) {
        const struct passwd *user = getpwuid(o->uid);
        const char *name = user ? user->pw_name : NULL;
        uint32_t start = 0, count = 0;

        for (int group = 0; group < 2; group++) {
                const char *file = group ? "/etc/subgid" : "/etc/subuid", *helper = group ? "/usr/bin/newgidmap" : "/usr/bin/newuidmap";
                int r = find_range(file, name, o->uid, &start, &count);
                if (r < 0)
                        return launch_fail(error, r,
                                           "the policy asks for subordinate ids, and %s gives none to %s; add them with: "
                                           "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER",
                                           file, name ?: "this user");
                if (access(helper, X_OK) < 0)
                        return launch_fail(error, -errno,
                                           "the policy asks for subordinate ids, and %s is missing; install the package uidmap", helper);
                r = map_around(group ? &maps->gid : &maps->uid, group ? o->gid : o->uid, start, count);
                if (r < 0)
                        return r;
        }
        maps->helpers = true;
        return 0;
}

int maps_plan(const struct launch_options *o, struct id_maps *ret, char **error) {
        *ret = (struct id_maps) {};
        if (o->uid == 0) {
                int r = map_all("/proc/self/uid_map", &ret->uid);
                if (r >= 0)
                        r = map_all("/proc/self/gid_map", &ret->gid);
                return r < 0 ? launch_fail(error, r, "our own ids can't be read from /proc/self/uid_map: %s", strerror(-r)) : 0;
        }
        if (o->plan->policy->subordinate_ids)
                return maps_subordinate(o, ret, error);
        (void) map_add(&ret->uid, o->uid, o->uid, 1);
        (void) map_add(&ret->gid, o->gid, o->gid, 1);
        ret->deny_setgroups = true;
        return 0;
}

static int write_file(pid_t pid, const char *file, const char *text, size_t size) {
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        /* The kernel takes a map in one write only. */
        ssize_t n = write(fd, text, size);
        return n < 0 ? -errno : (size_t) n == size ? 0 : -EIO;
}

static int map_write(pid_t pid, const char *file, const struct id_map *map, bool identity) {
        char text[ID_EXTENTS * 36];
        size_t size = 0;

        for (size_t i = 0; i < map->n; i++) {
                const struct id_extent *e = &map->extents[i];
                size += snprintf(text + size, sizeof(text) - size, "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n", e->inside,
                                 identity ? e->inside : e->outside, e->count);
        }
        return write_file(pid, file, text, size);
}

/* Runs newuidmap or newgidmap: by its absolute path, in a clean environment, because it runs with root's rights. */
static int run_helper(const char *helper, pid_t pid, const struct id_map *map, char **error) {
        char numbers[1 + 3 * ID_EXTENTS][16];
        char *argv[3 + 3 * ID_EXTENTS] = { (char *) helper }, *environment[] = { NULL };
        size_t n = 1;
        posix_spawnattr_t attr;
        sigset_t none;
        pid_t child;
        int status;

        snprintf(numbers[0], sizeof(numbers[0]), "%d", pid);
        argv[n++] = numbers[0];
        for (size_t i = 0; i < map->n; i++) {
                const uint32_t values[] = { map->extents[i].inside, map->extents[i].outside, map->extents[i].count };
                for (size_t j = 0; j < 3; j++, n++) {
                        snprintf(numbers[n - 1], sizeof(numbers[0]), "%" PRIu32, values[j]);
                        argv[n] = numbers[n - 1];
                }
        }
        sigemptyset(&none);
        posix_spawnattr_init(&attr);
        posix_spawnattr_setsigmask(&attr, &none);
        posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
        int r = posix_spawn(&child, helper, NULL, &attr, argv, environment);
        posix_spawnattr_destroy(&attr);
        if (r != 0)
                return launch_fail(error, -r, "%s can't be run: %s", helper, strerror(r));
        while (waitpid(child, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        if (status != 0)
                return launch_fail(error, -EPERM,
                                   "%s refused the subordinate ids (its reason stands above); see /etc/subuid and /etc/subgid", helper);
        return 0;
}

int maps_write_outer(const struct id_maps *maps, pid_t pid, char **error) {
        int r;

        if (maps->helpers) {
                r = run_helper("/usr/bin/newuidmap", pid, &maps->uid, error);
                return r < 0 ? r : run_helper("/usr/bin/newgidmap", pid, &maps->gid, error);
        }
        r = maps->deny_setgroups ? write_file(pid, "setgroups", "deny", 4) : 0;
        if (r >= 0)
                r = map_write(pid, "uid_map", &maps->uid, false);
        if (r >= 0)
                r = map_write(pid, "gid_map", &maps->gid, false);
        if (r < 0)
                *error = start_error("maps", -r);
        return r;
}

int maps_write_inner(const struct id_maps *maps, pid_t pid) {
        int r = map_write(pid, "uid_map", &maps->uid, true);

        return r < 0 ? r : map_write(pid, "gid_map", &maps->gid, true);
}
