//! Whether the tests run under a sanitizer, and what they leave out then.

import Glibc

/// Whether the program of the tests is built with a sanitizer, and `thimble` beside it. Then memory is
/// shadowed, so that its growth and its limits say nothing, and everything takes several times as long.
public let isSanitized = isThreadSanitized || has("__asan_init")

/// Whether that is the thread sanitizer: the slowest, and it looks only at what threads do to each other.
public let isThreadSanitized = has("__tsan_init")

/// How many to try of `count` cases that are much alike: all of them, but a tenth under the thread sanitizer,
/// where the others would cost minutes and run no other code.
public func caseCount(_ count: Int) -> Int { isThreadSanitized ? max(1, count / 10) : count }

/// How many to try of `count` examples that go the same way through the same code and differ in their
/// numbers: all of them, but a tenth under a sanitizer, which sees the same in each. Nor does it see what a
/// driver computes.
public func exampleCount(_ count: Int) -> Int { isSanitized ? max(1, count / 10) : count }

private func has(_ name: String) -> Bool { unsafe dlsym(nil, name) != nil }
