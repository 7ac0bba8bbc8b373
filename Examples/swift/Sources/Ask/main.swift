// Asks a question of a document: Ask MODEL DOCUMENT QUESTION.

import CThimbleSystem
import Glibc

/// What a failed call says.
struct Fault: Error, CustomStringConvertible {
    let description: String
}

/// Calls with an error to fill in, and throws it where the call failed.
func check(_ call: (UnsafeMutablePointer<thimble_error>) -> thimble_status) throws {
    var error = thimble_error()
    error.struct_size = MemoryLayout<thimble_error>.size
    guard call(&error) != THIMBLE_OK else { return }
    throw withUnsafeBytes(of: error.text) { Fault(description: String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)) }
}

/// The answer to a question about a document.
func ask(model path: String, document: String, question: String) throws -> String {
    var runtime: OpaquePointer?
    try check { thimble_runtime_create(nil, &runtime, $0) }
    defer { thimble_runtime_close(runtime, nil) }

    var options = thimble_model_options()
    options.struct_size = MemoryLayout<thimble_model_options>.size
    options.host_memory = 256 << 20
    var model: OpaquePointer?
    try check { thimble_model_load(runtime, path, &options, &model, $0) }
    defer { thimble_model_close(model, nil) }

    var session: OpaquePointer?
    try check { thimble_session_create(model, &session, $0) }
    defer { thimble_session_close(session, nil) }

    try document.withCString { document in
        var pages = thimble_document()
        pages.struct_size = MemoryLayout<thimble_document>.size
        pages.path = document
        try check { thimble_session_append_document(session, &pages, nil, $0) }
    }
    try check { thimble_session_append_text(session, THIMBLE_ROLE_USER, question, question.utf8.count, $0) }

    var answer: [UInt8] = []
    try withUnsafeMutablePointer(to: &answer) { answer in
        try check {
            thimble_session_generate(
                session, nil,
                { context, text, length in
                    let answer = context!.assumingMemoryBound(to: [UInt8].self)
                    answer.pointee += UnsafeRawBufferPointer(start: text, count: length)
                    return 0
                }, answer, nil, $0)
        }
    }
    return String(decoding: answer, as: UTF8.self)
}

/// Says why it ends, and ends.
func fail(_ message: String, _ status: Int32) -> Never {
    let line = Array((message + "\n").utf8)
    write(STDERR_FILENO, line, line.count)
    exit(status)
}

guard CommandLine.arguments.count == 4 else { fail("usage: Ask MODEL DOCUMENT QUESTION", 64) }
do {
    let arguments = CommandLine.arguments
    print(try ask(model: arguments[1], document: arguments[2], question: arguments[3]))
} catch {
    fail("Ask: \(error)", 1)
}
