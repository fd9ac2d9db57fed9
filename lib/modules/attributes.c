/*
 * Attributes that are not in inodes' modes, owners and times: file_getattr, file_setattr, and the ioctls of file systems. These change a file or
 * directory by a descriptor that was opened for reading alone, where its owner asks; some make, remove or list names. So of the letters that
 * file systems number their ioctls by, what is known not to change anything passes, what can be decided is decided, and the rest is as
 * on a file system that doesn't have it. statfs is here, too.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "act.h"
#include "fd.h"
#include "metadata.h"
#include "sys.h"

/* ---- file_getattr, file_setattr ---- */

#define ATTR_SIZE_FIRST 24 /* FILE_ATTR_SIZE_VER0 */
#define PAGE 4096

/* As the kernel's copy_struct_to_user(): what a newer program has room for beyond what we know is zero. */
static int write_attr(struct call *call, uint64_t address, uint64_t size, const struct sys_file_attr *attr) {
        char buffer[PAGE] = {};

        memcpy(buffer, attr, sizeof(*attr));
        return target_write(call, address, buffer, size);
}

struct verdict handle_file_getattr(struct call *call) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        uint64_t size = CALL_ARG(call, 3);
        struct sys_file_attr attr = {};
        char link[64];
        int flags = CALL_INT(call, 4), dirfd, r;

        if (flags & ~PLACE_FLAGS)
                return verdict_error(EINVAL);
        if (size > PAGE || size < ATTR_SIZE_FIRST)
                return verdict_error(size > PAGE ? E2BIG : EINVAL);
        r = place_resolve_new(call, CALL_INT(call, 0), CALL_ARG(call, 1), flags, &pin);
        if (r < 0)
                return files_failed(call, &pin, r, false);
        r = pin_link(call, &pin, &dirfd, link);
        if (r >= 0)
                r = target_act_ids(call);
        if (r < 0)
                return verdict_from(r);
        r = syscall(__NR_file_getattr, dirfd, link, &attr, sizeof(attr), 0) < 0 ? -errno : 0;
        target_act_done(call);
        if (r < 0)
                return verdict_error(r);
        r = write_attr(call, CALL_ARG(call, 2), size, &attr);
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

struct verdict handle_file_setattr(struct call *call) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        struct sys_file_attr attr = {};
        struct verdict verdict;
        char link[64];
        int flags = CALL_INT(call, 4), dirfd, r;

        if (flags & ~PLACE_FLAGS)
                return verdict_error(EINVAL);
        r = files_read_struct(call, CALL_ARG(call, 2), CALL_ARG(call, 3), &attr, sizeof(attr));
        if (r < 0)
                return verdict_from(r);
        /* Which flags there are the kernel knows, and says before it looks the path up: it has none to look up here. */
        /* no act: there is no such descriptor */
        if (syscall(__NR_file_setattr, -1, "", &attr, sizeof(attr), 0) < 0 && (errno == EINVAL || errno == ENOSYS))
                return verdict_error(errno);
        r = place_resolve_new(call, CALL_INT(call, 0), CALL_ARG(call, 1), flags, &pin);
        if (r < 0)
                return files_failed(call, &pin, r, false);
        if (!pin_changeable(call, &pin, RIGHT_WRITE, EACCES, &verdict))
                return verdict;
        r = pin_link(call, &pin, &dirfd, link);
        if (r >= 0)
                r = target_act_ids(call);
        if (r < 0)
                return verdict_from(r);
        r = ACT(call, syscall(__NR_file_setattr, dirfd, link, &attr, sizeof(attr), 0));
        target_act_done(call);
        return r < 0 ? verdict_error(r) : verdict_value(0);
}

/* ---- statfs ---- */

struct verdict handle_statfs(struct call *call) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        struct statfs fs;
        int r;

        r = files_resolve(call, AT_FDCWD, CALL_ARG(call, 0), RESOLVE_FOLLOW, &pin);
        if (r < 0)
                return files_failed(call, &pin, r, false);
        if (fstatfs(pin.fd, &fs) < 0)
                return verdict_error(errno);
        r = target_write(call, CALL_ARG(call, 1), &fs, sizeof(fs));
        return r < 0 ? verdict_from(r) : verdict_value(0);
}

/* ---- ioctl ---- */

/* FS_IOC_* and ext4; FS_IOC_*VERSION; FS_IOC_FS*XATTR and XFS; btrfs, and FICLONE; FAT; F2FS; CIFS; ceph; bcachefs; ocfs2. */
static const uint8_t letters[] = { 'f', 'v', 'X', 0x94, 'r', 0xf5, 0xcf, 0x97, 0xbc, 'o' };

