//! The tokenizer inside the bundled model: the one that is compared with the public package elsewhere.

import Foundation
import TestSupport
import Testing

import Thimble

private struct Encodings: Decodable {
    struct Variant: Decodable {
        var file: String
        var examples: [[Int32]]
    }

    var examples: [String]
    var variants: [Variant]
}

private struct TokenizerFile: Decodable {
    struct AddedToken: Decodable {
        var id: Int32
        var content: String
    }

    var added_tokens: [AddedToken]
}

@Test func theBundledModelEncodesAsTheTokenizersPackageDoes() throws {
    let path = Fixtures.packageRoot.appending(path: "Models/reader.thimble").path
    let codec = try ModelInspection(modelPath: path).textCodec()
    let encodings: Encodings = try Fixtures.json("tokenizers/encodings.json")
    let reader = try #require(encodings.variants.first { $0.file == "reader.json" })
    #expect(reader.examples.count >= 250)
    for (text, ids) in zip(encodings.examples, reader.examples) {
        #expect(codec.encode(text) == ids, "\(text.debugDescription)")
        #expect(try codec.decode(ids).utf8.elementsEqual(text.utf8))
    }
    let added = try Fixtures.json("tokenizers/reader.json", as: TokenizerFile.self).added_tokens
    #expect(added.count >= 20)
    for token in added {
        #expect(codec.encode(token.content, parsesSpecialTokens: true) == [token.id])
        #expect(!codec.encode(token.content + token.content).contains(token.id))
    }
}
