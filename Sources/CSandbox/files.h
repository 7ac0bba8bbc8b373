//! What of the file system a confined program sees.
#pragma once

#include <stdbool.h>

/// Whether the kernel has Landlock.
bool csandbox_has_landlock(void);

/// A rule set under which one may read under `readable` and execute `program` and what loads it, and nothing
/// else. Returns its descriptor, or the negative errno.
int csandbox_ruleset(const char *const readable[], const char *program);

/// Puts the calling thread, and what it becomes, under the rule set, for good. To be called between vfork and
/// exec. Returns 0 or -1.
int csandbox_enter_ruleset(int ruleset);