static const uint32_t harmless[] = {
        0x80086601, /* FS_IOC_GETFLAGS */
        0x80087601, /* FS_IOC_GETVERSION */
        0x80086603, /* EXT4_IOC_GETVERSION */
        0xc020660b, /* FS_IOC_FIEMAP */
        0x801c581f, /* FS_IOC_FSGETXATTR */
        0x800c581e, /* XFS_IOC_DIOINFO */
        0x81009431, /* FS_IOC_GETFSLABEL */
        0xc0046686, /* FS_IOC_MEASURE_VERITY */
        0xc0286687, /* FS_IOC_READ_VERITY_METADATA */
        0x400c6615, /* FS_IOC_GET_ENCRYPTION_POLICY */
        0xc0096616, /* FS_IOC_GET_ENCRYPTION_POLICY_EX */
        0x8010661b, /* FS_IOC_GET_ENCRYPTION_NONCE */
        0x80047210, /* FAT_IOCTL_GET_ATTRIBUTES */
        0x80047213, /* FAT_IOCTL_GET_VOLUME_ID */
        0xc0606610, /* PAGEMAP_SCAN */
        0xc0686611, /* PROCMAP_QUERY */
        /* They take a descriptor that is open for writing, or write what is there already. */
        0x40049409, /* FICLONE */
        0x4020940d, /* FICLONERANGE */
        0xc0189436, /* FIDEDUPERANGE */
        0x40305828, /* FS_IOC_RESVSP, and what is like it: see append.c */
        0x40305829, 0x4030582a, 0x4030582b, 0x40305839,
        /* They take capabilities over the host. */
        0x41009432, /* FS_IOC_SETFSLABEL */
        0xc0045877, /* FIFREEZE */
        0xc0045878, /* FITHAW */
        0xc0185879, /* FITRIM */
};

static const struct {
        uint32_t request;
        size_t size; /* of what its argument points to */
} changing[] = {
        { 0x40086602, sizeof(int) }, /* FS_IOC_SETFLAGS: an int, whatever its number says */
        { 0x401c5820, 28 },          /* FS_IOC_FSSETXATTR */
        { 0x40087602, sizeof(int) }, /* FS_IOC_SETVERSION */
        { 0x40086604, sizeof(int) }, /* EXT4_IOC_SETVERSION */
};

static struct verdict change(struct call *call, uint32_t request, size_t size) {
        _cleanup_(pin_done) struct pin pin = PIN_INIT;
        struct verdict verdict;
        char argument[28];
        int r;

        r = descriptor_pin(call, CALL_INT(call, 0), &pin);
        if (r < 0)
                return files_failed(call, &pin, r, false);
        r = target_read(call, CALL_ARG(call, 2), argument, size);
        if (r < 0)
                return verdict_from(r);
        if (!pin_changeable(call, &pin, RIGHT_WRITE, EACCES, &verdict))
                return verdict;
        r = target_act_ids(call);
        if (r < 0)
                return verdict_from(r);
        r = ACT(call, ioctl(pin.fd, request, argument));
        target_act_done(call);
        return r < 0 ? verdict_error(r) : verdict_value(0);
}

static bool of_file_systems(uint32_t request) {
        for (size_t i = 0; i < ELEMENTSOF(letters); i++)
                if (((request >> 8) & 0xff) == letters[i])
                        return true;
        return false;
}

bool attributes_ioctl(struct call *call, struct verdict *ret) {
        uint32_t request = CALL_ARG(call, 1);

        if (!call->plan->files_brokered || !of_file_systems(request))
                return false;
        for (size_t i = 0; i < ELEMENTSOF(harmless); i++)
                if (harmless[i] == request)
                        return false;
        for (size_t i = 0; i < ELEMENTSOF(changing); i++)
                if (changing[i].request == request) {
                        *ret = change(call, request, changing[i].size);
                        return true;
                }
        call->why = "it could change what a rule gives for reading only, and the broker doesn't know how to decide on it";
        *ret = verdict_deny(ENOTTY);
        return true;
}

int attributes_compile(struct filter_builder *filter) {
        for (size_t i = 0; i < ELEMENTSOF(letters); i++) {
                const struct filter_arg letter = { .index = 1, .mask = 0xff00, .value = letters[i] << 8 };
                int r = filter_builder_notify(filter, __NR_ioctl, &letter, 1);
                if (r < 0)
                        return r;
        }
        return 0;
}
