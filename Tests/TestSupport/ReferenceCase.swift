//! The tiny checkpoints under Tests/Fixtures/reference, with what the reference computes for them.

public import Foundation

/// One folder that make_reference.py made.
public struct ReferenceCase: Sendable, CustomStringConvertible {
    /// What the reference said beside the tensors.
    public struct Summary: Decodable, Sendable {
        /// Positions after the image placeholders are expanded.
        public let positions: Int
        /// Patches of each image: height, width.
        public let grids: [[Int]]
        /// The tokens that follow, each the most likely one.
        public let greedy: [Int]
        /// The largest magnitude that an MLP of the decoder puts out.
        public let largestMLPOutput: Float
        /// The largest magnitude that an attention of the decoder puts out, behind the output projection.
        public let largestAttentionOutput: Float

        enum CodingKeys: String, CodingKey {
            case positions, grids, greedy
            case largestMLPOutput = "largest_mlp_output"
            case largestAttentionOutput = "largest_attention_output"
        }
    }

    /// The folder's name.
    public let name: String

    /// Every case.
    public static let all = [
        "text-head64", "causal-head128", "one-image", "two-images-head128", "resized-images",
        "large-activations", "odd-shapes",
        "long",
    ].map(ReferenceCase.init(name:))

    /// Those that a Vulkan device is held against: every case, but under a sanitizer one with an image, and
    /// one whose sizes are odd.
    public static let examples =
        isSanitized ? all.filter { ["one-image", "odd-shapes"].contains($0.name) } : all

    /// The case in the folder `name`.
    public init(name: String) { self.name = name }

    public var description: String { name }

    /// The checkpoint's folder.
    public var folder: URL { Fixtures.url("reference/\(name)") }

    /// Token ids; a placeholder stands once for each image.
    public func tokens() throws -> [Int] { try Fixtures.json("reference/\(name)/tokens.json") }

    public func summary() throws -> Summary { try Fixtures.json("reference/\(name)/summary.json") }

    /// Image files, in the order of their placeholders.
    public func images() throws -> [URL] {
        try summary().grids.indices.map { folder.appending(path: "image-\($0).png") }
    }

    /// `[positions, vocabulary]`.
    public func logits() throws -> NPY { try NPY(contentsOf: folder.appending(path: "logits.npy")) }

    /// `[visual tokens of all images, hidden size]`; only in cases with images.
    public func features() throws -> NPY { try NPY(contentsOf: folder.appending(path: "features.npy")) }
}
