/*
 * `exec --why`: reads the records of a run and says what was denied and what would allow it.
 */
#pragma once

/* `log_fd` holds one JSON object a line. Prints to standard error. */
void why_print(int log_fd);
