/*
 * Which files are taken for policies.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "folders.h"
#include "support.h"
#include "sys.h"

static int load_by(struct fixture *f, const char *policy) {
        policy_report_done(&f->report);
        f->policy = policy_free(f->policy);
        free((char *) f->request.policy);
        f->request.policy = strdup(policy);
        return policy_load(&f->request, &f->policy, &f->report);
}

static const char *in_folder(const struct fixture *f, const char *name) {
        static char path[256];

        snprintf(path, sizeof(path), "%s/%s", f->folder, name);
        return path;
}

#define cr_expect_says(f, words) \
        do { \
                _cleanup_free_ char *all_ = report_text(f); \
                cr_expect(strstr(all_, words), "does not say `%s`:\n%s", words, all_); \
        } while (0)

Test(sources, names_are_looked_up_in_order) {
        FIXTURE;
        char one[128], two[128];
        snprintf(one, sizeof(one), "%s/one", f.folder);
        snprintf(two, sizeof(two), "%s/two", f.folder);
        const char *folders[] = { one, two };
        f.request.folders = folders;
        f.request.n_folders = 2;
        make_file(&f, "one/a.yaml", "description: the user's a\n");
        make_file(&f, "two/a.yaml", "description: the shipped a\n");
        make_file(&f, "two/build.yaml", "description: the shipped build\n");
        make_file(&f, "two/b.yml", "description: not looked up\n");
        cr_assert_loads(&f, load_by(&f, "a"));
        cr_expect_str_eq(f.policy->description, "the user's a");
        cr_assert_loads(&f, load_by(&f, "build"));
        cr_expect(load_by(&f, "buidl") == -ENOENT);
        cr_expect_says(&f, "there is no policy `buidl`; did you mean `build`?");
        cr_expect(load_by(&f, "b") == -ENOENT);
        cr_expect(load_by(&f, "a.yaml") == -ENOENT);
        cr_expect_says(&f, "./a.yaml");
        cr_expect(load_by(&f, "..") == -ENOENT);
        cr_expect(load_by(&f, "A") == -ENOENT);
        cr_expect(load_by(&f, "") == -ENOENT);
        cr_expect(load_by(&f, in_folder(&f, "one/none.yaml")) == -ENOENT);
        cr_expect_says(&f, "there is no policy file");
        _cleanup_free_ char **names = NULL;
        size_t n;
        cr_assert(policy_names(folders, 2, &names, NULL, &n) == 0);
        cr_expect(n == 2 && strcmp(names[0], "a") == 0 && strcmp(names[1], "build") == 0);
}

Test(sources, never_in_the_current_directory) {
        FIXTURE;
        make_file(&f, "untrusted.yaml", "files: { default: read }\n");
        cr_assert(chdir(f.folder) == 0);
        f.request.cwd = f.folder;
        cr_expect(load_by(&f, "untrusted") == -ENOENT);
        cr_assert_loads(&f, load_by(&f, "./untrusted.yaml"));
}

Test(sources, files_of_others_are_refused_unread) {
        FIXTURE;
        make_file(&f, "x.yaml", "SECRET: x\n");
        static const mode_t modes[] = { 0664, 0646, 0622 };
        for (size_t i = 0; i < ELEMENTSOF(modes); i++) {
                cr_assert(chmod(in_folder(&f, "x.yaml"), modes[i]) == 0);
                cr_expect(load_by(&f, in_folder(&f, "x.yaml")) == -EINVAL);
                cr_expect_says(&f, "others may write");
                _cleanup_free_ char *text = report_text(&f);
                cr_expect(!strstr(text, "SECRET"), "%s", text);
        }
        if (getuid() == 0) {
                cr_assert(chmod(in_folder(&f, "x.yaml"), 0644) == 0);
                cr_assert(chown(in_folder(&f, "x.yaml"), 1234, 1234) == 0);
                cr_expect(load_by(&f, in_folder(&f, "x.yaml")) == -EINVAL);
                cr_expect_says(&f, "it belongs to uid 1234");
                cr_expect(load_text(&f, "extends: [./x.yaml]\n") == -EINVAL);
                cr_expect_error(&f, 1, 11, "it belongs to uid 1234");
                _cleanup_free_ char *text = report_text(&f);
                cr_expect(!strstr(text, "SECRET"), "%s", text);
        }
}

Test(sources, the_programs_own_folder_is_trusted) {
        FIXTURE;
        char own[128];
        snprintf(own, sizeof(own), "%s/own", f.folder);
        const char *folders[] = { f.folder, own };
        f.request.folders = folders;
        f.request.n_folders = 2;
        make_file(&f, "own/a.yaml", "extends: [b]\n");
        make_file(&f, "own/b.yaml", "version: 1\n");
        make_file(&f, "c.yaml", "version: 1\n");
        cr_assert(chmod(in_folder(&f, "own/b.yaml"), 0664) == 0 && chmod(in_folder(&f, "c.yaml"), 0664) == 0);
        cr_expect(load_by(&f, "a") == -EINVAL);
        cr_expect_says(&f, "others may write");
        f.request.trust_last = true;
        cr_assert_loads(&f, load_by(&f, "a"));
        cr_expect(load_by(&f, "c") == -EINVAL, "the other folders are not");
        cr_expect(load_by(&f, in_folder(&f, "own/b.yaml")) == -EINVAL, "nor is it by its path");
}

Test(sources, extends_shows_no_other_files) {
        FIXTURE;
        make_file(&f, "shadow", "SECRET: x\n");
        make_link(&f, "link.yaml", "shadow");
        const char *attempts[] = { "extends: [./shadow]\n", "extends: [./link.yaml]\n", "extends: [/etc/shadow]\n",
                                   "extends: [./../../etc/shadow]\n" };
        for (size_t i = 0; i < ELEMENTSOF(attempts); i++) {
                cr_expect(load_text(&f, attempts[i]) == -EINVAL);
                _cleanup_free_ char *text = report_text(&f);
                cr_expect(!strstr(text, "SECRET") && !strstr(text, "root:"), "%s", text);
                cr_expect(strstr(text, "refused unread") || strstr(text, "symbolic link"), "%s", text);
        }
}

Test(sources, only_regular_files) {
        FIXTURE;
        cr_assert(mkfifo(in_folder(&f, "fifo.yaml"), 0600) == 0);
        make_folder(&f, "folder.yaml");
        cr_expect(load_by(&f, in_folder(&f, "fifo.yaml")) == -EINVAL);
        cr_expect_says(&f, "not a regular file");
        cr_expect(load_by(&f, in_folder(&f, "folder.yaml")) == -EINVAL);
        cr_expect_says(&f, "not a regular file");
        cr_expect(load_by(&f, "/dev/null") == -EINVAL);
}

Test(sources, circles) {
        FIXTURE;
        make_file(&f, "a.yaml", "extends: [./b.yaml]\n");
        make_file(&f, "b.yaml", "extends: [./policy.yaml]\n");
        cr_expect(load_text(&f, "extends: [./a.yaml]\n") == -EINVAL);
        _cleanup_free_ char *text = report_text(&f);
        cr_expect(strstr(text, "circle"), "%s", text);
        cr_expect(strstr(text, "policy.yaml → ") && strstr(text, "a.yaml → ") && strstr(text, "b.yaml → "), "%s", text);
        cr_expect(load_text(&f, "extends: [./policy.yaml]\n") == -EINVAL);
        cr_expect_says(&f, "circle");
}

/* Each extends the next twice: 2^40 layers, were they not taken once. */
Test(sources, doubled_chains_are_bounded) {
        FIXTURE;
        for (int i = 0; i < 40; i++) {
                char name[32], text[128];
                snprintf(name, sizeof(name), "n%d.yaml", i);
                snprintf(text, sizeof(text), "extends: [./n%d.yaml, ./n%d.yaml]\n", i + 1, i + 1);
                make_file(&f, name, i == 39 ? "version: 1\n" : text);
        }
        clock_t start = clock();
        cr_expect(load_text(&f, "extends: [./n0.yaml]\n") == -EINVAL);
        cr_expect_says(&f, "too many policies");
        cr_expect(load_text(&f, "extends: [./n30.yaml, ./n30.yaml]\n") == 0);
        cr_expect(f.policy && f.policy->n_sources == 11);
        cr_expect(clock() - start < CLOCKS_PER_SEC);
}

