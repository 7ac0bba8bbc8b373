//! Holds structures of other headers' sizes to the rules: smaller ones mean defaults, larger ones only zeros.

import CThimble
import Testing

/// A structure of another header: its size, what it holds, and bytes behind it.
private struct Sizes {
    let size: Int
    /// Where a byte is 1 that this library does not know; nil for nowhere.
    var unknown: Int?
    let status: thimble_status
    let detail: thimble_detail
}

/// Sizes around that of a structure of `known` bytes.
private func sizes(around known: Int) -> [Sizes] {
    let wrong = [0, 1, 7, 9, known - 1, known + 1, 4104, -8, Int.max].map {
        Sizes(size: $0, status: THIMBLE_E_INVALID_ARGUMENT, detail: THIMBLE_DETAIL_STRUCT_SIZE)
    }
    let right = [8, known - 8, known, known + 8, 4096].map {
        Sizes(size: $0, status: THIMBLE_OK, detail: THIMBLE_DETAIL_NONE)
    }
    let newer = [known, known + 7, known + 100].map {
        Sizes(
            size: known + 104, unknown: $0, status: THIMBLE_E_UNSUPPORTED,
            detail: THIMBLE_DETAIL_UNKNOWN_FIELD)
    }
    return wrong + right + newer
}

/// Calls with a structure in every size, and looks at what lies behind it.
private func expectRules<Structure: SizedStructure>(
    _ type: Structure.Type, at location: SourceLocation = #_sourceLocation,
    _ call: (UnsafeMutablePointer<Structure>, UnsafeMutablePointer<thimble_error>?) -> thimble_status
) {
    for sizes in sizes(around: MemoryLayout<Structure>.size) {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 8192, alignment: 8)
        defer { unsafe memory.deallocate() }
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: 8192)
        // What lies behind the structure is nobody's.
        let end = max(0, min(sizes.size, 4096))
        for offset in end..<8192 { unsafe memory.storeBytes(of: 0xA5, toByteOffset: offset, as: UInt8.self) }
        if let unknown = sizes.unknown {
            unsafe memory.storeBytes(of: 1, toByteOffset: unknown, as: UInt8.self)
        }
        let structure = unsafe memory.bindMemory(to: Structure.self, capacity: 1)
        unsafe memory.storeBytes(of: sizes.size, as: Int.self)
        let error = unsafe failure { unsafe call(structure, $0) }
        let (status, detail) = (error?.status ?? THIMBLE_OK, error?.detail ?? THIMBLE_DETAIL_NONE)
        #expect(
            status == sizes.status && detail == sizes.detail,
            "\(type), \(sizes): \(String(describing: error))", sourceLocation: location)
        #expect(unsafe memory.load(as: Int.self) == sizes.size, sourceLocation: location)
        let isUntouched = (end..<8192).allSatisfy {
            unsafe memory.load(fromByteOffset: $0, as: UInt8.self) == 0xA5
        }
        #expect(isUntouched || end < 8, "\(type), \(sizes)", sourceLocation: location)
    }
}

