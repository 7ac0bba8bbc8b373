//! Structures that the caller's header may know in another size than this library, and texts both ways.

internal import CThimble

/// No structure of any header is larger: a size beyond that was never set. Bytes.
private let mostStructureBytes = 4096

/// Checks the size of a caller's structure, and that what this library does not know of it is zero. None at
/// all is right.
func checkStructure<Value>(_ structure: UnsafePointer<Value>?, _ name: String) throws(CallFault) {
    guard let structure = unsafe structure else { return }
    let bytes = unsafe UnsafeRawPointer(structure)
    let size = unsafe bytes.loadUnaligned(as: UInt.self)
    // Of a size that is no multiple of the alignment a field might be there by half.
    guard size >= MemoryLayout<UInt>.size, size <= UInt(mostStructureBytes),
        size % UInt(MemoryLayout<Value>.alignment) == 0
    else {
        throw .argument(
            THIMBLE_DETAIL_STRUCT_SIZE, "\(name): its struct_size is \(size); set it to sizeof of the type")
    }
    let known = MemoryLayout<Value>.size
    guard size > known else { return }
    for offset in known..<Int(size)
    where unsafe bytes.load(fromByteOffset: offset, as: UInt8.self) != 0 {
        throw CallFault(
            THIMBLE_E_UNSUPPORTED, THIMBLE_DETAIL_UNKNOWN_FIELD,
            "\(name): it sets a field at byte \(offset), and this library knows \(known) bytes of it")
    }
}

/// The same of one that is filled in.
func checkStructure<Value>(_ structure: UnsafeMutablePointer<Value>?, _ name: String) throws(CallFault) {
    try unsafe checkStructure(UnsafePointer(structure), name)
}

/// What the caller's structure says over `defaults`, which are all zero; those where there is none.
func read<Value: BitwiseCopyable>(
    _ structure: UnsafePointer<Value>?, over defaults: Value, _ name: String
) throws(CallFault) -> Value {
    try unsafe checkStructure(structure, name)
    guard let structure = unsafe structure else { return defaults }
    var value = defaults
    let size = unsafe UnsafeRawPointer(structure).loadUnaligned(as: Int.self)
    unsafe withUnsafeMutableBytes(of: &value) { bytes in
        unsafe bytes.copyMemory(
            from: UnsafeRawBufferPointer(start: structure, count: min(size, bytes.count)))
    }
    return value
}

/// Fills in as much of a caller's structure as it has, but for its size. Precondition: its size was checked.
func fill<Value: BitwiseCopyable>(_ structure: UnsafeMutablePointer<Value>?, with value: Value) {
    guard let structure = unsafe structure else { return }
    let target = UnsafeMutableRawPointer(structure)
    let size = unsafe target.loadUnaligned(as: Int.self)
    let start = MemoryLayout<Int>.size
    unsafe withUnsafeBytes(of: value) { bytes in
        let end = min(size, bytes.count)
        if end > start {
            unsafe (target + start).copyMemory(from: bytes.baseAddress! + start, byteCount: end - start)
        }
    }
}

/// Copies a text into an array of characters of `room` bytes, the last of which is zero: cut, where it is
/// longer, at a character.
func copy<Characters>(_ text: String, into characters: inout Characters, room: Int) {
    unsafe withUnsafeMutableBytes(of: &characters) { bytes in
        var count = 0
        for scalar in text.unicodeScalars {
            let encoded = UTF8.encode(scalar)!
            guard count + encoded.count < room else { break }
            for unit in encoded {
                unsafe bytes[count] = unit
                count += 1
            }
        }
        for index in count..<max(room, count) { unsafe bytes[index] = 0 }
    }
}

/// The same, into all of the array.
func copy<Characters>(_ text: String, into characters: inout Characters) {
    copy(text, into: &characters, room: MemoryLayout<Characters>.size)
}

/// The text that ends with a zero byte; nil for NULL.
func text(_ pointer: UnsafePointer<CChar>?, _ name: String) throws(CallFault) -> String? {
    guard let pointer = unsafe pointer else { return nil }
    guard let text = unsafe String(validatingCString: pointer) else {
        throw .argument(THIMBLE_DETAIL_ENCODING, "\(name) is not UTF-8")
    }
    return text
}

/// The same of one that must be there.
func requiredText(_ pointer: UnsafePointer<CChar>?, _ name: String) throws(CallFault) -> String {
    guard let text = try unsafe text(pointer, name) else { throw .null(name) }
    return text
}

/// The elements of an array of the caller's, which may be NULL where there are none.
func elements<Element>(
    _ pointer: UnsafePointer<Element>?, _ count: Int, _ name: String
) throws(CallFault) -> UnsafeBufferPointer<Element> {
    guard let pointer = unsafe pointer else {
        guard count == 0 else { throw .null(name) }
        return unsafe UnsafeBufferPointer(start: nil, count: 0)
    }
    guard count >= 0, count <= Int.max / MemoryLayout<Element>.stride else {
        throw .argument(THIMBLE_DETAIL_RANGE, "\(name) has no \(UInt(bitPattern: count)) elements")
    }
    return unsafe UnsafeBufferPointer(start: pointer, count: count)
}

/// The text of so many bytes.
func text(_ pointer: UnsafePointer<CChar>?, _ length: Int, _ name: String) throws(CallFault) -> String {
    let characters = try unsafe elements(pointer, length, name)
    guard let text = unsafe String(validating: characters.lazy.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    else { throw .argument(THIMBLE_DETAIL_ENCODING, "\(name) is not UTF-8") }
    return text
}

/// Gives `values` to a caller who has room for `count.pointee` of them, and says how many there are.
func give<Element: BitwiseCopyable>(
    _ values: [Element], to buffer: UnsafeMutablePointer<Element>?, _ count: UnsafeMutablePointer<Int>,
    _ name: String
) throws(CallFault) {
    let room = unsafe UInt(bitPattern: count.pointee)
    unsafe count.pointee = values.count
    guard let buffer = unsafe buffer, room >= UInt(values.count) else {
        throw CallFault(THIMBLE_E_TOO_SMALL, "\(name) takes room for \(values.count)")
    }
    for (index, value) in values.enumerated() { unsafe buffer[index] = value }
}

/// Gives a text with its zero byte, likewise.
func give(
    _ text: String, to buffer: UnsafeMutablePointer<CChar>?, _ size: UnsafeMutablePointer<Int>,
    _ name: String
) throws(CallFault) {
    try unsafe give(text.utf8.map { CChar(bitPattern: $0) } + [0], to: buffer, size, name)
}
