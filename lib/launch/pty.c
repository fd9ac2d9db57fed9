/*
 * The sandbox's own terminal: made in its own devpts, so that nothing typed, pushed or set on it reaches the terminal outside.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "fd.h"
#include "start.h"

int pty_make(int like, int *ret_master, int *ret_slave, char *text) {
        struct termios attributes;
        struct winsize size;
        int unlock = 0;

        snprintf(text, 256, "/dev/pts");
        _cleanup_close_ int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (master < 0)
                return -errno;
        if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
                return -errno;
        _cleanup_close_ int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (slave < 0)
                return -errno;
        if (tcgetattr(like, &attributes) >= 0 && tcsetattr(slave, TCSANOW, &attributes) < 0)
                return -errno;
        if (ioctl(like, TIOCGWINSZ, &size) >= 0 && ioctl(slave, TIOCSWINSZ, &size) < 0)
                return -errno;

        int flags = fcntl(master, F_GETFL);
        if (flags < 0 || fcntl(master, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        *ret_master = TAKE_FD(master);
        *ret_slave = TAKE_FD(slave);
        return 0;
}

int pty_take(int slave) {
        return ioctl(slave, TIOCSCTTY, 0) < 0 ? -errno : 0;
}
