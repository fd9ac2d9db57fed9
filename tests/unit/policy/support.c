#include "support.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static char *const environment[] = { (char *) "LANG=C", (char *) "STAR=a*b", (char *) "EMPTY=", NULL };

void fixture_init(struct fixture *f) {
        strcpy(f->folder, "/tmp/sandboxd-policy-XXXXXX");
        cr_assert(mkdtemp(f->folder));
        f->request = (struct policy_request) {
                .uid = getuid(),
                .gid = getgid(),
                .user = "me",
                .home = "/home/me",
                .cwd = "/home/me/project",
                .name = "test",
                .environment = environment,
        };
        make_folder(f, "root");
        char *root;
        cr_assert(asprintf(&root, "%s/root", f->folder) > 0);
        f->plan_request = (struct plan_request) { .root = root, .home = "/home/me", .uid = getuid(), .gid = getgid() };
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

void fixture_done(struct fixture *f) {
        plan_free(f->plan);
        policy_free(f->policy);
        policy_report_done(&f->report);
        free((char *) f->request.policy);
        free((char *) f->plan_request.root);
        nftw(f->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void full_path(const struct fixture *f, const char *path, char out[PATH_MAX]) {
        snprintf(out, PATH_MAX, "%s/%s", f->folder, path);
        for (char *p = out + 1; (p = strchr(p, '/')); p++) {
                *p = 0;
                mkdir(out, 0755);
                *p = '/';
        }
}

void make_file(const struct fixture *f, const char *path, const char *text) {
        char full[PATH_MAX];

        full_path(f, path, full);
        int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        cr_assert(fd >= 0);
        cr_assert(fchmod(fd, 0644) == 0);
        cr_assert(write(fd, text, strlen(text)) == (ssize_t) strlen(text));
        close(fd);
}

void make_folder(const struct fixture *f, const char *path) {
        char full[PATH_MAX];

        full_path(f, path, full);
        mkdir(full, 0755);
}

void make_link(const struct fixture *f, const char *path, const char *target) {
        char full[PATH_MAX];

        full_path(f, path, full);
        cr_assert(symlink(target, full) == 0);
}

int load_flags(struct fixture *f, const char *text, const struct policy_flag *flags, size_t n) {
        char *path;

        plan_free(f->plan);
        f->plan = NULL;
        policy_free(f->policy);
        f->policy = NULL;
        policy_report_done(&f->report);
        make_file(f, "policy.yaml", text);
        cr_assert(asprintf(&path, "%s/policy.yaml", f->folder) > 0);
        free((char *) f->request.policy);
        f->request.policy = path;
        f->request.flags = flags;
        f->request.n_flags = n;
        return policy_load(&f->request, &f->policy, &f->report);
}

int load_text(struct fixture *f, const char *text) {
        return load_flags(f, text, NULL, 0);
}

int compile_flags(struct fixture *f, const char *text, const struct policy_flag *flags, size_t n) {
        int r = load_flags(f, text, flags, n);

        return r < 0 ? r : plan_compile(f->policy, &f->plan_request, &f->plan, &f->report);
}

int compile_text(struct fixture *f, const char *text) {
        return compile_flags(f, text, NULL, 0);
}

char *report_text(const struct fixture *f) {
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        policy_report_print(&f->report, out);
        fclose(out);
        return text;
}

const struct node *find_node(const struct fixture *f, const char *path) {
        for (size_t i = 0; i < f->plan->n_nodes; i++)
                if (strcmp(f->plan->nodes[i].path, path) == 0)
                        return f->plan->nodes + i;
        return NULL;
}

const struct file_rule *find_rule(const struct fixture *f, enum file_kind kind, const char *pattern) {
        for (size_t i = 0; i < f->policy->files.n_rules; i++)
                if (f->policy->files.rules[i].kind == kind && strcmp(f->policy->files.rules[i].pattern, pattern) == 0)
                        return f->policy->files.rules + i;
        return NULL;
}
