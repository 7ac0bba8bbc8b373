//! Page settings within a budget: passed on to whoever draws pages, as JSON.

import JSON

extension Budget {
    /// The value of a page setting.
    public enum PageValue: Sendable, Equatable {
        case text(String)
        case whole(Int)
        case number(Double)
        case truth(Bool)
        case texts([String])
    }

    /// The page settings as JSON, for whoever knows their keys; nil where no `[pages]` is stated.
    public var pageSettingsJSON: String? {
        guard let pages else { return nil }
        // Texts and finite numbers, which `validate` asks for, are always JSON.
        guard let json = try? JSONText().text(of: pages) else {
            preconditionFailure("page settings that are no JSON: \(pages)")
        }
        return json
    }
}

extension Budget.PageValue: Encodable {
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let text): try container.encode(text)
        case .whole(let number): try container.encode(number)
        case .number(let number): try container.encode(number)
        case .truth(let truth): try container.encode(truth)
        case .texts(let texts): try container.encode(texts)
        }
    }
}

extension Budget.PageValue {
    /// What a value of `[pages]` must be.
    static let expected = "a text, a number, true, false, or a list of texts"

    /// Nil where `item` is nothing that a page setting can be.
    init?(_ item: TOMLItem) {
        switch item {
        case .text(let text): self = .text(text)
        case .whole(let number): self = .whole(number)
        case .number(let number): self = .number(number)
        case .truth(let truth): self = .truth(truth)
        case .list:
            guard let texts = ValueForm.texts.read(item) else { return nil }
            self = .texts(texts)
        case .table: return nil
        }
    }

    /// Whether it may be stated.
    var isValid: Bool {
        switch self {
        case .text(let text): ValueForm.text.accepts(text)
        case .number(let number): number.isFinite
        case .texts(let texts): ValueForm.texts.accepts(texts)
        case .whole, .truth: true
        }
    }

    /// As TOML writes it.
    var written: String {
        switch self {
        case .text(let text): TOMLItem.written(text)
        case .whole(let number): String(number)
        // With a fraction even if it has none, so that it is read as what it is.
        case .number(let number): "\(number)"
        case .truth(let truth): String(truth)
        case .texts(let texts): ValueForm.texts.write(texts)
        }
    }
}
