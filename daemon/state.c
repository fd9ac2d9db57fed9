#include "state.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "control.h"
#include "fd.h"
#include "json_member.h"
#include "str.h"

#define STATE_MAX (1U << 20)
#define STATE_SECONDS 10
#define NESTING 32
#define LABELS_MAX 32

static void tokener_freep(struct json_tokener **tokener) {
        if (*tokener)
                json_tokener_free(*tokener);
}

static void json_putp(struct json_object **object) {
        json_object_put(*object);
}

static _printf_(3, 4) int wrong(char **ret_why, int error, const char *format, ...) {
        va_list args;

        va_start(args, format);
        if (vasprintf(ret_why, format, args) < 0)
                *ret_why = NULL;
        va_end(args);
        return error;
}

/* ---- reading ---- */

static void take_fds(struct msghdr *m, int fds[STATE_FDS_MAX], size_t *n) {
        for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                size_t came = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < came; i++) {
                        int fd;
                        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
                        if (*n < STATE_FDS_MAX)
                                fds[(*n)++] = fd;
                        else
                                close(fd);
                }
        }
}

static int wait_for(int socket, time_t end) {
        struct pollfd p = { .fd = socket, .events = POLLIN };
        time_t left = end - time(NULL);
        int r = left > 0 ? poll(&p, 1, left * 1000) : 0;

        return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}

/* One piece. Returns its size. */
static ssize_t receive(int socket, time_t end, char *buffer, size_t room, int fds[STATE_FDS_MAX], size_t *n_fds) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(253 * sizeof(int))];
        } control;
        struct iovec iov = { buffer, room };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        int r = wait_for(socket, end);

        if (r < 0)
                return r == -EINTR ? -EAGAIN : r;
        ssize_t n = recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0)
                return -errno;
        take_fds(&m, fds, n_fds);
        return n == 0 ? -EPIPE : n;
}

/* The connection's end is not waited for: runtimes hold it open while the container runs. */
static int read_object(int socket, struct json_object **ret, int fds[STATE_FDS_MAX], size_t *n_fds, char **ret_why) {
        _cleanup_(tokener_freep) struct json_tokener *tokener = json_tokener_new_ex(NESTING);
        time_t end = time(NULL) + STATE_SECONDS;
        size_t size = 0;
        char piece[16384];

        if (!tokener)
                return wrong(ret_why, -ENOMEM, "no memory");
        for (;;) {
                ssize_t n = receive(socket, end, piece, sizeof(piece), fds, n_fds);
                if (n == -EAGAIN)
                        continue;
                /* Somebody who looks whether we are there, as sandbox-runtime does before it starts a container. */
                if (n == -EPIPE && size == 0)
                        return wrong(ret_why, -ENODATA, "the runtime has sent nothing");
                if (n < 0)
                        return wrong(ret_why, n, "the runtime's state didn't come whole: %s", strerror(-n));
                size += n;
                if (size > STATE_MAX)
                        return wrong(ret_why, -E2BIG, "the runtime's state is larger than 1M");
                *ret = json_tokener_parse_ex(tokener, piece, n);
                if (*ret)
                        return 0;
                if (json_tokener_get_error(tokener) != json_tokener_continue)
                        return wrong(ret_why, -EBADMSG, "the runtime's state is no JSON: %s",
                                     json_tokener_error_desc(json_tokener_get_error(tokener)));
        }
}

/* ---- what it says ---- */

