/*
 * steady FOLDER CALLS…: makes calls of many kinds until there were so many, says so, and goes on when it gets a line; for each number. Each round of them
 * uses names of its own, so that whatever a broker keeps by name, it has to keep more and more of.
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned long calls;

#define CALL(call) \
        ({ \
                long _r = (long) (call); \
                calls++; \
                if (_r < 0) \
                        err(1, "%s", #call); \
                _r; \
        })

/* Listings are the broker's where names are hidden. */
static void list(const char *folder) {
        char entries[4096];
        int fd = CALL(open(folder, O_RDONLY | O_DIRECTORY));

        while (CALL(syscall(SYS_getdents64, fd, entries, sizeof(entries))) > 0)
                ;
        close(fd);
}

static void round_of_calls(unsigned long number) {
        char file[64], moved[64], folder[64], name[64], target[64];
        struct stat st;

        snprintf(file, sizeof(file), "file%lu", number);
        snprintf(moved, sizeof(moved), "moved%lu", number);
        snprintf(folder, sizeof(folder), "folder%lu", number);
        snprintf(name, sizeof(name), "link%lu", number);
        close(CALL(open(file, O_WRONLY | O_CREAT | O_EXCL, 0600)));
        CALL(chmod(file, 0644));
        CALL(rename(file, moved));
        CALL(symlink(moved, name));
        /* Most calls of most programs. */
        for (int i = 0; i < 10; i++) {
                CALL(stat(moved, &st));
                CALL(lstat(name, &st));
                CALL(access(name, R_OK));
                CALL(readlink(name, target, sizeof(target)));
                close(CALL(open(name, O_RDONLY)));
        }
        CALL(mkdir(folder, 0700));
        list(folder);
        CALL(rmdir(folder));
        CALL(unlink(name));
        CALL(unlink(moved));
}

int main(int argc, char **argv) {
        unsigned long number = 0;
        char line[16];

        if (argc < 3 || chdir(argv[1]) < 0)
                err(2, "chdir");
        setvbuf(stdout, NULL, _IOLBF, 0);
        for (int i = 2; i < argc; i++) {
                unsigned long until = strtoul(argv[i], NULL, 10);
                while (calls < until)
                        round_of_calls(number++);
                printf("%lu\n", until);
                if (!fgets(line, sizeof(line), stdin))
                        errx(2, "nobody is there");
        }
        return 0;
}
