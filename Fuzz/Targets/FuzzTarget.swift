//! What a fuzz target is, and how it says that something is wrong.

/// A parser under test. A fault that the parser reports is a good end; a trap, or an invariant that does not
/// hold of what it accepts, is a finding.
protocol FuzzTarget {
    /// Parses `input`, and checks what holds of everything that is accepted; says whether it was.
    func run(_ input: [UInt8]) -> Bool
}

/// Stops the program where an invariant does not hold. (`precondition` would drop its message in release.)
func expect(_ condition: Bool, _ message: @autoclosure () -> String) {
    if !condition { fatalError(message()) }
}
