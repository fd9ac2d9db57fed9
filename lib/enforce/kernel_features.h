/*
 * What the running kernel can do, found out by trying.
 */
#pragma once

#include <stdbool.h>

/* SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (5.19), tried on this process without loading anything. */
bool features_wait_killable(void);
/* SECCOMP_RET_USER_NOTIF (5.0) and its ADDFD (5.9). */
bool features_user_notif(void);
/* SECCOMP_IOCTL_NOTIF_SET_FLAGS with SYNC_WAKE_UP (6.6). Forks a child. */
bool features_sync_wake_up(void);
/* User namespaces for this user: 0, or the negative errno that unshare(2) gives. Forks a child. */
int features_user_namespace(void);
