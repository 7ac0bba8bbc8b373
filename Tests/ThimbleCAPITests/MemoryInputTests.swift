//! What callers have in memory: documents, budgets, prompts that are written whole.

import CThimble
import Foundation
import TestSupport
import Testing

/// Adds a document that is in memory to a conversation, as text.
private func show(
    _ bytes: [UInt8], named name: String?, mode: thimble_reading_mode = THIMBLE_READING_TEXT,
    in session: Handle
) throws {
    let words = CStrings()
    defer { withExtendedLifetime(words) {} }
    try unsafe bytes.withUnsafeBufferPointer { bytes in
        var document = unsafe sized(thimble_document.self)
        unsafe document.path = words.pointer(name)
        unsafe document.bytes = bytes.baseAddress
        unsafe document.byte_count = bytes.count
        unsafe document.mode = mode
        try unsafe check { unsafe thimble_session_append_document(session.pointer, &document, nil, $0) }
    }
}

/// Options of a structure that hold for a call, with a text that they point to.
private func withText<Structure: SizedStructure, Result>(
    _ text: String, _ set: (inout Structure, UnsafePointer<CChar>, Int) -> Void,
    _ body: (UnsafePointer<Structure>) throws -> Result
) rethrows -> Result {
    let characters = text.utf8.map { CChar(bitPattern: $0) } + [0x55]
    return try unsafe characters.withUnsafeBufferPointer { characters in
        var options = sized(Structure.self)
        unsafe set(&options, characters.baseAddress!, characters.count - 1)
        return try unsafe body(&options)
    }
}

/// Options with a budget in memory; behind it lies no zero byte.
@safe private func withBudget<Result>(
    _ toml: String, context: UInt32 = 0, _ body: (UnsafePointer<thimble_model_options>) throws -> Result
) rethrows -> Result {
    try unsafe withText(toml) { (options: inout thimble_model_options, text, length) in
        unsafe (options.budget_text, options.budget_text_length) = (text, length)
        unsafe options.context = context
    } _: {
        unsafe try body($0)
    }
}

/// Options with a raw prompt, which is answered greedily.
@safe private func withPrompt<Result>(
    _ prompt: String, thinking: thimble_choice = THIMBLE_AUTO,
    _ body: (UnsafePointer<thimble_generate_options>) throws -> Result
) rethrows -> Result {
    try unsafe withText(prompt) { (options: inout thimble_generate_options, text, length) in
        unsafe (options.raw_prompt, options.raw_prompt_length) = (text, length)
        unsafe options.max_tokens = 6
        unsafe options.sets = UInt32(THIMBLE_SETS_TEMPERATURE)
        unsafe options.thinking = thinking
    } _: {
        unsafe try body($0)
    }
}

/// What comes after a raw prompt.
private func complete(_ prompt: String, in session: Handle) throws -> (text: String, result: thimble_result) {
    let listener = Listener()
    var result = sized(thimble_result.self)
    try withPrompt(prompt) { options in
        try unsafe check {
            unsafe thimble_session_generate(
                session.pointer, options, Listener.receive, listener.context, &result, $0)
        }
    }
    return (listener.text, result)
}

@Suite struct DocumentInMemoryTests {
    @Test(arguments: ["voyage.pdf", "voyage.docx", "voyage.txt"])
    func aDocumentInMemoryIsReadAsItsFileIs(_ name: String) throws {
        let model = try OpenModel(context: 4096)
        let path = Fixtures.packageRoot.appending(path: "Examples/\(name)")
        let (fromFile, fromMemory) = (try model.session(), try model.session())
        let words = CStrings()
        var document = unsafe sized(thimble_document.self)
        unsafe document.path = words.pointer(path.path)
        unsafe document.mode = THIMBLE_READING_TEXT
        try unsafe check {
            unsafe thimble_session_append_document(fromFile.pointer, &document, nil, $0)
        }
        try show([UInt8](Data(contentsOf: path)), named: nil, in: fromMemory)
        #expect(try message(0, of: fromMemory) == message(0, of: fromFile))
        withExtendedLifetime(words) {}
    }

