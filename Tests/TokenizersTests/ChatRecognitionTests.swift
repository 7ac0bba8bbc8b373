//! Chat formats told from the text of Jinja templates.

import Testing

@testable import Tokenizers

struct ChatRecognitionTests {
    static func template(_ format: ChatFormat) throws -> String {
        String(decoding: try TokenizerFixtures.bytes("templates/\(format.rawValue).jinja"), as: UTF8.self)
    }

    @Test(arguments: ChatFormat.allCases)
    func eachFamilysTemplateIsRecognized(_ format: ChatFormat) throws {
        #expect(try ChatFormat.recognize(template: Self.template(format)) == format)
    }

    @Test(arguments: [
        "", "{% x", "{{", "[gMASK]<sop>",
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}"
            + "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
        "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
            + "{{ m.content }}<|eot_id|>{% endfor %}"
            + "{% if add_generation_prompt %}<|start_header_id|>assistant{% endif %}",
        "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
            + "{% if add_generation_prompt %}<|assistant|>\n{% endif %}<|user|>",
        "[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}"
            + "{% if add_generation_prompt %}<|assistant|>{% endif %}",
    ])
    func otherTemplatesAreNotRecognized(_ template: String) {
        #expect(ChatFormat.recognize(template: template) == nil)
    }

    @Test(arguments: ChatFormat.allCases)
    func aTemplateWithASystemPromptOfItsOwnIsNotRecognized(_ format: ChatFormat) throws {
        let template = try Self.template(format)
        for prose in ["You are a helpful assistant.", "Du", "你是助手"] {
            let changed = template.replacing("[gMASK]<sop>", with: "[gMASK]<sop>" + prose)
            #expect(ChatFormat.recognize(template: changed) == nil)
        }
        let written = "[gMASK]<sop>{{ '<|system|>\\nYou are a helpful assistant.' }}"
        #expect(ChatFormat.recognize(template: template.replacing("[gMASK]<sop>", with: written)) == nil)
    }

    @Test(arguments: ChatFormat.allCases)
    func proseForToolsAloneDoesNotMatter(_ format: ChatFormat) throws {
        let tools =
            "[gMASK]<sop>{%- if tools -%}# Tools{% for t in tools %}{% if t %}x{% endif %}{% endfor %} y"
            + "{%- endif -%}"
        let template = try Self.template(format).replacing("[gMASK]<sop>", with: tools)
        #expect(ChatFormat.recognize(template: template) == format)
    }

    @Test(arguments: ChatFormat.allCases)
    func aTemplateWithAnotherGenerationPromptIsNotRecognized(_ format: ChatFormat) throws {
        let template = try Self.template(format)
        let start = try #require(template.ranges(of: "<|assistant|>").last).lowerBound
        let changed =
            format == .glm4
            ? template[..<start] + template[start...].replacing("<|assistant|>", with: "<|assistant|>\\n")
            : template[..<start] + template[start...].replacing("<|assistant|>\\n", with: "<|assistant|>")
        #expect(ChatFormat.recognize(template: String(changed)) == nil)
    }

    @Test(arguments: ChatFormat.allCases)
    func templatesCutAnywhereDoNotTrap(_ format: ChatFormat) throws {
        let template = Array(try Self.template(format).utf8)
        for count in 0..<template.count - 1 {
            let cut = String(decoding: template.prefix(count), as: UTF8.self)
            _ = ChatFormat.recognize(template: cut)
        }
    }
}
