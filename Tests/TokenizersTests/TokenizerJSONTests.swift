//! tokenizer.json: what is read, and what is refused by name.

import Foundation
import Testing

@testable import Tokenizers

struct TokenizerJSONTests {
    /// reader.json with one text replaced by another.
    private func changed(_ text: String, to replacement: String) throws -> [UInt8] {
        let original = String(decoding: try TokenizerFixtures.bytes("reader.json"), as: UTF8.self)
        let object = try JSONSerialization.jsonObject(with: Data(original.utf8))
        let options: JSONSerialization.WritingOptions = [.sortedKeys, .withoutEscapingSlashes]
        let compact = String(
            decoding: try JSONSerialization.data(withJSONObject: object, options: options), as: UTF8.self)
        let result = compact.replacing(text, with: replacement)
        try #require(result != compact, "\(text) is not in the file")
        return Array(result.utf8)
    }

    private func expectRefusal(_ json: [UInt8], naming name: String) {
        let error = #expect(throws: TokenizerError.self) { try Tokenizer(json: json) }
        #expect(error?.message.contains(name) == true, "\(error?.message ?? "") does not name \(name)")
    }

    @Test func addedTokensAreFoundByTheirSpelling() throws {
        let tokenizer = try Tokenizer(json: TokenizerFixtures.bytes("reader.json"))
        #expect(tokenizer.id(ofSpecial: "<|user|>") == 1011)
        #expect(tokenizer.id(ofSpecial: "<|image|>") == 1018)
        #expect(tokenizer.id(ofSpecial: "e") == nil, "ordinary tokens are not found")
        #expect(tokenizer.count == 1024)
        #expect(Array(tokenizer.bytes(of: 1011)) == Array("<|user|>".utf8))
        #expect(tokenizer.bytes(of: 1024).isEmpty)
        #expect(tokenizer.bytes(of: -1).isEmpty)
    }

    @Test func aFileBeyondTheLimitIsRefusedUnread() {
        expectRefusal(Array(repeating: 0x20, count: TokenizerLimits.maxJSONBytes + 1), naming: "67108864")
    }

    @Test func mergesMayBePairsOrLines() throws {
        let pairs = try Tokenizer(json: TokenizerFixtures.bytes("reader.json"))
        let lines = try Tokenizer(json: TokenizerFixtures.bytes("mixed.json"))
        #expect(pairs.merges.merges.count == 748)
        #expect(lines.merges.merges.count > 2_000)
    }

