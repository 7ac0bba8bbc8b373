//! Calls of the C functions, short enough to read.

import CThimble
import Foundation
import TestSupport
import Testing

/// A structure that says its size.
protocol SizedStructure {
    init()
    var struct_size: Int { get set }
}

extension thimble_error: SizedStructure {}
extension thimble_runtime_options: SizedStructure {}
extension thimble_device_info: SizedStructure {}
extension thimble_model_options: SizedStructure {}
extension thimble_plan_figures: SizedStructure {}
extension thimble_model_info: SizedStructure {}
extension thimble_model_stats: SizedStructure {}
extension thimble_image: SizedStructure {}
extension thimble_document: SizedStructure {}
extension thimble_generate_options: SizedStructure {}
extension thimble_result: SizedStructure {}
extension thimble_piece: SizedStructure {}
extension thimble_session_info: SizedStructure {}
extension thimble_page: SizedStructure {}

/// A structure as a caller prepares it.
func sized<Structure: SizedStructure>(
    _ type: Structure.Type = Structure.self, _ change: (inout Structure) -> Void = { _ in }
) -> Structure {
    var value = Structure()
    value.struct_size = MemoryLayout<Structure>.size
    change(&value)
    return value
}

/// What a call that failed said.
struct CallError: Error, Equatable {
    let status: thimble_status
    let detail: thimble_detail
    let text: String
    let systemError: Int32
}

/// The name of a status.
func name(_ status: thimble_status) -> String { unsafe String(cString: thimble_status_name(status)) }

/// Makes a call that must not fail.
func check(_ call: (UnsafeMutablePointer<thimble_error>?) -> thimble_status) throws {
    if let error = unsafe failure(call) { throw error }
}

/// Makes a call; what it said where it failed.
func failure(_ call: (UnsafeMutablePointer<thimble_error>?) -> thimble_status) -> CallError? {
    var error = sized(thimble_error.self)
    let status = unsafe call(&error)
    if status == THIMBLE_OK {
        #expect(error.status == THIMBLE_OK, "a call that did not fail has touched the error")
        return nil
    }
    #expect(error.status == status)
    return CallError(
        status: status, detail: error.detail, text: string(error.text), systemError: error.system_error)
}

/// Expects a call to fail so.
func expectFailure(
    _ status: thimble_status, _ detail: thimble_detail = THIMBLE_DETAIL_NONE, _ what: String = "",
    at location: SourceLocation = #_sourceLocation,
    _ call: (UnsafeMutablePointer<thimble_error>?) -> thimble_status
) {
    let error = unsafe failure(call)
    #expect(
        error?.status == status && error?.detail == detail,
        "\(what): \(String(describing: error))", sourceLocation: location)
    #expect(error?.text.isEmpty == false, sourceLocation: location)
    // Without an error to fill in, the same.
    let again = call(nil)
    #expect(again == status, "\(what)", sourceLocation: location)
}

/// The text in an array of characters.
func string<Characters>(_ characters: Characters) -> String {
    unsafe withUnsafeBytes(of: characters) { bytes in
        let length = unsafe bytes.firstIndex(of: 0) ?? bytes.count
        return unsafe String(decoding: bytes[..<length], as: UTF8.self)
    }
}

