//! The containers that a type which is written as JSON fills.

/// A node on its way to be filled by a type.
struct JSONWriting: Encoder, SingleValueEncodingContainer {
    let node: JSONNode
    let codingPath: [any CodingKey]
    let keys: JSONKeys

    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func inner(_ node: JSONNode, at key: any CodingKey) -> JSONWriting {
        JSONWriting(node: node, codingPath: codingPath + [key], keys: keys)
    }

    // MARK: Encoder

    func container<Key>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        // A type may ask twice for one object.
        if node.content == nil { node.content = .object([:]) }
        return KeyedEncodingContainer(JSONObjectWriting<Key>(writing: self))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        if node.content == nil { node.content = .array([]) }
        return JSONArrayWriting(writing: self)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }

    // MARK: Single values

    func encodeNil() { node.content = .word("null") }

    func encode<Value: Encodable>(_ value: Value) throws {
        switch value {
        case let text as String: node.content = .string(text)
        case let truth as Bool: node.content = .word(truth ? "true" : "false")
        case let number as Double: try write(number, isFinite: number.isFinite)
        case let number as Float: try write(number, isFinite: number.isFinite)
        case let number as any FixedWidthInteger: node.content = .word("\(number)")
        default: try value.encode(to: self)
        }
    }

    /// The fewest digits that give the number again.
    private func write(_ number: some CustomStringConvertible, isFinite: Bool) throws {
        let digits = number.description
        guard isFinite else {
            throw EncodingError.invalidValue(
                number,
                EncodingError.Context(codingPath: codingPath, debugDescription: "JSON has no \(digits)"))
        }
        node.content = .word(digits.hasSuffix(".0") ? String(digits.dropLast(2)) : digits)
    }
}

/// An object that is being filled.
private struct JSONObjectWriting<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let writing: JSONWriting

    var codingPath: [any CodingKey] { writing.codingPath }

    private func inner(_ key: any CodingKey) -> JSONWriting {
        writing.inner(writing.node.add(writing.keys.spelling(of: key)), at: key)
    }

    func encodeNil(forKey key: Key) { inner(key).encodeNil() }
    func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws { try inner(key).encode(value) }

    func nestedContainer<Nested>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> { inner(key).container(keyedBy: type) }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        inner(key).unkeyedContainer()
    }

    func superEncoder() -> any Encoder { inner(JSONKey.parent) }
    func superEncoder(forKey key: Key) -> any Encoder { inner(key) }
}

/// An array that is being filled.
private struct JSONArrayWriting: UnkeyedEncodingContainer {
    let writing: JSONWriting

    var codingPath: [any CodingKey] { writing.codingPath }
    var count: Int { if case .array(let elements) = writing.node.content { elements.count } else { 0 } }

    private func inner() -> JSONWriting {
        let index = JSONIndex(count)
        return writing.inner(writing.node.append(), at: index)
    }

    func encodeNil() { inner().encodeNil() }
    func encode<Value: Encodable>(_ value: Value) throws { try inner().encode(value) }

    func nestedContainer<Nested>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        inner().container(keyedBy: type)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { inner().unkeyedContainer() }
    func superEncoder() -> any Encoder { inner() }
}
