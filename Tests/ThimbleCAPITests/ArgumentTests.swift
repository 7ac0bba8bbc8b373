//! Every function with every argument that cannot be: a code, and no crash.

import CThimble
import Foundation
import TestSupport
import Testing

/// Values that are no handles, or none of the kind: NULL, numbers, pointers, closed ones, other kinds.
private func badHandles(
    _ others: [Handle], closed: Handle
) -> [(pointer: OpaquePointer?, detail: thimble_detail)] {
    let numbers: [UInt] = [1, 3, 5, 16, 0x1234, 0x1_0003, UInt.max, UInt.max - 1, 1 << 47, 0x7fff_0000_0001]
    var bad: [(OpaquePointer?, thimble_detail)] = unsafe [(nil, THIMBLE_DETAIL_NULL)]
    for number in numbers { unsafe bad.append((OpaquePointer(bitPattern: number), THIMBLE_DETAIL_HANDLE)) }
    for other in others + [closed] { unsafe bad.append((other.pointer, THIMBLE_DETAIL_HANDLE)) }
    // A neighbour's number in a handle's slot.
    let neighbour = UInt(bitPattern: closed.pointer) ^ 1 << 20
    unsafe bad.append((OpaquePointer(bitPattern: neighbour), THIMBLE_DETAIL_HANDLE))
    return unsafe bad
}

/// Handles of all kinds, one of each closed.
private struct Handles {
    let model: OpenModel
    let session: Handle
    let closedRuntime: Handle
    let closedModel: Handle
    let closedSession: Handle

    init() throws {
        model = try OpenModel()
        session = try model.session("Hello.")
        let other = try OpenModel()
        (closedRuntime, closedModel) = (other.runtime, other.model)
        closedSession = try model.session()
        try unsafe check { [closedSession] in unsafe thimble_session_close(closedSession.pointer, $0) }
        withExtendedLifetime(other) {}
    }
}

private typealias Call = (OpaquePointer?, UnsafeMutablePointer<thimble_error>?) -> thimble_status

@Test func functionsOfRuntimesRefuseWhatIsNone() throws {
    let handles = try Handles()
    var info = sized(thimble_device_info.self)
    var document = unsafe sized(thimble_document.self)
    let words = CStrings()
    unsafe document.path = words.pointer(voyagePath)
    var model: OpaquePointer?
    let calls: [(String, Call)] = unsafe [
        ("close", { unsafe thimble_runtime_close($0, $1) }),
        ("describe", { unsafe thimble_device_describe($0, 0, &info, $1) }),
        ("plan", { unsafe thimble_plan($0, readerPath, nil, nil, THIMBLE_TEXT_PLAIN, nil, nil, $1) }),
        ("load", { unsafe thimble_model_load($0, readerPath, nil, &model, $1) }),
        ("render", { unsafe thimble_render_document($0, &document, { _, _ in 0 }, nil, $1) }),
    ]
    for unsafe(name, call) in unsafe calls {
        for unsafe(pointer, detail) in unsafe badHandles(
            [handles.model.model, handles.session], closed: handles.closedRuntime)
        {
            unsafe expectFailure(THIMBLE_E_INVALID_ARGUMENT, detail, "\(name) \(pointer as Any)") {
                unsafe call(pointer, $0)
            }
        }
    }
    #expect(unsafe model == nil)
}

@Test func functionsOfModelsRefuseWhatIsNone() throws {
    let handles = try Handles()
    var info = sized(thimble_model_info.self)
    var stats = sized(thimble_model_stats.self)
    var (count, size) = (0, 0)
    var session: OpaquePointer?
    let calls: [(String, Call)] = unsafe [
        ("close", { unsafe thimble_model_close($0, $1) }),
        ("describe", { unsafe thimble_model_describe($0, &info, $1) }),
        ("measure", { unsafe thimble_model_measure($0, &stats, $1) }),
        ("tokenize", { unsafe thimble_tokenize($0, "a", 1, nil, &count, $1) }),
        ("detokenize", { unsafe thimble_detokenize($0, nil, 0, nil, &size, $1) }),
        ("create", { unsafe thimble_session_create($0, &session, $1) }),
        ("restore", { unsafe thimble_session_restore($0, "a", &session, $1) }),
    ]
    for unsafe(name, call) in unsafe calls {
        for unsafe(pointer, detail) in unsafe badHandles(
            [handles.model.runtime, handles.session], closed: handles.closedModel)
        {
            unsafe expectFailure(THIMBLE_E_INVALID_ARGUMENT, detail, "\(name) \(pointer as Any)") {
                unsafe call(pointer, $0)
            }
        }
    }
    #expect(unsafe session == nil)
}

