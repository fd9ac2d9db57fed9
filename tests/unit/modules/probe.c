#include "probe.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/mman.h>
#include <sys/prctl.h>

void probe_drop_rights(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = {};

        for (int cap = 0; cap < 64; cap++)
                (void) prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
        if (syscall(SYS_capset, &header, data) < 0)
                abort();
        (void) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

const char *probe_errno(int error) {
        const char *name = error == 0 ? "ok" : strerrorname_np(error);

        return name ? name : "?";
}

char *probe_page_end(size_t n) {
        char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (pages == MAP_FAILED || munmap(pages + 2 * 4096, 4096) < 0)
                abort();
        return pages + 2 * 4096 - n;
}
