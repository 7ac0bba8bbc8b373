//! Whether many rows are worth bringing weights to a GPU for.

internal import ModelFile

extension Plan {
    /// The fewest rows for which the processor takes longer with its layers than bringing these to the GPU
    /// does: each row costs the processor the same, and the weights come once for all.
    ///
    /// Precondition: the plan was made for the model of `work`.
    public func rowsWorthBringing(of work: ModelWork, on rates: MachineRates) -> Int {
        let count = Double(parts[0].share.layers.count)
        let row = work.layers.seconds(1, on: rates) * count / Double(work.layerCount)
        let rows = (secondsToBring(work, rates) / max(row, .leastNonzeroMagnitude)).rounded(.up)
        // Beyond the most that the processor computes at once, there is nothing to choose.
        let most = activations.unbroughtTokens.map { $0 + 1 } ?? activations.chunkTokens
        return Int(min(max(rows, 2), Double(max(min(most, activations.chunkTokens), 2))))
    }

    /// Seconds until the processor's layers have come to the GPU, one after the other.
    func secondsToBring(_ work: ModelWork, _ rates: MachineRates) -> Double {
        let layers = work.inventory.decoder[parts[0].share.layers]
        let bytes = Double(work.inventory.byteCount(of: layers))
        // The processor writes them to where the bus takes them from, all threads together, while the bus
        // takes others.
        let memory = rates.weights[rates.weights.count - 1].bytesPerSecond
        return max(bytes / rates.bus, bytes * Self.copyPasses / memory)
    }

    /// A copy reads and writes, and the line that is written is read before.
    private static let copyPasses = 3.0
}
