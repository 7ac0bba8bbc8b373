//! The variables that this process was given.

@preconcurrency @unsafe import Glibc

/// The environment.
package enum ProcessEnvironment {
    /// All variables; of one that stands there twice, the first counts, as it does for C.
    package static var variables: [String: String] {
        var variables: [String: String] = [:]
        var entry = unsafe environ
        // Where a program has cleared it, nothing is there.
        guard UInt(bitPattern: entry) != 0 else { return variables }
        while let text = unsafe entry.pointee {
            let parts = unsafe String(cString: text).split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2, variables[String(parts[0])] == nil {
                variables[String(parts[0])] = String(parts[1])
            }
            unsafe entry += 1
        }
        return variables
    }
}
