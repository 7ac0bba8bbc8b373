//! Fuzzes budgets: TOML, and what a budget may say.

import JSON
@testable import Memory

/// Input: the TOML.
struct BudgetTarget: FuzzTarget {
    func run(_ input: [UInt8]) -> Bool {
        guard let budget = try? Budget(toml: input, file: "budget") else { return false }
        expect((try? budget.validate()) != nil, "an accepted budget is not valid")
        let again = try? Budget(toml: Array(budget.toml.utf8), file: "budget")
        expect(again == budget, "a budget changes when it is written and read")
        expect(budget.merged(over: Budget()) == budget, "a budget changes over nothing")
        expect(Budget().merged(over: budget) == budget, "a budget changes under nothing")
        expect(budget.merged(over: budget) == budget, "a budget changes over itself")
        if let json = budget.pageSettingsJSON {
            guard case .object(let pages) = try? JSONValue(parsing: Array(json.utf8)) else {
                fatalError("page settings are no JSON: \(json)")
            }
            expect(pages.count == budget.pages?.count, "page settings are not all there: \(json)")
        }
        return true
    }
}
