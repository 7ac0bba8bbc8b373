//! Fuzzes the C library: functions in any order, with handles and structures that may be none.

import CThimble
import FoundationEssentials
import Glibc

/// Input: an `InterfaceProgram`.
struct InterfaceTarget: FuzzTarget {
    private let runtime: UInt
    private let model: UInt
    /// Open as long as the target is, so that the model is.
    private let anchor: UInt
    private let folder: String
    private let modelPath: String

    init() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        folder = FileManager.default.temporaryDirectory.appending(path: "fuzz-\(getpid())").path
        // Drivers of GPUs are not what is fuzzed, and take a while to be asked.
        unsafe setenv("VK_DRIVER_FILES", "/dev/null", 1)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data("Words on a page.".utf8).write(to: URL(filePath: "\(folder)/text"))
        try Data(#"{"page-size": "100,60", "dpi": 72}"#.utf8).write(to: URL(filePath: "\(folder)/pages"))
        var (runtime, model, anchor): (OpaquePointer?, OpaquePointer?, OpaquePointer?)
        var options = unsafe thimble_model_options()
        unsafe options.struct_size = MemoryLayout<thimble_model_options>.size
        unsafe options.context = 256
        unsafe options.threads = 1
        let path = root.appending(path: "Models/reader.thimble").path
        modelPath = path
        let status = unsafe "cpu".withCString { device in
            unsafe options.device = device
            unsafe thimble_runtime_create(nil, &runtime, nil)
            return unsafe thimble_model_load(runtime, path, &options, &model, nil)
        }
        expect(status == THIMBLE_OK, "the bundled model does not load: \(status)")
        unsafe thimble_session_create(model, &anchor, nil)
        (self.runtime, self.model) = (UInt(bitPattern: runtime), UInt(bitPattern: model))
        self.anchor = UInt(bitPattern: anchor)
    }

    func run(_ input: [UInt8]) -> Bool {
        var program = InterfaceProgram(
            input, runtime: runtime, model: model, folder: folder, modelPath: modelPath)
        let hasAnswered = program.run()
        expect(stats().sessions == 1, "a session was not closed")
        return hasAnswered
    }

    private func stats() -> thimble_model_stats {
        var stats = thimble_model_stats()
        stats.struct_size = MemoryLayout<thimble_model_stats>.size
        let status = unsafe thimble_model_measure(OpaquePointer(bitPattern: model), &stats, nil)
        expect(status == THIMBLE_OK, "the model is not there any more")
        return stats
    }
}

/// Calls, one behind the other. Each is the byte of its function, that of the handle it is given, by its
/// place among those that were made, and then its arguments: bytes for numbers and sizes, and texts' bytes
/// behind their length. Handles that were closed stay where they are, and values that were never handles join
/// them.
struct InterfaceProgram {
    var reader: InputReader
    private var handles: [UInt]
    let folder: String
    let modelPath: String
    private var sessions: Set<UInt> = []
    /// Those that were made here, and are open; and how many models may yet be loaded, which takes a while.
    var models: Set<UInt> = []
    var runtimes: Set<UInt> = []
    var loads = 1
    /// Calls and tokens that are left: an input takes no longer than others.
    private var calls = 48
    private var tokens = 24
    private var hasAnswered = false

    init(_ input: [UInt8], runtime: UInt, model: UInt, folder: String, modelPath: String) {
        reader = InputReader(input)
        handles = [model, runtime]
        self.folder = folder
        self.modelPath = modelPath
    }

    /// Runs all calls, and closes what is open; returns whether a token was drawn.
    mutating func run() -> Bool {
        while !reader.isAtEnd && calls > 0 {
            calls -= 1
            let status = call()
            let name = unsafe String(cString: thimble_status_name(status))
            expect(name != "UNKNOWN" && name != "INTERNAL", "a call ended with \(status)")
        }
        for session in sessions {
            let status = unsafe thimble_session_close(OpaquePointer(bitPattern: session), nil)
            expect(status == THIMBLE_OK, "a session cannot be closed: \(status)")
        }
        closeModels()
        return hasAnswered
    }

