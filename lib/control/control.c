#include "control.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"

#define CALL_USEC 120000000

static int connect_to(const char *path, sd_bus **ret) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        sd_bus *bus;
        int r;

        strcpy(address.sun_path, path);
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        r = sd_bus_new(&bus);
        if (r < 0)
                return r;
        /* More than sd-bus would wait: it is as long as the daemon waits for the service manager on a machine that has far too much to do, and others
         * may be before us. */
        r = sd_bus_set_method_call_timeout(bus, CALL_USEC);
        if (r >= 0)
                r = sd_bus_set_fd(bus, fd, fd);
        if (r >= 0) {
                TAKE_FD(fd);
                r = sd_bus_negotiate_fds(bus, true);
        }
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0) {
                sd_bus_close_unref(bus);
                return r;
        }
        *ret = bus;
        return 0;
}

int control_connect(sd_bus **ret, char ret_path[CONTROL_SOCKET_SIZE]) {
        char system[CONTROL_SOCKET_SIZE];
        uid_t uid = getuid();
        int own = control_socket(uid, ret_path), r = own;

        if (own >= 0)
                r = connect_to(ret_path, ret);
        if (r >= 0 || uid == 0 || getenv("SANDBOXD_SOCKET"))
                return r;
        /* Root's serves everybody. */
        (void) control_socket(0, system);
        int other = connect_to(system, ret);
        if (other >= 0 || own < 0)
                strcpy(ret_path, system);
        return other >= 0 || own < 0 ? other : r;
}

void control_port_proof(pid_t pid, struct sockaddr_in *ret) {
        *ret = (struct sockaddr_in) { .sin_family = AF_INET,
                                      .sin_port = htons(1),
                                      .sin_addr.s_addr = htonl((INADDR_LOOPBACK & 0xff000000) | (pid & 0xffffff)) };
}

bool control_name_valid(const char *name) {
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-");

        return name[n] == 0 && n >= 1 && n <= 63 && name[0] != '_' && name[0] != '.' && name[0] != '-';
}

/* A uid as it is written here: without a sign, spaces or leading zeros, so that one sandbox has one name. */
static int read_uid(const char *text, size_t length, uid_t *ret) {
        uint64_t n = 0;

        if (length < 1 || length > 10 || (text[0] == '0' && length > 1))
                return -EINVAL;
        for (size_t i = 0; i < length; i++) {
                if (text[i] < '0' || text[i] > '9')
                        return -EINVAL;
                n = n * 10 + (text[i] - '0');
        }
        if (n >= UINT32_MAX)
                return -EINVAL;
        *ret = n;
        return 0;
}

int control_split(const char *text, uid_t *ret_uid, const char **ret_name) {
        const char *slash = strchr(text, '/'), *name = slash ? slash + 1 : text;
        uid_t uid = 0;

        if ((slash && read_uid(text, slash - text, &uid) < 0) || !control_name_valid(name))
                return -EINVAL;
        if (slash && ret_uid)
                *ret_uid = uid;
        if (ret_name)
                *ret_name = name;
        return slash != NULL;
}

int control_object(const char *text, char **ret) {
        uid_t uid = getuid();
        const char *name;
        int r = control_split(text, &uid, &name);

        return r < 0 ? r : control_object_of(uid, name, ret);
}

int control_object_of(uid_t uid, const char *name, char **ret) {
        char number[16];

        /* A label that begins with a digit would be escaped. */
        snprintf(number, sizeof(number), "u%u", uid);
        return sd_bus_path_encode_many(ret, CONTROL_PREFIX "/%/%", number, name);
}

int control_object_names(const char *object, uid_t *ret_uid, char **ret_name) {
        _cleanup_free_ char *number = NULL, *name = NULL;
        int r = sd_bus_path_decode_many(object, CONTROL_PREFIX "/%/%", &number, &name);

        if (r < 0)
                return r;
        if (r == 0 || number[0] != 'u' || read_uid(number + 1, strlen(number + 1), ret_uid) < 0)
                return -ENOENT;
        *ret_name = TAKE_PTR(name);
        return 0;
}

int control_append_list(sd_bus_message *m, const char *key, char *const *words) {
        int r = sd_bus_message_open_container(m, 'e', "sv");

        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', key);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **) words);
        for (int i = 0; r >= 0 && i < 2; i++)
                r = sd_bus_message_close_container(m);
        return r;
}