@Test func functionsOfSessionsRefuseWhatIsNone() throws {
    let handles = try Handles()
    var info = sized(thimble_session_info.self)
    var piece = unsafe sized(thimble_piece.self)
    let image = unsafe sized(thimble_image.self)
    let document = unsafe sized(thimble_document.self)
    var size = 0
    var fork: OpaquePointer?
    let calls: [(String, Call)] = unsafe [
        ("close", { unsafe thimble_session_close($0, $1) }),
        ("text", { unsafe thimble_session_append_text($0, THIMBLE_ROLE_USER, "a", 1, $1) }),
        ("image", { unsafe thimble_session_append_image($0, [image], $1) }),
        ("document", { unsafe thimble_session_append_document($0, [document], nil, $1) }),
        ("generate", { unsafe thimble_session_generate($0, nil, nil, nil, nil, $1) }),
        ("begin", { unsafe thimble_session_begin($0, nil, $1) }),
        ("next", { unsafe thimble_session_next($0, &piece, $1) }),
        ("finish", { unsafe thimble_session_finish($0, nil, $1) }),
        ("rewind", { unsafe thimble_session_rewind($0, 0, $1) }),
        ("fork", { unsafe thimble_session_fork($0, &fork, $1) }),
        ("save", { unsafe thimble_session_save($0, "a", $1) }),
        ("describe", { unsafe thimble_session_describe($0, &info, $1) }),
        ("message", { unsafe thimble_session_message($0, 0, nil, nil, &size, $1) }),
    ]
    for unsafe(name, call) in unsafe calls {
        for unsafe(pointer, detail) in unsafe badHandles(
            [handles.model.runtime, handles.model.model], closed: handles.closedSession)
        {
            unsafe expectFailure(THIMBLE_E_INVALID_ARGUMENT, detail, "\(name) \(pointer as Any)") {
                unsafe call(pointer, $0)
            }
            #expect(unsafe thimble_session_cancel(pointer) == THIMBLE_E_INVALID_ARGUMENT)
        }
    }
    #expect(unsafe fork == nil)
    #expect(unsafe thimble_session_cancel(handles.session.pointer) == THIMBLE_OK)
}

