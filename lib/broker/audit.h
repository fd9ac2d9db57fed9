/*
 * Private to the broker: the texts of records.
 */
#pragma once

#include "broker.h"

#define AUDIT_ERESTARTSYS 512

/* The rule that decided and where it stands, in a buffer; NULL: none did. */
const char *audit_rule_text(const struct call *call, char *text, size_t room);
/* Says which rule killed the sandbox, for the note in shared memory. */
void audit_kill_text(const struct call *call, char *text, size_t room);
