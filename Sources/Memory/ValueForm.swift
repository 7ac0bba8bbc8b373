//! The forms that a budget's values have in TOML.

/// How a kind of value is read, held to its limits and written.
struct ValueForm<Value: Sendable>: Sendable {
    /// What a value must be, for messages: "a whole number from 1 to 1024".
    let expected: String
    /// The value; nil where the item is of another kind.
    let read: @Sendable (TOMLItem) -> Value?
    /// Whether the value may be stated.
    let accepts: @Sendable (Value) -> Bool
    /// As TOML writes it.
    let write: @Sendable (Value) -> String
}

extension ValueForm where Value == ByteSize {
    private static let examples = #"a size such as "900MiB", "1.5GiB" or "2GB", or a whole number of bytes"#

    /// A size, 0 among them.
    static let size = ValueForm.sizes(from: 0, examples)
    /// A size of a byte at least.
    static let someSize = ValueForm.sizes(from: 1, "\(examples), more than 0")
    /// Bytes a second.
    static let rate = ValueForm.sizes(
        from: 1, #"the bytes of a second, a size such as "25GB" or "900MB", more than 0"#)

    private static func sizes(from least: Int, _ expected: String) -> ValueForm {
        ValueForm(
            expected: expected,
            read: { item in
                switch item {
                case .text(let text): ByteSize(text)
                case .whole(let bytes) where bytes >= 0: ByteSize(bytes: bytes)
                default: nil
                }
            },
            accepts: { $0.bytes >= least },
            write: { TOMLItem.written($0.description) })
    }
}

extension ValueForm where Value == Int {
    /// A whole number of a range.
    static func whole(_ range: ClosedRange<Int>) -> ValueForm {
        ValueForm(
            expected: "a whole number from \(range.lowerBound) to \(range.upperBound)",
            read: { item in
                guard case .whole(let number) = item else { return nil }
                return number
            },
            accepts: range.contains, write: { String($0) })
    }

    /// A power of two of a range.
    static func powerOfTwo(_ range: ClosedRange<Int>) -> ValueForm {
        ValueForm(
            expected: "a power of two from \(range.lowerBound) to \(range.upperBound)",
            read: whole(range).read, accepts: { range.contains($0) && $0.nonzeroBitCount == 1 },
            write: { String($0) })
    }
}

extension ValueForm where Value == Double {
    /// A number of a range, which holds what is no number out.
    static func number(_ range: ClosedRange<Double>) -> ValueForm {
        let (least, most) = (TOMLItem.written(range.lowerBound), TOMLItem.written(range.upperBound))
        return ValueForm(
            expected: "a number from \(least) to \(most)",
            read: { item in
                switch item {
                case .whole(let number): Double(number)
                case .number(let number): number
                default: nil
                }
            },
            accepts: range.contains, write: { TOMLItem.written($0) })
    }
}

extension ValueForm where Value == String {
    private static let most = MemoryLimits.maximumTextByteCount

    /// Any text that is not empty.
    static let text = ValueForm(
        expected: "a text of 1 to \(most) bytes without the character U+0000",
        read: readText, accepts: isText, write: { TOMLItem.written($0) })

    /// A path below one of the system's folders. Such a path is read again and again, so it may not lead out.
    static func path(below folder: String) -> ValueForm {
        ValueForm(
            expected: "a path below \(folder) without . or .. in it",
            read: readText,
            accepts: { path in
                let rest = path.dropFirst(folder.count + 1)
                return isText(path) && path.hasPrefix(folder + "/")
                    && rest.split(separator: "/", omittingEmptySubsequences: false).allSatisfy {
                        !["", ".", ".."].contains($0)
                    }
            },
            write: { TOMLItem.written($0) })
    }

    private static let readText: @Sendable (TOMLItem) -> String? = { item in
        guard case .text(let text) = item else { return nil }
        return text
    }

    private static let isText: @Sendable (String) -> Bool = { text in
        (1...most).contains(text.utf8.count) && !text.utf8.contains(0)
    }
}

extension ValueForm where Value == [String] {
    /// A list of texts.
    static let texts = ValueForm(
        expected: "a list of at most \(MemoryLimits.maximumItemCount) texts",
        read: { item in
            guard case .list(let items) = item else { return nil }
            let texts = items.compactMap(ValueForm<String>.text.read)
            return texts.count == items.count ? texts : nil
        },
        accepts: { texts in
            texts.count <= MemoryLimits.maximumItemCount && texts.allSatisfy(ValueForm<String>.text.accepts)
        },
        write: { texts in
            let lines = texts.map { "    \(TOMLItem.written($0)),\n" }
            return texts.isEmpty ? "[]" : "[\n\(lines.joined())]"
        })
}

extension ValueForm where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    /// One of a few words.
    static var word: ValueForm {
        let words = Value.allCases.map { TOMLItem.written($0.rawValue) }
        return ValueForm(
            expected: "\(words.dropLast().joined(separator: ", ")) or \(words.last ?? "")",
            read: { ValueForm<String>.text.read($0).flatMap(Value.init(rawValue:)) },
            accepts: { _ in true }, write: { TOMLItem.written($0.rawValue) })
    }
}

extension ValueForm where Value == Budget.Device {
    /// A device by its name.
    static let device = ValueForm(
        expected: #""auto", "cpu", "vulkan" or "vulkan:N""#,
        read: { ValueForm<String>.text.read($0).flatMap(Budget.Device.init) },
        accepts: { device in
            guard case .vulkan(let number?) = device else { return true }
            return MemoryLimits.deviceNumber.contains(number)
        },
        write: { TOMLItem.written($0.description) })
}
