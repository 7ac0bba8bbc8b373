//! The numbers of TOML.

extension TOMLItem {
    /// The number that `text` is; nil where it is none.
    /// - Throws: where it is a number or a date that cannot be kept. `line` is where it stands.
    init?(number text: String, line: Int) throws(TOMLFault) {
        let sign = text.hasPrefix("-") ? "-" : ""
        let unsigned = text.hasPrefix("-") || text.hasPrefix("+") ? text.dropFirst() : text[...]
        switch unsigned {
        case "inf":
            self = .number(sign.isEmpty ? .infinity : -.infinity)
            return
        case "nan":
            self = .number(.nan)
            return
        default: break
        }
        var digits: String?
        var radix = 10
        if let known = ["0x": 16, "0o": 8, "0b": 2][unsigned.prefix(2)],
            unsigned.startIndex == text.startIndex
        {
            radix = known
            digits = Self.digits(unsigned.dropFirst(2), radix: known)
        } else if let plain = Self.digits(unsigned, radix: 10), plain == "0" || !plain.hasPrefix("0") {
            digits = plain
        }
        if let digits {
            guard let number = Int(sign + digits, radix: radix) else {
                throw TOMLFault(line: line, detail: "\(text.quoted) is beyond what 64 bits hold")
            }
            self = .whole(number)
        } else if let fraction = Self.fraction(unsigned), let number = Double(sign + fraction) {
            self = .number(number)
        } else if Self.isMoment(unsigned) {
            throw TOMLFault(line: line, detail: "a date or a time; no budget has one")
        } else {
            return nil
        }
    }

    /// Digits without the underscores that may stand between two of them; nil where `text` is anything else.
    private static func digits(_ text: Substring, radix: Int) -> String? {
        let groups = text.split(separator: "_", omittingEmptySubsequences: false)
        let isDigits = groups.allSatisfy { group in
            !group.isEmpty
                && group.utf8.allSatisfy {
                    (Character(UnicodeScalar($0)).hexDigitValue ?? radix) < radix
                }
        }
        return isDigits ? groups.joined() : nil
    }

    /// A number with a fraction, an exponent or both, as `Double` reads it; nil where `text` is anything
    /// else.
    private static func fraction(_ text: Substring) -> String? {
        let mark = text.firstIndex { $0 == "e" || $0 == "E" }
        let parts = text[..<(mark ?? text.endIndex)].split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.count == 2 || mark != nil,
            let whole = digits(parts[0], radix: 10), whole == "0" || !whole.hasPrefix("0")
        else { return nil }
        var number = whole
        if parts.count == 2 {
            guard let fraction = digits(parts[1], radix: 10) else { return nil }
            number += "." + fraction
        }
        if let mark {
            var exponent = text[text.index(after: mark)...]
            number += "e"
            if let sign = exponent.first, sign == "+" || sign == "-" {
                number.append(sign)
                exponent.removeFirst()
            }
            guard let digits = digits(exponent, radix: 10) else { return nil }
            number += digits
        }
        return number
    }

    /// Whether `text` begins as a date or a time does.
    private static func isMoment(_ text: Substring) -> Bool {
        let digits = text.prefix { $0.isNumber }
        let mark = text[digits.endIndex...].first
        return digits.count == 4 && mark == "-" || digits.count == 2 && mark == ":"
    }
}
