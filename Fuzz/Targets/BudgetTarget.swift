//! Fuzzes budgets: TOML, and what a budget may say.

import FoundationEssentials
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
            let pages = try? JSONDecoder().decode([String: AnyValue].self, from: Data(json.utf8))
            expect(pages?.count == budget.pages?.count, "page settings are no JSON: \(json)")
        }
        return true
    }
}

/// A value of JSON, whatever it is.
private struct AnyValue: Decodable {
    init(from decoder: any Decoder) throws {}
}
