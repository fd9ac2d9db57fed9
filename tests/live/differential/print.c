/*
 * Calls for people to read.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "differential.h"

struct bit {
        int64_t value;
        const char *name;
};

static const struct bit open_bits[] = {
        { O_CREAT, "O_CREAT" },         { O_EXCL, "O_EXCL" },         { O_NOCTTY, "O_NOCTTY" },   { O_TRUNC, "O_TRUNC" },
        { O_APPEND, "O_APPEND" },       { O_NONBLOCK, "O_NONBLOCK" }, { O_SYNC, "O_SYNC" },       { O_DSYNC, "O_DSYNC" },
        { O_ASYNC, "O_ASYNC" },         { O_DIRECT, "O_DIRECT" },     { 0100000, "O_LARGEFILE" }, { O_TMPFILE, "O_TMPFILE" },
        { O_DIRECTORY, "O_DIRECTORY" }, { O_NOFOLLOW, "O_NOFOLLOW" }, { O_NOATIME, "O_NOATIME" }, { O_CLOEXEC, "O_CLOEXEC" },
        { O_PATH, "O_PATH" },
};
static const struct bit at_bits[] = {
        { AT_SYMLINK_NOFOLLOW, "AT_SYMLINK_NOFOLLOW" },
        { AT_REMOVEDIR, "AT_REMOVEDIR|AT_EACCESS" },
        { AT_SYMLINK_FOLLOW, "AT_SYMLINK_FOLLOW" },
        { AT_NO_AUTOMOUNT, "AT_NO_AUTOMOUNT" },
        { AT_EMPTY_PATH, "AT_EMPTY_PATH" },
        { AT_STATX_FORCE_SYNC, "AT_STATX_FORCE_SYNC" },
        { AT_STATX_DONT_SYNC, "AT_STATX_DONT_SYNC" },
};
static const struct bit rename_bits[] = { { 1, "RENAME_NOREPLACE" }, { 2, "RENAME_EXCHANGE" }, { 4, "RENAME_WHITEOUT" } };
static const struct bit access_bits[] = { { 4, "R_OK" }, { 2, "W_OK" }, { 1, "X_OK" } };
static const struct bit resolve_bits[] = {
        { RESOLVE_NO_XDEV, "RESOLVE_NO_XDEV" },         { RESOLVE_NO_MAGICLINKS, "RESOLVE_NO_MAGICLINKS" },
        { RESOLVE_NO_SYMLINKS, "RESOLVE_NO_SYMLINKS" }, { RESOLVE_BENEATH, "RESOLVE_BENEATH" },
        { RESOLVE_IN_ROOT, "RESOLVE_IN_ROOT" },
};

static void add_bits(struct text *t, int64_t value, const struct bit *bits, size_t n, const char *none) {
        bool some = false;

        if (value == 0 && none) {
                text_add(t, "%s", none);
                return;
        }
        for (size_t i = 0; i < n; i++)
                if ((value & bits[i].value) == bits[i].value) {
                        text_add(t, "%s%s", some ? "|" : "", bits[i].name);
                        value &= ~bits[i].value;
                        some = true;
                }
        if (value || !some)
                text_add(t, "%s%#" PRIx64, some ? "|" : "", value);
}

static void add_open_flags(struct text *t, int64_t flags) {
        static const char *const access[] = { "O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE" };

        text_add(t, "%s", access[flags & O_ACCMODE]);
        if (flags & ~(int64_t) O_ACCMODE) {
                text_add(t, "|");
                add_bits(t, flags & ~(int64_t) O_ACCMODE, open_bits, ELEMENTS(open_bits), NULL);
        }
}

static void add_place(struct text *t, const struct arg *arg) {
        static const char *const places[] = { "",
                                              "[misaligned]",
                                              "[at an edge]",
                                              "[no NUL before an edge]",
                                              "[across an edge]",
                                              "[read-only]",
                                              "[PROT_NONE]",
                                              "[unmapped]",
                                              "NULL",
                                              "(void *) 1",
                                              "[kernel]",
                                              "[non-canonical]" };

        text_add(t, "%s", places[arg->place]);
}

static void add_descriptor(struct text *t, int64_t fd) {
        if ((int) fd == AT_FDCWD)
                text_add(t, "AT_FDCWD%s", fd == AT_FDCWD ? "" : " with high bits");
        else if (fd >= FIRST_FD && fd < FIRST_FD + (int64_t) n_opened)
                text_add(t, "%" PRId64 " /* %s */", fd, opened[fd - FIRST_FD].path);
        else
                text_add(t, "%" PRId64, fd);
}

