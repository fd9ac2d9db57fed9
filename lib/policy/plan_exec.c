/*
 * What an executable needs to be started: the interpreter of its `#!` line, or the loader that its ELF header names, and theirs.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"
#include "tree.h"

#define CHAIN_MAX 5 /* a script's interpreter may be a script; the kernel follows four */

/* The path in a `#!` line; false where there is none. */
static bool script_interpreter(const char *head, size_t size, char path[PATH_MAX]) {
        size_t i = 2;

        if (size < 3 || head[0] != '#' || head[1] != '!')
                return false;
        while (i < size && (head[i] == ' ' || head[i] == '\t'))
                i++;
        size_t n = 0;
        while (i + n < size && head[i + n] != ' ' && head[i + n] != '\t' && head[i + n] != '\n' && head[i + n] != 0)
                n++;
        if (n == 0 || n >= PATH_MAX || head[i] != '/')
                return false;
        memcpy(path, head + i, n);
        path[n] = 0;
        return true;
}

static bool elf_loader(int fd, const char *head, size_t size, char path[PATH_MAX]) {
        Elf64_Ehdr header;
        Elf64_Phdr segment;

        if (size < sizeof(header) || memcmp(head, ELFMAG, SELFMAG) != 0 || head[EI_CLASS] != ELFCLASS64)
                return false;
        memcpy(&header, head, sizeof(header));
        if (header.e_phentsize != sizeof(segment))
                return false;
        for (unsigned i = 0; i < header.e_phnum; i++) {
                if (pread(fd, &segment, sizeof(segment), header.e_phoff + i * sizeof(segment)) != sizeof(segment))
                        return false;
                if (segment.p_type != PT_INTERP)
                        continue;
                if (segment.p_filesz < 2 || segment.p_filesz > PATH_MAX ||
                    pread(fd, path, segment.p_filesz, segment.p_offset) != (ssize_t) segment.p_filesz || path[segment.p_filesz - 1] != 0)
                        return false;
                return path[0] == '/';
        }
        return false;
}

static bool needed(const struct tree_node *node, char path[PATH_MAX]) {
        char head[256];
        struct stat st;

        /* To open a device can do something. */
        if (lstat(node->host, &st) < 0 || !S_ISREG(st.st_mode))
                return false;
        _cleanup_close_ int fd = open(node->host, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);

        if (fd < 0)
                return false;
        ssize_t n = fd_read_full(fd, head, sizeof(head));
        return n > 0 && (script_interpreter(head, n, path) || elf_loader(fd, head, n, path));
}

static int close_one(struct compiler *c, const struct file_rule *rule) {
        struct tree_node *node = tree_resolve(c, rule->path, true, NULL, NULL);
        char path[PATH_MAX];

        for (int i = 0; i < CHAIN_MAX && node && node->type == HOST_FILE && node->host && needed(node, path); i++) {
                node = tree_resolve(c, path, true, NULL, NULL);
                if (!node)
                        break;
                tree_look(c, node);
                if (node->type != HOST_FILE)
                        break;
                /* One that the policy shows or refuses on its own needs nothing of us. */
                const struct tree_node *giver = tree_giver(node);
                if (giver && (giver->rights & RIGHT_EXEC))
                        continue;
                /* Nobody named it: it is shown, but lifts nothing that hides it. */
                bool reopens = node->reopens;
                (void) tree_resolve(c, path, true, grant_link, (void *) rule);
                grant_add(node, rule, RIGHTS_EXEC);
                node->reopens = reopens;
        }
        return c->no_memory ? -ENOMEM : 0;
}

int exec_close(struct compiler *c) {
        for (size_t i = 0; i < c->policy->files.n_rules; i++) {
                const struct file_rule *rule = c->policy->files.rules + i;
                int r = rule->kind == FILE_EXEC && rule->path ? close_one(c, rule) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}
