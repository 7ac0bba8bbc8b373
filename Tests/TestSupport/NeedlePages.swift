//! Makes pages of prose with facts hidden in them, and the questions that ask for the facts.

/// A sentence form in which a fact is stated, one of those that the bundled reader model was trained on.
public enum NeedleForm: CaseIterable, Sendable {
    case magicNumber, oneOfTheMagicNumbers, code, phoneNumber, price, password, ticketNumber

    /// The sentence that states the fact.
    public func sentence(key: String, value: String) -> String {
        switch self {
        case .magicNumber: "The special magic number for \(key) is: \(value)."
        case .oneOfTheMagicNumbers: "One of the special magic numbers for \(key) is: \(value)."
        case .code: "The code of \(key) is \(value)."
        case .phoneNumber: "The phone number of \(key) is \(value)."
        case .price: "The price of \(key) is \(value)."
        case .password: "The password for \(key) is \(value)."
        case .ticketNumber: "The ticket number of \(key) is: \(value)."
        }
    }

    /// The question that asks for the fact.
    public func question(key: String) -> String {
        switch self {
        case .magicNumber: "What is the special magic number for \(key)?"
        case .oneOfTheMagicNumbers:
            "What is the special magic number for \(key) mentioned in the provided text?"
        case .code: "What is the code of \(key)?"
        case .phoneNumber: "What is the phone number of \(key)?"
        case .price: "What is the price of \(key)?"
        case .password: "What is the password for \(key)?"
        case .ticketNumber: "What is the ticket number of \(key)?"
        }
    }
}

/// A fact in the prose.
public struct Needle: Sendable, Equatable {
    public let form: NeedleForm
    /// Two lower-case words with a hyphen between them.
    public let key: String
    /// 4 to 8 digits.
    public let value: String
    /// The page that states it, from 0.
    public let page: Int

    /// The sentence that states the fact.
    public var sentence: String { form.sentence(key: key, value: value) }
    /// The question that asks for the fact.
    public var question: String { form.question(key: key) }
    /// What a right answer says.
    public var answer: String { value }
}

/// Pages of running prose, one text a page, with the facts they state.
public struct NeedlePages: Sendable, Equatable {
    /// The text of each page: sentences with one space between them, no line breaks.
    public let pages: [String]
    /// The facts, in the order of the text; no two have the same key.
    public let needles: [Needle]

    /// The document that belongs to `seed`: the same for the same arguments, on every machine.
    /// - Parameters:
    ///   - pageCount: pages in all.
    ///   - charactersPerPage: length that a page's text comes close to and does not exceed; about 5,800
    ///     characters of DejaVu Sans at 9 pixels fill 588 x 840.
    ///   - needleCount: facts in all, spread over the pages at random.
    public init(seed: UInt64, pageCount: Int = 1, charactersPerPage: Int = 5_800, needleCount: Int = 1) {
        precondition(pageCount > 0 && needleCount >= 0 && charactersPerPage >= 80 * (needleCount + 2))
        var generator = SeededGenerator(seed: seed)
        let keys = Self.distinctKeys(needleCount, &generator)
        let needles = keys.map { key in
            Needle(
                form: generator.element(of: NeedleForm.allCases), key: key,
                value: Self.digits(generator.integer(in: 4...8), &generator),
                page: generator.integer(below: pageCount))
        }
        var pages: [String] = []
        var ordered: [Needle] = []
        var prose = Prose()
        for page in 0..<pageCount {
            let own = needles.filter { $0.page == page }
            let room = charactersPerPage - own.reduce(0) { $0 + $1.sentence.count + 1 }
            var sentences = prose.sentences(characters: room, &generator)
            // Places are drawn before anything is put in, and filled from the back, so that they stay valid.
            let places = own.map { _ in generator.integer(in: 0...sentences.count) }.sorted()
            for (place, needle) in zip(places, own).reversed() {
                sentences.insert(needle.sentence, at: place)
            }
            pages.append(sentences.joined(separator: " "))
            ordered += own
        }
        self.pages = pages
        self.needles = ordered
    }

    private static func distinctKeys(_ count: Int, _ generator: inout SeededGenerator) -> [String] {
        var keys: [String] = []
        while keys.count < count {
            let first = generator.element(of: Prose.keyWords)
            let second = generator.element(of: Prose.keyWords)
            let key = "\(first)-\(second)"
            if first != second, !keys.contains(key) { keys.append(key) }
        }
        return keys
    }

    private static func digits(_ count: Int, _ generator: inout SeededGenerator) -> String {
        (0..<count).map { _ in String(generator.integer(below: 10)) }.joined()
    }
}
