//! What a decoded token reads: the bytes that its speed is bound by.

public import Tensors

extension Glm4v {
    /// The memories of the resident weights that every decoded token reads whole, the decoder's layers and
    /// the head, by the backend that reads them.
    ///
    /// A row of the embedding and the keys and values come on top; with short contexts they are little.
    public var decodeWeights: [(backend: any Backend, memories: [any BackendMemory])] {
        parts.map { ($0.backend, $0.decodeWeights) }
    }

    /// What brings weights that pass through memory for every token; nil where none do.
    private var passing: WeightStore? {
        parts.lazy.compactMap(\.store).first { $0.passes(.decoder) }
    }

    /// Bytes a second at which the file's disk is read for about so many seconds: by the threads that bring
    /// weights which pass, in their reads, while nothing else is done; nil where no weights pass.
    ///
    /// Throws `file`.
    public func diskBytesPerSecond(seconds: Double) throws(ModelError) -> Double? {
        try passing?.diskBytesPerSecond(seconds: seconds)
    }

    /// Reads that are on their way at a time, at most, and whether they go past the system's cache of files;
    /// nil where no weights pass.
    public var passingReads: (count: Int, areDirect: Bool)? { passing.map { ($0.readerCount, $0.isDirect) } }
}

extension ModelPart {
    fileprivate var decodeWeights: [any BackendMemory] {
        // A tied head is the embedding, whose memory then is read whole as well.
        let matrices = layers.flatMap { [$0.qkv, $0.o, $0.gateUp, $0.down] } + (head?.pieces ?? [])
        let memories =
            matrices.compactMap { matrix -> (any BackendMemory)? in
                if case .resident(let memory, _, _) = matrix.place { memory } else { nil }
            } + (head.map { $0.pieces.count == 1 ? [$0.norm.memory] : [] } ?? [])
        var seen: Set<ObjectIdentifier> = []
        return memories.filter { seen.insert(ObjectIdentifier($0)).inserted }
    }
}
