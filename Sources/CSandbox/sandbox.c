//! Starts the child: what it is denied is taken from it between vfork and exec, by system calls alone.
#define _GNU_SOURCE
#include "CSandbox.h"

#include "calls.h"
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int csandbox_confinement(void) {
    int found = csandbox_has_landlock() ? CSANDBOX_FILES : 0;
    if (CSANDBOX_HAS_CALLS && prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0) {
        found |= CSANDBOX_CALLS;
    }
    return found;
}

/// All that the child needs, made ready before there is a child.
typedef struct {
    char *const *arguments;
    char *const *environment;
    struct rlimit limits[7];
    int resources[7];
    int streams[3];
    /// -1 where the kernel has no Landlock.
    int ruleset;
    /// Empty where there is no list of calls for this processor.
    struct sock_fprog filter;
    pid_t parent;
} preparation;

/// Moves the descriptors to 0, 1 and 2, whichever of these numbers they have, and closes all others.
static bool take_streams(const preparation *plan) {
    int moved[3];
    for (int i = 0; i < 3; i++) {
        moved[i] = fcntl(plan->streams[i], F_DUPFD, 3);
        if (moved[i] < 0) {
            return false;
        }
    }
    for (int i = 0; i < 3; i++) {
        if (dup2(moved[i], i) < 0) {
            return false;
        }
    }
    return true;
}

static void close_others(int kept) {
    // The rule set is needed a little longer; it closes itself at exec.
    if (kept > 3 && syscall(SYS_close_range, 3u, (unsigned)kept - 1, 0u) == 0) {
        syscall(SYS_close_range, (unsigned)kept + 1, ~0u, 0u);
        return;
    }
    if (kept <= 3 && syscall(SYS_close_range, kept == 3 ? 4u : 3u, ~0u, 0u) == 0) {
        return;
    }
    struct rlimit most = {0};
    getrlimit(RLIMIT_NOFILE, &most);
    rlim_t end = most.rlim_cur < 65536 ? most.rlim_cur : 65536;
    for (rlim_t descriptor = 3; descriptor < end; descriptor++) {
        if ((int)descriptor != kept) {
            close((int)descriptor);
        }
    }
}

static void drop_privileges(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0}};
    syscall(SYS_capset, &header, none);
}

/// What the child does with the memory of its parent, who waits: nothing but calls of the system.
static _Noreturn void become(const preparation *plan) {
    if (!take_streams(plan)) {
        _exit(CSANDBOX_EXIT_STREAMS);
    }
    close_others(plan->ruleset);
    // Handlers are the parent's code, and what it ignores or blocks is its own affair.
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++) {
        sigaction(number, &standard, NULL);
    }
    // What is typed at a terminal is for the parent, who ends the child when it has to.
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != plan->parent || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        _exit(CSANDBOX_EXIT_LIMITS);
    }
    drop_privileges();
    for (size_t i = 0; i < sizeof plan->limits / sizeof plan->limits[0]; i++) {
        // A limit that is lower already stays.
        struct rlimit old = {0};
        struct rlimit limit = plan->limits[i];
        if (getrlimit(plan->resources[i], &old) == 0 && old.rlim_max < limit.rlim_max) {
            limit.rlim_max = old.rlim_max;
            limit.rlim_cur = limit.rlim_cur < old.rlim_max ? limit.rlim_cur : old.rlim_max;
        }
        if (setrlimit(plan->resources[i], &limit) != 0) {
            _exit(CSANDBOX_EXIT_LIMITS);
        }
    }
    if (plan->ruleset >= 0 && csandbox_enter_ruleset(plan->ruleset) != 0) {
        _exit(CSANDBOX_EXIT_FILES);
    }
    sigset_t nothing;
    sigemptyset(&nothing);
    sigprocmask(SIG_SETMASK, &nothing, NULL);
    if (plan->filter.len > 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &plan->filter, 0, 0) != 0) {
        _exit(CSANDBOX_EXIT_CALLS);
    }
    execve(plan->arguments[0], plan->arguments, plan->environment);
    _exit(CSANDBOX_EXIT_PROGRAM);
}

pid_t csandbox_spawn(char *const arguments[], char *const environment[], const char *const readable[],
                     csandbox_limits limits, int input, int output, int error) {
    preparation plan = {
        .arguments = arguments,
        .environment = environment,
        .streams = {input, output, error},
        .ruleset = -1,
        .parent = getpid(),
        .resources = {RLIMIT_AS, RLIMIT_CPU, RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_NPROC, RLIMIT_CORE,
                      RLIMIT_MEMLOCK},
        // The kernel warns at the soft limit of seconds, and ends the process at the hard one.
        .limits = {{limits.address_bytes, limits.address_bytes},
                   {limits.cpu_seconds, limits.cpu_seconds + 1},
                   {limits.descriptors, limits.descriptors}},
    };
    int confinement = csandbox_confinement();
    if (confinement & CSANDBOX_FILES) {
        plan.ruleset = csandbox_ruleset(readable, arguments[0]);
        if (plan.ruleset < 0) {
            return plan.ruleset;
        }
        if (plan.ruleset < 3) {
            // A process without standard streams has their numbers to give, which the child's will take.
            int low = plan.ruleset;
            plan.ruleset = fcntl(low, F_DUPFD_CLOEXEC, 3);
            int fault = errno;
            close(low);
            if (plan.ruleset < 0) {
                return -fault;
            }
        }
    }
    struct sock_filter filter[CSANDBOX_FILTER_MAX];
    if (confinement & CSANDBOX_CALLS) {
        plan.filter = (struct sock_fprog){(unsigned short)csandbox_filter(filter, arguments[0]), filter};
    }
    // No handler of this process may run in the child while they share their memory.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t child = vfork();
    if (child == 0) {
        become(&plan);
    }
    int fault = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (plan.ruleset >= 0) {
        close(plan.ruleset);
    }
    return child < 0 ? -fault : child;
}

int csandbox_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int csandbox_sealed_file(const void *bytes, size_t size) {
    int file = memfd_create("document", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0) {
        return -errno;
    }
    const char *position = bytes;
    for (size_t left = size; left > 0;) {
        ssize_t written = write(file, position, left);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            int fault = written < 0 ? errno : ENOSPC;
            close(file);
            return -fault;
        }
        position += written;
        left -= (size_t)written;
    }
    fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    if (lseek(file, 0, SEEK_SET) != 0) {
        int fault = errno;
        close(file);
        return -fault;
    }
    return file;
}
