#include "program.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "fd.h"
#include "str.h"

/* Its name stands in the program that looks for it: to ask `crun --version` would take longer than what is to be gained, and says less. */
bool program_is_taken(const char *runtime) {
        _cleanup_close_ int fd = open(runtime, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
                return false;
        void *file = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (file == MAP_FAILED)
                return false;
        bool found = memmem(file, st.st_size, PROGRAM_ANNOTATION, sizeof(PROGRAM_ANNOTATION));
        munmap(file, st.st_size);
        return found;
}

static char *base64(const unsigned char *data, size_t size) {
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        char *text = malloc((size + 2) / 3 * 4 + 1), *to = text;

        for (size_t i = 0; text && i < size; i += 3) {
                size_t left = size - i;
                uint32_t three = (uint32_t) data[i] << 16 | (left > 1 ? data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0);
                *to++ = letters[three >> 18];
                *to++ = letters[three >> 12 & 63];
                *to++ = left > 1 ? letters[three >> 6 & 63] : '=';
                *to++ = left > 2 ? letters[three & 63] : '=';
        }
        if (text)
                *to = 0;
        return text;
}

char *program_text(const struct oci_profile *profile) {
        struct sock_fprog program = {};

        if (oci_profile_build(profile, &program) < 0)
                return NULL;
        char *text = base64((const unsigned char *) program.filter, program.len * sizeof(*program.filter));
        free(program.filter);
        return text;
}
