//! A filter of system calls that says of newer ones what a kernel says that does not know them.
#define _GNU_SOURCE
#include "COlderKernel.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define THIS_ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define THIS_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

// The kernel's numbers, which are the same on every processor; older headers have fewer of them.
enum { CLOSE_RANGE = 436, LANDLOCK_FIRST = 444, LANDLOCK_LAST = 446 };

int older_kernel_enter(int lacks) {
    struct sock_filter filter[32];
    unsigned short count = 0;
#define ADD(...) (filter[count++] = (struct sock_filter)__VA_ARGS__)
#define LOAD(OFFSET) ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (OFFSET)))
// Goes on where the loaded word is `VALUE`, else passes over `SKIPPED` instructions.
#define UNLESS_EQUAL(VALUE, SKIPPED) ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (VALUE), 0, (SKIPPED)))
#define END(VERDICT) ADD(BPF_STMT(BPF_RET | BPF_K, (VERDICT)))
#define REFUSE(CALL) (UNLESS_EQUAL((CALL), 1), END(SECCOMP_RET_ERRNO | ENOSYS))
    LOAD(offsetof(struct seccomp_data, arch));
    ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCHITECTURE, 1, 0));
    END(SECCOMP_RET_KILL_PROCESS);
    LOAD(offsetof(struct seccomp_data, nr));
    if (lacks & OLDER_KERNEL_WITHOUT_LANDLOCK) {
        for (int call = LANDLOCK_FIRST; call <= LANDLOCK_LAST; call++) REFUSE(call);
    }
    if (lacks & OLDER_KERNEL_WITHOUT_CLOSE_RANGE) REFUSE(CLOSE_RANGE);
    if (lacks & OLDER_KERNEL_WITHOUT_SECCOMP) {
        REFUSE(SYS_seccomp);
        UNLESS_EQUAL(SYS_prctl, 5);
        LOAD(offsetof(struct seccomp_data, args));
        UNLESS_EQUAL(PR_GET_SECCOMP, 1);
        END(SECCOMP_RET_ERRNO | EINVAL);
        UNLESS_EQUAL(PR_SET_SECCOMP, 1);
        END(SECCOMP_RET_ERRNO | EINVAL);
    }
    END(SECCOMP_RET_ALLOW);
    struct sock_fprog program = {count, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
    const long status = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
    // More than 0 is a thread that would not.
    return status < 0 ? -errno : status > 0 ? -ESRCH : 0;
}
