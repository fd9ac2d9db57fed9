/*
 * The values of arguments: mostly those that mean something, and each flag, size and pointer that doesn't now and then.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#include "differential.h"

#define LARGEFILE 0100000
#define TMPFILE 020000000 /* without O_DIRECTORY */
#define HIGH_BITS INT64_C(0x7a5500000000)

static int64_t flags_of(struct random *r, const int64_t *bits, size_t n, unsigned percent) {
        int64_t flags = 0;

        for (size_t i = 0; i < n; i++)
                if (random_chance(r, percent))
                        flags |= bits[i];
        return flags;
}
#define FLAGS_OF(r, bits, percent) flags_of(r, bits, ELEMENTS(bits), percent)

/* ---- Registers ---- */

static int64_t descriptor(struct random *r) {
        static const int64_t odd[] = { -1, 0, 1, 2, 99, 1000, AT_FDCWD, INT_MAX, INT_MIN, HIGH_BITS | 12, 0x100000000 };
        unsigned what = random_below(r, 100);

        return what < 70 ? FIRST_FD + random_below(r, 19) : what < 92 ? 3 + random_below(r, 5) : RANDOM_PICK(r, odd);
}

static int64_t listed(struct random *r) {
        static const int64_t directories[] = { 10, 10, 15, 15, 17, 19, 22, 11 };

        return random_chance(r, 65) ? RANDOM_PICK(r, directories) : descriptor(r);
}

static int64_t start(struct random *r) {
        static const int64_t directories[] = { 10, 10, 10, 10, 11, 11, 15, 17, 19, 16, 22 };
        unsigned what = random_below(r, 100);

        return what < 50   ? AT_FDCWD
               : what < 80 ? RANDOM_PICK(r, directories)
               : what < 83 ? (int64_t) (uint32_t) AT_FDCWD | HIGH_BITS
                           : descriptor(r);
}

static int64_t open_flags(struct random *r) {
        static const int64_t common[] = { O_CLOEXEC, O_NONBLOCK, O_DIRECTORY, O_NOFOLLOW, O_TRUNC, O_APPEND };
        static const int64_t rare[] = { O_NOCTTY, O_SYNC, O_DSYNC, O_ASYNC, O_DIRECT, LARGEFILE, O_NOATIME, TMPFILE, O_EXCL };
        static const int64_t access[] = { O_RDONLY, O_RDONLY, O_WRONLY, O_RDWR, O_ACCMODE };
        int64_t flags = RANDOM_PICK(r, access);

        if (random_chance(r, 15))
                flags = O_PATH | (random_chance(r, 40) ? O_NOFOLLOW : 0) | (random_chance(r, 30) ? O_DIRECTORY : 0);
        else if (random_chance(r, 40))
                flags |= O_CREAT | (random_chance(r, 35) ? O_EXCL : 0);
        else if (random_chance(r, 8))
                return O_TMPFILE | O_RDWR | (random_chance(r, 30) ? O_EXCL : 0) | (random_chance(r, 10) ? O_CREAT : 0);
        if (random_chance(r, 60))
                flags |= FLAGS_OF(r, common, 15);
        if (random_chance(r, 85))
                flags |= O_NONBLOCK;
        if (random_chance(r, 20))
                flags |= FLAGS_OF(r, rare, 25);
        if (random_chance(r, 3))
                flags |= INT64_C(1) << (23 + random_below(r, 9));
        return flags;
}

static int64_t mode(struct random *r) {
        static const int64_t modes[] = {
                0, 0600, 0644, 0666, 0755, 0777, 01777, 02755, 04755, 07777, 0222, 0111, 0100644, 0177777, -1, 0440
        };

        return random_chance(r, 70) ? RANDOM_PICK(r, modes) : (int64_t) random_below(r, 010000);
}

static int64_t node_mode(struct random *r) {
        static const int64_t types[] = { S_IFREG, S_IFREG, 0,       S_IFIFO, S_IFIFO, S_IFSOCK,
                                         S_IFCHR, S_IFBLK, S_IFDIR, S_IFLNK, 0030000, S_IFMT };

        return RANDOM_PICK(r, types) | (mode(r) & 07777);
}

static int64_t id(struct sequence *s, struct random *r) {
        static const int64_t ids[] = { 0, 1, 2, 1000, 1001, 65534, 0, 1000 };
        static const int64_t odd[] = { -1, -1, -1, 0xffffffff, 0xfffffffe, 65536, 100000, HIGH_BITS | 1 };

        if (random_chance(r, 25))
                return RANDOM_PICK(r, odd);
        return s->options & OPTION_IDS || random_chance(r, 30) ? RANDOM_PICK(r, ids) : random_chance(r, 30) ? -1 : 65532;
}

