//! The functions that answer: whole, with a callback, and a token at a time.

internal import CThimble
internal import Thimble

@c @implementation
func capi_session_generate(
    _ session: OpaquePointer?, _ options: UnsafePointer<thimble_generate_options>?,
    _ receive: thimble_text_fn?, _ context: UnsafeMutableRawPointer?,
    _ result: UnsafeMutablePointer<thimble_result>?, _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let state = try unsafe Handles.find(session, SessionState.self)
        try unsafe checkStructure(result, "result")
        let request = try unsafe AnswerRequest(options, defaults: state.model.engine.defaultSampling)
        try state.change { session throws(CallFault) in
            try state.begin(session, request)
            var isStopped = false
            while !isStopped {
                let (piece, finish) = try state.next()
                if var text = piece?.text, !text.isEmpty, let receive = unsafe receive {
                    isStopped = text.withUTF8 { bytes in
                        unsafe bytes.withMemoryRebound(to: CChar.self) {
                            unsafe receive(context, $0.baseAddress, $0.count) != 0
                        }
                    }
                }
                if finish != THIMBLE_FINISH_NONE { break }
            }
            let outcome = try state.finish()
            unsafe fill(result, with: thimble_result(outcome))
            if isStopped { throw CallFault(THIMBLE_E_STOPPED, "the callback stopped the answer") }
            if outcome.finishReason == .cancelled {
                throw CallFault(THIMBLE_E_CANCELLED, "the answer was cancelled")
            }
        }
    }
}

@c @implementation
func capi_session_begin(
    _ session: OpaquePointer?, _ options: UnsafePointer<thimble_generate_options>?,
    _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let state = try unsafe Handles.find(session, SessionState.self)
        let request = try unsafe AnswerRequest(options, defaults: state.model.engine.defaultSampling)
        try state.change { session throws(CallFault) in try state.begin(session, request) }
    }
}

@c @implementation
func capi_session_next(
    _ session: OpaquePointer?, _ piece: UnsafeMutablePointer<thimble_piece>?,
    _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let state = try unsafe Handles.find(session, SessionState.self)
        guard let piece = unsafe piece else { throw .null("piece") }
        try unsafe checkStructure(piece, "piece")
        try state.occupy { _ throws(CallFault) in
            let (next, finish) = try state.next()
            var value = unsafe thimble_piece()
            unsafe value.finish = finish
            unsafe value.token = next?.token ?? -1
            let (text, length) = unsafe state.keep(next?.text ?? "")
            unsafe value.text = text
            unsafe value.length = length
            unsafe fill(piece, with: value)
        }
    }
}

@c @implementation
func capi_session_finish(
    _ session: OpaquePointer?, _ result: UnsafeMutablePointer<thimble_result>?,
    _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let state = try unsafe Handles.find(session, SessionState.self)
        try unsafe checkStructure(result, "result")
        try state.occupy { _ throws(CallFault) in
            let outcome = try state.finish()
            unsafe fill(result, with: thimble_result(outcome))
        }
    }
}

extension thimble_result {
    init(_ result: GenerationResult) {
        self.init()
        finish = thimble_finish(result.finishReason)
        prompt_tokens = UInt32(result.promptTokens)
        cached_tokens = UInt32(result.cachedTokens)
        image_tokens = UInt32(result.imageTokens)
        generated_tokens = UInt32(result.generatedTokens)
        images_encoded = UInt32(result.imagesEncoded)
        images_cached = UInt32(result.imagesCached)
        vision_seconds = result.visionSeconds
        first_token_seconds = result.firstTokenSeconds
        decode_seconds = result.decodeSeconds
    }
}