@Test func pointersThatMayNotBeNullAreRefused() throws {
    let handles = try Handles()
    let (runtime, model, session) = (handles.model.runtime, handles.model.model, handles.session)
    let words = CStrings()
    let nothing = unsafe sized(thimble_document.self)
    var pixels = unsafe sized(thimble_image.self)
    unsafe pixels.byte_count = 5
    var stops = unsafe sized(thimble_generate_options.self)
    unsafe stops.stop_count = 1
    var (size, other): (Int, OpaquePointer?) = (0, nil)
    let none = unsafe Optional(words.pointer(nil))
    var nullStop = unsafe sized(thimble_generate_options.self)
    unsafe nullStop.stop_count = 1
    typealias Call = (UnsafeMutablePointer<thimble_error>?) -> thimble_status
    let calls: [Call] = unsafe [
        { unsafe thimble_runtime_create(nil, nil, $0) },
        { unsafe thimble_device_describe(runtime.pointer, 0, nil, $0) },
        { unsafe thimble_plan(runtime.pointer, nil, nil, nil, THIMBLE_TEXT_PLAIN, nil, nil, $0) },
        { unsafe thimble_model_load(runtime.pointer, nil, nil, &other, $0) },
        { unsafe thimble_model_load(runtime.pointer, readerPath, nil, nil, $0) },
        { unsafe thimble_render_document(runtime.pointer, nil, { _, _ in 0 }, nil, $0) },
        { unsafe thimble_render_document(runtime.pointer, [nothing], { _, _ in 0 }, nil, $0) },
        { unsafe thimble_render_document(runtime.pointer, [nothing], nil, nil, $0) },
        { unsafe thimble_model_describe(model.pointer, nil, $0) },
        { unsafe thimble_model_measure(model.pointer, nil, $0) },
        { unsafe thimble_tokenize(model.pointer, nil, 1, nil, &size, $0) },
        { unsafe thimble_tokenize(model.pointer, "a", 1, nil, nil, $0) },
        { unsafe thimble_detokenize(model.pointer, nil, 1, nil, &size, $0) },
        { unsafe thimble_detokenize(model.pointer, [1], 1, nil, nil, $0) },
        { unsafe thimble_session_create(model.pointer, nil, $0) },
        { unsafe thimble_session_restore(model.pointer, nil, &other, $0) },
        { unsafe thimble_session_restore(model.pointer, "a", nil, $0) },
        { unsafe thimble_session_append_text(session.pointer, THIMBLE_ROLE_USER, nil, 1, $0) },
        { unsafe thimble_session_append_image(session.pointer, nil, $0) },
        { unsafe thimble_session_append_image(session.pointer, [pixels], $0) },
        { unsafe thimble_session_append_document(session.pointer, nil, nil, $0) },
        { unsafe thimble_session_append_document(session.pointer, [nothing], nil, $0) },
        { unsafe thimble_session_generate(session.pointer, [stops], nil, nil, nil, $0) },
        { unsafe thimble_session_begin(session.pointer, [stops], $0) },
        { error in
            unsafe withUnsafePointer(to: none) { stop in
                unsafe stop.withMemoryRebound(to: Optional<UnsafePointer<CChar>>.self, capacity: 1) {
                    unsafe nullStop.stops = $0
                    return unsafe thimble_session_begin(session.pointer, [nullStop], error)
                }
            }
        },
        { unsafe thimble_session_next(session.pointer, nil, $0) },
        { unsafe thimble_session_fork(session.pointer, nil, $0) },
        { unsafe thimble_session_save(session.pointer, nil, $0) },
        { unsafe thimble_session_describe(session.pointer, nil, $0) },
        { unsafe thimble_session_message(session.pointer, 0, nil, nil, nil, $0) },
    ]
    for unsafe(index, call) in unsafe calls.enumerated() {
        unsafe expectFailure(THIMBLE_E_INVALID_ARGUMENT, THIMBLE_DETAIL_NULL, "number \(index)", call)
    }
    #expect(unsafe other == nil)
    var stats = sized(thimble_model_stats.self)
    try unsafe check { unsafe thimble_model_measure(model.pointer, &stats, $0) }
    #expect(stats.sessions == 1)
}

