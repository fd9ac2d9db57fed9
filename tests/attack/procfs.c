/*
 * procfs: nothing of the kernel's settings can be opened for writing, and its dangerous files not at all. Nothing is ever written.
 */
#include "attack.h"

#include <dirent.h>
#include <ftw.h>
#include <limits.h>

static unsigned files;

static int refuse_writing(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        static const int flags[] = { O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC, O_WRONLY | O_APPEND };

        if (type != FTW_F || !S_ISREG(st->st_mode))
                return 0;
        files++;
        for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
                int fd = open(path, flags[i] | O_NONBLOCK | O_NOCTTY);
                attack_expect(fd < 0, "%s can be opened with %#x", path, flags[i]);
                if (fd >= 0)
                        close(fd);
        }
        attack_expect(access(path, W_OK) < 0, "%s is said to be writable", path);
        return 0;
}

static void unwritable(const char *folder, bool must_be_there) {
        files = 0;
        nftw(folder, refuse_writing, 32, FTW_PHYS | FTW_MOUNT);
        attack_expect(files > 0 || !must_be_there, "%s: no files at all", folder);
}

static void unreadable(const char *path) {
        char text[64];
        int fd = open(path, O_RDONLY | O_NONBLOCK);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

        attack_expect(n <= 0, "%s: %zd bytes read", path, n);
        if (fd >= 0)
                close(fd);
}

int main(void) {
        static const char *const hidden[] = { "/proc/kcore",       "/proc/keys",        "/proc/timer_list", "/proc/kmsg",
                                              "/proc/sched_debug", "/proc/acpi/wakeup", "/proc/scsi/scsi",  "/proc/kpagecount",
                                              "/proc/kpageflags",  "/proc/vmallocinfo", "/proc/slabinfo" };
        static const char *const single[] = { "/proc/sys/kernel/core_pattern",
                                              "/proc/sys/kernel/modprobe",
                                              "/proc/sys/vm/panic_on_oom",
                                              "/proc/sys/fs/binfmt_misc/register",
                                              "/proc/sys/kernel/sysrq",
                                              "/proc/sysrq-trigger",
                                              "/proc/latency_stats",
                                              "/proc/mtrr",
                                              "/proc/1/oom_score_adj",
                                              "/proc/1/comm",
                                              "/proc/1/mem",
                                              "/proc/irq/default_smp_affinity" };
        struct stat st;

        setvbuf(stdout, NULL, _IONBF, 0);
        unwritable("/proc/sys", true);
        unwritable("/proc/irq", false);
        unwritable("/proc/bus", false);
        unwritable("/proc/fs", false);
        unwritable("/proc/acpi", false);
        unwritable("/proc/driver", false);
        for (size_t i = 0; i < sizeof(single) / sizeof(*single); i++) {
                int fd = open(single[i], O_WRONLY | O_NONBLOCK);
                attack_expect(fd < 0, "%s can be opened for writing", single[i]);
                fd = open(single[i], O_RDWR | O_NONBLOCK);
                attack_expect(fd < 0, "%s can be opened for reading and writing", single[i]);
        }
        for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++)
                unreadable(hidden[i]);
        attack_expect(stat("/sys/kernel", &st) < 0, "/sys is there");
        attack_expect(open("/dev/mem", O_RDONLY) < 0 && open("/dev/kmsg", O_RDONLY) < 0 && open("/dev/sda", O_RDONLY) < 0 &&
                              open("/dev/userfaultfd", O_RDWR) < 0 && open("/dev/kvm", O_RDWR) < 0 && open("/dev/fuse", O_RDWR) < 0 &&
                              open("/dev/console", O_RDWR) < 0,
                      "a device of the host can be opened");
        attack_end();
}