/// A text that is asked for twice.
func twice(
    _ call: (
        UnsafeMutablePointer<CChar>?, UnsafeMutablePointer<Int>, UnsafeMutablePointer<thimble_error>?
    ) -> thimble_status
) throws -> String {
    var size = 0
    let first = unsafe failure { unsafe call(nil, &size, $0) }
    #expect(first?.status == THIMBLE_E_TOO_SMALL)
    // With one byte too few nothing is written.
    var text = [CChar](repeating: 7, count: size)
    var less = size - 1
    #expect(unsafe failure { unsafe call(&text, &less, $0) }?.status == THIMBLE_E_TOO_SMALL)
    #expect(less == size && text.allSatisfy { $0 == 7 })
    try unsafe check { unsafe call(&text, &size, $0) }
    #expect(text.last == 0 && size == text.count)
    return String(decoding: text.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

let readerPath = Fixtures.packageRoot.appending(path: "Models/reader.thimble").path
let voyagePath = Fixtures.packageRoot.appending(path: "Examples/voyage.txt").path

/// A handle: a value that nobody dereferences, and that any thread may have.
struct Handle: Equatable {
    private let bits: UInt

    init(_ pointer: OpaquePointer?) { bits = UInt(bitPattern: pointer) }

    @safe var pointer: OpaquePointer? { unsafe OpaquePointer(bitPattern: bits) }
}

/// C strings that live as long as this.
@safe final class CStrings {
    private var texts: [UnsafeMutablePointer<CChar>] = unsafe []

    @safe func pointer(_ text: String?) -> UnsafePointer<CChar>? {
        guard let text, let copy = unsafe strdup(text) else { return nil }
        unsafe texts.append(copy)
        return unsafe UnsafePointer(copy)
    }

    deinit { while let text = unsafe texts.popLast() { unsafe free(text) } }
}

/// A model that is open.
final class OpenModel {
    let runtime: Handle
    let model: Handle
    private var sessions: [Handle] = []

    /// The bundled model with a short context, on the CPU.
    init(context: UInt32 = 256, kvType: thimble_kv_type = THIMBLE_KV_DEFAULT) throws {
        var (runtime, model): (OpaquePointer?, OpaquePointer?)
        try unsafe check { unsafe thimble_runtime_create(nil, &runtime, $0) }
        self.runtime = unsafe Handle(runtime)
        let words = CStrings()
        var options = unsafe sized(thimble_model_options.self)
        unsafe options.device = words.pointer("cpu")
        unsafe options.threads = 2
        unsafe options.context = context
        unsafe options.kv_type = kvType
        try unsafe check { unsafe thimble_model_load(runtime, readerPath, &options, &model, $0) }
        self.model = unsafe Handle(model)
        withExtendedLifetime(words) {}
    }

    deinit {
        for session in sessions { unsafe thimble_session_close(session.pointer, nil) }
        #expect(unsafe thimble_model_close(model.pointer, nil) == THIMBLE_OK)
        #expect(unsafe thimble_runtime_close(runtime.pointer, nil) == THIMBLE_OK)
    }

    /// A session that is closed with the model, if not before.
    func session(_ text: String? = nil) throws -> Handle {
        var session: OpaquePointer?
        try unsafe check { unsafe thimble_session_create(model.pointer, &session, $0) }
        let opened = unsafe adopt(session)
        if let text { try say(text, in: opened) }
        return opened
    }

    /// Closes the session with the model.
    func adopt(_ session: OpaquePointer?) -> Handle {
        sessions.append(unsafe Handle(session))
        return unsafe Handle(session)
    }
}

/// Adds a text to a conversation.
func say(_ text: String, as role: thimble_role = THIMBLE_ROLE_USER, in session: Handle) throws {
    try unsafe check {
        unsafe thimble_session_append_text(session.pointer, role, text, text.utf8.count, $0)
    }
}

/// Adds a document to a conversation; returns its pages.
@discardableResult
func show(_ path: String, in session: Handle) throws -> UInt32 {
    var pages: UInt32 = 0
    let words = CStrings()
    var document = unsafe sized(thimble_document.self)
    unsafe document.path = words.pointer(path)
    try unsafe check { unsafe thimble_session_append_document(session.pointer, &document, &pages, $0) }
    withExtendedLifetime(words) {}
    return pages
}

/// The text of a message.
func message(_ index: Int, of session: Handle) throws -> String {
    try unsafe twice { unsafe thimble_session_message(session.pointer, index, nil, $0, $1, $2) }
}

/// How an answer is asked for: greedily, unless a seed is given.
struct Ask {
    var tokens: UInt32 = 8
    var seed: UInt64?
    var stops: [String] = []

    /// As the functions take it.
    @safe func withOptions<Result>(
        _ body: (UnsafePointer<thimble_generate_options>) throws -> Result
    ) rethrows -> Result {
        let words = CStrings()
        let pointers = unsafe stops.map { words.pointer($0) }
        defer { withExtendedLifetime(words) {} }
        return try unsafe pointers.withUnsafeBufferPointer { pointers in
            var options = unsafe sized(thimble_generate_options.self)
            unsafe options.max_tokens = tokens
            unsafe options.sets = UInt32(THIMBLE_SETS_TEMPERATURE)
            if let seed {
                unsafe options.sets |= UInt32(THIMBLE_SETS_SEED | THIMBLE_SETS_TOP_K)
                unsafe options.temperature = 2
                unsafe options.top_k = 50
                unsafe options.seed = seed
            }
            unsafe options.stops = pointers.baseAddress
            unsafe options.stop_count = pointers.count
            return try unsafe body(&options)
        }
    }
}

/// What hears an answer: a callback's context.
final class Listener {
    var text = ""
    var calls = 0
    /// Returns whether to go on.
    var hear: (Listener) -> Bool

    init(_ hear: @escaping (Listener) -> Bool = { _ in true }) { self.hear = hear }

    /// As a callback's context; the listener must outlive the call.
    @safe var context: UnsafeMutableRawPointer { unsafe Unmanaged.passUnretained(self).toOpaque() }

    @safe static let receive: thimble_text_fn = { context, text, length in
        let listener = unsafe Unmanaged<Listener>.fromOpaque(context!).takeUnretainedValue()
        let bytes = unsafe UnsafeRawBufferPointer(start: text, count: length)
        listener.text += unsafe String(decoding: bytes, as: UTF8.self)
        listener.calls += 1
        return listener.hear(listener) ? 0 : 1
    }
}

/// Answers, and returns the text and what came of it.
@discardableResult
func answer(_ session: Handle, _ ask: Ask = Ask()) throws -> (text: String, result: thimble_result) {
    let listener = Listener()
    var result = sized(thimble_result.self)
    try ask.withOptions { options in
        try unsafe check {
            unsafe thimble_session_generate(
                session.pointer, options, Listener.receive, listener.context, &result, $0)
        }
    }
    return (listener.text, result)
}

/// What one piece of an answer was.
struct Piece {
    let text: String
    let token: Int32
    let finish: thimble_finish
}

/// Begins an answer that is pulled.
func begin(_ session: Handle, _ ask: Ask = Ask()) throws {
    try ask.withOptions { options in
        try unsafe check { unsafe thimble_session_begin(session.pointer, options, $0) }
    }
}

/// The next piece of an answer.
func next(_ session: Handle) throws -> Piece {
    var piece = unsafe sized(thimble_piece.self)
    try unsafe check { unsafe thimble_session_next(session.pointer, &piece, $0) }
    #expect(unsafe strlen(piece.text) == piece.length)
    return unsafe Piece(text: String(cString: piece.text), token: piece.token, finish: piece.finish)
}

/// Ends an answer that was begun.
func finish(_ session: Handle) throws -> thimble_result {
    var result = sized(thimble_result.self)
    try unsafe check { unsafe thimble_session_finish(session.pointer, &result, $0) }
    return result
}

/// Answers a token at a time.
func pull(
    _ session: Handle, _ ask: Ask = Ask()
) throws -> (text: String, tokens: [Int32], result: thimble_result) {
    try begin(session, ask)
    var (text, tokens): (String, [Int32]) = ("", [])
    while true {
        let piece = try next(session)
        text += piece.text
        if piece.token >= 0 { tokens.append(piece.token) }
        if piece.finish != THIMBLE_FINISH_NONE { break }
    }
    return (text, tokens, try finish(session))
}

/// How far a conversation is.
func describe(_ session: Handle) throws -> thimble_session_info {
    var info = sized(thimble_session_info.self)
    try unsafe check { unsafe thimble_session_describe(session.pointer, &info, $0) }
    return info
}