    /// A structure as the input has it: mostly of its own size, sometimes of another one, and with bytes that
    /// may be anything in `fields`, a multiple of 4 from the second field on.
    mutating func structure<Structure: BitwiseCopyable>(
        _ zero: Structure, _ set: (inout Structure) -> Void = { _ in }
    ) -> UnsafeMutablePointer<Structure> {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 4096 + 64, alignment: 16)
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: 4096 + 64)
        let pointer = unsafe memory.bindMemory(to: Structure.self, capacity: 1)
        unsafe set(&pointer.pointee)
        let choice = reader.byte()
        let size = MemoryLayout<Structure>.size
        let sizes = [0, 7, 8, size - 8, size + 1, size + 8, 4096, 4104]
        unsafe memory.storeBytes(of: choice < 224 ? size : sizes[Int(choice % 8)], as: Int.self)
        if choice >= 240 { unsafe memory.storeBytes(of: choice, toByteOffset: size + 3, as: UInt8.self) }
        return unsafe pointer
    }

    private mutating func handle() -> OpaquePointer? {
        let index = Int(reader.byte())
        return index == 255 ? nil : unsafe OpaquePointer(bitPattern: handles[index % handles.count])
    }

    /// Keeps what was made among those of its kind.
    mutating func keep(
        _ status: thimble_status, _ made: OpaquePointer?,
        among kind: WritableKeyPath<InterfaceProgram, Set<UInt>>
    ) -> thimble_status {
        expect((status == THIMBLE_OK) == (unsafe made != nil), "a handle is there where the call failed")
        if let made = unsafe made {
            handles.append(UInt(bitPattern: made))
            self[keyPath: kind].insert(UInt(bitPattern: made))
        }
        return status
    }

    private mutating func call() -> thimble_status {
        let function = reader.byte() % 29
        let handle = unsafe handle()
        let error = reader.byte() < 240 ? unsafe structure(thimble_error()) : nil
        defer { unsafe error?.deallocate() }
        switch function {
        case 0, 1: return unsafe make(function, handle, error)
        case 2:
            let status = unsafe thimble_session_close(handle, error)
            if status == THIMBLE_OK { sessions.remove(UInt(bitPattern: handle)) }
            return status
        case 3...6: return unsafe add(function, handle, error)
        case 7...11: return unsafe answer(function, handle, error)
        case 12...16: return unsafe ask(function, handle, error)
        case 17...20: return unsafe askModel(function, handle, error)
        case 22...28: return unsafe useRuntime(function, handle, error)
        default:
            handles.append(
                reader.bytes(8).reduce(UInt(reader.byte())) { $0 << 8 | UInt($1) })
            return THIMBLE_OK
        }
    }

    /// What makes a session.
    private mutating func make(
        _ function: UInt8, _ handle: OpaquePointer?, _ error: UnsafeMutablePointer<thimble_error>?
    ) -> thimble_status {
        guard sessions.count < 6 else { return THIMBLE_OK }
        var made: OpaquePointer?
        if function == 0 {
            let status = unsafe thimble_session_create(handle, &made, error)
            return unsafe keep(status, made, among: \.sessions)
        }
        let status =
            reader.byte() < 128
            ? unsafe thimble_session_fork(handle, &made, error)
            : unsafe thimble_session_restore(handle, "\(folder)/session", &made, error)
        return unsafe keep(status, made, among: \.sessions)
    }

    /// What a conversation grows by, or loses.
    private mutating func add(
        _ function: UInt8, _ handle: OpaquePointer?, _ error: UnsafeMutablePointer<thimble_error>?
    ) -> thimble_status {
        switch function {
        case 3:
            let role = thimble_role(rawValue: UInt32(reader.byte() % 4))
            let text = reader.bytes(Int(reader.byte() % 32)).map { CChar(bitPattern: $0) }
            return unsafe thimble_session_append_text(handle, role, text, text.count, error)
        case 4:
            let (width, height) = (UInt32(reader.byte() % 64), UInt32(reader.byte() % 64))
            let bytes = [UInt8](repeating: reader.byte(), count: Int(3 * width * height))
            let format = thimble_image_format(rawValue: UInt32(reader.byte() % 3))
            let byteCount = reader.byte() < 200 ? bytes.count : max(0, bytes.count - 1)
            return unsafe bytes.withUnsafeBufferPointer { bytes in
                let image = unsafe structure(thimble_image()) { image in
                    unsafe (image.width, image.height, image.format) = (width, height, format)
                    unsafe (image.bytes, image.byte_count) = (bytes.baseAddress, byteCount)
                }
                defer { unsafe image.deallocate() }
                return unsafe thimble_session_append_image(handle, image, error)
            }
        case 5:
            let (choice, count) = (reader.byte(), UInt32(reader.byte() % 3))
            let first = UInt32(choice % 3)
            if choice >= 128 { return unsafe addFromMemory(handle, first, count, error) }
            return unsafe "\(folder)/text".withCString { path in
                unsafe "\(folder)/pages".withCString { settings in
                    let document = unsafe structure(thimble_document()) { document in
                        unsafe (document.path, document.page_settings) = (path, settings)
                        unsafe (document.first_page, document.page_count) = (first, count)
                    }
                    defer { unsafe document.deallocate() }
                    return unsafe thimble_session_append_document(handle, document, nil, error)
                }
            }
        default: return unsafe thimble_session_rewind(handle, Int(reader.byte() % 8), error)
        }
    }

    /// A document of the input's own bytes, which is text, or Markdown by its name.
    private mutating func addFromMemory(
        _ handle: OpaquePointer?, _ first: UInt32, _ count: UInt32,
        _ error: UnsafeMutablePointer<thimble_error>?
    ) -> thimble_status {
        let name = reader.byte() < 128 ? "a.md" : "a"
        let bytes = reader.bytes(Int(reader.byte() % 64))
        return unsafe bytes.withUnsafeBufferPointer { bytes in
            unsafe name.withCString { name in
                let document = unsafe structure(thimble_document()) { document in
                    unsafe (document.path, document.mode) = (name, THIMBLE_READING_TEXT)
                    unsafe (document.bytes, document.byte_count) = (bytes.baseAddress, bytes.count)
                    unsafe (document.first_page, document.page_count) = (first, count)
                }
                defer { unsafe document.deallocate() }
                return unsafe thimble_session_append_document(handle, document, nil, error)
            }
        }
    }

    /// What answers.
    private mutating func answer(
        _ function: UInt8, _ handle: OpaquePointer?, _ error: UnsafeMutablePointer<thimble_error>?
    ) -> thimble_status {
        let choice = reader.byte()
        let most = UInt32(choice % 4) + 1
        let prompt = choice < 192 ? nil : reader.bytes(Int(reader.byte() % 32)).map { CChar(bitPattern: $0) }
        // As long as the call, which copies it.
        let raw = UnsafeMutablePointer<CChar>.allocate(capacity: 32)
        defer { unsafe raw.deallocate() }
        for (index, character) in (prompt ?? []).enumerated() { unsafe raw[index] = character }
        let options = unsafe structure(thimble_generate_options()) { options in
            unsafe options.max_tokens = most
            if let prompt {
                unsafe (options.raw_prompt, options.raw_prompt_length) = (UnsafePointer(raw), prompt.count)
            }
            // Of another size, the answer would go on until the context is full.
            unsafe options.sets = UInt32(THIMBLE_SETS_TEMPERATURE)
        }
        defer { unsafe options.deallocate() }
        if unsafe options.pointee.struct_size < 16 { unsafe options.pointee.struct_size = 16 }
        switch function {
        case 7:
            guard tokens > 0 else { return THIMBLE_OK }
            tokens -= Int(most)
            let result = unsafe structure(thimble_result())
            defer { unsafe result.deallocate() }
            var left = Int32(reader.byte() % 8)
            let status = unsafe withUnsafeMutablePointer(to: &left) { left in
                unsafe thimble_session_generate(
                    handle, options,
                    { context, text, length in
                        expect(unsafe text != nil && length > 0, "a callback hears nothing")
                        let left = unsafe context!.assumingMemoryBound(to: Int32.self)
                        unsafe left.pointee -= 1
                        return unsafe left.pointee < 0 ? 1 : 0
                    }, left, result, error)
            }
            if status == THIMBLE_OK { hasAnswered = true }
            return status
        case 8: return unsafe thimble_session_begin(handle, options, error)
        case 9:
            guard tokens > 0 else { return THIMBLE_OK }
            tokens -= 1
            let piece = unsafe structure(thimble_piece())
            defer { unsafe piece.deallocate() }
            let status = unsafe thimble_session_next(handle, piece, error)
            guard status == THIMBLE_OK else { return status }
            hasAnswered = true
            if unsafe piece.pointee.struct_size >= MemoryLayout<thimble_piece>.size {
                let text = unsafe piece.pointee.text!
                expect(unsafe text[piece.pointee.length] == 0, "a piece does not end with zero")
                expect(unsafe String(validatingCString: text) != nil, "a piece is not UTF-8")
            }
            return status
        case 10: return unsafe thimble_session_finish(handle, nil, error)
        default: return unsafe thimble_session_cancel(handle)
        }
    }

    /// What says or saves something of a session.
    private mutating func ask(
        _ function: UInt8, _ handle: OpaquePointer?, _ error: UnsafeMutablePointer<thimble_error>?
    ) -> thimble_status {
        switch function {
        case 12: return unsafe thimble_session_save(handle, "\(folder)/session", error)
        case 13, 14:
            let info = unsafe structure(thimble_session_info())
            defer { unsafe info.deallocate() }
            return unsafe thimble_session_describe(handle, info, error)
        default:
            var text = [CChar](repeating: 1, count: Int(reader.byte()))
            var size = text.count
            let status = unsafe thimble_session_message(
                handle, Int(reader.byte() % 8), nil, &text, &size, error)
            expect(status != THIMBLE_OK || text[size - 1] == 0, "a text does not end with zero")
            return status
        }
    }

    /// What is asked of a model or a runtime. Of those that all inputs have, the model has a session, and the
    /// runtime a model, so that neither can be closed.
    private mutating func askModel(
        _ function: UInt8, _ handle: OpaquePointer?, _ error: UnsafeMutablePointer<thimble_error>?
    ) -> thimble_status {
        switch function {
        case 17:
            let isModel = reader.byte() < 128
            let status =
                isModel
                ? unsafe thimble_model_close(handle, error) : unsafe thimble_runtime_close(handle, error)
            if status == THIMBLE_OK {
                let closed = UInt(bitPattern: handle)
                let wasOpen = (isModel ? models.remove(closed) : runtimes.remove(closed)) != nil
                expect(wasOpen, "what has something open was closed")
            }
            return status
        case 18:
            let info = unsafe structure(thimble_model_info())
            defer { unsafe info.deallocate() }
            return unsafe thimble_model_describe(handle, info, error)
        case 19:
            let text = reader.bytes(Int(reader.byte() % 32)).map { CChar(bitPattern: $0) }
            var ids = [Int32](repeating: 0, count: 64)
            var count = Int(reader.byte() % 65)
            let room = count
            let status = unsafe thimble_tokenize(handle, text, text.count, &ids, &count, error)
            expect(status != THIMBLE_OK || count <= room, "there are more tokens than room for them")
            return status
        default:
            let ids = (0..<Int(reader.byte() % 8)).map { _ in Int32(bitPattern: reader.uint32() >> 16) }
            var text = [CChar](repeating: 1, count: 64)
            var size = Int(reader.byte() % 65)
            return unsafe thimble_detokenize(handle, ids, ids.count, &text, &size, error)
        }
    }
}
