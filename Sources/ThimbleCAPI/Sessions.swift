//! The functions about sessions: conversations that begin, grow, go back, part, are saved and brought back.

internal import CThimble
internal import Thimble

/// Makes a session of `model` that holds what `make` returns, and gives its handle to the caller.
private func open(
    _ model: ModelState, _ handle: UnsafeMutablePointer<OpaquePointer?>?, _ name: String,
    _ make: () throws(ThimbleError) -> Session
) throws(CallFault) {
    guard let handle = unsafe handle else { throw .null(name) }
    try model.sessions.enter(ModelState.name)
    do throws(CallFault) {
        unsafe handle.pointee = try Handles.open { handle throws(CallFault) in
            SessionState(handle, try model.compute(make), of: model)
        }
    } catch {
        model.sessions.leave()
        throw error
    }
}

@c @implementation
func capi_session_create(
    _ model: OpaquePointer?, _ session: UnsafeMutablePointer<OpaquePointer?>?,
    _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let model = try unsafe Handles.find(model, ModelState.self)
        try unsafe open(model, session, "session") { model.engine.makeSession() }
    }
}

@c @implementation
func capi_session_close(
    _ session: OpaquePointer?, _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        try unsafe Handles.find(session, SessionState.self).close()
    }
}

@c @implementation
func capi_session_append_text(
    _ session: OpaquePointer?, _ role: thimble_role, _ characters: UnsafePointer<CChar>?, _ length: Int,
    _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let state = try unsafe Handles.find(session, SessionState.self)
        let role = try Message.Role(role)
        let text = try unsafe text(characters, length, "text")
        try state.change { session in session.append(.text(text), as: role) }
    }
}

@c @implementation
func capi_session_append_image(
    _ session: OpaquePointer?, _ image: UnsafePointer<thimble_image>?,
    _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let state = try unsafe Handles.find(session, SessionState.self)
        guard unsafe image != nil else { throw .null("image") }
        let decoded = try unsafe RGBImage(read(image, over: thimble_image(), "image"))
        try translating { () throws(ThimbleError) in _ = try state.model.engine.imageTokenCount(of: decoded) }
        try state.change { session in session.append(.image(decoded), as: .user) }
    }
}

extension RGBImage {
    /// The image of a caller, copied.
    fileprivate init(_ image: thimble_image) throws(CallFault) {
        let (width, height) = unsafe (Int(image.width), Int(image.height))
        let bytes = try unsafe elements(image.bytes, image.byte_count, "image.bytes")
        switch unsafe image.format {
        case THIMBLE_IMAGE_FILE:
            guard width == 0, height == 0 else {
                throw .argument(THIMBLE_DETAIL_RANGE, "an image file says its size itself; leave it 0")
            }
            let copied = unsafe Array(bytes)
            self = try translating { () throws(ThimbleError) in try decodeImage(copied, name: "the image") }
        case THIMBLE_IMAGE_RGB:
            try translating { () throws(ThimbleError) in try checkImageSize(width, height, name: "the image")
            }
            guard width > 0, height > 0, bytes.count == 3 * width * height else {
                throw .argument(
                    THIMBLE_DETAIL_RANGE,
                    "\(bytes.count) bytes are no \(width) x \(height) pixels of three")
            }
            unsafe self.init(width: width, height: height, pixels: Array(bytes))
        default:
            throw .argument(
                THIMBLE_DETAIL_RANGE, "image.format is \(unsafe image.format.rawValue), which is none")
        }
    }
}