@Test func optionsFollowTheRules() throws {
    let model = try OpenModel()
    unsafe expectRules(thimble_runtime_options.self) { options, error in
        var runtime: OpaquePointer?
        let status = unsafe thimble_runtime_create(options, &runtime, error)
        if status == THIMBLE_OK { #expect(unsafe thimble_runtime_close(runtime, nil) == THIMBLE_OK) }
        return status
    }
    unsafe expectRules(thimble_model_options.self) { options, error in
        unsafe thimble_plan(
            model.runtime.pointer, readerPath, options, nil, THIMBLE_TEXT_PLAIN, nil, nil, error)
    }
    let session = try model.session("Hello.")
    unsafe expectRules(thimble_generate_options.self) { options, error in
        let status = unsafe thimble_session_begin(session.pointer, options, error)
        if status == THIMBLE_OK {
            #expect(unsafe thimble_session_finish(session.pointer, nil, nil) == THIMBLE_OK)
            #expect(unsafe thimble_session_rewind(session.pointer, 1, nil) == THIMBLE_OK)
        }
        return status
    }
}

@Test func resultsFollowTheRules() throws {
    let model = try OpenModel()
    let session = try model.session("Hello.")
    unsafe expectRules(thimble_device_info.self) {
        unsafe thimble_device_describe(model.runtime.pointer, 0, $0, $1)
    }
    unsafe expectRules(thimble_plan_figures.self) {
        unsafe thimble_plan(
            model.runtime.pointer, readerPath, nil, $0, THIMBLE_TEXT_PLAIN, nil, nil, $1)
    }
    unsafe expectRules(thimble_model_info.self) {
        unsafe thimble_model_describe(model.model.pointer, $0, $1)
    }
    unsafe expectRules(thimble_model_stats.self) {
        unsafe thimble_model_measure(model.model.pointer, $0, $1)
    }
    unsafe expectRules(thimble_session_info.self) {
        unsafe thimble_session_describe(session.pointer, $0, $1)
    }
    try begin(session)
    unsafe expectRules(thimble_piece.self) { unsafe thimble_session_next(session.pointer, $0, $1) }
    _ = try finish(session)
    unsafe expectRules(thimble_result.self) {
        let ask = Ask(tokens: 1)
        return unsafe ask.withOptions { [result = $0, error = $1] options in
            unsafe thimble_session_generate(session.pointer, options, nil, nil, result, error)
        }
    }
}

/// What an older header does not have is left at its default, and what it has is filled in.
@Test func aStructureOfAnOlderHeaderIsReadAsFarAsItGoes() throws {
    let model = try OpenModel()
    var options = unsafe sized(thimble_model_options.self)
    unsafe options.host_memory = 20 << 20
    unsafe options.context = 4096
    let size = unsafe MemoryLayout<thimble_model_options>.offset(of: \.device_memory)
    unsafe options.struct_size = size ?? 0
    let refused = unsafe failure {
        unsafe thimble_plan(
            model.runtime.pointer, readerPath, &options, nil, THIMBLE_TEXT_PLAIN, nil, nil, $0)
    }
    #expect(refused?.status == THIMBLE_E_BUDGET_EXCEEDED)
    // Of this one not even the limit is there.
    unsafe options.struct_size = 8
    var figures = sized(thimble_plan_figures.self)
    figures.struct_size = 16
    figures.host_limit = 77
    try unsafe check {
        unsafe thimble_plan(
            model.runtime.pointer, readerPath, &options, &figures, THIMBLE_TEXT_PLAIN, nil, nil, $0)
    }
    #expect(figures.host_bytes > 0 && figures.host_limit == 77)
}

@Test func anErrorOfAnotherSizeIsFilledAsFarAsItGoes() throws {
    let model = try OpenModel()
    for size in stride(from: 8, through: MemoryLayout<thimble_error>.size + 16, by: 8) {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 2048, alignment: 8)
        defer { unsafe memory.deallocate() }
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: 2048)
        for offset in size..<2048 { unsafe memory.storeBytes(of: 0xA5, toByteOffset: offset, as: UInt8.self) }
        let error = unsafe memory.bindMemory(to: thimble_error.self, capacity: 1)
        unsafe error.pointee.struct_size = size
        #expect(unsafe thimble_model_describe(model.model.pointer, nil, error) == THIMBLE_E_INVALID_ARGUMENT)
        let isUntouched = (size..<2048).allSatisfy {
            unsafe memory.load(fromByteOffset: $0, as: UInt8.self) == 0xA5
        }
        #expect(isUntouched, "\(size)")
        if size >= 12 { #expect(unsafe error.pointee.status == THIMBLE_E_INVALID_ARGUMENT) }
        guard size > 24 else { continue }
        let end = min(size, MemoryLayout<thimble_error>.size)
        #expect(unsafe memory.load(fromByteOffset: end - 1, as: UInt8.self) == 0, "\(size)")
        let text = unsafe String(cString: UnsafeRawPointer(memory + 24).assumingMemoryBound(to: CChar.self))
        #expect("info is NULL".hasPrefix(text) && (text.count == 12 || text.count == size - 25))
    }
    // One whose size was never set: the call does nothing.
    var error = thimble_error()
    var info = sized(thimble_model_info.self)
    #expect(unsafe thimble_model_describe(model.model.pointer, &info, &error) == THIMBLE_E_INVALID_ARGUMENT)
    #expect(info.context == 0 && error.status == THIMBLE_OK)
}
