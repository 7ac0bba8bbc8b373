//! Landlock, by its system calls: the C library has no functions for them.
#define _GNU_SOURCE
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

// The kernel's numbers, which are the same on every processor; older headers have fewer of them.
enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446, ASK_VERSION = 1, PATH_BENEATH = 1 };
enum { EXECUTE = 1 << 0, READ_FILE = 1 << 2, READ_FOLDER = 1 << 3 };

typedef struct {
    uint64_t files;
    uint64_t network;
    uint64_t scopes;
} ruleset_attributes;

typedef struct __attribute__((packed)) {
    uint64_t allowed;
    int32_t parent;
} path_rule;

static long version(void) { return syscall(CREATE_RULESET, NULL, 0, ASK_VERSION); }

bool csandbox_has_landlock(void) { return version() > 0; }

static void allow(int ruleset, const char *path, uint64_t rights) {
    int place = open(path, O_PATH | O_CLOEXEC);
    if (place < 0) {
        return;
    }
    path_rule rule = {rights, place};
    // The rights of folders are refused for a file; those of files hold for both.
    if (syscall(ADD_RULE, ruleset, PATH_BENEATH, &rule, 0) != 0) {
        rule.allowed &= EXECUTE | READ_FILE;
        syscall(ADD_RULE, ruleset, PATH_BENEATH, &rule, 0);
    }
    close(place);
}

int csandbox_ruleset(const char *const readable[], const char *program) {
    long known = version();
    if (known < 1) {
        return -ENOSYS;
    }
    // Each version knows more that can be forbidden: 13 rights on files at first, then links between folders,
    // truncation, and the control of devices; TCP; signals and sockets beyond the own process.
    ruleset_attributes attributes = {(1u << (known >= 5 ? 16 : known >= 3 ? 15 : known == 2 ? 14 : 13)) - 1,
                                     known >= 4 ? 3 : 0, known >= 6 ? 3 : 0};
    size_t size = known >= 6 ? 24 : known >= 4 ? 16 : 8;
    int ruleset = (int)syscall(CREATE_RULESET, &attributes, size, 0);
    if (ruleset < 0) {
        return -errno;
    }
    for (size_t i = 0; readable[i] != NULL; i++) {
        allow(ruleset, readable[i], READ_FILE | READ_FOLDER);
    }
    static const char *const loaders[] = {"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1",
                                          "/lib/ld-linux-armhf.so.3", "/lib/ld-linux-riscv64-lp64d.so.1"};
    for (size_t i = 0; i < sizeof loaders / sizeof loaders[0]; i++) {
        allow(ruleset, loaders[i], EXECUTE | READ_FILE);
    }
    allow(ruleset, program, EXECUTE | READ_FILE);
    return ruleset;
}

int csandbox_enter_ruleset(int ruleset) { return (int)syscall(RESTRICT_SELF, ruleset, 0); }