static int64_t capabilities(struct random *r) {
        /* CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, KILL, SETGID, SETUID: bits 0 to 7 */
        static const int64_t some[] = { 0xff, 0xff, 0, 0xc0, 0xc2, 0xc4, 0xc8, 0xd0, 0xc1, 0x2, 0x4, 0x8, 0xfe, 0xfd };

        return RANDOM_PICK(r, some);
}

static int64_t rename_flags(struct random *r) {
        static const int64_t some[] = { 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 4, 4, 5, 3, 6, 7, 8, 0x80000000, HIGH_BITS | 1 };

        return RANDOM_PICK(r, some);
}

static int64_t length(struct random *r) {
        static const int64_t some[] = { 0, 1, 13, 14, 100, 4096, 100000, 1 << 20, -1, INT64_MAX, INT64_MIN, INT64_C(1) << 40 };

        return RANDOM_PICK(r, some);
}

static int64_t watch_mask(struct random *r) {
        static const int64_t some[] = { IN_ALL_EVENTS,
                                        IN_ALL_EVENTS | IN_ONLYDIR,
                                        IN_ALL_EVENTS | IN_DONT_FOLLOW,
                                        IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVE,
                                        IN_ALL_EVENTS | IN_EXCL_UNLINK,
                                        IN_ALL_EVENTS | IN_ONESHOT,
                                        IN_CREATE | IN_MASK_ADD,
                                        IN_CREATE | IN_MASK_CREATE,
                                        IN_MASK_ADD | IN_MASK_CREATE,
                                        0,
                                        0x80000000,
                                        IN_ONLYDIR,
                                        0x00800000 };

        return RANDOM_PICK(r, some);
}

/* Of the buffer or struct before it; `right` is what it should be. */
static int64_t size_of(struct random *r, int64_t right) {
        static const int64_t odd[] = { 0, 1, -1, INT_MIN, INT_MAX, INT64_MAX, 65536, 65537, 1 << 20 };

        return random_chance(r, 88) ? right : RANDOM_PICK(r, odd);
}

static int64_t register_value(struct sequence *s, struct random *r, const struct call *call, unsigned index) {
        static const int64_t stat_flags[] = { AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_NO_AUTOMOUNT };
        static const int64_t sync_flags[] = { 0, 0, 0, 0, AT_STATX_FORCE_SYNC, AT_STATX_DONT_SYNC };
        static const int64_t odd_sync_flags[] = { AT_STATX_SYNC_TYPE, 0x10000, 0x80000000, AT_REMOVEDIR };
        static const int64_t access_flags[] = { AT_EACCESS, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH };
        static const int64_t chmod_flags[] = { AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH };
        static const int64_t link_flags[] = { AT_SYMLINK_FOLLOW, AT_EMPTY_PATH };
        static const int64_t odd_flags[] = { 1, 0x800, 0x200, 0x80000000, HIGH_BITS, AT_NO_AUTOMOUNT, AT_RECURSIVE };
        static const int64_t masks[] = { STATX_BASIC_STATS, STATX_ALL, STATX_ALL, 0,         STATX_MODE, STATX_INO | STATX_MNT_ID, 0x4000,
                                         0x7fffffff,        0x1fff,    0xffff,    0x80000000 };
        static const int64_t seeks[] = { 0, 0, 1, 2, 5, -1, 1000, INT64_MAX };
        static const int64_t limits[] = { 0, 5, 14, 29, 30, 32, 100, 4096, 100000 };
        const struct arg *before = index > 0 ? &call->args[index - 1] : NULL;
        int64_t odd = random_chance(r, 4) ? RANDOM_PICK(r, odd_flags) : 0;

        switch (call->args[index].kind) {
        case FD: return descriptor(r);
        case LISTED_FD: return listed(r);
        case DIR_FD: return start(r);
        case NUMBER: return call->operation->number;
        case OPEN_FLAGS: return open_flags(r);
        case MODE: return mode(r);
        case NODE_MODE: return node_mode(r);
        case DEVICE: return random_chance(r, 60) ? 0 : (int64_t) makedev(random_below(r, 10), random_below(r, 10));
        case STAT_FLAGS:
                return FLAGS_OF(r, stat_flags, 30) | (random_chance(r, 92) ? RANDOM_PICK(r, sync_flags) : RANDOM_PICK(r, odd_sync_flags)) |
                       odd;
        case STATX_MASK: return RANDOM_PICK(r, masks);
        case ACCESS_MODE: return random_chance(r, 90) ? (int64_t) random_below(r, 8) : random_chance(r, 50) ? 8 : -1;
        case ACCESS_FLAGS: return FLAGS_OF(r, access_flags, 30) | odd;
        case UNLINK_FLAGS: return (random_chance(r, 40) ? AT_REMOVEDIR : 0) | odd;
        case RENAME_FLAGS: return rename_flags(r);
        case LINK_FLAGS: return FLAGS_OF(r, link_flags, 40) | odd;
        case CHMOD_FLAGS:
        case CHOWN_FLAGS:
        case UTIMENS_FLAGS:
        case XATTRAT_FLAGS: return FLAGS_OF(r, chmod_flags, 30) | odd;
        case USER:
        case GROUP: return id(s, r);
        case LENGTH: return length(r);
        case XATTR_FLAGS: return random_chance(r, 60) ? 0 : random_chance(r, 85) ? 1 + random_below(r, 2) : 3 + random_below(r, 2);
        case WATCH_FD: return random_chance(r, 92) ? 23 + (int64_t) random_below(r, 2) : descriptor(r);
        case WATCH_MASK: return watch_mask(r);
        case WATCH: return random_below(r, 4);
        case SEEK: return RANDOM_PICK(r, seeks);
        case WHENCE: return random_below(r, 6);
        case CAPABILITIES: return capabilities(r);
        case EXEC_FLAGS: return FLAGS_OF(r, chmod_flags, 35) | odd;
        case LIMIT: return random_chance(r, 60) ? RLIMIT_FSIZE : RLIMIT_NOFILE;
        case LIMIT_VALUE: return RANDOM_PICK(r, limits);
        case FLAG: return random_below(r, 2);
        case STRUCT_SIZE: return size_of(r, (int64_t) (before->kind == XATTR_ARGS ? 16 : before->size));
        case SIZE: return size_of(r, before->value ?: (int64_t) before->size);
        default: return 0;
        }
}