    @Test func aNameSaysWhatIsMarkdown() throws {
        let model = try OpenModel()
        for (name, text) in [
            (nil, "# Title\n\n*word*"), ("notes.txt", "# Title\n\n*word*"),
            ("/no/such/Notes.MD", "Title\n\nword"),
        ] {
            let session = try model.session()
            try show(Array("# Title\n\n*word*".utf8), named: name, in: session)
            #expect(try message(0, of: session).trimmingCharacters(in: .whitespacesAndNewlines) == text)
        }
    }

    @Test func pagesInMemoryAreDrawn() throws {
        let bytes = try Fixtures.bytes("documents/page_english.png")
        let model = try OpenModel()
        var count = 0
        try unsafe bytes.withUnsafeBufferPointer { bytes in
            var document = unsafe sized(thimble_document.self)
            unsafe (document.bytes, document.byte_count) = (bytes.baseAddress, bytes.count)
            try unsafe check { error in
                unsafe withUnsafeMutablePointer(to: &count) { count in
                    unsafe thimble_render_document(
                        model.runtime.pointer, &document,
                        { context, page in
                            let isWhole = unsafe page!.pointee.page_count == 1 && page!.pointee.width > 100
                            if isWhole { unsafe context!.assumingMemoryBound(to: Int.self).pointee += 1 }
                            return 0
                        }, count, error)
                }
            }
        }
        #expect(count == 1)
    }

    @Test func whatIsNoDocumentIsRefusedByItsName() throws {
        let model = try OpenModel()
        let session = try model.session()
        func refused(_ bytes: [UInt8], _ name: String?, count: Int? = nil) -> CallError? {
            let words = CStrings()
            defer { withExtendedLifetime(words) {} }
            return unsafe bytes.withUnsafeBufferPointer { bytes in
                var document = unsafe sized(thimble_document.self)
                unsafe document.path = words.pointer(name)
                // An array without elements may have no address, either.
                let empty = unsafe UnsafePointer<UInt8>(bitPattern: 16)
                unsafe document.bytes = bytes.isEmpty ? empty : bytes.baseAddress
                unsafe document.byte_count = count ?? bytes.count
                return unsafe failure {
                    unsafe thimble_session_append_document(session.pointer, &document, nil, $0)
                }
            }
        }
        let damaged = refused(Array("%PDF-1.7 and no more".utf8) + [0], "offer.pdf")
        #expect(damaged?.status == THIMBLE_E_CORRUPT && damaged?.text.contains("offer.pdf") == true)
        #expect(refused([0xFF, 0x00, 0x80], nil)?.text.contains("the document") == true)
        #expect(refused([], "nothing")?.text.contains("nothing is empty") == true)
        #expect(refused([1], nil, count: -1)?.detail == THIMBLE_DETAIL_RANGE)
        let words = CStrings()
        var document = unsafe sized(thimble_document.self)
        unsafe document.path = words.pointer(voyagePath)
        unsafe document.byte_count = 3
        unsafe expectFailure(THIMBLE_E_INVALID_ARGUMENT, THIMBLE_DETAIL_NULL) {
            unsafe thimble_session_append_document(session.pointer, &document, nil, $0)
        }
        #expect(try describe(session).message_count == 0)
        withExtendedLifetime(words) {}
    }
}

@Suite struct BudgetInMemoryTests {
    private func plan(
        _ runtime: Handle, _ options: UnsafePointer<thimble_model_options>?,
        _ figures: UnsafeMutablePointer<thimble_plan_figures>?, _ error: UnsafeMutablePointer<thimble_error>?
    ) -> thimble_status {
        unsafe thimble_plan(
            runtime.pointer, readerPath, options, figures, THIMBLE_TEXT_PLAIN, nil, nil, error)
    }

