//! Whether the tests run under a sanitizer.

import Glibc

/// Whether the program of the tests is built with a sanitizer, and `thimble` beside it. Then memory is
/// shadowed, so that its growth and its limits say nothing, and everything takes several times as long.
public let isSanitized = ["__asan_init", "__tsan_init"].contains { (name: String) in
    unsafe dlsym(nil, name) != nil
}
