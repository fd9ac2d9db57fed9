/*
 * The differential test: random sequences of file calls, made from a seed, are run in two sandboxes on identical trees; in one the kernel
 * answers every path call by itself ("filter"), in the other the broker does ("broker"). Every result and the trees at the end are compared.
 *
 *   outside (one process, one thread a side): fixture.c makes the tree, side.c hands the seed to the program inside and takes its records,
 *           dump.c describes the tree afterwards; fuzz.c compares, shrink.c finds the smallest sequence that still differs, print.c shows it.
 *   inside (one process a sandbox): inside.c makes the same sequence from the seed (generate.c, paths.c, values.c), tasks.c has its calls made
 *           one after the other by processes and threads, execute.c makes one call, record.c writes down what it gave.
 *
 * Where root runs this, both sandboxes have their tree at the same path. Else the two paths are of the same length, so that the same strings fit the
 * same limits. Records name it $W.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The tree lies this deep below what is granted, so that no `..` of a sequence leads out of it. */
#define LEVELS "v1/v2/v3/v4/v5/v6/v7/v8/v9/t"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* ---- random.c: numbers that depend on the seed alone ---- */

struct random {
        uint64_t state;
};

uint64_t random_next(struct random *r);
unsigned random_below(struct random *r, unsigned n);
/* True in `percent` of all cases. */
bool random_chance(struct random *r, unsigned percent);
#define RANDOM_PICK(r, array) ((array)[random_below(r, ELEMENTS(array))])

/* ---- Calls ---- */

/* What an argument stands for. It says how its value is chosen (values.c), and how it is printed. */
enum kind {
        NONE,
        /* registers */
        FD,        /* any descriptor */
        LISTED_FD, /* mostly a directory's */
        DIR_FD,    /* one that a path starts from, AT_FDCWD included */
        NUMBER,    /* as it stands in the table */
        OPEN_FLAGS,
        MODE,
        NODE_MODE,
        DEVICE,
        STAT_FLAGS,
        STATX_MASK,
        ACCESS_MODE,
        ACCESS_FLAGS,
        UNLINK_FLAGS,
        RENAME_FLAGS,
        LINK_FLAGS,
        CHMOD_FLAGS,
        CHOWN_FLAGS,
        UTIMENS_FLAGS,
        USER,
        GROUP,
        LENGTH,
        SIZE, /* of the buffer before it */
        XATTR_FLAGS,
        XATTRAT_FLAGS,
        WATCH_FD,
        WATCH_MASK,
        WATCH,
        SEEK,
        WHENCE,
        STRUCT_SIZE, /* of the struct before it */
        CAPABILITIES,
        EXEC_FLAGS,
        LIMIT,
        LIMIT_VALUE,
        FLAG,
        /* strings */
        PATH,     /* of something that may be there */
        NEW_PATH, /* of something that may be made */
        TARGET,   /* of a symbolic link */
        PROGRAM,
        XATTR_NAME,
        /* structs that the call reads */
        HOW,
        TIMESPECS,
        TIMEVALS,
        UTIMBUF,
        XATTR_VALUE,
        XATTR_ARGS,
        FILE_ATTR,
        IDS,
        SOCKET_ADDRESS,
        DATA,
        VECTOR, /* of strings, for execve */
        /* buffers that it writes to */
        STAT_OUT,
        STATX_OUT,
        STATFS_OUT,
        BYTES_OUT,
        DENTS_OUT,
        DENTS64_OUT,
        FILE_ATTR_OUT,
};

/* Where in memory an argument lies. */
enum place {
        IN_ROOM,
        AT_ODD,       /* misaligned */
        AT_END,       /* its last byte is the last before memory that can't be reached */
        UNTERMINATED, /* a string that runs into that memory without an end */
        ACROSS,       /* its second half can't be reached */
        IN_READONLY,
        IN_NOTHING, /* mapped, PROT_NONE */
        UNMAPPED,
        AT_NULL,
        AT_ONE,
        IN_KERNEL,
        NONCANONICAL,
};

#define ARGS_MAX 6

struct arg {
        enum kind kind;
        enum place place;
        int64_t value; /* registers; the size of a buffer */
        char *bytes;   /* strings and structs; of the sequence */
        size_t size;
        struct arg *inner; /* XATTR_ARGS: the value within */
};

/* What a successful call is followed by, in the same task. */
enum shows {
        NOTHING,
        DESCRIPTOR, /* its flags, position, and what it is open on */
        BUFFER,     /* what was written to it */
        WHERE,      /* the current directory */
};

enum {
        BLOCKS = 1 << 0,     /* may wait for another task: interrupted after a while */
        IDENTITY = 1 << 1,   /* changes ids: only where the sandbox may */
        COMPOSITE = 1 << 2,  /* not one call of the kernel: execute.c knows */
        CHANGES_FS = 1 << 3, /* may leave the tree */
        CHANGES = 1 << 4,    /* what the path names, or the directory that it is in */
};

