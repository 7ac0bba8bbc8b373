//! Takes from this process, for good, what a kernel has learned of late, so that a test can try what is done
//! without it.
#ifndef COLDERKERNEL_H
#define COLDERKERNEL_H

/// What a kernel may lack; they add up.
enum {
    /// Landlock, of Linux 5.13, which may also be turned off.
    OLDER_KERNEL_WITHOUT_LANDLOCK = 1,
    /// seccomp, which a kernel may be built without.
    OLDER_KERNEL_WITHOUT_SECCOMP = 2,
    /// close_range, of Linux 5.9.
    OLDER_KERNEL_WITHOUT_CLOSE_RANGE = 4,
};

/// From now on the kernel answers this process, all of its threads and all that it starts as one without what
/// `lacks` names. Takes a kernel that has seccomp. Returns 0, or the negative errno.
int older_kernel_enter(int lacks);

#endif