/* ---- Structs and strings ---- */

static void fill(struct sequence *s, struct arg *arg, const void *bytes, size_t size) {
        arg->bytes = sequence_alloc(s, size);
        memcpy(arg->bytes, bytes, size);
        arg->size = size;
}

static void text(struct sequence *s, struct arg *arg, const char *bytes) {
        fill(s, arg, bytes, strlen(bytes) + 1);
}

static void how(struct sequence *s, struct random *r, struct arg *arg) {
        static const int64_t resolves[] = { RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT };
        static const size_t odd_sizes[] = { 32, 32, 40, 40, 23, 16, 8, 0, 4096, 4097 };
        size_t size = random_chance(r, 85) ? 24 : RANDOM_PICK(r, odd_sizes);
        uint64_t flags = open_flags(r);
        char bytes[8192] = {};

        /* Unlike open, openat2 refuses what it doesn't know, and what has no meaning. */
        if (random_chance(r, 92))
                flags &= 0x7fffff;
        if ((flags & O_PATH) && random_chance(r, 90))
                flags &= O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC;
        if ((flags & TMPFILE) && random_chance(r, 80))
                flags = (flags & ~(uint64_t) (O_CREAT | O_ACCMODE)) | O_TMPFILE | O_RDWR;
        if ((flags & O_CREAT) && random_chance(r, 90))
                flags &= ~(uint64_t) O_DIRECTORY;
        struct open_how value = {
                .flags = flags,
                .mode = (flags & (O_CREAT | TMPFILE)) || random_chance(r, 2) ? mode(r) & (random_chance(r, 96) ? 07777 : -1) : 0,
                .resolve = random_chance(r, 50) ? FLAGS_OF(r, resolves, 25) : 0,
        };
        /* Not RESOLVE_CACHED: "not in the cache" is always a right answer, and the broker's only one. */
        if (random_chance(r, 2))
                value.resolve |= (1 << random_below(r, 12)) & ~0x20;
        if (random_chance(r, 2))
                value.flags |= INT64_C(1) << (32 + random_below(r, 30));
        memcpy(bytes, &value, sizeof(value));
        if (size > 24 && random_chance(r, 30))
                bytes[24 + random_below(r, size - 24)] = 1;
        fill(s, arg, bytes, size ?: 24);
        arg->size = size;
}

static int64_t seconds(struct random *r) {
        static const int64_t some[] = { 0, 1, 1000000000, 1234567890, -1, -1000000000, 1400000000, INT64_MAX, INT64_MIN };

        return RANDOM_PICK(r, some);
}

