//! Rendered conversations against what the families' Jinja templates make of them.

import Foundation
import Testing

@testable import Tokenizers

struct ChatFormatTests {
    @Test(arguments: ChatFormat.allCases)
    func conversationsAreWrittenAsByTheTemplate(_ format: ChatFormat) throws {
        var count = 0
        for conversation in try GoldenConversation.all() {
            guard let expected = conversation.text[format.rawValue] else { continue }
            let parts = try format.parts(conversation.turns, options: conversation.options)
            let text = parts.map(\.text).joined()
            #expect(text.utf8.elementsEqual(expected.utf8), "\(conversation.turns)")
            count += 1
        }
        #expect(count >= 60)
    }

    @Test(arguments: ChatFormat.allCases)
    func promptsHaveTheIdsOfTheTokenizersPackage(_ format: ChatFormat) throws {
        let tokenizer = try TokenizerFixtures.tokenizer(format == .reader ? "reader.json" : "mixed.json")
        let image = try #require(tokenizer.id(ofSpecial: "<|image|>"))
        for conversation in try GoldenConversation.all() {
            guard let expected = conversation.ids[format.rawValue] else { continue }
            let prompt = try format.prompt(
                conversation.turns, tokenizer: tokenizer, options: conversation.options)
            #expect(prompt.ids == expected, "\(conversation.turns)")
            #expect(prompt.imagePositions == prompt.ids.indices.filter { prompt.ids[$0] == image })
        }
    }

    @Test func placeholdersAreRepeatedForThePositionsOfTheirImages() throws {
        let tokenizer = try TokenizerFixtures.tokenizer("reader.json")
        let turn = ChatMessage(.user, [.image, .image, .text("Which?")])
        let prompt = try ChatFormat.reader.prompt([turn], tokenizer: tokenizer)
        let image = prompt.ids[prompt.imagePositions[0]]
        let ids = prompt.ids(imageTokenCounts: [3, 5])
        #expect(ids.count == prompt.ids.count + 6)
        #expect(ids.filter { $0 != image } == prompt.ids.filter { $0 != image })
        #expect(Array(ids[prompt.imagePositions[0]...].prefix(3)) == [image, image, image])
        #expect(ids[prompt.imagePositions[0] + 3] != image)
    }

    @Test func imagesWhereTheFormatHasNoneAreRefused() throws {
        let text = #expect(throws: TokenizerError.self) {
            try ChatFormat.glm4.parts([ChatMessage(.user, [.image])])
        }
        #expect(text?.message.contains("glm4") == true)
        for format in ChatFormat.allCases {
            for role in [ChatMessage.Role.system, .assistant] {
                #expect(throws: TokenizerError.self) { try format.parts([ChatMessage(role, [.image])]) }
            }
        }
    }

    @Test func aTokenizerWithoutTheTokensOfTheFormatIsRefused() throws {
        var content = try TokenizerContent(json: "mixed.json")
        content.addedTokens.removeAll {
            String(decoding: content.vocabulary[$0.id], as: UTF8.self) == "<|user|>"
        }
        let tokenizer = try Tokenizer(content)
        let error = #expect(throws: TokenizerError.self) {
            try ChatFormat.glm4.prompt([ChatMessage(.user, "x")], tokenizer: tokenizer)
        }
        #expect(error?.message.contains("<|user|>") == true)
    }
}

/// One entry of conversations.json, as make_conversations.py writes it.
struct GoldenConversation: Decodable {
    struct Turn: Decodable {
        var role: String
        var content: Content
    }

    enum Content: Decodable {
        case text(String)
        case items([Item])

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self) {
                self = .text(text)
            } else {
                self = .items(try container.decode([Item].self))
            }
        }
    }

    struct Item: Decodable {
        var type: String
        var text: String?
    }

    var messages: [Turn]
    var prompt: Bool
    var thinking: Bool?
    var text: [String: String]
    var ids: [String: [Int32]]

    static func all() throws -> [GoldenConversation] {
        try JSONDecoder().decode([Self].self, from: Data(TokenizerFixtures.bytes("conversations.json")))
    }

    var options: ChatOptions { ChatOptions(addsGenerationPrompt: prompt, enablesThinking: thinking) }

    var turns: [ChatMessage] {
        messages.map { turn in
            let role = ChatMessage.Role(rawValue: turn.role)!
            switch turn.content {
            case .text(let text): return ChatMessage(role, text)
            case .items(let items):
                return ChatMessage(role, items.map { $0.text.map { .text($0) } ?? .image })
            }
        }
    }
}
