/*
 * What the policy tests share: a folder of their own for policy files and for a made-up root, and loading from a text.
 */
#pragma once

#include <criterion/criterion.h>
#include <errno.h>

#include "plan.h"
#include "policy.h"
#include "str.h"

struct fixture {
        char folder[64];
        struct policy_request request;    /* asks as the running user, with home /home/me and cwd /home/me/project */
        struct plan_request plan_request; /* with the made-up root folder/root */
        struct policy_report report;
        struct policy *policy;
        struct plan *plan;
};

void fixture_init(struct fixture *f);
void fixture_done(struct fixture *f);

/* Paths are relative to the folder; folders above are made. */
void make_file(const struct fixture *f, const char *path, const char *text);
void make_folder(const struct fixture *f, const char *path);
void make_link(const struct fixture *f, const char *path, const char *target);

/* Writes the text as policy.yaml, and loads that. */
int load_text(struct fixture *f, const char *text);
int load_flags(struct fixture *f, const char *text, const struct policy_flag *flags, size_t n);
/* Also compiles. */
int compile_text(struct fixture *f, const char *text);
int compile_flags(struct fixture *f, const char *text, const struct policy_flag *flags, size_t n);
/* As policy_report_print writes; the caller frees it. */
char *report_text(const struct fixture *f);
const struct node *find_node(const struct fixture *f, const char *path);
const struct file_rule *find_rule(const struct fixture *f, enum file_kind kind, const char *pattern);

#define FIXTURE \
        _cleanup_(fixture_done) struct fixture f = {}; \
        fixture_init(&f)

/* The first error has this place and says this. */
#define cr_expect_error(f, at_line, at_column, words) \
        do { \
                _cleanup_free_ char *all_ = report_text(f); \
                cr_assert((f)->report.n > 0, "nothing was reported"); \
                const struct policy_message *m_ = (f)->report.messages; \
                cr_expect(m_->place.line == (at_line) && m_->place.column == (at_column), "at %u:%u, not %u:%u\n%s", m_->place.line, \
                          m_->place.column, (unsigned) (at_line), (unsigned) (at_column), all_); \
                cr_expect(strstr(m_->text, words), "does not say `%s`:\n%s", words, all_); \
        } while (0)

#define cr_assert_loads(f, r) \
        do { \
                int r_ = (r); \
                _cleanup_free_ char *all_ = report_text(f); \
                cr_assert(r_ == 0, "%d\n%s", r_, all_); \
        } while (0)
