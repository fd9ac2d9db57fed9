#include "cache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "oci_profile.h"
#include "profile.h"
#include "str.h"

#define FOLDER "profiles"
#define ENTRY_MAX (4U << 20)

char *cache_key(const struct digest *filter, struct json_object *theirs, bool wait_killable, bool program) {
        char maker[OCI_MAKER], filter_text[DIGEST_TEXT_SIZE];
        struct stat st;
        char *key;

        /* Another build may merge otherwise, and another library make another program. */
        if (stat("/proc/self/exe", &st) < 0)
                return NULL;
        oci_profile_maker(maker);
        if (asprintf(&key, "%" PRIu64 " %" PRIu64 " %" PRId64 ".%09ld %s %s %d %d %s", (uint64_t) st.st_dev, (uint64_t) st.st_ino,
                     (int64_t) st.st_mtim.tv_sec, st.st_mtim.tv_nsec, maker, digest_text(filter, filter_text), wait_killable, program,
                     theirs ? json_object_to_json_string_ext(theirs, JSON_C_TO_STRING_PLAIN) : "") < 0)
                return NULL;
        return key;
}

/* One of 256 places, so that there are no more however many profiles there are. */
static void place_of(const char *key, char ret[3]) {
        struct digest d = {};
        char text[DIGEST_TEXT_SIZE];

        digest_add(&d, key, strlen(key));
        snprintf(ret, 3, "%.2s", digest_text(&d, text));
}

/* -EPERM: not root's alone. */
static int open_trusted(int directory, const char *name, int flags) {
        struct stat st;
        int fd = openat(directory, name, flags | O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) >= 0 && st.st_uid == 0 && (st.st_mode & 077) == 0)
                return fd;
        close(fd);
        return -EPERM;
}

static int open_folder(const char *socket, bool make) {
        char path[PATH_MAX];
        const char *slash = strrchr(socket, '/');

        if (!agent_is_root() || !slash ||
            snprintf(path, sizeof(path), "%.*s/" FOLDER, (int) (slash - socket), socket) >= (int) sizeof(path))
                return -EPERM;
        if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
                return -errno;
        return open_trusted(AT_FDCWD, path, O_DIRECTORY);
}

struct json_object *cache_get(const char *socket, const char *key) {
        _cleanup_close_ int folder = open_folder(socket, false);
        _cleanup_free_ char *text = NULL;
        size_t size, length = strlen(key);
        char place[3];

        place_of(key, place);
        _cleanup_close_ int fd = folder < 0 ? -1 : open_trusted(folder, place, 0);
        if (fd < 0 || fd_read_file(fd, ENTRY_MAX, &text, &size) < 0)
                return NULL;
        /* The key, NUL, what was made, newline: what has an end is whole. */
        if (size < length + 3 || memcmp(text, key, length + 1) != 0 || text[size - 1] != '\n')
                return NULL;
        return json_tokener_parse(text + length + 1);
}

void cache_put(const char *socket, const char *key, struct json_object *made) {
        _cleanup_close_ int folder = open_folder(socket, true);
        const char *text = json_object_to_json_string_ext(made, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        char place[3], name[32];

        if (folder < 0 || !text || strlen(key) + strlen(text) + 2 > ENTRY_MAX)
                return;
        place_of(key, place);
        snprintf(name, sizeof(name), "%s.%d", place, getpid());
        (void) unlinkat(folder, name, 0);
        _cleanup_close_ int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return;
        if (fd_write_full(fd, key, strlen(key) + 1) < 0 || fd_write_full(fd, text, strlen(text)) < 0 || fd_write_full(fd, "\n", 1) < 0 ||
            renameat(folder, name, folder, place) < 0)
                (void) unlinkat(folder, name, 0);
}
