/*
 * differential run|replay --folder DIR [--owner UID:GID] [--ids] [--seed N] [--count N] [--seconds N] -- COMMAND…
 * differential inside WORK
 *
 * COMMAND is sandboxctl, with what makes it somebody's. The folder must be empty; this program and the witness are looked for beside argv[0].
 * Root runs everything in a mount namespace of its own, in which only the folder can be written to, and is a tmpfs.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "differential.h"

#ifndef MOUNT_ATTR_RDONLY
#include <linux/mount.h>
#endif

static _Noreturn void fail(const char *what) {
        fprintf(stderr, "differential: %s: %s\n", what, strerror(errno));
        exit(2);
}

static void copy_file(const char *from, const char *to) {
        int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
        char buffer[65536];
        ssize_t n;

        if (in < 0 || out < 0)
                fail(in < 0 ? from : to);
        while ((n = read(in, buffer, sizeof(buffer))) > 0)
                if (write(out, buffer, n) != n)
                        fail(to);
        close(in);
        close(out);
}

/* A mistake of the broker's, or of this program's, must not cost the machine: sequences remove, truncate and chmod what they can reach, and
 * with `enforce: broker` the host's tree is all there. */
static void protect_machine(const char *folder) {
        struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY }, writable = { .attr_clr = MOUNT_ATTR_RDONLY };

        if (geteuid() != 0)
                return;
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                fail("a mount namespace");
        if (mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=256m") < 0)
                fail(folder);
        /* The launcher writes to /proc; a sandbox has one of its own. */
        if (syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &read_only, sizeof(read_only)) < 0 ||
            syscall(SYS_mount_setattr, AT_FDCWD, "/proc", 0, &writable, sizeof(writable)) < 0 ||
            syscall(SYS_mount_setattr, AT_FDCWD, folder, 0, &writable, sizeof(writable)) < 0)
                fail("mount_setattr");
}

static void prepare_side(struct side *side, const char *name, const char *folder, const char *program, const char *witness, uid_t uid, gid_t gid) {
        side->name = name;
        snprintf(side->top, sizeof(side->top), "%s/%s", folder, name);
        snprintf(side->work, sizeof(side->work), "%s/%s/%s", folder, name, LEVELS);
        snprintf(side->policy, sizeof(side->policy), "%s/%s.yaml", folder, name);
        side->program = program;
        side->tree = (struct tree) { .top = side->top, .work = side->work, .witness = witness, .uid = uid, .gid = gid };
        if (mkdir(side->top, 0755) < 0 || (geteuid() == 0 && chown(side->top, uid, gid) < 0))
                fail(side->top);
}

static void prepare(struct fuzz *fuzz, const char *folder, const char *self, uid_t uid, gid_t gid, char **command) {
        static char program[PATH_MAX], witness[PATH_MAX];
        char from[PATH_MAX];
        const char *slash = strrchr(self, '/');

        umask(0);
        protect_machine(folder);
        snprintf(program, sizeof(program), "%s/differential", folder);
        snprintf(witness, sizeof(witness), "%s/witness", folder);
        copy_file("/proc/self/exe", program);
        snprintf(from, sizeof(from), "%.*switness", slash ? (int) (slash - self) + 1 : 0, self);
        copy_file(from, witness);
        umask(022);
        prepare_side(&fuzz->sides[0], "filter", folder, program, witness, uid, gid);
        prepare_side(&fuzz->sides[1], "broker", folder, program, witness, uid, gid);
        umask(0);
        for (size_t i = 0; i < 2; i++) {
                fuzz->sides[i].command = command;
                fuzz->sides[i].ids = fuzz->options & OPTION_IDS;
                mode_t mask = umask(022);
                int r = side_start(&fuzz->sides[i]);
                umask(mask);
                if (r < 0) {
                        errno = -r;
                        fail("the sandbox can't be started");
                }
        }
}

static int outside_main(int argc, char **argv) {
        struct fuzz fuzz = { .first = (uint64_t) time(NULL), .count = 0 };
        const char *folder = NULL;
        unsigned uid = geteuid(), gid = getegid();
        int i;

        for (i = 2; i + 1 < argc && strcmp(argv[i], "--") != 0; i++)
                if (strcmp(argv[i], "--ids") == 0)
                        fuzz.options |= OPTION_IDS;
                else if (strcmp(argv[i], "--core") == 0)
                        fuzz.options |= OPTION_CORE;
                else if (strcmp(argv[i], "--folder") == 0)
                        folder = argv[++i];
                else if (strcmp(argv[i], "--owner") == 0)
                        sscanf(argv[++i], "%u:%u", &uid, &gid);
                else if (strcmp(argv[i], "--seed") == 0)
                        fuzz.first = strtoull(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--count") == 0)
                        fuzz.count = strtoull(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--seconds") == 0)
                        fuzz.seconds = strtoul(argv[++i], NULL, 10);
                else
                        break;
        if (i + 1 >= argc || strcmp(argv[i], "--") != 0 || !folder) {
                fprintf(stderr, "usage: differential run|replay --folder DIR [--owner UID:GID] [--ids] [--seed N] [--count N] [--seconds N] -- COMMAND…\n");
                return 2;
        }
        if (geteuid() == 0)
                fuzz.options |= OPTION_ROOT;
        fuzz.endless = fuzz.count == 0;
        signal(SIGPIPE, SIG_IGN);
        prepare(&fuzz, folder, argv[0], uid, gid, argv + i + 1);
        int r = strcmp(argv[1], "replay") == 0 ? fuzz_replay(&fuzz, fuzz.first) : fuzz_run(&fuzz);
        for (i = 0; i < 2; i++) {
                side_stop(&fuzz.sides[i]);
                tree_wipe(fuzz.sides[i].top);
        }
        return r;
}

int main(int argc, char **argv) {
        if (argc == 3 && strcmp(argv[1], "inside") == 0)
                return inside_main(argv[2]);
        if (argc > 2 && (strcmp(argv[1], "run") == 0 || strcmp(argv[1], "replay") == 0))
                return outside_main(argc, argv);
        fprintf(stderr, "usage: differential run|replay|inside …\n");
        return 2;
}
