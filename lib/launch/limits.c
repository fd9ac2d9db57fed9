/*
 * Resource limits of the command. What a control group holds isn't held a second time.
 */
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "start.h"

static int limit(int resource, uint64_t value, const char *name, char *text) {
        struct rlimit now, wanted;

        snprintf(text, 256, "%s", name);
        if (getrlimit(resource, &now) < 0)
                return -errno;
        /* Never above the hard limit, which only the host's CAP_SYS_RESOURCE may raise. */
        wanted.rlim_cur = wanted.rlim_max = value < now.rlim_max ? value : now.rlim_max;
        return setrlimit(resource, &wanted) < 0 ? -errno : 0;
}

int limits_apply(const struct start *s, char *text) {
        const struct policy_limits *limits = &s->options->plan->policy->limits;
        int r;

        /* 1, because the kernel runs a core_pattern's program, as root of the host, for the limit 0 too, but not for 1. */
        if ((r = limit(RLIMIT_CORE, 1, "core dumps", text)) < 0)
                return r;
        if (limits->open_files > 0 && (r = limit(RLIMIT_NOFILE, limits->open_files, "limits: open-files", text)) < 0)
                return r;
        if (limits->file_size > 0 && (r = limit(RLIMIT_FSIZE, limits->file_size, "limits: file-size", text)) < 0)
                return r;
        /* Counted for each user namespace on its own, and init is in it. The kernel doesn't hold uid 0 of the host to it: pid_max does. */
        if (limits->processes > 0 && !s->group_processes && (r = limit(RLIMIT_NPROC, limits->processes + 1, "limits: processes", text)) < 0)
                return r;
        if (limits->memory > 0 && !s->group_memory)
                return limit(RLIMIT_AS, limits->memory, "limits: memory", text);
        return 0;
}