static void times(struct sequence *s, struct random *r, struct arg *arg) {
        static const int64_t nanoseconds[] = { 0, 1, 999999999, UTIME_NOW, UTIME_OMIT, UTIME_OMIT, 5000, 123456789, 77, 1000000000, -1 };
        static const int64_t microseconds[] = { 0, 1, 999999, 5000, 123, 456, 789, 0, 1, 1000000, -1, UTIME_NOW };

        if (arg->kind == UTIMBUF) {
                const struct utimbuf value = { seconds(r), seconds(r) };
                fill(s, arg, &value, sizeof(value));
        } else if (arg->kind == TIMEVALS) {
                const struct timeval value[2] = { { seconds(r), RANDOM_PICK(r, microseconds) },
                                                  { seconds(r), RANDOM_PICK(r, microseconds) } };
                fill(s, arg, value, sizeof(value));
        } else {
                const struct timespec value[2] = { { seconds(r), RANDOM_PICK(r, nanoseconds) },
                                                   { seconds(r), RANDOM_PICK(r, nanoseconds) } };
                fill(s, arg, value, sizeof(value));
        }
        if (random_chance(r, 15))
                arg->place = AT_NULL;
}

static void xattr_name(struct sequence *s, struct random *r, struct arg *arg) {
        static const char *const names[] = { "user.test",
                                             "user.test",
                                             "user.test",
                                             "user.test",
                                             "user.test",
                                             "user.test",
                                             "user.test",
                                             "user.test",
                                             "user.test",
                                             "user.test",
                                             "user.new",
                                             "user.new",
                                             "user.new",
                                             "user.empty",
                                             "user.",
                                             "user",
                                             "",
                                             "trusted.x",
                                             "security.x",
                                             "system.posix_acl_default",
                                             "system.posix_acl_access",
                                             "system.x",
                                             "nonsense.x",
                                             "security.capability" };
        char name[300];

        if (random_chance(r, 5)) {
                size_t n = 254 + random_below(r, 3);
                memset(name, 'n', n);
                memcpy(name, "user.", 5);
                name[n] = 0;
                text(s, arg, name);
        } else
                text(s, arg, RANDOM_PICK(r, names));
}

static void xattr_value(struct sequence *s, struct random *r, struct arg *arg) {
        static const size_t sizes[] = { 0, 1, 7, 7, 20, 100, 1000, 65536, 65537 };
        size_t size = RANDOM_PICK(r, sizes);

        arg->bytes = sequence_alloc(s, size ?: 1);
        memset(arg->bytes, 'v', size);
        arg->size = size;
        /* An access list that gives user 1 something; version 2. */
        static const uint32_t acl[] = { 2, 7 << 16 | 1, -1, 6 << 16 | 2, 1, 5 << 16 | 4, -1, 7 << 16 | 16, -1, 5 << 16 | 32, -1 };
        if (random_chance(r, 20))
                fill(s, arg, acl, sizeof(acl));
}

static void xattr_args(struct sequence *s, struct random *r, struct call *call, struct arg *arg) {
        struct arg *inner = (struct arg *) sequence_alloc(s, sizeof(*inner));
        struct {
                uint64_t value;
                uint32_t size, flags;
        } bytes = {};

        *inner = (struct arg) { .kind = call->operation->shows == BUFFER ? BYTES_OUT : XATTR_VALUE };
        if (inner->kind == BYTES_OUT) {
                inner->value = inner->size = random_chance(r, 80) ? 100 : random_below(r, 8);
                bytes.flags = random_chance(r, 5);
        } else {
                xattr_value(s, r, inner);
                bytes.flags = random_chance(r, 50) ? 0 : random_below(r, 4);
        }
        bytes.size = size_of(r, (int64_t) inner->size);
        arg->inner = inner;
        fill(s, arg, &bytes, sizeof(bytes));
}

static void socket_address(struct sequence *s, struct random *r, struct call *call, struct arg *arg) {
        struct sockaddr_un un = { .sun_family = random_chance(r, 97) ? AF_UNIX : AF_INET };
        struct arg path = { .kind = call->operation->nr == DO_BIND ? NEW_PATH : PATH };

        path_make(s, r, call, &path);
        if (call->operation->nr == DO_CONNECT && random_chance(r, 60))
                text(s, &path, random_chance(r, 70) ? "S" : "s");
        size_t n = path.size - 1;
        if (n > sizeof(un.sun_path))
                n = sizeof(un.sun_path);
        memcpy(un.sun_path, path.bytes, n);
        size_t size = offsetof(struct sockaddr_un, sun_path) + n + (n < sizeof(un.sun_path) && random_chance(r, 60));
        fill(s, arg, &un, random_chance(r, 20) ? sizeof(un) : size);
}