@c @implementation
func capi_session_append_document(
    _ session: OpaquePointer?, _ document: UnsafePointer<thimble_document>?,
    _ page_count: UnsafeMutablePointer<UInt32>?, _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let state = try unsafe Handles.find(session, SessionState.self)
        let engine = state.model.engine
        try state.change { session throws(CallFault) in
            capi_handle_clear(state.handle)
            let pages = try unsafe DocumentPages(document, state.model.budget) {
                () throws(ThimbleError) in
                DocumentPages.Defaults(
                    settings: try engine.pageSettings(), prefersGlyph: engine.description.prefersGlyph)
            }
            let document = pages.document
            var (images, tokens): ([RGBImage], Int) = ([], 0)
            func checkRoom(_ what: String) throws(CallFault) {
                guard tokens < engine.contextLength else {
                    throw CallFault(
                        THIMBLE_E_CONTEXT_FULL,
                        "\(document.name): \(what) \(tokens) tokens, and the context holds "
                            + "\(engine.contextLength); give fewer pages, or a longer context")
                }
            }
            let text = document.mode == .text ? document.text : nil
            if let text {
                tokens = try translating { () throws(ThimbleError) in try engine.tokenize(text).count }
                try checkRoom("the text takes")
            }
            for index in 0..<document.pageCount {
                if state.isCancelled { throw CallFault(THIMBLE_E_CANCELLED, "cancelled at page \(index)") }
                try translating { () throws(ThimbleError) in
                    let image = try document.page(index)
                    tokens += try engine.imageTokenCount(of: image)
                    images.append(image)
                }
                try checkRoom("\(images.count) pages of \(document.pageCount) take")
            }
            pages.tellNotes()
            if let text { session.append(.text(text + "\n\n"), as: .user) }
            for image in images { session.append(.image(image), as: .user) }
            unsafe page_count?.pointee = UInt32(images.count)
        }
    }
}

@c @implementation
func capi_session_rewind(
    _ session: OpaquePointer?, _ message_count: Int, _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        try unsafe Handles.find(session, SessionState.self).change { session throws(CallFault) in
            guard (0...session.messages.count).contains(message_count) else {
                throw .argument(
                    THIMBLE_DETAIL_RANGE,
                    "the conversation has \(session.messages.count) messages, not "
                        + "\(UInt(bitPattern: message_count))")
            }
            session.rewind(to: message_count)
        }
    }
}

@c @implementation
func capi_session_fork(
    _ session: OpaquePointer?, _ fork: UnsafeMutablePointer<OpaquePointer?>?,
    _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let state = try unsafe Handles.find(session, SessionState.self)
        try state.change { session throws(CallFault) in
            try unsafe open(state.model, fork, "fork") { session.fork() }
        }
    }
}

@c @implementation
func capi_session_save(
    _ session: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let state = try unsafe Handles.find(session, SessionState.self)
        let path = try unsafe requiredText(path, "path")
        try state.change { session throws(CallFault) in
            _ = try state.model.compute { () throws(ThimbleError) in try session.save(to: path) }
        }
    }
}

@c @implementation
func capi_session_restore(
    _ model: OpaquePointer?, _ path: UnsafePointer<CChar>?,
    _ session: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let model = try unsafe Handles.find(model, ModelState.self)
        let path = try unsafe requiredText(path, "path")
        try unsafe open(model, session, "session") { () throws(ThimbleError) in
            try model.engine.restoreSession(from: path)
        }
    }
}

@c @implementation
func capi_session_describe(
    _ session: OpaquePointer?, _ info: UnsafeMutablePointer<thimble_session_info>?,
    _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let state = try unsafe Handles.find(session, SessionState.self)
        guard let info = unsafe info else { throw .null("info") }
        try unsafe checkStructure(info, "info")
        let value = try state.occupy { session in
            var value = thimble_session_info()
            value.message_count = UInt32(session.messages.count)
            value.image_count = UInt32(session.messages.reduce(0) { $0 + $1.imageCount })
            value.token_count = UInt32(session.tokenCount)
            value.context = UInt32(state.model.engine.contextLength)
            value.is_answering = state.isAnswering ? 1 : 0
            return value
        }
        unsafe fill(info, with: value)
    }
}

@c @implementation
func capi_session_message(
    _ session: OpaquePointer?, _ index: Int, _ role: UnsafeMutablePointer<thimble_role>?,
    _ text: UnsafeMutablePointer<CChar>?, _ size: UnsafeMutablePointer<Int>?,
    _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let state = try unsafe Handles.find(session, SessionState.self)
        guard let size = unsafe size else { throw .null("size") }
        let message = try state.change { session throws(CallFault) in
            guard session.messages.indices.contains(index) else {
                throw .argument(
                    THIMBLE_DETAIL_RANGE,
                    "the conversation has \(session.messages.count) messages, and not number "
                        + "\(UInt(bitPattern: index))")
            }
            return session.messages[index]
        }
        unsafe role?.pointee = message.role.number
        try unsafe give(message.text, to: text, size, "the message")
    }
}
