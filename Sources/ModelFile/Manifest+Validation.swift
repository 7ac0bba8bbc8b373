//! The checks that a manifest passes before anything it says is believed.

import Tensors

extension Manifest {
    /// Checks every count, name, offset and length against the limits, against each other, and against
    /// `blockIndexOffset`, where the segments end.
    func validate(file: String, blockIndexOffset: Int, blockCount: Int) throws(ModelFileError) {
        do throws(ConfigurationFault) {
            try model.configuration.validate()
        } catch {
            throw ModelFileError(.damaged, file: file, "configuration: \(error)")
        }
        guard segments.count <= ContainerFormat.maximumSegmentCount else {
            throw ModelFileError(.limit, file: file, "\(segments.count) segments are too many")
        }
        var names: Set<String> = []
        var offset = Header.byteCount
        var block = 0
        for segment in segments {
            try segment.validate(file: file)
            guard names.insert(segment.name).inserted else {
                throw ModelFileError(.damaged, file: file, "two segments are named \(segment.name)")
            }
            // Segments follow one another without overlap, so each one's place follows from the last one's
            // end.
            guard segment.fileOffset == ContainerFormat.aligned(offset, to: ContainerFormat.segmentAlignment),
                segment.storedByteCount <= blockIndexOffset - segment.fileOffset, segment.firstBlock == block
            else {
                throw ModelFileError(
                    .damaged, file: file, offset: offset, "segment \(segment.name) is out of place")
            }
            offset = segment.fileOffset + segment.storedByteCount
            block += ContainerFormat.blockCount(ofStream: segment.codesByteCount)
            block += ContainerFormat.blockCount(ofStream: segment.scalesByteCount)
        }
        guard ContainerFormat.aligned(offset, to: ContainerFormat.planeAlignment) == blockIndexOffset,
            block == blockCount
        else {
            throw ModelFileError(
                .damaged, file: file, offset: blockIndexOffset,
                "the block index is not where the segments end")
        }
    }
}

extension SegmentEntry {
    /// Checks the entry by itself: limits, and tensors that fill the streams in order without overlap.
    fileprivate func validate(file: String) throws(ModelFileError) {
        let maximumStream = ContainerFormat.maximumBlockCount * ContainerFormat.blockByteCount
        guard (1...ContainerFormat.maximumNameByteCount).contains(name.utf8.count),
            tensors.count <= ContainerFormat.maximumTensorCount,
            (0...maximumStream).contains(codesByteCount), (0...maximumStream).contains(scalesByteCount),
            storedByteCount >= 0
        else {
            throw ModelFileError(
                .limit, file: file,
                "segment \(name.prefix(64)) has a name, a count or a size beyond the limits")
        }
        switch kind {
        case .data:
            guard tensors.isEmpty, scalesByteCount == 0,
                codesByteCount <= ContainerFormat.maximumDataByteCount
            else { throw ModelFileError(.damaged, file: file, "data segment \(name) is not data") }
        case .weights:
            try validateTensors(file: file)
        }
    }

    private func validateTensors(file: String) throws(ModelFileError) {
        var names: Set<String> = []
        var codesEnd = 0
        var scalesEnd = codesByteCount
        for tensor in tensors {
            let valid =
                tensor.hasValidShape && names.insert(tensor.name).inserted && tensor.codesOffset == codesEnd
                && tensor.scalesOffset == (tensor.format.type.isQuantized ? scalesEnd : nil)
            guard valid else {
                throw ModelFileError(
                    .damaged, file: file,
                    "tensor \(tensor.name.prefix(64)) of segment \(name) has an impossible shape or place")
            }
            // Dimensions are at most 2^24, so a plane has at most 2^50 bytes, and 2^10 of them fit in an Int.
            codesEnd += ContainerFormat.aligned(tensor.codesByteCount, to: ContainerFormat.planeAlignment)
            scalesEnd += ContainerFormat.aligned(tensor.scalesByteCount, to: ContainerFormat.planeAlignment)
        }
        guard codesEnd == codesByteCount, scalesEnd == imageByteCount else {
            throw ModelFileError(.damaged, file: file, "segment \(name) has another size than its tensors")
        }
    }
}

extension TensorEntry {
    fileprivate var hasValidShape: Bool {
        let dimensions = 1...ContainerFormat.maximumDimension
        guard (1...ContainerFormat.maximumNameByteCount).contains(name.utf8.count),
            dimensions.contains(columns)
        else { return false }
        switch kind {
        case .vector:
            // A vector may be a whole table, such as the learned positions.
            return (1...ContainerFormat.maximumVectorCount).contains(rows) && columns == 1 && format == .f32
        case .matrix:
            let groups = format.type.isQuantized ? [32, 64, 128] : [0]
            return dimensions.contains(rows) && groups.contains(format.group)
        }
    }
}