    @Test func aBudgetInMemoryCountsBelowTheOptionsAndAboveTheRuntimes() throws {
        var made: OpaquePointer?
        try unsafe withText("[run]\ncontext = 512\nthreads = 1\n") {
            (options: inout thimble_runtime_options, text, length) in
            unsafe (options.budget_text, options.budget_text_length) = (text, length)
        } _: { options in
            try unsafe check { unsafe thimble_runtime_create(options, &made, $0) }
        }
        let runtime = unsafe Handle(made)
        var figures = sized(thimble_plan_figures.self)
        try unsafe check { unsafe plan(runtime, nil, &figures, $0) }
        #expect(figures.context == 512 && figures.threads == 1)
        try withBudget("[run]\ncontext = 128\n") { options in
            try unsafe check { unsafe plan(runtime, options, &figures, $0) }
        }
        #expect(figures.context == 128 && figures.threads == 1)
        try withBudget("[run]\ncontext = 128\n", context: 64) { options in
            try unsafe check { unsafe plan(runtime, options, &figures, $0) }
        }
        #expect(figures.context == 64)
        #expect(unsafe thimble_runtime_close(runtime.pointer, nil) == THIMBLE_OK)
    }

    @Test func whatIsNoBudgetIsRefused() throws {
        var made: OpaquePointer?
        try unsafe check { unsafe thimble_runtime_create(nil, &made, $0) }
        let runtime = unsafe Handle(made)
        for (toml, word) in [
            ("[run]\ncontxt = 1\n", "contxt"), ("[run", "line 1"), ("[run]\nthreads = 0", "threads"),
        ] {
            withBudget(toml) { options in
                let error = unsafe failure { unsafe plan(runtime, options, nil, $0) }
                #expect(error?.status == THIMBLE_E_INVALID_ARGUMENT && error?.detail == THIMBLE_DETAIL_NONE)
                #expect(
                    error?.text.contains("the budget's text") == true && error?.text.contains(word) == true)
            }
        }
        let words = CStrings()
        let text = words.pointer("caf\u{E9}")
        func refuse(
            _ detail: thimble_detail, _ set: (inout thimble_model_options) -> Void,
            _ setRuntime: (inout thimble_runtime_options) -> Void
        ) {
            var (options, own) = unsafe (
                sized(thimble_model_options.self), sized(thimble_runtime_options.self)
            )
            unsafe set(&options)
            unsafe setRuntime(&own)
            unsafe expectFailure(THIMBLE_E_INVALID_ARGUMENT, detail) {
                unsafe plan(runtime, &options, nil, $0)
            }
            var other: OpaquePointer?
            unsafe expectFailure(THIMBLE_E_INVALID_ARGUMENT, detail) {
                unsafe thimble_runtime_create(&own, &other, $0)
            }
            #expect(unsafe other == nil)
        }
        // Cut within a character.
        unsafe refuse(THIMBLE_DETAIL_ENCODING) {
            unsafe ($0.budget_text, $0.budget_text_length) = (text, 4)
        } _: {
            unsafe ($0.budget_text, $0.budget_text_length) = (text, 4)
        }
        unsafe refuse(THIMBLE_DETAIL_RANGE) {
            unsafe ($0.budget_text, $0.budget_text_length) = (text, -1)
        } _: {
            unsafe ($0.budget_text, $0.budget_text_length) = (text, -1)
        }
        unsafe refuse(THIMBLE_DETAIL_NULL) {
            unsafe $0.budget_text_length = 1
        } _: {
            unsafe $0.budget_text_length = 1
        }
        // By name and in memory.
        unsafe refuse(THIMBLE_DETAIL_RANGE) {
            unsafe ($0.budget, $0.budget_text) = (text, text)
        } _: {
            unsafe ($0.budget, $0.budget_text) = (text, text)
        }
        #expect(unsafe thimble_runtime_close(runtime.pointer, nil) == THIMBLE_OK)
        withExtendedLifetime(words) {}
    }
}

@Suite struct RawPromptTests {
    private let prompt = "The quick brown fox jumps over"