static void add_struct(struct text *t, const struct sequence *s, const struct arg *arg) {
        int64_t words[4] = {};

        memcpy(words, arg->bytes, arg->size < sizeof(words) ? arg->size : sizeof(words));
        switch (arg->kind) {
        case HOW:
                text_add(t, "{ ");
                add_open_flags(t, words[0]);
                text_add(t, ", %" PRIo64 ", ", words[1]);
                add_bits(t, words[2], resolve_bits, ELEMENTS(resolve_bits), "0");
                text_add(t, ", %zu bytes }", arg->size);
                break;
        case TIMESPECS:
        case TIMEVALS: text_add(t, "{ %" PRId64 ".%" PRId64 ", %" PRId64 ".%" PRId64 " }", words[0], words[1], words[2], words[3]); break;
        case UTIMBUF: text_add(t, "{ %" PRId64 ", %" PRId64 " }", words[0], words[1]); break;
        case XATTR_ARGS: text_add(t, "{ size %u, flags %u }", (unsigned) words[1], (unsigned) (words[1] >> 32)); break;
        case SOCKET_ADDRESS:
                text_add(t, "{ %d, ", *(const uint16_t *) arg->bytes);
                text_add_bytes(t, arg->bytes + 2, arg->size - 2, s->work);
                text_add(t, " }");
                break;
        case IDS: text_add(t, "{ %u, %u, %u }", (unsigned) words[0], (unsigned) (words[0] >> 32), (unsigned) words[1]); break;
        default: text_add_bytes(t, arg->bytes, arg->size, s->work);
        }
}

static void add_arg(struct text *t, const struct sequence *s, const struct arg *arg) {
        if (arg->kind >= PATH && arg->place >= IN_READONLY) {
                add_place(t, arg);
                return;
        }
        switch (arg->kind) {
        case FD:
        case LISTED_FD:
        case DIR_FD:
        case WATCH_FD: add_descriptor(t, arg->value); break;
        case OPEN_FLAGS: add_open_flags(t, arg->value); break;
        case MODE:
        case NODE_MODE: text_add(t, "0%" PRIo64, arg->value); break;
        case ACCESS_MODE: add_bits(t, arg->value, access_bits, ELEMENTS(access_bits), "F_OK"); break;
        case RENAME_FLAGS: add_bits(t, arg->value, rename_bits, ELEMENTS(rename_bits), "0"); break;
        case STAT_FLAGS:
        case ACCESS_FLAGS:
        case UNLINK_FLAGS:
        case LINK_FLAGS:
        case CHMOD_FLAGS:
        case CHOWN_FLAGS:
        case UTIMENS_FLAGS:
        case XATTRAT_FLAGS:
        case EXEC_FLAGS: add_bits(t, arg->value, at_bits, ELEMENTS(at_bits), "0"); break;
        case STATX_MASK:
        case WATCH_MASK:
        case CAPABILITIES: text_add(t, "%#" PRIx64, arg->value); break;
        default:
                if (arg->kind < PATH)
                        text_add(t, "%" PRId64, arg->value);
                else if (arg->kind >= STAT_OUT)
                        text_add(t, "&buffer");
                else if (arg->kind >= HOW)
                        add_struct(t, s, arg);
                else
                        text_add_bytes(t, arg->bytes, arg->size - 1, s->work);
                if (arg->kind >= PATH)
                        add_place(t, arg);
        }
}

void call_print(struct text *t, const struct sequence *s, const struct call *call) {
        text_add(t, "%2u  ", call->index);
        if (s->n_tasks > 1)
                text_add(t, "task %u%s: ", call->task, call->background ? ", waiting" : "");
        text_add(t, "%s(", call->operation->name);
        for (unsigned i = 0; i < ARGS_MAX && call->args[i].kind != NONE; i++) {
                text_add(t, "%s", i ? ", " : "");
                add_arg(t, s, &call->args[i]);
        }
        text_add(t, ")");
}
