//! What a decoded token reads: the bytes that its speed is bound by.

public import Tensors

extension Glm4v {
    /// The memories of the weights that every decoded token reads whole: the decoder's layers and the head.
    ///
    /// A row of the embedding and the keys and values come on top; with short contexts they are little.
    public var decodeWeights: [any BackendMemory] {
        // A tied head is the embedding, whose memory then is read whole as well.
        let memories = layers.map(\.qkv.memory) + [finalNorm.memory, head.memory]
        var seen: Set<ObjectIdentifier> = []
        return memories.filter { seen.insert(ObjectIdentifier($0)).inserted }
    }
}
