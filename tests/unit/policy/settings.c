/*
 * sandboxd.yaml: what is read, where what is wrong is said to be, and which files are refused.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "settings.h"
#include "support.h"

struct read {
        struct policy_report report;
        struct settings *settings;
        int r;
};

static struct read read_text(const char *text) {
        struct read read = {};

        read.r = settings_parse("/etc/sandboxd.yaml", text, strlen(text), &read.settings, &read.report);
        return read;
}

static void read_done(struct read *read) {
        policy_report_done(&read->report);
        settings_free(read->settings);
}

#define READ(yaml) \
        _cleanup_(read_done) struct read read = read_text(yaml); \
        cr_assert(read.r == 0, "%d: %s", read.r, read.report.n > 0 ? read.report.messages[0].text : "")

Test(settings, nothing_is_all_by_default) {
        READ("# nothing\n");
        for (int i = 0; i < QUOTA_KINDS; i++)
                cr_expect(!settings_quota(read.settings, 1000, i)->set);
        cr_expect(!read.settings->policies_set && read.settings->oci.n_selectable == 0);
        cr_expect(read.settings->oci.floor == NULL && read.settings->oci.default_policy == NULL);
        cr_expect_str_eq(read.settings->text, "# nothing\n");
}

Test(settings, quotas) {
        READ("version: 1\n"
             "quota:\n"
             "  sandboxes: 20\n"
             "  calls: 64\n"
             "  memory: 128M\n"
             "  sandbox-memory: 64M\n"
             "  users:\n"
             "    1000: { sandboxes: 5, sandbox-calls: 32 }\n"
             "    root: { memory: 1G, sandboxes: 0 }\n");
        cr_expect(settings_quota(read.settings, 7, QUOTA_SANDBOXES)->value == 20);
        cr_expect(settings_quota(read.settings, 7, QUOTA_MEMORY)->value == 128U << 20);
        cr_expect(!settings_quota(read.settings, 7, QUOTA_CONNECTIONS)->set);
        const struct quota *own = settings_quota(read.settings, 1000, QUOTA_SANDBOXES);
        cr_expect(own->value == 5 && own->place.line == 8);
        cr_expect_str_eq(own->place.file, "/etc/sandboxd.yaml");
        /* What the user's own line doesn't name is as for all. */
        cr_expect(settings_quota(read.settings, 1000, QUOTA_CALLS)->value == 64);
        cr_expect(settings_quota(read.settings, 1000, QUOTA_SANDBOX_CALLS)->value == 32);
        cr_expect(settings_quota(read.settings, 1000, QUOTA_SANDBOX_MEMORY)->value == 64U << 20);
        cr_expect(!settings_quota(read.settings, 7, QUOTA_SANDBOX_CALLS)->set);
        cr_expect(settings_quota(read.settings, 0, QUOTA_SANDBOXES)->set && settings_quota(read.settings, 0, QUOTA_SANDBOXES)->value == 0);
        cr_expect(settings_quota(read.settings, 0, QUOTA_MEMORY)->value == 1U << 30);
}

Test(settings, folders_and_containers) {
        READ("policies: [/srv/a, /srv/b]\n"
             "oci: { selectable: [nginx, redis-7], floor: base, default: untrusted }\n");
        cr_assert(read.settings->policies_set && read.settings->n_policies == 2);
        cr_expect_str_eq(read.settings->policies[1], "/srv/b");
        cr_assert(read.settings->oci.n_selectable == 2);
        cr_expect_str_eq(read.settings->oci.selectable[1], "redis-7");
        cr_expect_str_eq(read.settings->oci.floor, "base");
        cr_expect_str_eq(read.settings->oci.default_policy, "untrusted");
}

Test(settings, an_unknown_user_is_a_warning) {
        READ("quota: { users: { no-such-user-here: { sandboxes: 3 } } }\n");
        cr_assert(read.report.n == 1 && read.report.messages[0].warning && read.report.messages[0].place.line == 1);
        cr_expect(read.settings->n_users == 0);
}

static const struct {
        const char *text;
        unsigned line, column;
        const char *says;
} mistakes[] = {
        { "quotas: {}\n", 1, 1, "did you mean `quota`?" },
        { "- a\n", 1, 1, "found a list" },
        { "version: 2\n", 1, 10, "from 1 to 1" },
        { "quota: { sandboxs: 3 }\n", 1, 10, "did you mean `sandboxes`?" },
        { "quota: { sandboxes: many }\n", 1, 21, "whole number" },
        { "quota: { sandboxes: -1 }\n", 1, 21, "whole number" },
        { "quota: { sandboxes: 100001 }\n", 1, 21, "to 100000" },
        { "quota: { calls: 4 }\n", 1, 17, "from 16 to 1000000" },
        { "quota: { sandbox-calls: 1025 }\n", 1, 25, "from 16 to 1024" },
        { "quota: { memory: 1M }\n", 1, 18, "less than 32M" },
        { "quota: { memory: lots }\n", 1, 18, "expected a size" },
        { "quota: { users: [1000] }\n", 1, 17, "expected a mapping" },
        { "quota: { users: { 10x: {} } }\n", 1, 19, "neither a user's name nor a uid" },
        { "quota: { users: { 1000: { sandboxes: 1 }, 01000: {} } }\n", 1, 43, "a second time" },
        { "quota: { users: { 1000: { quota: 1 } } }\n", 1, 27, "a user's quota has no key" },
        { "quota: { users: { 1000: { users: {} } } }\n", 1, 27, "no key `users`" },
        { "quota: { sandboxes: 1, sandboxes: 2 }\n", 1, 24, "a second time" },
        { "policies: /a\n", 1, 11, "expected a list" },
        { "policies: [a]\n", 1, 12, "absolute path" },
        { "oci: { floor: Base }\n", 1, 15, "a-z, 0-9 and -" },
        { "oci: { default: ../x }\n", 1, 17, "a-z, 0-9 and -" },
        { "oci: { selectable: [a.yaml] }\n", 1, 21, "a-z, 0-9 and -" },
        { "oci: { selectable: a }\n", 1, 20, "expected a list" },
        { "oci: { flor: a }\n", 1, 8, "did you mean `floor`?" },
        { "policies: [\"${home}/x\"]\n", 1, 12, "no variables" },
        { "quota: { sandboxes: \"${uid}\" }\n", 1, 21, "no variables" },
        { "quota: { sandboxes: 1\n", 2, 1, "not YAML" },
};

