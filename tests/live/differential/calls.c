/*
 * The calls that sequences are made of, with how often each is taken. Beside those that take paths there are those that change what paths
 * mean or what a task may do, and those that show what a descriptor is worth.
 */
#include <sys/syscall.h>

#include "differential.h"

#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif
#define NR_SETXATTRAT 463
#define NR_GETXATTRAT 464
#define NR_LISTXATTRAT 465
#define NR_REMOVEXATTRAT 466
#define NR_FILE_GETATTR 468
#define NR_FILE_SETATTR 469

const struct operation operations[] = {
        { "open", __NR_open, 30, BLOCKS, DESCRIPTOR, { PATH, OPEN_FLAGS, MODE } },
        { "openat", __NR_openat, 40, BLOCKS, DESCRIPTOR, { DIR_FD, PATH, OPEN_FLAGS, MODE } },
        { "openat2", __NR_openat2, 40, BLOCKS, DESCRIPTOR, { DIR_FD, PATH, HOW, STRUCT_SIZE } },
        { "creat", __NR_creat, 12, BLOCKS, DESCRIPTOR, { NEW_PATH, MODE } },

        { "stat", __NR_stat, 12, 0, BUFFER, { PATH, STAT_OUT } },
        { "lstat", __NR_lstat, 12, 0, BUFFER, { PATH, STAT_OUT } },
        { "fstat", __NR_fstat, 8, 0, BUFFER, { FD, STAT_OUT } },
        { "newfstatat", __NR_newfstatat, 20, 0, BUFFER, { DIR_FD, PATH, STAT_OUT, STAT_FLAGS } },
        { "statx", __NR_statx, 24, 0, BUFFER, { DIR_FD, PATH, STAT_FLAGS, STATX_MASK, STATX_OUT } },

        { "access", __NR_access, 10, 0, NOTHING, { PATH, ACCESS_MODE } },
        { "faccessat", __NR_faccessat, 8, 0, NOTHING, { DIR_FD, PATH, ACCESS_MODE } },
        { "faccessat2", __NR_faccessat2, 16, 0, NOTHING, { DIR_FD, PATH, ACCESS_MODE, ACCESS_FLAGS } },

        { "readlink", __NR_readlink, 10, 0, BUFFER, { PATH, BYTES_OUT, SIZE }, .prefers = 'l' },
        { "readlinkat", __NR_readlinkat, 12, 0, BUFFER, { DIR_FD, PATH, BYTES_OUT, SIZE }, .prefers = 'l' },

        { "mkdir", __NR_mkdir, 12, CHANGES, NOTHING, { NEW_PATH, MODE } },
        { "mkdirat", __NR_mkdirat, 12, CHANGES, NOTHING, { DIR_FD, NEW_PATH, MODE } },
        { "rmdir", __NR_rmdir, 10, CHANGES, NOTHING, { PATH }, .prefers = 'd' },
        { "mknod", __NR_mknod, 8, CHANGES, NOTHING, { NEW_PATH, NODE_MODE, DEVICE } },
        { "mknodat", __NR_mknodat, 10, CHANGES, NOTHING, { DIR_FD, NEW_PATH, NODE_MODE, DEVICE } },
        { "unlink", __NR_unlink, 10, CHANGES, NOTHING, { PATH }, .prefers = 'f' },
        { "unlinkat", __NR_unlinkat, 14, CHANGES, NOTHING, { DIR_FD, PATH, UNLINK_FLAGS } },
        { "rename", __NR_rename, 12, CHANGES, NOTHING, { PATH, NEW_PATH } },
        { "renameat", __NR_renameat, 8, CHANGES, NOTHING, { DIR_FD, PATH, DIR_FD, NEW_PATH } },
        { "renameat2", __NR_renameat2, 24, CHANGES, NOTHING, { DIR_FD, PATH, DIR_FD, NEW_PATH, RENAME_FLAGS } },
        { "link", __NR_link, 8, CHANGES, NOTHING, { PATH, NEW_PATH }, .prefers = 'f' },
        { "linkat", __NR_linkat, 16, CHANGES, NOTHING, { DIR_FD, PATH, DIR_FD, NEW_PATH, LINK_FLAGS }, .prefers = 'f' },
        { "symlink", __NR_symlink, 8, CHANGES, NOTHING, { TARGET, NEW_PATH } },
        { "symlinkat", __NR_symlinkat, 8, CHANGES, NOTHING, { TARGET, DIR_FD, NEW_PATH } },

        { "chmod", __NR_chmod, 12, CHANGES, NOTHING, { PATH, MODE } },
        { "fchmodat", __NR_fchmodat, 8, CHANGES, NOTHING, { DIR_FD, PATH, MODE } },
        { "fchmodat2", __NR_fchmodat2, 14, CHANGES, NOTHING, { DIR_FD, PATH, MODE, CHMOD_FLAGS } },
        { "fchmod", __NR_fchmod, 3, CHANGES, NOTHING, { FD, MODE } },
        { "chown", __NR_chown, 8, CHANGES, NOTHING, { PATH, USER, GROUP } },
        { "lchown", __NR_lchown, 8, CHANGES, NOTHING, { PATH, USER, GROUP } },
        { "fchownat", __NR_fchownat, 14, CHANGES, NOTHING, { DIR_FD, PATH, USER, GROUP, CHOWN_FLAGS } },
        { "truncate", __NR_truncate, 12, CHANGES, NOTHING, { PATH, LENGTH }, .prefers = 'f' },
        { "ftruncate", __NR_ftruncate, 3, CHANGES, NOTHING, { FD, LENGTH } },
        { "utime", __NR_utime, 6, CHANGES, NOTHING, { PATH, UTIMBUF } },
        { "utimes", __NR_utimes, 6, CHANGES, NOTHING, { PATH, TIMEVALS } },
        { "futimesat", __NR_futimesat, 6, CHANGES, NOTHING, { DIR_FD, PATH, TIMEVALS } },
        { "utimensat", __NR_utimensat, 16, CHANGES, NOTHING, { DIR_FD, PATH, TIMESPECS, UTIMENS_FLAGS }, .prefers = 'f' },

        { "setxattr", __NR_setxattr, 8, CHANGES, NOTHING, { PATH, XATTR_NAME, XATTR_VALUE, STRUCT_SIZE, XATTR_FLAGS }, .prefers = 'f' },
        { "lsetxattr", __NR_lsetxattr, 6, CHANGES, NOTHING, { PATH, XATTR_NAME, XATTR_VALUE, STRUCT_SIZE, XATTR_FLAGS } },
        { "getxattr", __NR_getxattr, 8, 0, BUFFER, { PATH, XATTR_NAME, BYTES_OUT, SIZE }, .prefers = 'f' },
        { "lgetxattr", __NR_lgetxattr, 6, 0, BUFFER, { PATH, XATTR_NAME, BYTES_OUT, SIZE }, .prefers = 'f' },
        { "listxattr", __NR_listxattr, 6, 0, BUFFER, { PATH, BYTES_OUT, SIZE } },
        { "llistxattr", __NR_llistxattr, 6, 0, BUFFER, { PATH, BYTES_OUT, SIZE } },
        { "removexattr", __NR_removexattr, 6, CHANGES, NOTHING, { PATH, XATTR_NAME }, .prefers = 'f' },
        { "lremovexattr", __NR_lremovexattr, 4, CHANGES, NOTHING, { PATH, XATTR_NAME } },
        { "setxattrat",
          NR_SETXATTRAT,
          10,
          CHANGES,
          NOTHING,
          { DIR_FD, PATH, XATTRAT_FLAGS, XATTR_NAME, XATTR_ARGS, STRUCT_SIZE },
          .prefers = 'f' },
        { "getxattrat",
          NR_GETXATTRAT,
          10,
          0,
          BUFFER,
          { DIR_FD, PATH, XATTRAT_FLAGS, XATTR_NAME, XATTR_ARGS, STRUCT_SIZE },
          .prefers = 'f' },
        { "listxattrat", NR_LISTXATTRAT, 8, 0, BUFFER, { DIR_FD, PATH, XATTRAT_FLAGS, BYTES_OUT, SIZE } },
        { "removexattrat", NR_REMOVEXATTRAT, 8, CHANGES, NOTHING, { DIR_FD, PATH, XATTRAT_FLAGS, XATTR_NAME }, .prefers = 'f' },
        { "fsetxattr", __NR_fsetxattr, 3, CHANGES, NOTHING, { FD, XATTR_NAME, XATTR_VALUE, STRUCT_SIZE, XATTR_FLAGS } },
        { "fgetxattr", __NR_fgetxattr, 3, 0, BUFFER, { FD, XATTR_NAME, BYTES_OUT, SIZE } },
        { "file_getattr", NR_FILE_GETATTR, 6, 0, BUFFER, { DIR_FD, PATH, FILE_ATTR_OUT, SIZE, CHMOD_FLAGS } },
        { "file_setattr", NR_FILE_SETATTR, 6, CHANGES, NOTHING, { DIR_FD, PATH, FILE_ATTR, STRUCT_SIZE, CHMOD_FLAGS } },

        { "statfs", __NR_statfs, 6, 0, BUFFER, { PATH, STATFS_OUT } },
        { "chdir", __NR_chdir, 9, CHANGES_FS, WHERE, { PATH }, .prefers = 'd' },
        { "fchdir", __NR_fchdir, 4, CHANGES_FS, WHERE, { LISTED_FD } },
        { "mkdir and chdir, ten times", DO_DEEP, 2, COMPOSITE, NOTHING, {} },
        { "chroot", __NR_chroot, 2, 0, NOTHING, { PATH }, .prefers = 'd' },
        { "getdents", __NR_getdents, 8, 0, BUFFER, { LISTED_FD, DENTS_OUT, SIZE } },
        { "getdents64", __NR_getdents64, 16, 0, BUFFER, { LISTED_FD, DENTS64_OUT, SIZE } },
        { "lseek", __NR_lseek, 6, 0, NOTHING, { LISTED_FD, SEEK, WHENCE } },
        { "inotify_add_watch", __NR_inotify_add_watch, 14, 0, NOTHING, { WATCH_FD, PATH, WATCH_MASK }, .prefers = 'd' },
        { "inotify_rm_watch", __NR_inotify_rm_watch, 2, 0, NOTHING, { WATCH_FD, WATCH } },
        { "read events", DO_EVENTS, 8, COMPOSITE, NOTHING, { WATCH_FD } },

        { "execve", DO_EXEC, 8, COMPOSITE, NOTHING, { PROGRAM, VECTOR, VECTOR } },
        { "execveat", DO_EXEC, 8, COMPOSITE, NOTHING, { PROGRAM, VECTOR, VECTOR, DIR_FD, EXEC_FLAGS } },
        { "bind", DO_BIND, 8, COMPOSITE | CHANGES, NOTHING, { SOCKET_ADDRESS, SIZE } },
        { "connect", DO_CONNECT, 8, COMPOSITE | CHANGES, NOTHING, { SOCKET_ADDRESS, SIZE } },

        { "close", __NR_close, 12, 0, NOTHING, { FD } },
        { "dup", __NR_dup, 4, 0, NOTHING, { FD } },
        { "read", __NR_read, 5, 0, BUFFER, { FD, BYTES_OUT, SIZE } },
        { "write", __NR_write, 5, 0, NOTHING, { FD, DATA, STRUCT_SIZE } },
        { "getcwd", __NR_getcwd, 5, 0, BUFFER, { BYTES_OUT, SIZE } },
        { "setrlimit", DO_LIMIT, 3, COMPOSITE, NOTHING, { LIMIT, LIMIT_VALUE } },
        { "prctl", __NR_prctl, 6, IDENTITY, NOTHING, { NUMBER, FLAG }, .number = 4 /* PR_SET_DUMPABLE */ },
        { "seekdir", DO_SEEKDIR, 6, COMPOSITE, NOTHING, { FD, WATCH } },
        { "umask", __NR_umask, 8, 0, NOTHING, { MODE } },

        { "setresuid", __NR_setresuid, 24, IDENTITY, NOTHING, { USER, USER, USER } },
        { "setresgid", __NR_setresgid, 16, IDENTITY, NOTHING, { GROUP, GROUP, GROUP } },
        { "setfsuid", __NR_setfsuid, 20, IDENTITY, NOTHING, { USER } },
        { "setfsgid", __NR_setfsgid, 14, IDENTITY, NOTHING, { GROUP } },
        { "setgroups", __NR_setgroups, 16, IDENTITY, NOTHING, { NUMBER, IDS }, .number = 3 },
        { "capset", __NR_capset, 16, IDENTITY, NOTHING, { CAPABILITIES } },
};

const size_t n_operations = ELEMENTS(operations);
