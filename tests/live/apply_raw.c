/*
 * Sends plans to the bus that sandboxctl wouldn't, for a sandbox.
 *
 *   apply_raw SOCKET DAEMON NAME POLICY
 *
 * Those of all sandboxes of the process DAEMON are tried, whose descriptors the caller has to be allowed to open; the sandbox's own may be put in force, all else
 * has to be refused. Each answer is a line.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "cleanup.h"
#include "control.h"

static const char *name, *policy;

static _noreturn_ void die(const char *what, int error) {
        fprintf(stderr, "apply_raw: %s: %s\n", what, strerror(error));
        exit(99);
}

static int memfd(const char *text, size_t size, bool sealed) {
        int fd = memfd_create("plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0 || write(fd, text, size) != (ssize_t) size ||
            (sealed && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) < 0))
                die("memfd", errno);
        return fd;
}

static void apply(sd_bus *bus, const char *what, int fd) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        char *object = NULL;
        int r = control_object(name, &object);

        if (r >= 0)
                r = sd_bus_call_method(bus, NULL, object, CONTROL_SANDBOX, "Apply", &error, NULL, "hs", fd, policy);
        printf("%s: %s\n", what, r >= 0 ? "applied" : error.message ? error.message : strerror(-r));
        sd_bus_error_free(&error);
        free(object);
        close(fd);
}

static void apply_from(sd_bus *bus, const char *path) {
        static char text[4 << 20];
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text), 0);

        if (n < 0)
                die(path, errno);
        close(fd);
        apply(bus, "plan", memfd(text, n, true));
}

int main(int argc, char **argv) {
        char folder[64], path[PATH_MAX], link[64], socket[CONTROL_SOCKET_SIZE];
        sd_bus *bus;
        int r;

        if (argc != 5)
                return 2;
        name = argv[3];
        policy = argv[4];
        setenv("SANDBOXD_SOCKET", argv[1], 1);
        if ((r = control_connect(&bus, socket)) < 0)
                die(argv[1], -r);
        apply(bus, "garbage", memfd("[1, 2", 5, true));
        apply(bus, "open", memfd("[]", 2, false));
        apply(bus, "no memfd", open("/dev/null", O_RDONLY | O_CLOEXEC));
        snprintf(folder, sizeof(folder), "/proc/%s/fd", argv[2]);
        DIR *d = opendir(folder);
        if (!d)
                die(folder, errno);
        for (const struct dirent *entry; (entry = readdir(d));) {
                snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
                ssize_t n = readlink(path, link, sizeof(link) - 1);
                link[n > 0 ? n : 0] = 0;
                if (strstr(link, "memfd:sandboxd-plan"))
                        apply_from(bus, path);
        }
        closedir(d);
        sd_bus_flush_close_unref(bus);
        return 0;
}
