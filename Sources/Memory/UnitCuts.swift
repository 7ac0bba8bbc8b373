//! The units of a model, kept between residencies that are tried one after the other.

/// A model cut into units, as it was cut last: a plan tries hundreds of residencies, most of which cut it
/// alike.
struct UnitCuts {
    let inventory: WeightInventory
    /// Bytes of the largest matrices, which are the least that units may have.
    let largestOfDecoder: Int
    let largestOfVision: Int
    private var decoder: (mostBytes: Int, units: [[WeightUnit]])?
    private var vision: (mostBytes: Int, units: [WeightUnit])?

    init(_ inventory: WeightInventory) {
        self.inventory = inventory
        largestOfDecoder = inventory.largestMatrix(of: inventory.decoder)
        largestOfVision = inventory.largestMatrix(of: inventory.vision)
    }

    /// Those of the decoder, segment by segment.
    mutating func decoderUnits(mostBytes: Int) -> [[WeightUnit]] {
        if let decoder, decoder.mostBytes == mostBytes { return decoder.units }
        let units = inventory.decoder.map { inventory.decoderUnits(of: $0, mostBytes: mostBytes) }
        decoder = (mostBytes, units)
        return units
    }

    /// Those of the tower.
    mutating func visionUnits(mostBytes: Int) -> [WeightUnit] {
        if let vision, vision.mostBytes == mostBytes { return vision.units }
        let units = inventory.visionUnits(mostBytes: mostBytes)
        vision = (mostBytes, units)
        return units
    }
}