@Test func valuesOutOfRangeAreRefused() throws {
    let handles = try Handles()
    let (runtime, model, session) = (handles.model.runtime, handles.model.model, handles.session)
    let words = CStrings()
    let latin = "caf\u{E9}".unicodeScalars.map { CChar(truncatingIfNeeded: Int($0.value)) } + [0]
    func document(_ change: (inout thimble_document) -> Void) -> thimble_document {
        var document = unsafe sized(thimble_document.self)
        unsafe document.path = words.pointer(voyagePath)
        unsafe change(&document)
        return unsafe document
    }
    func image(_ change: (inout thimble_image) -> Void) -> thimble_image {
        var image = unsafe sized(thimble_image.self)
        let bytes = unsafe UnsafeRawPointer(words.pointer("0123456789AB")!)
        unsafe image.bytes = bytes.assumingMemoryBound(to: UInt8.self)
        unsafe image.byte_count = 12
        unsafe change(&image)
        return unsafe image
    }
    func options(_ change: (inout thimble_model_options) -> Void) -> thimble_model_options {
        var options = unsafe sized(thimble_model_options.self)
        unsafe change(&options)
        return unsafe options
    }
    func ask(_ change: (inout thimble_generate_options) -> Void) -> thimble_generate_options {
        var options = unsafe sized(thimble_generate_options.self)
        unsafe change(&options)
        return unsafe options
    }
    func plan(
        _ options: thimble_model_options, _ error: UnsafeMutablePointer<thimble_error>?
    ) -> thimble_status {
        unsafe thimble_plan(
            runtime.pointer, readerPath, [options], nil, THIMBLE_TEXT_PLAIN, nil, nil, error)
    }
    var (size, other): (Int, OpaquePointer?) = (0, nil)
    var device = sized(thimble_device_info.self)
    var piece = unsafe sized(thimble_piece.self)
    typealias Call = (UnsafeMutablePointer<thimble_error>?) -> thimble_status
    let invalid = THIMBLE_E_INVALID_ARGUMENT
    let calls: [(thimble_status, thimble_detail, Call)] = unsafe [
        (
            invalid, THIMBLE_DETAIL_RANGE,
            {
                unsafe thimble_device_describe(runtime.pointer, .max, &device, $0)
            }
        ),
        (
            invalid, THIMBLE_DETAIL_RANGE,
            {
                unsafe thimble_plan(
                    runtime.pointer, readerPath, nil, nil, thimble_text_form(rawValue: 9), nil, nil, $0)
            }
        ),
        (
            THIMBLE_E_INPUT_MISSING, THIMBLE_DETAIL_NONE,
            {
                unsafe thimble_model_load(runtime.pointer, "no/such/file", nil, &other, $0)
            }
        ),
        (
            THIMBLE_E_CORRUPT, THIMBLE_DETAIL_NONE,
            {
                unsafe thimble_model_load(runtime.pointer, voyagePath, nil, &other, $0)
            }
        ),
        (
            invalid, THIMBLE_DETAIL_ENCODING,
            {
                unsafe thimble_model_load(runtime.pointer, latin, nil, &other, $0)
            }
        ),
        (invalid, THIMBLE_DETAIL_RANGE, { unsafe plan(options { unsafe $0.host_memory = .max }, $0) }),
        (invalid, THIMBLE_DETAIL_NONE, { unsafe plan(options { unsafe $0.threads = .max }, $0) }),
        (invalid, THIMBLE_DETAIL_NONE, { unsafe plan(options { unsafe $0.context = .max }, $0) }),
        (
            invalid, THIMBLE_DETAIL_RANGE,
            {
                unsafe plan(options { unsafe $0.kv_type = thimble_kv_type(rawValue: 9) }, $0)
            }
        ),
        (
            THIMBLE_E_NO_DEVICE, THIMBLE_DETAIL_NONE,
            {
                unsafe plan(options { unsafe $0.device = words.pointer("abacus") }, $0)
            }
        ),
        (
            THIMBLE_E_INPUT_MISSING, THIMBLE_DETAIL_NONE,
            {
                unsafe plan(options { unsafe $0.budget = words.pointer("no-such-board") }, $0)
            }
        ),
        (invalid, THIMBLE_DETAIL_RANGE, { unsafe thimble_tokenize(model.pointer, "a", -1, nil, &size, $0) }),
        (
            invalid, THIMBLE_DETAIL_ENCODING,
            {
                unsafe thimble_tokenize(model.pointer, latin, 4, nil, &size, $0)
            }
        ),
        (invalid, THIMBLE_DETAIL_NONE, { unsafe thimble_detokenize(model.pointer, [-1], 1, nil, &size, $0) }),
        (
            invalid, THIMBLE_DETAIL_NONE,
            {
                unsafe thimble_detokenize(model.pointer, [.max], 1, nil, &size, $0)
            }
        ),
        (
            invalid, THIMBLE_DETAIL_RANGE,
            {
                unsafe thimble_detokenize(model.pointer, [1], -1, nil, &size, $0)
            }
        ),
        (
            invalid, THIMBLE_DETAIL_RANGE,
            {
                unsafe thimble_session_append_text(session.pointer, thimble_role(rawValue: 7), "a", 1, $0)
            }
        ),
        (
            invalid, THIMBLE_DETAIL_ENCODING,
            {
                unsafe thimble_session_append_text(session.pointer, THIMBLE_ROLE_USER, latin, 4, $0)
            }
        ),
        (
            invalid, THIMBLE_DETAIL_RANGE,
            {
                unsafe thimble_session_append_image(
                    session.pointer, [image { unsafe $0.format = thimble_image_format(rawValue: 5) }], $0)
            }
        ),
        (
            invalid, THIMBLE_DETAIL_RANGE,
            {
                unsafe thimble_session_append_image(session.pointer, [image { unsafe $0.width = 2 }], $0)
            }
        ),
        (
            THIMBLE_E_UNSUPPORTED, THIMBLE_DETAIL_NONE,
            {
                unsafe thimble_session_append_image(session.pointer, [image { _ in }], $0)
            }
        ),
        (
            invalid, THIMBLE_DETAIL_RANGE,
            {
                unsafe thimble_session_append_image(
                    session.pointer,
                    [
                        image {
                            unsafe $0.format = THIMBLE_IMAGE_RGB
                            unsafe $0.width = 2
                            unsafe $0.height = 3
                        }
                    ], $0)
            }
        ),
        (
            THIMBLE_E_CORRUPT, THIMBLE_DETAIL_NONE,
            {
                unsafe thimble_session_append_image(
                    session.pointer,
                    [
                        image {
                            unsafe $0.format = THIMBLE_IMAGE_RGB
                            unsafe $0.width = .max
                            unsafe $0.height = .max
                        }
                    ], $0)
            }
        ),
        (
            invalid, THIMBLE_DETAIL_RANGE,
            {
                unsafe thimble_session_append_document(
                    session.pointer, [document { unsafe $0.first_page = 999 }], nil, $0)
            }
        ),
        (
            invalid, THIMBLE_DETAIL_RANGE,
            {
                unsafe thimble_session_append_document(
                    session.pointer, [document { unsafe $0.page_count = .max }], nil, $0)
            }
        ),
        (
            invalid, THIMBLE_DETAIL_RANGE,
            {
                unsafe thimble_session_append_document(
                    session.pointer, [document { unsafe $0.mode = thimble_reading_mode(rawValue: 4) }], nil,
                    $0)
            }
        ),
        (
            // A text has no pages of its own.
            invalid, THIMBLE_DETAIL_NONE,
            {
                unsafe thimble_session_append_document(
                    session.pointer, [document { unsafe $0.mode = THIMBLE_READING_PAGE }], nil, $0)
            }
        ),
        (
            THIMBLE_E_INPUT_MISSING, THIMBLE_DETAIL_NONE,
            {
                unsafe thimble_session_append_document(
                    session.pointer, [document { unsafe $0.path = words.pointer("-") }], nil, $0)
            }
        ),
        (
            THIMBLE_E_INPUT_MISSING, THIMBLE_DETAIL_NONE,
            {
                unsafe thimble_session_append_document(
                    session.pointer, [document { unsafe $0.font = words.pointer("none.ttf") }], nil, $0)
            }
        ),
        (
            THIMBLE_E_CONTEXT_FULL, THIMBLE_DETAIL_NONE,
            {
                unsafe thimble_session_append_document(session.pointer, [document { _ in }], nil, $0)
            }
        ),
        (
            THIMBLE_E_UNSUPPORTED, THIMBLE_DETAIL_UNKNOWN_FIELD,
            {
                unsafe thimble_session_begin(session.pointer, [ask { unsafe $0.sets = 256 }], $0)
            }
        ),
        (
            invalid, THIMBLE_DETAIL_NONE,
            {
                unsafe thimble_session_begin(
                    session.pointer,
                    [
                        ask {
                            unsafe $0.sets = 1
                            unsafe $0.temperature = .nan
                        }
                    ], $0)
            }
        ),
        (
            invalid, THIMBLE_DETAIL_RANGE,
            {
                unsafe thimble_session_begin(
                    session.pointer, [ask { unsafe $0.thinking = thimble_choice(rawValue: 3) }], $0)
            }
        ),
        (
            invalid, THIMBLE_DETAIL_RANGE,
            {
                unsafe thimble_session_begin(
                    session.pointer,
                    [
                        ask {
                            unsafe $0.stops = UnsafePointer(bitPattern: 8)
                            unsafe $0.stop_count = -1
                        }
                    ], $0)
            }
        ),
        (invalid, THIMBLE_DETAIL_RANGE, { unsafe thimble_session_rewind(session.pointer, 2, $0) }),
        (invalid, THIMBLE_DETAIL_RANGE, { unsafe thimble_session_rewind(session.pointer, -1, $0) }),
        (
            invalid, THIMBLE_DETAIL_RANGE,
            {
                unsafe thimble_session_message(session.pointer, 1, nil, nil, &size, $0)
            }
        ),
        (
            invalid, THIMBLE_DETAIL_RANGE,
            {
                unsafe thimble_session_message(session.pointer, -1, nil, nil, &size, $0)
            }
        ),
        (
            THIMBLE_E_CANNOT_CREATE, THIMBLE_DETAIL_NONE,
            {
                unsafe thimble_session_save(session.pointer, "/no/such/folder/a", $0)
            }
        ),
        (
            THIMBLE_E_INPUT_MISSING, THIMBLE_DETAIL_NONE,
            {
                unsafe thimble_session_restore(model.pointer, "/no/such/file", &other, $0)
            }
        ),
        (
            THIMBLE_E_CORRUPT, THIMBLE_DETAIL_NONE,
            {
                unsafe thimble_session_restore(model.pointer, voyagePath, &other, $0)
            }
        ),
        (invalid, THIMBLE_DETAIL_NOT_ANSWERING, { unsafe thimble_session_finish(session.pointer, nil, $0) }),
        (
            invalid, THIMBLE_DETAIL_NOT_ANSWERING,
            {
                unsafe thimble_session_next(session.pointer, &piece, $0)
            }
        ),
    ]
    for unsafe(index, (status, detail, call)) in unsafe calls.enumerated() {
        unsafe expectFailure(status, detail, "number \(index)", call)
    }
    #expect(unsafe other == nil)
    // None of it has left anything behind.
    let info = try describe(session)
    #expect(info.message_count == 1 && info.image_count == 0 && info.is_answering == 0)
    #expect(try answer(session).result.generated_tokens > 0)
}

