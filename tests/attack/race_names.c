/*
 * Creating, removing and renaming names. The referee sees what comes, goes and changes on the forbidden side; the allowed side is set up again
 * by each attempt.
 *
 * With the handling off (SANDBOXD_UNSAFE=proceed) the kernel makes a call once more that the broker has made already. So a call whose second time
 * fails by itself is asked in a form in which it doesn't.
 */
#include "race.h"

#ifndef RENAME_EXCHANGE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#endif

/* ---- Creating ---- */

static bool removed(const char *name, int flags) {
        unlinkat(race_side, name, flags);
        return false;
}

static bool try_mkdir(void) {
        syscall(SYS_mkdir, race_shared->path, 0755);
        return removed("new", AT_REMOVEDIR);
}

static bool try_mkdirat(void) {
        syscall(SYS_mkdirat, AT_FDCWD, race_shared->path, 0755);
        return removed("new", AT_REMOVEDIR);
}

static bool try_mknod(void) {
        syscall(SYS_mknod, race_shared->path, S_IFIFO | 0600, 0);
        return removed("new", 0);
}

static bool try_mknodat(void) {
        syscall(SYS_mknodat, AT_FDCWD, race_shared->path, S_IFREG | 0600, 0);
        return removed("new", 0);
}

static bool try_symlink(void) {
        syscall(SYS_symlink, "elsewhere", race_shared->path);
        return removed("new", 0);
}

static bool try_symlinkat(void) {
        syscall(SYS_symlinkat, "elsewhere", AT_FDCWD, race_shared->path);
        return removed("new", 0);
}

/* ---- Removing ---- */

static bool try_rmdir(void) {
        mkdirat(race_side, "olddir", 0700);
        syscall(SYS_rmdir, race_shared->path);
        return false;
}

static bool try_unlinkat_directory(void) {
        mkdirat(race_side, "olddir", 0700);
        syscall(SYS_unlinkat, AT_FDCWD, race_shared->path, AT_REMOVEDIR);
        return false;
}

static bool try_unlink(void) {
        race_make("old");
        syscall(SYS_unlink, race_shared->path);
        return false;
}

static bool try_unlinkat(void) {
        race_make("old");
        syscall(SYS_unlinkat, AT_FDCWD, race_shared->path, 0);
        return false;
}

/* ---- Renaming: the old name is swapped ---- */

static void prepare_to(void) {
        race_path(race_shared->other, "w/to");
}

static bool try_rename_old(void) {
        race_make("old");
        syscall(SYS_rename, race_shared->path, race_shared->other);
        return false;
}

static bool try_renameat_old(void) {
        race_make("old");
        syscall(SYS_renameat, AT_FDCWD, race_shared->path, AT_FDCWD, race_shared->other);
        return false;
}

/* The second time there is something by the new name: it changes, too. */
static void prepare_to_other(void) {
        race_path(race_shared->other, "w/to0");
        race_set_second_byte(race_shared->other + strlen(race_shared->other) - 1, '0', '1');
}

static void unlink_other(void) {
        char path[PATH_MAX];

        for (int i = 0; i < 2; i++) {
                race_path(path, "w/to%d", i);
                unlink(path);
        }
}

static bool try_renameat2_old(void) {
        race_make("old");
        syscall(SYS_renameat2, AT_FDCWD, race_shared->path, AT_FDCWD, race_shared->other, RENAME_NOREPLACE);
        unlink_other();
        return false;
}

static void prepare_exchanged(void) {
        race_path(race_shared->other, "w/to");
        int fd = open(race_shared->other, O_WRONLY | O_CREAT, 0600);
        if (fd < 0)
                attack_die("%s", race_shared->other);
        close(fd);
        race_make("old");
}

static bool try_exchange_old(void) {
        syscall(SYS_renameat2, AT_FDCWD, race_shared->path, AT_FDCWD, race_shared->other, RENAME_EXCHANGE);
        return false;
}

static bool try_exchange_new(void) {
        syscall(SYS_renameat2, AT_FDCWD, race_shared->other, AT_FDCWD, race_shared->path, RENAME_EXCHANGE);
        return false;
}

/* ---- Renaming: the new name is swapped ---- */