struct operation {
        const char *name;
        int nr;
        unsigned weight;
        unsigned flags;
        enum shows shows;
        enum kind args[ARGS_MAX];
        int64_t number; /* what NUMBER is */
        char prefers;   /* the type of object (as struct fixture has it) that its path is mostly of */
};

enum { DO_EXEC = 100000, DO_BIND, DO_CONNECT, DO_EVENTS, DO_LIMIT, DO_SEEKDIR, DO_DEEP };

/* calls.c */
extern const struct operation operations[];
extern const size_t n_operations;

/* How a task is made from the first one. */
enum sharing { OWN, OWN_BUT_FS, OWN_BUT_FILES, THREAD, THREAD_BUT_FS, THREAD_BUT_FILES, N_SHARINGS };

#define TASKS_MAX 4
#define CALLS_MAX 64

struct call {
        const struct operation *operation;
        unsigned index; /* in the whole sequence, whatever was left out */
        unsigned task;
        bool background; /* its end is waited for after the next call's */
        bool outside;    /* names what is not in the tree, so that only the outcome is compared */
        bool proc;       /* through procfs: what has no lasting number isn't compared */
        struct arg args[ARGS_MAX];
};

enum {
        OPTION_IDS = 1 << 0,     /* the sandbox has capabilities and many ids */
        OPTION_ROOT = 1 << 1,    /* whoever makes the trees is root */
        OPTION_CHECKED = 1 << 3, /* a rule makes the broker check what each execve has run */
        OPTION_REUSED = 1 << 2,  /* the file system gives numbers of inodes that are gone to new ones: they aren't compared */
};

struct sequence {
        uint64_t seed;
        unsigned options;
        const char *work; /* the tree's path, borrowed */
        unsigned variant; /* of the tree: VARIANT_* */
        bool fifos;       /* opening one may wait */
        bool limited;     /* descriptors may run out: the broker may find that only after it has followed links */
        size_t n_tasks;
        enum sharing sharing[TASKS_MAX];
        size_t n;
        struct call calls[CALLS_MAX];
        char *strings; /* arena */
        size_t used;
};

/* generate.c: makes the whole sequence; `keep` says which calls stay (NULL: all). */
void sequence_make(struct sequence *s, uint64_t seed, unsigned options, const char *work, const bool *keep);
void sequence_done(struct sequence *s);
char *sequence_alloc(struct sequence *s, size_t size);

/* Whether two tasks have one table of descriptors. While one waits in open(), the kernel keeps the number for it that the broker gives away. */
bool share_files(const struct sequence *s, unsigned a, unsigned b);

/* paths.c */
void path_make(struct sequence *s, struct random *r, struct call *call, struct arg *arg);
/* values.c */
void value_make(struct sequence *s, struct random *r, struct call *call, unsigned index);

/* ---- The tree: fixture.c, dump.c ---- */

enum {
        VARIANT_FIFOS_OPEN = 1 << 0, /* somebody outside holds both ends of all FIFOs: opening them never waits */
        VARIANT_MANY = 1 << 1,       /* a directory with many names */
        VARIANT_CHAIN = 1 << 2,      /* a chain of as many links as the kernel follows, and one more */
};

struct fixture {
        const char *path;
        char type; /* d, f, l, p (FIFO), s (socket that nobody listens on), S (one that is), h (hard link), x (the witness), c (a device) */
        unsigned mode;
        const char *text; /* content, target */
        unsigned variant; /* only where this bit is set */
};

/* The time of the last change that every object has at first, to within a few thousand seconds. No sequence sets these nanoseconds. */
#define FIXTURE_TIME 1000000000
#define FIXTURE_NANOSECONDS 2000

extern const struct fixture fixtures[];
extern const size_t n_fixtures;

struct tree {
        const char *top;     /* what is wiped */
        const char *work;    /* the tree itself, a few levels below */
        const char *shown;   /* the same, as the sandbox names it */
        const char *witness; /* the program to be copied */
        uid_t uid;
        gid_t gid;
        int held[16]; /* descriptors kept open while the sequence runs */
        size_t n_held;
};

/* Negative errno, with `what` (PATH_MAX bytes) filled in. */
int tree_make(struct tree *t, const struct sequence *s, char *what);
void tree_release(struct tree *t);
int tree_wipe(const char *top);
/* A text of one line for each object; the caller frees. */
char *tree_dump(const char *top, const char *work, const struct sequence *s);

/* The descriptors that every sequence starts with, from FIRST_FD on. */
#define FIRST_FD 10
struct opened {
        const char *path;
        int flags;
};
extern const struct opened opened[];
extern const size_t n_opened;

/* ---- text.c ---- */

struct text {
        char *data;
        size_t size, room;
        bool full;
};

void text_add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Bytes of the sandbox, with `work` replaced and what can't be printed escaped. */
void text_add_bytes(struct text *t, const char *bytes, size_t size, const char *work);
const char *errno_name(int error);

