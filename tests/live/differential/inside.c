/*
 * The program in the sandbox: reads requests from its standard input, answers each with the length of a text and the text.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "differential.h"

#define ANSWER_ROOM (2U << 20)

static int full(bool writes, int fd, void *buffer, size_t size) {
        char *p = buffer;

        while (size > 0) {
                ssize_t n = writes ? write(fd, p, size) : read(fd, p, size);
                if (n <= 0)
                        return -1;
                p += n;
                size -= n;
        }
        return 0;
}

/* The pipes go where no sequence looks for descriptors; 0 to 2 are nothing. */
static int set_descriptors(int *ret_in, int *ret_out) {
        int ends[2], null = open("/dev/null", O_RDWR);

        if (null < 0 || pipe2(ends, O_NONBLOCK) < 0)
                return -errno;
        if (dup2(ends[1], WITNESS_FD) < 0 || dup3(ends[0], WITNESS_FD + 1, O_CLOEXEC) < 0)
                return -errno;
        *ret_in = dup3(0, 210, O_CLOEXEC);
        *ret_out = dup3(1, 211, O_CLOEXEC);
        if (*ret_in < 0 || *ret_out < 0 || dup3(2, 212, O_CLOEXEC) < 0)
                return -errno;
        for (int fd = 0; fd < 3; fd++)
                if (dup2(null, fd) < 0)
                        return -errno;
        for (int fd = 3; fd < WITNESS_FD; fd++)
                close(fd);
        return 0;
}

int inside_main(const char *work) {
        struct sequence s = {};
        struct text text = { .data = malloc(ANSWER_ROOM), .room = ANSWER_ROOM };
        struct request request;
        int in = -1, out = -1, r;

        r = set_descriptors(&in, &out);
        if (r >= 0)
                r = tasks_prepare();
        if (r < 0 || !text.data)
                return 1;
        while (full(false, in, &request, sizeof(request)) >= 0) {
                bool keep[CALLS_MAX];
                for (size_t i = 0; i < CALLS_MAX; i++)
                        keep[i] = request.keep[i];
                sequence_make(&s, request.seed, request.options, work, keep);
                text.size = 0;
                text.full = false;
                text.data[0] = 0;
                r = tasks_run(&s, &text);
                if (r < 0)
                        text_add(&text, "not ended: %s\n", errno_name(-r));
                uint32_t size = text.size;
                if (full(true, out, &size, sizeof(size)) < 0 || full(true, out, text.data, size) < 0)
                        return 1;
        }
        return 0;
}