/* Two names of one file: renaming one to the other succeeds and does nothing, so that it can be done again. */
static void make_pair(void) {
        struct stat st;

        if (stat(race_shared->other, &st) < 0) {
                unlinkat(race_side, "new", 0);
                int fd = open(race_shared->other, O_WRONLY | O_CREAT, 0600);
                if (fd < 0)
                        attack_die("%s", race_shared->other);
                close(fd);
        }
        (void) !linkat(AT_FDCWD, race_shared->other, race_side, "new", 0);
}

static void prepare_from(void) {
        race_path(race_shared->other, "w/from");
        unlink(race_shared->other);
        make_pair();
        unlinkat(race_side, "new", 0);
}

static bool try_rename_new(void) {
        make_pair();
        syscall(SYS_rename, race_shared->other, race_shared->path);
        return false;
}

static bool try_renameat_new(void) {
        make_pair();
        syscall(SYS_renameat, AT_FDCWD, race_shared->other, AT_FDCWD, race_shared->path);
        return false;
}

static bool try_renameat2_new(void) {
        make_pair();
        syscall(SYS_renameat2, AT_FDCWD, race_shared->other, AT_FDCWD, race_shared->path, 0);
        return false;
}

/* A directory: what is below comes along, so that both ends need the same rights. */
static void prepare_tree(void) {
        char path[PATH_MAX];

        race_path(race_shared->other, "a/tree");
        mkdir(race_shared->other, 0700);
        race_path(path, "a/tree/file");
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        if (fd < 0)
                attack_die("%s", path);
        close(fd);
}

static bool try_rename_directory(void) {
        mkdirat(race_side, "olddir", 0700);
        syscall(SYS_renameat2, AT_FDCWD, race_shared->other, AT_FDCWD, race_shared->path, RENAME_EXCHANGE);
        return false;
}

/* ---- Linking ---- */

static void remove_to(void) {
        char path[PATH_MAX];

        race_path(path, "w/to0");
        race_set_second_name(path);
}

static bool try_link_old(void) {
        race_make("old");
        syscall(SYS_link, race_shared->path, race_shared->other);
        unlink_other();
        return false;
}

static bool try_linkat_old(void) {
        race_make("old");
        syscall(SYS_linkat, AT_FDCWD, race_shared->path, AT_FDCWD, race_shared->other, AT_SYMLINK_FOLLOW);
        unlink_other();
        return false;
}

static bool try_link_new(void) {
        syscall(SYS_link, race_shared->other, race_shared->path);
        return removed("new", 0);
}

static bool try_linkat_new(void) {
        syscall(SYS_linkat, AT_FDCWD, race_shared->other, AT_FDCWD, race_shared->path, 0);
        return removed("new", 0);
}

const struct race race_names[] = {
        { "mkdir", "new", try_mkdir },
        { "mkdirat", "new", try_mkdirat },
        { "mknod", "new", try_mknod },
        { "mknodat", "new", try_mknodat },
        { "symlink", "new", try_symlink },
        { "symlinkat", "new", try_symlinkat },
        { "rmdir", "olddir", try_rmdir },
        { "unlinkat-directory", "olddir", try_unlinkat_directory },
        { "unlink", "old", try_unlink },
        { "unlinkat", "old", try_unlinkat },
        { "rename-old", "old", try_rename_old, prepare_to },
        { "rename-new", "new", try_rename_new, prepare_from },
        { "renameat-old", "old", try_renameat_old, prepare_to },
        { "renameat-new", "new", try_renameat_new, prepare_from },
        { "renameat2-old", "old", try_renameat2_old, prepare_to_other },
        { "renameat2-new", "new", try_renameat2_new, prepare_from },
        { "exchange-old", "old", try_exchange_old, prepare_exchanged },
        { "exchange-new", "old", try_exchange_new, prepare_exchanged },
        { "exchange-directory", "olddir", try_rename_directory, prepare_tree },
        { "link-old", "old", try_link_old, prepare_to_other, .prepare_outside = remove_to },
        { "link-new", "new", try_link_new, prepare_from },
        { "linkat-old", "old", try_linkat_old, prepare_to_other, .prepare_outside = remove_to },
        { "linkat-new", "new", try_linkat_new, prepare_from },
        {},
};
