//! The filter of system calls. A list of what is allowed, for what is not on it no list could name.
#define _GNU_SOURCE
#include "calls.h"

#if CSANDBOX_HAS_CALLS

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define THIS_ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define THIS_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/// Reading what is open, opening to read (Landlock decides what), memory, time, and the end. Nothing that
/// makes a process or a thread, a socket, a name in the file system, or reaches another process.
static const uint16_t allowed[] = {
    SYS_read, SYS_readv, SYS_pread64, SYS_preadv, SYS_write, SYS_writev, SYS_lseek, SYS_close,
    SYS_fstat, SYS_newfstatat, SYS_statx, SYS_statfs, SYS_fstatfs, SYS_faccessat, SYS_faccessat2,
    SYS_readlinkat, SYS_getdents64, SYS_getcwd, SYS_fadvise64, SYS_fcntl, SYS_dup, SYS_dup3,
    SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_brk,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack,
    SYS_futex, SYS_set_tid_address, SYS_set_robust_list, SYS_rseq,
    SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_getrandom, SYS_sched_yield,
    SYS_getpid, SYS_getppid, SYS_gettid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getpgid,
    SYS_uname, SYS_sysinfo, SYS_sched_getaffinity, SYS_getrusage,
    SYS_exit, SYS_exit_group,
#if defined(__x86_64__)
    // What newer processors do by a newer call.
    SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_getdents, SYS_dup2, SYS_time, SYS_getpgrp,
    SYS_arch_prctl, SYS_getrlimit,
#endif
};

size_t csandbox_filter(struct sock_filter filter[CSANDBOX_FILTER_MAX], const char *program) {
    size_t count = 0;
    const uint64_t address = (uint64_t)(uintptr_t)program;
#define LOAD(FIELD) \
    (filter[count++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, \
                                                    offsetof(struct seccomp_data, FIELD)))
#define LOAD_ARGUMENT(NUMBER, HALF) \
    (filter[count++] = (struct sock_filter)BPF_STMT( \
         BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * (NUMBER) + 4 * (HALF)))
#define END(VERDICT) (filter[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, VERDICT))
/// Goes on with the next instruction where the loaded word is `VALUE`, else passes over `SKIPPED`.
#define UNLESS_EQUAL(VALUE, SKIPPED) \
    (filter[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, VALUE, 0, SKIPPED))
/// Likewise where the loaded word has a bit of `BITS`.
#define UNLESS_ANY(BITS, SKIPPED) \
    (filter[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, BITS, 0, SKIPPED))
    LOAD(arch);
    filter[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCHITECTURE, 1, 0);
    END(SECCOMP_RET_KILL_PROCESS);
    LOAD(nr);
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        UNLESS_EQUAL(allowed[i], 1);
        END(SECCOMP_RET_ALLOW);
    }
    // Files are opened to be read, also where there is no Landlock to see to it.
    const uint32_t changing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY);
    UNLESS_EQUAL(SYS_openat, 4);
    LOAD_ARGUMENT(2, 0);
    UNLESS_ANY(changing, 1);
    END(SECCOMP_RET_ERRNO | EACCES);
    END(SECCOMP_RET_ALLOW);
#if defined(__x86_64__)
    UNLESS_EQUAL(SYS_open, 4);
    LOAD_ARGUMENT(1, 0);
    UNLESS_ANY(changing, 1);
    END(SECCOMP_RET_ERRNO | EACCES);
    END(SECCOMP_RET_ALLOW);
#endif
    // Limits may be read, and lowered no further than they are.
    UNLESS_EQUAL(SYS_prlimit64, 6);
    LOAD_ARGUMENT(2, 0);
    UNLESS_EQUAL(0, 3);
    LOAD_ARGUMENT(2, 1);
    UNLESS_EQUAL(0, 1);
    END(SECCOMP_RET_ALLOW);
    END(SECCOMP_RET_ERRNO | EPERM);
    // The one program: whoever runs in it later does not know where its path lay.
    UNLESS_EQUAL(SYS_execve, 6);
    LOAD_ARGUMENT(0, 0);
    UNLESS_EQUAL((uint32_t)address, 3);
    LOAD_ARGUMENT(0, 1);
    UNLESS_EQUAL((uint32_t)(address >> 32), 1);
    END(SECCOMP_RET_ALLOW);
    END(SECCOMP_RET_ERRNO | EPERM);
    // Libraries take this for a call that the kernel does not have, and use an older one or do without.
    END(SECCOMP_RET_ERRNO | ENOSYS);
    return count;
}

#else

size_t csandbox_filter(struct sock_filter filter[CSANDBOX_FILTER_MAX], const char *program) {
    (void)filter;
    (void)program;
    return 0;
}

#endif
