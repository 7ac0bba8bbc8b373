//! What a decoded token reads: the bytes that its speed is bound by.

public import Tensors

extension Glm4v {
    /// The memories of the resident weights that every decoded token reads whole: the decoder's layers and
    /// the head.
    ///
    /// A row of the embedding and the keys and values come on top; with short contexts they are little.
    public var decodeWeights: [any BackendMemory] {
        // A tied head is the embedding, whose memory then is read whole as well.
        let matrices = layers.flatMap { [$0.qkv, $0.o, $0.gateUp, $0.down] } + head
        let memories =
            matrices.compactMap { matrix -> (any BackendMemory)? in
                if case .resident(let memory, _, _) = matrix.place { memory } else { nil }
            } + (head.count == 1 ? [finalNorm.memory] : [])
        var seen: Set<ObjectIdentifier> = []
        return memories.filter { seen.insert(ObjectIdentifier($0)).inserted }
    }
}