static int copy_text(struct json_object *o, const char *name, char **ret) {
        const char *text = json_member_text(o, name);

        if (!text)
                return 0;
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

static pid_t pid_of(struct json_object *o) {
        struct json_object *value = json_member(o, "pid", json_type_int);
        int64_t pid = value ? json_object_get_int64(value) : 0;

        return pid > 0 && pid <= INT32_MAX ? pid : 0;
}

static int add_label(struct container_state *state, const char *key, const char *value) {
        char **larger = reallocarray(state->labels, state->n_labels + 2, sizeof(*larger));

        if (!larger)
                return -ENOMEM;
        state->labels = larger;
        if (asprintf(&larger[state->n_labels], "%.100s=%.200s", key, value) < 0)
                return -ENOMEM;
        larger[++state->n_labels] = NULL;
        return 0;
}

/* {"sandboxd": 1, "policy": …, "policy-digest": …, "filter-digest": …, "name": …, "labels": {…}, "wait-killable": …, "files": …, "program": …}, or the name of a policy and nothing else. */
static int read_metadata(const char *text, struct container_state *state, char **ret_why) {
        if (text[0] != '{') {
                size_t n = strcspn(text, " \t\n");
                state->policy = n ? strndup(text, n) : NULL;
                if (n && text[n + strspn(text + n, " \t\n")])
                        return wrong(ret_why, -EBADMSG, "listenerMetadata is neither an object nor the name of a policy");
                return n && !state->policy ? wrong(ret_why, -ENOMEM, "no memory") : 0;
        }
        _cleanup_(tokener_freep) struct json_tokener *tokener = json_tokener_new_ex(NESTING);
        _cleanup_(json_putp) struct json_object *o = tokener ? json_tokener_parse_ex(tokener, text, strlen(text) + 1) : NULL;
        struct json_object *version = json_member(o, "sandboxd", json_type_int),
                           *killable = json_member(o, "wait-killable", json_type_boolean),
                           *program = json_member(o, "program", json_type_boolean);
        struct json_object *labels = json_member(o, "labels", json_type_object), *files = json_member(o, "files", json_type_string);

        if (!version || json_object_get_int(version) != 1)
                return wrong(ret_why, -EBADMSG, "listenerMetadata is none of sandboxd's: `\"sandboxd\": 1` is missing");
        if (program && json_object_get_boolean(program))
                state->other_program = false;
        state->killable_known = killable;
        state->killable = killable && json_object_get_boolean(killable);
        if (!files || str_equal(json_object_get_string(files), "broker"))
                state->mounted = false;
        else if (str_equal(json_object_get_string(files), "mounts"))
                state->mounted = true;
        else
                return wrong(ret_why, -EBADMSG, "listenerMetadata has another word for `files` than `mounts` and `broker`");
        if (copy_text(o, "policy", &state->policy) < 0 || copy_text(o, "name", &state->name) < 0 ||
            copy_text(o, "policy-digest", &state->policy_digest) < 0 || copy_text(o, "filter-digest", &state->filter_digest) < 0)
                return wrong(ret_why, -ENOMEM, "no memory");
        if (!labels)
                return 0;
        json_object_object_foreach(labels, key, value) {
                if (state->n_labels >= LABELS_MAX || !json_object_is_type(value, json_type_string))
                        continue;
                if (add_label(state, key, json_object_get_string(value)) < 0)
                        return wrong(ret_why, -ENOMEM, "no memory");
        }
        return 0;
}

static bool find_listener(struct json_object *top, size_t *ret) {
        struct json_object *names = json_member(top, "fds", json_type_array);

        for (size_t i = 0; names && i < json_object_array_length(names); i++) {
                struct json_object *name = json_object_array_get_idx(names, i);
                if (json_object_is_type(name, json_type_string) && str_equal(json_object_get_string(name), "seccompFd")) {
                        *ret = i;
                        return true;
                }
        }
        return false;
}

int container_state_read(int socket, struct container_state *ret, int fds[STATE_FDS_MAX], size_t *ret_n_fds, char **ret_why) {
        _cleanup_(json_putp) struct json_object *top = NULL;

        *ret_n_fds = 0;
        int r = read_object(socket, &top, fds, ret_n_fds, ret_why);
        if (r < 0)
                return r;
        struct json_object *state = json_member(top, "state", json_type_object);
        const char *metadata = json_member_text(top, "metadata");
        pid_t init = pid_of(state);
        ret->pid = pid_of(top);
        /* crun says nothing of either number of an exec. */
        ret->exec = ret->pid == 0 || (init != 0 && init != ret->pid);
        if (copy_text(state, "id", &ret->id) < 0)
                return wrong(ret_why, -ENOMEM, "no memory");
        if (!ret->id)
                return wrong(ret_why, -EBADMSG, "the runtime's state has no id");
        if (!find_listener(top, &ret->listener) || ret->listener >= *ret_n_fds)
                return wrong(ret_why, -EBADMSG, "the runtime's state came without the listener");
        ret->other_program = json_object_object_get_ex(json_member(state, "annotations", json_type_object), PROGRAM_ANNOTATION, NULL);
        return metadata ? read_metadata(metadata, ret, ret_why) : 0;
}

void container_state_done(struct container_state *state) {
        for (size_t i = 0; i < state->n_labels; i++)
                free(state->labels[i]);
        free(state->labels);
        free(state->id);
        free(state->policy);
        free(state->policy_digest);
        free(state->filter_digest);
        free(state->name);
}
