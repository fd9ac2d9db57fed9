#include "sandboxd.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syslog.h>
#include <systemd/sd-journal.h>

#include "str.h"

/* Where standard error is the journal's own stream, records go there with their fields; else there is nobody to take them, and
 * sd_journal_send would lose them without a word. */
static bool journal_listens(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(2, &st) == 0 && st.st_dev == device &&
               st.st_ino == inode;
}

/* `policy` NULL: it is not known of the sandbox, nor is the uid. */
static void record(int priority, const char *message_id, const char *sandbox, uid_t uid, const char *policy, const char *format,
                   va_list ap) {
        _cleanup_free_ char *text = NULL;

        if (vasprintf(&text, format, ap) < 0)
                return;
        if (journal_listens() &&
            sd_journal_send("MESSAGE=%s%s%s", sandbox ?: "", sandbox ? ": " : "", text, "PRIORITY=%d", priority, "MESSAGE_ID=%s",
                            message_id, sandbox ? "SANDBOXD_SANDBOX=%s" : NULL, sandbox, policy ? "SANDBOXD_UID=%u" : NULL, (unsigned) uid,
                            "SANDBOXD_POLICY=%s", policy, NULL) >= 0)
                return;
        fprintf(stderr, "sandboxd: %s%s%s\n", sandbox ?: "", sandbox ? ": " : "", text);
}

void log_record(int priority, const char *message_id, const char *sandbox, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        record(priority, message_id, sandbox, 0, NULL, format, ap);
        va_end(ap);
}

void log_sandbox(int priority, const char *message_id, const struct sandbox *s, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        record(priority, message_id, s->label, demand_shown(s->owner.uid), s->policy, format, ap);
        va_end(ap);
}