Test(settings, mistakes) {
        for (size_t i = 0; i < ELEMENTSOF(mistakes); i++) {
                _cleanup_(read_done) struct read read = read_text(mistakes[i].text);
                cr_assert(read.r == -EINVAL, "%s: %d", mistakes[i].text, read.r);
                cr_assert(read.settings == NULL && read.report.n > 0);
                const struct policy_message *m = &read.report.messages[0];
                cr_expect(m->place.line == mistakes[i].line && m->place.column == mistakes[i].column, "%s: at %u:%u", mistakes[i].text,
                          m->place.line, m->place.column);
                cr_expect(strstr(m->text, mistakes[i].says), "%s: %s", mistakes[i].text, m->text);
        }
}

Test(settings, all_mistakes_are_shown) {
        _cleanup_(read_done) struct read read = read_text("quota: { sandboxes: x, calls: y }\noci: { floor: Z }\n");

        cr_expect(read.r == -EINVAL && read.report.n_errors == 3);
}

/* ---- files ---- */

static int load(const char *path, bool needed, struct settings **ret, char **says) {
        struct policy_report report = {};
        int r = settings_load(path, needed, getuid(), ret, &report);

        *says = strdup(report.n > 0 ? report.messages[0].text : "");
        policy_report_done(&report);
        return r;
}

Test(settings, which_files_are_read) {
        char path[128];
        FIXTURE;
        static const struct {
                mode_t mode;
                int r;
                const char *says;
        } rows[] = { { 0644, 0, "" }, { 0600, 0, "" }, { 0664, -EINVAL, "others may write to it" }, { 0646, -EINVAL, "chmod go-w" } };

        make_file(&f, "sandboxd.yaml", "quota: { sandboxes: 3 }\n");
        snprintf(path, sizeof(path), "%s/sandboxd.yaml", f.folder);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(settings_freep) struct settings *settings = NULL;
                _cleanup_free_ char *says = NULL;
                cr_assert(chmod(path, rows[i].mode) == 0);
                cr_expect(load(path, true, &settings, &says) == rows[i].r, "%o", rows[i].mode);
                cr_expect(strstr(says, rows[i].says), "%s", says);
                cr_expect(!settings == (rows[i].r < 0));
        }
}

Test(settings, none_and_no_file) {
        char path[128];
        FIXTURE;
        _cleanup_(settings_freep) struct settings *settings = NULL;
        _cleanup_free_ char *says = NULL, *other = NULL, *third = NULL;

        snprintf(path, sizeof(path), "%s/none.yaml", f.folder);
        cr_expect(load(path, false, &settings, &says) == 0 && settings && !settings->file);
        cr_expect(load(path, true, &settings, &other) == -EINVAL);
        cr_expect(strstr(other, "no such file"));
        /* A FIFO must not hold us either. */
        cr_assert(mkfifo(path, 0600) == 0);
        cr_expect(load(path, false, &settings, &third) == -EINVAL);
        cr_expect(strstr(third, "regular file"));
}

Test(settings, belongs_to_somebody_else) {
        char path[128];
        FIXTURE;
        struct settings *settings = NULL;
        struct policy_report report = {};

        make_file(&f, "sandboxd.yaml", "");
        snprintf(path, sizeof(path), "%s/sandboxd.yaml", f.folder);
        cr_assert(chmod(path, 0644) == 0);
        if (getuid() == 0)
                cr_assert(chown(path, 4242, 4242) == 0);
        /* As whoever isn't its owner. */
        cr_expect(settings_load(path, true, getuid() == 0 ? 0 : getuid() + 1, &settings, &report) == -EINVAL);
        cr_expect(report.n == 1 && strstr(report.messages[0].text, "it belongs to uid"));
        policy_report_done(&report);
}

Test(settings, where_they_are) {
        _cleanup_free_ char *system = NULL, *config = NULL, *home = NULL;

        cr_assert(settings_path(0, &system) == 0);
        cr_expect(strstr(system, "etc/sandboxd/sandboxd.yaml"));
        setenv("HOME", "/home/me", 1);
        setenv("XDG_CONFIG_HOME", "/config", 1);
        cr_assert(settings_path(1000, &config) == 0);
        cr_expect_str_eq(config, "/config/sandboxd/sandboxd.yaml");
        setenv("XDG_CONFIG_HOME", "relative", 1);
        cr_assert(settings_path(1000, &home) == 0);
        cr_expect_str_eq(home, "/home/me/.config/sandboxd/sandboxd.yaml");
}
