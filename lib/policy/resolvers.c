/*
 * The host's name servers, for the host `resolvers` in network rules.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>

#include "fd.h"
#include "load.h"
#include "str.h"

static bool parse_server(char *text, struct resolver *ret) {
        /* fe80::1%eth0: the zone says through which interface, not to whom. */
        text[strcspn(text, "%")] = 0;
        memset(ret, 0, sizeof(*ret));
        if (inet_pton(AF_INET, text, &ret->address) == 1)
                ret->family = AF_INET;
        else if (inet_pton(AF_INET6, text, &ret->address) == 1)
                ret->family = AF_INET6;
        return ret->family != 0;
}

size_t resolvers_read(const char *path, struct resolver ret[RESOLVERS_MAX]) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        _cleanup_free_ char *text = NULL;
        size_t n = 0, size;

        if (fd >= 0 && fd_read_file(fd, 64U << 10, &text, &size) >= 0)
                for (char *save, *line = strtok_r(text, "\n", &save); line && n < RESOLVERS_MAX; line = strtok_r(NULL, "\n", &save)) {
                        char *inner, *word = strtok_r(line, " \t\r", &inner);
                        if (!str_equal(word, "nameserver"))
                                continue;
                        word = strtok_r(NULL, " \t\r", &inner);
                        if (word && parse_server(word, &ret[n]))
                                n++;
                }
        if (n == 0) {
                ret[0] = (struct resolver) { .family = AF_INET };
                inet_pton(AF_INET, "127.0.0.1", &ret[0].address);
                n = 1;
        }
        return n;
}
