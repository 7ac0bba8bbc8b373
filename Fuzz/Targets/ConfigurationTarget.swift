//! Fuzzes config.json, generation_config.json and preprocessor_config.json.

@testable import Checkpoints
import JSON
@testable import ModelFile

/// Input: the three texts, separated by zero bytes; the second and third may be missing.
struct ConfigurationTarget: FuzzTarget {
    func run(_ input: [UInt8]) -> Bool {
        let texts = input.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
        let sections = texts.map { Self.section(Array($0)) }
        guard let config = sections[0],
            let configuration = try? HuggingFaceConfiguration.read(
                config, generation: sections.count > 1 ? sections[1] : nil,
                preprocessor: sections.count > 2 ? sections[2] : nil)
        else { return false }
        ConfigurationChecks.check(configuration)
        return true
    }

    private static func section(_ text: [UInt8]) -> JSONSection? {
        guard case .object(let members)? = try? JSONValue(parsing: text, CheckpointLimits.json) else {
            return nil
        }
        return JSONSection(file: "config.json", members: members)
    }
}

/// What holds of every configuration that is accepted, whoever wrote it.
enum ConfigurationChecks {
    static func check(_ configuration: ModelConfiguration) {
        expect((try? configuration.validate()) != nil, "an accepted configuration is not valid")
        // Layers are all alike: a deep model has no shapes that a shallow one lacks.
        guard configuration.text.layerCount <= 4, configuration.vision?.depth ?? 0 <= 4 else { return }
        for segment in ModelSchema(configuration).segments {
            for tensor in segment.tensors {
                expect(tensor.rows > 0 && tensor.columns > 0, "tensor \(tensor.name) is empty")
            }
        }
    }
}
