/*
 * The relay between the terminal that sandboxctl was started on and the sandbox's own pty.
 *
 * The outer terminal is opened anew, so that our modes of the description (O_NONBLOCK) are not our shell's. It is put into raw mode only
 * while we are its foreground job; keys such as Ctrl-C and Ctrl-Z then become signals inside, by the pty's own line discipline.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

struct terminal;

/* Starts the relay between the terminal among our fds 0 to 2 and `pty` (the master; taken over on success). */
int terminal_new(sd_event *event, int pty, struct terminal **ret);

/* Takes the terminal (raw mode, input) where we are its foreground job, else leaves it alone. To be called again after SIGCONT. */
void terminal_resume(struct terminal *terminal);
/* Gives the terminal back as it was. */
void terminal_suspend(struct terminal *terminal);
/* The outer window has changed its size. */
void terminal_resize(struct terminal *terminal);
/* Writes what the pty still holds, after the sandbox has ended. */
void terminal_drain(struct terminal *terminal);

struct terminal *terminal_free(struct terminal *terminal); /* gives the terminal back */

static inline void terminal_freep(struct terminal **terminal) {
        terminal_free(*terminal);
}
