//! Which handles live: values that say which slot of a table is theirs, of what kind they are and which of
//! the slot's many they are. A handle is looked up and never dereferenced, so that one that was closed, or
//! was never made, is seen. No part of the interface.
//!
//! Here and not in Swift, for cancelling may happen in a signal handler, where nothing may be initialised,
//! locked or taken.
#pragma once

#include <stdbool.h>
#include <stdint.h>

/// What a handle is of.
typedef enum {
    CAPI_KIND_RUNTIME = 1,
    CAPI_KIND_MODEL = 2,
    CAPI_KIND_SESSION = 3,
} capi_kind;

enum {
    /// Handles that can live at once.
    CAPI_HANDLES_MAX = 4096,
};

/// Makes a handle; 0 where there are as many as there may be. Any thread.
uintptr_t capi_handle_make(capi_kind kind);

/// The slot of a handle that lives and is of that kind, in 0..<CAPI_HANDLES_MAX; -1 for any other value. Any
/// thread.
int32_t capi_handle_slot(uintptr_t handle, capi_kind kind);

/// Ends a handle that lives.
void capi_handle_end(uintptr_t handle);

/// Marks the session of a handle as cancelled; false where it is none. Async-signal-safe.
bool capi_handle_cancel(uintptr_t handle);

/// Whether it was marked since it was last cleared.
bool capi_handle_is_cancelled(uintptr_t handle);

/// Clears the mark.
void capi_handle_clear(uintptr_t handle);
