//! What a model is and how its weights lie, whether they are there yet or not.

public import Tensors

/// A model's configuration and its segments: of a file, or of one that would be made.
public struct ModelOutline: Sendable {
    public let configuration: ModelConfiguration
    /// In file order.
    public let segments: [Segment]

    /// The outline of a file.
    public init(_ file: ModelFile) {
        configuration = file.configuration
        segments = file.segments
    }

    /// The outline that a conversion would write, with every block stored raw: what compression will gain is
    /// not known before the weights are. `format` is that of a segment's matrices, by the segment's name.
    ///
    /// Throws an error that names `name` for a configuration that no model file may have.
    public init(
        _ configuration: ModelConfiguration, name: String, format: (String) -> WeightFormat
    ) throws(ModelFileError) {
        do { try configuration.validate() } catch {
            throw ModelFileError(.limit, file: name, "\(error)")
        }
        self.configuration = configuration
        var segments: [Segment] = []
        var offset = ContainerFormat.segmentAlignment
        for segment in ModelSchema(configuration).segments {
            let entry = SegmentEntry(segment, format: format(segment.name), fileOffset: offset)
            offset = ContainerFormat.aligned(
                offset + entry.storedByteCount, to: ContainerFormat.segmentAlignment)
            let index = [entry.codesByteCount, entry.scalesByteCount].flatMap { stream in
                stride(from: 0, to: stream, by: ContainerFormat.blockByteCount).map { start in
                    let byteCount = UInt32(min(ContainerFormat.blockByteCount, stream - start))
                    return BlockEntry(storedByteCount: byteCount, rawByteCount: byteCount, checksum: 0)
                }
            }
            segments.append(try Segment(entry: entry, index: index, file: name))
        }
        self.segments = segments
    }
}

extension SegmentEntry {
    /// A segment of tensors laid out as the writer does it: codes planes in order, then scales planes.
    fileprivate init(_ segment: ModelSchema.Segment, format: WeightFormat, fileOffset: Int) {
        var tensors: [TensorEntry] = []
        var codes = 0
        for tensor in segment.tensors {
            let entry = TensorEntry(
                name: tensor.name, kind: tensor.kind, rows: tensor.rows, columns: tensor.columns,
                format: tensor.kind == .vector ? .f32 : format, codesOffset: codes, scalesOffset: nil)
            codes += ContainerFormat.aligned(entry.codesByteCount, to: ContainerFormat.planeAlignment)
            tensors.append(entry)
        }
        var scales = 0
        for index in tensors.indices where tensors[index].scalesByteCount > 0 {
            tensors[index].scalesOffset = codes + scales
            scales += ContainerFormat.aligned(
                tensors[index].scalesByteCount, to: ContainerFormat.planeAlignment)
        }
        self.init(
            name: segment.name, kind: .weights, fileOffset: fileOffset, storedByteCount: codes + scales,
            codesByteCount: codes, scalesByteCount: scales, firstBlock: 0, tensors: tensors)
    }
}