    @Test func aRawPromptIsContinuedAndJoinsNothing() throws {
        let model = try OpenModel()
        let session = try model.session("What is it?")
        let (text, result) = try complete(prompt, in: session)
        #expect(result.generated_tokens > 0 && result.finish != THIMBLE_FINISH_NONE)
        var count = 0
        _ = unsafe thimble_tokenize(model.model.pointer, prompt, prompt.utf8.count, nil, &count, nil)
        #expect(count > 0 && result.prompt_tokens == count)
        // A token at a time, it is the same.
        try withPrompt(prompt) { options in
            try unsafe check { unsafe thimble_session_begin(session.pointer, options, $0) }
        }
        var pulled = ""
        while true {
            let piece = try next(session)
            pulled += piece.text
            if piece.finish != THIMBLE_FINISH_NONE { break }
        }
        #expect(try finish(session).generated_tokens == result.generated_tokens && pulled == text)
        #expect(try describe(session).message_count == 1)
        #expect(try message(0, of: session) == "What is it?")
        let expected = try answer(model.session("What is it?"))
        #expect(try answer(session).text == expected.text)
    }

    @Test func spellingsOfSpecialTokensAreThose() throws {
        let model = try OpenModel()
        let spelled = "<|user|>\nHello<|assistant|>"
        var count = 0
        _ = unsafe thimble_tokenize(model.model.pointer, spelled, spelled.utf8.count, nil, &count, nil)
        #expect(try complete(spelled, in: model.session()).result.prompt_tokens < count)
    }

    @Test func placeholdersStandForTheConversationsImages() throws {
        let model = try OpenModel(context: 2048)
        let session = try model.session()
        let pixels = [UInt8](repeating: 200, count: 3 * 56 * 56)
        try unsafe pixels.withUnsafeBufferPointer { pixels in
            var image = unsafe sized(thimble_image.self)
            unsafe (image.format, image.width, image.height) = (THIMBLE_IMAGE_RGB, 56, 56)
            unsafe (image.bytes, image.byte_count) = (pixels.baseAddress, pixels.count)
            try unsafe check { unsafe thimble_session_append_image(session.pointer, &image, $0) }
        }
        #expect(try complete("See <|image|>: it is", in: session).result.image_tokens > 0)
        for wrong in [prompt, "<|image|> and <|image|>"] {
            withPrompt(wrong) { options in
                unsafe expectFailure(THIMBLE_E_INVALID_ARGUMENT) {
                    unsafe thimble_session_generate(session.pointer, options, nil, nil, nil, $0)
                }
            }
        }
        let info = try describe(session)
        #expect(info.message_count == 1 && info.image_count == 1 && info.is_answering == 0)
    }

    @Test func whatIsNoPromptIsRefused() throws {
        let model = try OpenModel()
        let session = try model.session("Hello.")
        func refuse(
            _ status: thimble_status, _ detail: thimble_detail,
            _ options: UnsafePointer<thimble_generate_options>
        ) {
            unsafe expectFailure(status, detail) {
                unsafe thimble_session_begin(session.pointer, options, $0)
            }
            unsafe expectFailure(status, detail) {
                unsafe thimble_session_generate(session.pointer, options, nil, nil, nil, $0)
            }
        }
        withPrompt("") { unsafe refuse(THIMBLE_E_INVALID_ARGUMENT, THIMBLE_DETAIL_NONE, $0) }
        withPrompt(prompt, thinking: THIMBLE_ON) {
            unsafe refuse(THIMBLE_E_INVALID_ARGUMENT, THIMBLE_DETAIL_RANGE, $0)
        }
        withPrompt(String(repeating: "word ", count: 300)) {
            unsafe refuse(THIMBLE_E_CONTEXT_FULL, THIMBLE_DETAIL_NONE, $0)
        }
        var options = unsafe sized(thimble_generate_options.self)
        unsafe options.raw_prompt_length = 2
        unsafe refuse(THIMBLE_E_INVALID_ARGUMENT, THIMBLE_DETAIL_NULL, &options)
        let words = CStrings()
        unsafe options.raw_prompt = words.pointer("\u{E9}")
        unsafe options.raw_prompt_length = 1
        unsafe refuse(THIMBLE_E_INVALID_ARGUMENT, THIMBLE_DETAIL_ENCODING, &options)
        unsafe options.raw_prompt_length = -1
        unsafe refuse(THIMBLE_E_INVALID_ARGUMENT, THIMBLE_DETAIL_RANGE, &options)
        #expect(try describe(session).message_count == 1)
        withExtendedLifetime(words) {}
    }
}
