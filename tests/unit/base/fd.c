#include "fd.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

Test(fd, memfd_is_sealed) {
        _cleanup_close_ int fd = fd_memfd("x", "hello", 5);
        char *text;
        size_t size;

        cr_assert(fd >= 0);
        cr_expect(write(fd, "x", 1) < 0 && errno == EPERM);
        cr_expect(ftruncate(fd, 0) < 0);
        cr_assert(fd_read_file(fd, 5, &text, &size) == 0);
        cr_expect(size == 5 && strcmp(text, "hello") == 0);
        free(text);
        cr_assert(lseek(fd, 0, SEEK_SET) == 0);
        cr_expect(fd_read_file(fd, 4, &text, &size) == -EFBIG);
}

Test(fd, read_file_grows) {
        static char data[100000];
        memset(data, 'x', sizeof(data));
        _cleanup_close_ int fd = fd_memfd("x", data, sizeof(data));
        char *text;
        size_t size;

        cr_assert(fd_read_file(fd, sizeof(data), &text, &size) == 0);
        cr_expect(size == sizeof(data) && memcmp(text, data, size) == 0);
        free(text);
}

Test(fd, send_and_receive) {
        int pair[2], got[2];
        size_t n = 0;
        char text[8];
        cr_assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
        _cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        int two[] = { null, null };

        cr_assert(fd_send(pair[0], "hi", 2, two, 2) == 0);
        cr_assert(fd_receive(pair[1], text, sizeof(text), got, 2, &n) == 2);
        cr_expect(n == 2 && (fcntl(got[0], F_GETFD) & FD_CLOEXEC));
        int next = got[1];
        close(got[0]);
        close(got[1]);

        /* More than there is room for: none is kept. */
        cr_assert(fd_send(pair[0], "hi", 2, two, 2) == 0);
        cr_expect(fd_receive(pair[1], text, sizeof(text), got, 1, &n) == -EMSGSIZE);
        cr_expect(fcntl(next, F_GETFD) < 0);
        cr_assert(fd_send(pair[0], "much too long", 13, NULL, 0) == 0);
        cr_expect(fd_receive(pair[1], text, sizeof(text), NULL, 0, &n) == -EMSGSIZE);
        close(pair[0]);
        cr_expect(fd_receive(pair[1], text, sizeof(text), NULL, 0, &n) == 0);
        cr_expect(fd_send(pair[1], "x", 1, NULL, 0) == -EPIPE);
        close(pair[1]);
}

Test(fd, close_keeps_errno) {
        errno = ERANGE;
        cr_expect(fd_close(-1) == -1);
        cr_expect(fd_close(987654) == -1);
        cr_expect(errno == ERANGE);
}

Test(fd, cloexec) {
        _cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        cr_expect(fd_cloexec(fd, false) == 0 && !(fcntl(fd, F_GETFD) & FD_CLOEXEC));
        cr_expect(fd_cloexec(fd, true) == 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
        cr_expect(fd_cloexec(987654, true) == -EBADF);
}
