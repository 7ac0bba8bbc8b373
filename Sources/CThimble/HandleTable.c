//! The table of handles: atomics, so that looking up and cancelling never wait.
#include "HandleTable.h"

#include <stdatomic.h>

// A handle's bits from the lowest: 1, which no pointer to an object has; its kind, 3; its slot, 12; a number,
// 1 or more, that no handle had before.
enum { kind_shift = 1, slot_shift = 4, number_shift = 16 };
_Static_assert(CAPI_HANDLES_MAX == 1 << (number_shift - slot_shift), "a slot fills its bits");
_Static_assert(ATOMIC_POINTER_LOCK_FREE == 2, "a signal handler may touch the table");

// The handle that a slot is taken by, or 0.
static _Atomic uintptr_t taken[CAPI_HANDLES_MAX];
// The handle that was last cancelled in a slot: another one that comes to the slot is not.
static _Atomic uintptr_t cancelled[CAPI_HANDLES_MAX];
static _Atomic uintptr_t last_number;

static uintptr_t slot_of(uintptr_t handle) {
    return handle >> slot_shift & (CAPI_HANDLES_MAX - 1);
}

uintptr_t capi_handle_make(capi_kind kind) {
    uintptr_t number;
    do {
        number = atomic_fetch_add(&last_number, 1) + 1;
        number &= UINTPTR_MAX >> number_shift;
    } while (number == 0);
    for (uintptr_t tried = 0; tried < CAPI_HANDLES_MAX; tried++) {
        const uintptr_t slot = (number + tried) & (CAPI_HANDLES_MAX - 1);
        const uintptr_t handle =
            number << number_shift | slot << slot_shift | (uintptr_t)kind << kind_shift | 1;
        uintptr_t none = 0;
        if (atomic_compare_exchange_strong(&taken[slot], &none, handle)) return handle;
    }
    return 0;
}

static bool lives(uintptr_t handle, capi_kind kind) {
    return (handle & 1) && (handle >> kind_shift & 7) == (uintptr_t)kind
        && atomic_load(&taken[slot_of(handle)]) == handle;
}

int32_t capi_handle_slot(uintptr_t handle, capi_kind kind) {
    return lives(handle, kind) ? (int32_t)slot_of(handle) : -1;
}

void capi_handle_end(uintptr_t handle) {
    uintptr_t expected = handle;
    atomic_compare_exchange_strong(&taken[slot_of(handle)], &expected, 0);
}

bool capi_handle_cancel(uintptr_t handle) {
    if (!lives(handle, CAPI_KIND_SESSION)) return false;
    atomic_store(&cancelled[slot_of(handle)], handle);
    return true;
}

bool capi_handle_is_cancelled(uintptr_t handle) {
    return atomic_load(&cancelled[slot_of(handle)]) == handle;
}

void capi_handle_clear(uintptr_t handle) {
    uintptr_t expected = handle;
    atomic_compare_exchange_strong(&cancelled[slot_of(handle)], &expected, 0);
}