    @Test(arguments: [
        (#""normalizer":null"#, #""normalizer":{"type":"NFC"}"#, "NFC"),
        (#""type":"BPE""#, #""type":"Unigram""#, "Unigram"),
        (#""dropout":null"#, #""dropout":0.1"#, "dropout"),
        (#""unk_token":null"#, #""unk_token":"<unk>""#, "unk_token"),
        (#""byte_fallback":false"#, #""byte_fallback":true"#, "byte_fallback"),
        (#""fuse_unk":false"#, #""fuse_unk":true"#, "fuse_unk"),
        (#""end_of_word_suffix":null"#, #""end_of_word_suffix":"</w>""#, "end_of_word_suffix"),
        (#""post_processor":null"#, #""post_processor":{"type":"BertProcessing"}"#, "BertProcessing"),
        (#""lstrip":false"#, #""lstrip":true"#, "lstrip"),
        (#""rstrip":false"#, #""rstrip":true"#, "rstrip"),
        (#""single_word":false"#, #""single_word":true"#, "single_word"),
        (#""behavior":"Isolated""#, #""behavior":"Removed""#, "Removed"),
        (#""invert":false"#, #""invert":true"#, "inverted"),
        (#"\\p{N}|"#, #"\\p{N}{1,2}|"#, #"\p{N}{1,2}"#),
        (#""add_prefix_space":false"#, #""add_prefix_space":true"#, "ByteLevel"),
        (#""model":{"#, #""model":"#, "JSON"),
        (#""vocab":{"#, #""vocab":{"é ":5,"#, "é "),
        (#""vocab":{"#, #""vocab":{"zz":4194304,"#, "4194304"),
        (#""vocab":{"#, #""vocab":{"zz":-3,"#, "-3"),
        (#""merges":["#, #""merges":[["e"],"#, "Merge 0"),
        (#""merges":["#, #""merges":[["e","nope"],"#, "nope"),
        (#""id":1011"#, #""id":1010"#, "1010"),
        (#""id":1011"#, #""id":-1"#, "-1"),
        (#""vocab":"#, #""words":"#, "vocab"),
    ])
    func whatIsNotSupportedIsRefusedByName(_ text: String, _ replacement: String, _ name: String) throws {
        expectRefusal(try changed(text, to: replacement), naming: name)
    }

    @Test func harmlessSettingsAreAccepted() throws {
        let changes = [
            (#""dropout":null"#, #""dropout":0"#),
            (#""end_of_word_suffix":null"#, #""end_of_word_suffix":"""#),
            (#""post_processor":null"#, #""post_processor":{"type":"ByteLevel","trim_offsets":false}"#),
            (
                #""post_processor":null"#,
                #""post_processor":{"type":"Sequence","processors":[{"type":"TemplateProcessing"}]}"#
            ),
            (#""normalized":false"#, #""normalized":true"#),
        ]
        for (text, replacement) in changes {
            let tokenizer = try Tokenizer(json: changed(text, to: replacement))
            #expect(tokenizer.count == 1024)
        }
    }

    @Test func byteLevelAloneIsTheGPT2Pattern() throws {
        var object = try #require(
            JSONSerialization.jsonObject(with: Data(TokenizerFixtures.bytes("mixed.json"))) as? [String: Any])
        object["pre_tokenizer"] =
            ["type": "ByteLevel", "add_prefix_space": false, "use_regex": true] as [String: Any]
        let tokenizer = try Tokenizer(json: Array(JSONSerialization.data(withJSONObject: object)))
        #expect(tokenizer.pattern == .gpt2)
        object["pre_tokenizer"] =
            ["type": "ByteLevel", "add_prefix_space": false, "use_regex": false] as [String: Any]
        expectRefusal(Array(try JSONSerialization.data(withJSONObject: object)), naming: "ByteLevel")
        object["pre_tokenizer"] = ["type": "Metaspace"]
        expectRefusal(Array(try JSONSerialization.data(withJSONObject: object)), naming: "Metaspace")
    }

    @Test func damagedFilesAreRefusedOrYieldAUsableTokenizer() throws {
        let original = try TokenizerFixtures.bytes("reader.json")
        var generator = StringGenerator(seed: 5)
        var refused = 0
        for round in 0..<150 {
            var bytes = original
            if round % 3 == 0 { bytes.removeLast(1 + generator.below(bytes.count)) }
            for _ in 0..<8 where round % 3 > 0 {
                // Digits and punctuation keep the file nearer to JSON than any byte would.
                bytes[generator.below(bytes.count)] = Array("0123456789-\",{}[]:e".utf8)[generator.below(19)]
            }
            do throws(TokenizerError) {
                let tokenizer = try Tokenizer(json: bytes)
                #expect(tokenizer.decode(tokenizer.encode("The rest.")) == "The rest.")
            } catch {
                refused += 1
            }
        }
        #expect(refused >= 50)
        for bomb in ["[", "{\"a\":", "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["] {
            let bytes = Array(String(repeating: bomb, count: 20_000).utf8)
            #expect(throws: TokenizerError.self) { try Tokenizer(json: bytes) }
        }
    }

    @Test func aVocabularyWithoutAByteIsRefused() throws {
        var content = try TokenizerContent(json: "reader.json")
        content.addedTokens.append(AddedToken(id: 5, isSpecial: false))
        let error = #expect(throws: TokenizerError.self) { try Tokenizer(content) }
        #expect(error?.message.contains("Byte ") == true)
    }
}

extension TokenizerContent {
    /// What a fixture says of its tokenizer.
    init(json name: String) throws {
        let tokenizer = try Tokenizer(json: TokenizerFixtures.bytes(name))
        self.init(
            pattern: tokenizer.pattern, ignoresMerges: tokenizer.ignoresMerges,
            vocabulary: tokenizer.vocabulary,
            merges: tokenizer.merges.merges.map(\.pair), addedTokens: tokenizer.addedTokens)
    }
}