Test(sources, paths_are_relative_to_the_file) {
        FIXTURE;
        make_file(&f, "sub/a.yaml", "extends: [./b.yaml, ../c.yaml]\nfiles: { replace: { /x: { from: ./data } } }\n");
        make_file(&f, "sub/b.yaml", "files: { read: [/b] }\n");
        make_file(&f, "c.yaml", "files: { read: [/c] }\n");
        cr_assert_loads(&f, load_text(&f, "extends: [sub/a.yaml]\n"));
        cr_expect(find_rule(&f, FILE_READ, "/b") && find_rule(&f, FILE_READ, "/c"));
        cr_expect(strstr(find_rule(&f, FILE_REPLACE, "/x")->from, "/sub/./data"));
}

#define NO_NAMESPACE 77

/* A bit for each judgement that is wrong. With no ids mapped, all files belong to nobody. */
static int judge_without_ids(int other, int system) {
        struct stat st;

        if (unshare(CLONE_NEWUSER) < 0)
                return NO_NAMESPACE;
        if (fstat(other, &st) < 0 || st.st_uid == 0)
                return 1;
        return policy_owner_trusted(other, st.st_uid, 1000) << 1 | policy_owner_trusted(other, st.st_uid, st.st_uid) << 2 |
               !policy_owner_trusted(system, st.st_uid, 1000) << 3 | !policy_owner_trusted(other, 1000, 1000) << 4;
}

Test(sources, in_a_user_namespace_others_files_are_not_roots) {
        FIXTURE;
        make_file(&f, "a.yaml", "version: 1\n");
        _cleanup_close_ int other = open(in_folder(&f, "a.yaml"), O_RDONLY | O_CLOEXEC), system = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
        cr_assert(other >= 0 && system >= 0);
        /* Root's and mine. */
        cr_expect(policy_owner_trusted(other, 0, 1000));
        cr_expect(policy_owner_trusted(other, 1000, 1000));
        cr_expect_not(policy_owner_trusted(other, 1001, 1000));
        cr_expect_not(policy_owner_trusted(system, 1001, 1000));
        /* In a child, which has one thread, as a user namespace wants. */
        pid_t child = fork();
        if (child == 0)
                _exit(judge_without_ids(other, system));
        cr_assert(child > 0);
        int status = -1;
        sys_reap(child, &status);
        cr_assert(WIFEXITED(status));
        if (WEXITSTATUS(status) == NO_NAMESPACE)
                cr_skip("no user namespace can be made here");
        cr_expect_eq(WEXITSTATUS(status), 0, "those that are wrong: %x", WEXITSTATUS(status));
}
