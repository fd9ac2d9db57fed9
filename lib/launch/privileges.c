/*
 * Giving up capabilities.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "start.h"
#include "sys.h"

static int drop_bounding(uint64_t but) {
        for (unsigned long cap = 0; cap < 64; cap++)
                if (!(but & UINT64_C(1) << cap) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
                        if (errno == EINVAL) /* beyond the last one that this kernel knows */
                                break;
                        return -errno;
                }
        return 0;
}

/* What root of a container has over files and ids, in the sandbox's user namespace, and kept by the programs that it executes. */
#define UNSAFE_CAPABILITIES \
        (UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_DAC_READ_SEARCH | UINT64_C(1) << CAP_FOWNER | \
         UINT64_C(1) << CAP_FSETID | UINT64_C(1) << CAP_KILL | UINT64_C(1) << CAP_SETGID | UINT64_C(1) << CAP_SETUID | \
         UINT64_C(1) << CAP_SETFCAP)

/* FOR TESTS: to change ids inside, and to see the broker follow. */
static int keep_unsafe(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        const uint32_t some = UNSAFE_CAPABILITIES;
        struct __user_cap_data_struct data[2] = { { .effective = some, .permitted = some, .inheritable = some } };
        int r = drop_bounding(UNSAFE_CAPABILITIES);

        if (r < 0)
                return r;
        if (syscall(SYS_capset, &header, data) < 0)
                return -errno;
        for (unsigned long cap = 0; cap < 32; cap++)
                if ((UNSAFE_CAPABILITIES & UINT64_C(1) << cap) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
                        return -errno;
        return 0;
}

int privileges_keep(uint64_t capabilities) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = {
                { .effective = capabilities, .permitted = capabilities },
                { .effective = capabilities >> 32, .permitted = capabilities >> 32 },
        };

        int r = drop_bounding(0);
        if (r < 0)
                return r;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
                return -errno;
        /* Uid 0 gets nothing by being 0: neither by execve nor by set*uid, and nobody below can change that. */
        if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_CAP_AMBIENT_RAISE | SECURE_ALL_LOCKS, 0, 0, 0) < 0)
                return -errno;
        return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int privileges_of_entering(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = { { .permitted = sys_unsafe("entering") ? 0 : UINT32_C(1) << CAP_KILL } };

        return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int privileges_of_command(void) {
        return sys_unsafe("capabilities") ? keep_unsafe() : privileges_keep(0);
}