@Test func theSystemsNumberIsTold() throws {
    let model = try OpenModel()
    var other: OpaquePointer?
    let error = unsafe failure {
        unsafe thimble_model_load(model.runtime.pointer, "/no/such/file", nil, &other, $0)
    }
    #expect(error?.systemError == ENOENT)
    let session = try model.session("a")
    let refused = unsafe failure { unsafe thimble_session_save(session.pointer, "/no/such/folder/a", $0) }
    #expect(refused?.systemError == ENOENT)
    let words = CStrings()
    // A folder opens, and is no document: the system is not at fault.
    for (path, number) in [("/no/such/page.txt", ENOENT), ("/dev/null/page.txt", ENOTDIR), ("/", 0)] {
        var document = unsafe sized(thimble_document.self)
        unsafe document.path = words.pointer(path)
        let refused = unsafe failure {
            unsafe thimble_session_append_document(session.pointer, &document, nil, $0)
        }
        #expect(refused?.status == THIMBLE_E_INPUT_MISSING && refused?.systemError == number, "\(path)")
    }
    withExtendedLifetime(words) {}
}

@Test func whatHasChildrenThatAreOpenIsNotClosed() throws {
    let model = try OpenModel()
    let session = try model.session("Hello.")
    unsafe expectFailure(THIMBLE_E_BUSY, THIMBLE_DETAIL_HAS_OPEN) {
        unsafe thimble_model_close(model.model.pointer, $0)
    }
    unsafe expectFailure(THIMBLE_E_BUSY, THIMBLE_DETAIL_HAS_OPEN) {
        unsafe thimble_runtime_close(model.runtime.pointer, $0)
    }
    #expect(try !answer(session).text.isEmpty)
}

@Test func thereAreOnlySoManyHandles() throws {
    var runtimes: [Handle] = []
    var status = THIMBLE_OK
    while status == THIMBLE_OK && runtimes.count <= 5000 {
        var runtime: OpaquePointer?
        status = unsafe thimble_runtime_create(nil, &runtime, nil)
        if status == THIMBLE_OK { runtimes.append(unsafe Handle(runtime)) }
    }
    let error = unsafe failure {
        var runtime: OpaquePointer?
        return unsafe thimble_runtime_create(nil, &runtime, $0)
    }
    for runtime in runtimes { #expect(unsafe thimble_runtime_close(runtime.pointer, nil) == THIMBLE_OK) }
    #expect(error?.status == THIMBLE_E_OUT_OF_MEMORY && error?.detail == THIMBLE_DETAIL_HANDLES)
    for runtime in runtimes {
        #expect(unsafe thimble_runtime_close(runtime.pointer, nil) == THIMBLE_E_INVALID_ARGUMENT)
    }
}
