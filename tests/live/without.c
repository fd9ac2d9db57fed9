/*
 * without FEATURE[,FEATURE…] COMMAND…: runs a command as on a kernel that lacks a feature, by a filter that gives the errno of such a kernel.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_ADDFD
#define SECCOMP_IOCTL_NOTIF_ADDFD SECCOMP_IOW(3, struct seccomp_notif_addfd)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

static const struct feature {
        const char *name;
        int error, nr;
        struct scmp_arg_cmp cmp;
} features[] = {
        { "listener", EINVAL, SYS_seccomp, { 1, SCMP_CMP_MASKED_EQ, SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_NEW_LISTENER } },
        { "wait-killable",
          EINVAL,
          SYS_seccomp,
          { 1, SCMP_CMP_MASKED_EQ, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV } },
        { "wake-up", EINVAL, SYS_ioctl, { 1, SCMP_CMP_MASKED_EQ, 0xffffffff, SECCOMP_IOCTL_NOTIF_SET_FLAGS } },
        { "addfd", EINVAL, SYS_ioctl, { 1, SCMP_CMP_MASKED_EQ, 0xffffffff, SECCOMP_IOCTL_NOTIF_ADDFD } },
        { "user-namespaces", EPERM, SYS_unshare, { 0, SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER } },
        { "user-namespaces", EPERM, SYS_clone, { 0, SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER } },
        { "landlock", ENOSYS, SYS_landlock_create_ruleset, { 0, SCMP_CMP_GE, 0, 0 } },
        { "pidfd-getfd", ENOSYS, SYS_pidfd_getfd, { 0, SCMP_CMP_GE, 0, 0 } },
        { "openat2", ENOSYS, SYS_openat2, { 0, SCMP_CMP_GE, 0, 0 } },
};

int main(int argc, char **argv) {
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
        size_t found = 0;

        if (argc < 3 || !filter) {
                fprintf(stderr, "usage: without FEATURE[,FEATURE] COMMAND…\n");
                return 2;
        }
        for (char *save, *word = strtok_r(argv[1], ",", &save); word; word = strtok_r(NULL, ",", &save)) {
                size_t before = found;
                for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
                        if (strcmp(features[i].name, word) == 0 &&
                            seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(features[i].error), features[i].nr, 1, &features[i].cmp) == 0)
                                found++;
                if (found == before) {
                        fprintf(stderr, "without: %s?\n", word);
                        return 2;
                }
        }
        /* Without no_new_privs where we may, so that newuidmap still works below. */
        (void) seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, geteuid() != 0);
        if (seccomp_load(filter) < 0) {
                fprintf(stderr, "without: the filter could not be loaded\n");
                return 2;
        }
        execvp(argv[2], argv + 2);
        fprintf(stderr, "without: %s: %s\n", argv[2], strerror(errno));
        return 127;
}