static void program(struct sequence *s, struct random *r, struct call *call, struct arg *arg) {
        static const char *const programs[] = { "x",       "x",       "./x",     "x111",    "x644",    "xs",           "script",  "script",
                                                "script2", "script3", "script4", "script5", "script6", "script7",      "garbage", "empty",
                                                "a/../x",  "ldot/x",  "p",       "a",       "s",       "/usr/bin/true" };

        path_make(s, r, call, arg);
        if (random_chance(r, 75)) {
                const char *name = RANDOM_PICK(r, programs);
                call->outside = name[0] == '/';
                text(s, arg, name);
        }
        if (random_chance(r, 15))
                text(s, arg, "");
}

static void struct_value(struct sequence *s, struct random *r, struct call *call, struct arg *arg) {
        static const uint32_t groups[][3] = { { 0, 0, 0 }, { 1, 2, 1000 }, { 1000, 1000, 1001 }, { 0, 1, 65534 } };
        char bytes[64] = {};

        switch (arg->kind) {
        case HOW: how(s, r, arg); break;
        case TIMESPECS:
        case TIMEVALS:
        case UTIMBUF: times(s, r, arg); break;
        case XATTR_VALUE: xattr_value(s, r, arg); break;
        case XATTR_ARGS: xattr_args(s, r, call, arg); break;
        case FILE_ATTR:
                if (random_chance(r, 40))
                        bytes[random_below(r, 24)] = 1 << random_below(r, 8);
                fill(s, arg, bytes, 24);
                break;
        case IDS: fill(s, arg, RANDOM_PICK(r, groups), sizeof(groups[0])); break;
        case SOCKET_ADDRESS: socket_address(s, r, call, arg); break;
        case VECTOR: fill(s, arg, bytes, 32); break;
        case DATA: fill(s, arg, "data that is written", 1 + random_below(r, 20)); break;
        default: break;
        }
        if (random_chance(r, 5)) {
                static const enum place bad[] = { AT_ODD,   AT_END,  AT_END, ACROSS,    IN_NOTHING,
                                                  UNMAPPED, AT_NULL, AT_ONE, IN_KERNEL, NONCANONICAL };
                arg->place = RANDOM_PICK(r, bad);
        }
}

static void buffer(struct random *r, struct arg *arg) {
        static const size_t links[] = { 4096, 100, 1, 3, 4095, 0 }, entries[] = { 32768, 32768, 1024, 200, 48, 24, 0 };

        switch (arg->kind) {
        case STAT_OUT: arg->size = sizeof(struct stat); break;
        case STATX_OUT: arg->size = 256; break;
        case STATFS_OUT: arg->size = 120; break;
        case FILE_ATTR_OUT: arg->size = 24; break;
        case DENTS_OUT:
        case DENTS64_OUT: arg->size = RANDOM_PICK(r, entries); break;
        default: arg->size = RANDOM_PICK(r, links); break;
        }
        arg->value = (int64_t) arg->size;
        if (random_chance(r, 8)) {
                static const enum place bad[] = { AT_ODD,   AT_END,  AT_END, ACROSS,    IN_READONLY, IN_NOTHING,
                                                  UNMAPPED, AT_NULL, AT_ONE, IN_KERNEL, NONCANONICAL };
                arg->place = RANDOM_PICK(r, bad);
        }
}

void value_make(struct sequence *s, struct random *r, struct call *call, unsigned index) {
        struct arg *arg = &call->args[index];

        switch (arg->kind) {
        case PATH:
        case NEW_PATH: path_make(s, r, call, arg); break;
        case TARGET: {
                /* Links that lead out of the tree would take later calls there unnoticed. */
                bool outside = call->outside;
                path_make(s, r, call, arg);
                if (call->outside)
                        text(s, arg, "a/f1");
                call->outside = outside;
                break;
        }
        case PROGRAM: program(s, r, call, arg); break;
        case XATTR_NAME: xattr_name(s, r, arg); break;
        default:
                if (arg->kind >= STAT_OUT)
                        buffer(r, arg);
                else if (arg->kind >= HOW)
                        struct_value(s, r, call, arg);
                else
                        arg->value = register_value(s, r, call, index);
        }
}
