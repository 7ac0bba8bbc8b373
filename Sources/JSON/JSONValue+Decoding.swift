//! Types that say themselves how they are read, from JSON.

extension JSONValue {
    /// The value as a type that says itself how it is read. A whole number may be spelled `5.0` or `5e0`;
    /// one that passes Int is none.
    package func decoded<Value: Decodable>(
        as type: Value.Type = Value.self, keys: JSONKeys = .unchanged
    ) throws -> Value {
        try JSONReading(value: self, codingPath: [], keys: keys).read(type)
    }
}

/// A value on its way to a type.
private struct JSONReading: Decoder, SingleValueDecodingContainer {
    let value: JSONValue
    let codingPath: [any CodingKey]
    let keys: JSONKeys

    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func mismatch(_ type: Any.Type) -> DecodingError {
        let context = DecodingError.Context(
            codingPath: codingPath, debugDescription: "expected \(type), found \(value.summary)")
        return value == .null ? .valueNotFound(type, context) : .typeMismatch(type, context)
    }

    func inner(_ value: JSONValue, at key: any CodingKey) -> JSONReading {
        JSONReading(value: value, codingPath: codingPath + [key], keys: keys)
    }

    // MARK: Decoder

    func container<Key>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .object(let members) = value else { throw mismatch([String: Any].self) }
        return KeyedDecodingContainer(JSONMembers<Key>(reading: self, members: members))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .array(let elements) = value else { throw mismatch([Any].self) }
        return JSONElements(reading: self, elements: elements)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer { self }

    // MARK: Single values

    func decodeNil() -> Bool { value == .null }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try read(type) }

    func read<Value: Decodable>(_ type: Value.Type) throws -> Value {
        switch type {
        case is String.Type: try found(text, type)
        case is Bool.Type: try found(truth, type)
        case is Double.Type: try found(number, type)
        case is Float.Type: try found(float, type)
        case let integer as any FixedWidthInteger.Type: try found(whole(integer), type)
        default: try type.init(from: self)
        }
    }

    private func found<Value>(_ value: Any?, _ type: Value.Type) throws -> Value {
        guard let value = value as? Value else { throw mismatch(type) }
        return value
    }

    private var text: String? { if case .string(let text) = value { text } else { nil } }
    private var truth: Bool? { if case .bool(let truth) = value { truth } else { nil } }

    private var number: Double? {
        switch value {
        case .integer(let integer): Double(integer)
        case .number(let number): number
        default: nil
        }
    }

    /// By way of the decimal digits, which are rounded once: those of a number that a Float has written give
    /// that Float.
    private var float: Float? {
        guard let number, let float = Float("\(number)"), float.isFinite else { return nil }
        return float
    }

    private func whole<Integer: FixedWidthInteger>(_ type: Integer.Type) -> Integer? {
        switch value {
        case .integer(let integer): Integer(exactly: integer)
        case .number(let number): Integer(exactly: number)
        default: nil
        }
    }
}

/// The members of an object on their way to a type's properties.
private struct JSONMembers<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let reading: JSONReading
    let members: [String: JSONValue]

    var codingPath: [any CodingKey] { reading.codingPath }
    /// Names in the text that are keys as they stand.
    var allKeys: [Key] { members.keys.compactMap { Key(stringValue: $0) } }

    private func member(_ key: Key) -> JSONValue? { members[reading.keys.spelling(of: key)] }

    private func inner(_ key: Key) throws -> JSONReading {
        guard let value = member(key) else {
            throw DecodingError.keyNotFound(
                key,
                DecodingError.Context(
                    codingPath: codingPath, debugDescription: "\"\(key.stringValue)\" is missing"))
        }
        return reading.inner(value, at: key)
    }

    func contains(_ key: Key) -> Bool { member(key) != nil }
    func decodeNil(forKey key: Key) throws -> Bool { try inner(key).decodeNil() }
    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        try inner(key).read(type)
    }

    func nestedContainer<Nested>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> { try inner(key).container(keyedBy: type) }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try inner(key).unkeyedContainer()
    }

    func superDecoder() -> any Decoder {
        reading.inner(members[JSONKey.parent.stringValue] ?? .null, at: JSONKey.parent)
    }

    func superDecoder(forKey key: Key) throws -> any Decoder { try inner(key) }
}

/// The elements of an array on their way to a list, one after another.
private struct JSONElements: UnkeyedDecodingContainer {
    let reading: JSONReading
    let elements: [JSONValue]
    var currentIndex = 0

    init(reading: JSONReading, elements: [JSONValue]) {
        self.reading = reading
        self.elements = elements
    }

    var codingPath: [any CodingKey] { reading.codingPath }
    var count: Int? { elements.count }
    var isAtEnd: Bool { currentIndex == elements.count }

    /// Hands the next element to `body`, and goes on where that succeeds.
    private mutating func next<Value>(
        _ type: Any.Type, _ body: (JSONReading) throws -> Value
    ) throws -> Value {
        guard !isAtEnd else {
            throw DecodingError.valueNotFound(
                type,
                DecodingError.Context(
                    codingPath: codingPath + [JSONIndex(currentIndex)],
                    debugDescription: "the list ends after \(elements.count)"))
        }
        let value = try body(reading.inner(elements[currentIndex], at: JSONIndex(currentIndex)))
        currentIndex += 1
        return value
    }

    mutating func decodeNil() throws -> Bool {
        guard !isAtEnd, elements[currentIndex] == .null else { return false }
        currentIndex += 1
        return true
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try next(type) { try $0.read(type) }
    }

    mutating func nestedContainer<Nested>(
        keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> {
        try next([String: Any].self) { try $0.container(keyedBy: type) }
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try next([Any].self) { try $0.unkeyedContainer() }
    }

    mutating func superDecoder() throws -> any Decoder { try next(Any.self) { $0 } }
}