/* ---- print.c ---- */

void call_print(struct text *t, const struct sequence *s, const struct call *call);

/* ---- inside ---- */

/* memory.c: the arguments of one task's calls. */
struct memory;
struct memory *memory_map(unsigned task);
/* Places the argument; the register to be passed. */
uint64_t memory_place(struct memory *m, const struct arg *arg);
void memory_reset(struct memory *m);
/* Whether a buffer that was placed at `address` still is as it was before the call; true where it can't be read. */
bool memory_untouched(const struct arg *arg, uint64_t address);

/* record.c */
struct numbers; /* first-seen numbers of inodes, devices, mounts */
struct record {
        struct text *text;
        struct numbers *numbers;
        const char *work;
        dev_t device;      /* of the tree */
        bool inodes_count; /* numbers of inodes can be compared */
        bool limited;      /* as sequence.limited */
        pid_t tgid, tid;
};
/* Whether a descriptor (or AT_FDCWD) is open on what lies elsewhere than in the tree, and is no pipe, socket or memory either. */
bool record_foreign(const struct record *r, int fd);
size_t numbers_size(void);
void record_descriptor(struct record *r, const struct call *call, int fd);
void record_buffer(struct record *r, const struct call *call, const struct arg *arg, uint64_t address, long result);
void record_events(struct record *r, const char *events, size_t size);
void record_where(struct record *r);

/* execute.c */
struct prepared {
        uint64_t registers[ARGS_MAX];
        long result;
        unsigned signals;            /* SIGXFSZ */
        _Atomic uint64_t fifo_since; /* when a FIFO was begun to be opened that still isn't; 0: none */
};
void call_prepare(struct memory *m, const struct call *call, struct prepared *p);
void call_make(const struct sequence *s, const struct call *call, struct prepared *p);
void call_record(struct record *r, const struct call *call, const struct prepared *p);
/* In the first task: opens the descriptors that all sequences start with. */
void open_first(struct record *r, const char *work);
#define WITNESS_FD 200 /* what the witness writes to; the other end is the next one */

/* tasks.c: runs the sequence; records go to `text`. */
int tasks_run(const struct sequence *s, struct text *text);
int tasks_prepare(void);
/* In execute.c: what the signals do that interrupt a call or say that a file would become too large. */
void signals_set(void);

/* inside.c */
int inside_main(const char *work);

/* The kernel without the C library: its errno is one for all threads that share memory here. */
static inline long sys(long nr, long a, long b, long c, long d, long e, long f) {
        long result;
        register long r10 __asm__("r10") = d;
        register long r8 __asm__("r8") = e;
        register long r9 __asm__("r9") = f;

        __asm__ volatile("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
        return result;
}
#define SYS(nr, ...) SYS_(nr, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define SYS_(nr, a, b, c, d, e, f, ...) sys(nr, (long) (a), (long) (b), (long) (c), (long) (d), (long) (e), (long) (f))

/* ---- outside ---- */

struct request {
        uint64_t seed;
        uint32_t options;
        uint8_t keep[CALLS_MAX];
};

struct side {
        const char *name;         /* filter, broker: of the same length */
        char top[256], work[320]; /* as the sandbox names them */
        char real_top[256], real_work[320], policy[320];
        struct tree tree;
        bool ids, checked, wrong;
        char **command;               /* what starts the sandbox, up to the policy's name */
        const char *replacement;      /* of the command's last word, or NULL */
        const char *program, *folder; /* the program in the sandbox, and where it lies */
        pid_t pid;
        int to, from;
        uint64_t nanoseconds; /* spent waiting for the sandbox */
};

int side_start(struct side *side);
void side_stop(struct side *side);
/* Makes the tree, has the sequence run, and describes the tree: records, an empty line, the tree. The caller frees; NULL: the sandbox is gone,
 * and `error` says why. */
char *side_run(struct side *side, uint64_t seed, unsigned options, const bool *keep, char *error, size_t room);

struct fuzz {
        struct side sides[2];
        unsigned options;
        uint64_t first, count;
        unsigned seconds;
        bool endless;
        bool show;  /* print all sequences */
        bool wrong; /* a right is missing behind the broker: differences must be found */
};
int fuzz_run(struct fuzz *fuzz);
int fuzz_replay(struct fuzz *fuzz, uint64_t seed);

/* shrink.c: runs both sides; true where they differ. The caller frees the texts. */
struct outcome {
        char *texts[2];
};
void outcome_done(struct outcome *o);
bool both_run(struct fuzz *fuzz, uint64_t seed, const bool *keep, struct outcome *ret);
/* Leaves in `keep` as few calls as still differ. */
void shrink(struct fuzz *fuzz, uint64_t seed, bool keep[CALLS_MAX]);
void difference_print(struct fuzz *fuzz, uint64_t seed, const bool *keep, const struct outcome *o);
