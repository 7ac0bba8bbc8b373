//! The budget that holds where no flag says anything: for a person to read.

import ArgumentParser
import Thimble

/// What the environment and its budget's file allow.
enum BudgetInForce {
    /// The limits, and where they come from or how to set them; what keeps a budget from being used, too.
    static var line: String {
        do {
            let budget = try EngineFlags.parse([]).merged()
            let memory = budget.memory
            let limits = [("host", memory.host), ("device", memory.device), ("total", memory.total)]
                .compactMap { name, size in size.map { "\(name) memory \($0)" } }
            let name = budget.name ?? Environment.budgetName
            let said = (name.map { [$0] } ?? []) + limits
            guard said.isEmpty else { return said.joined(separator: ", ") }
            return "no limit; set one with --host-memory, --budget or THIMBLE_BUDGET"
        } catch let error as ThimbleError { return error.message } catch let error as Failure {
            return error.message ?? "cannot be used"
        } catch { return "cannot be used: \(error)" }
    }
}
