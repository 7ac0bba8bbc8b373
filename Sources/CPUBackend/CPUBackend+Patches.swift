//! Images to patches: resized, normalised and cut, some rows at a time.

internal import CKernels
public import Tensors

extension CPUBackend {
    public func cutPatches(_ pixels: Span<UInt8>, _ cut: PatchCut, into patches: Activation) {
        precondition(pixels.count == cut.width * cut.height * 3, "the pixels fill the image")
        precondition(patches.rows == cut.patchCount && patches.columns == cut.patchElementCount)
        let parts = PatchScratch(cut, threadCount: pool.threadCount)
        let scratch = unsafe takeScratch(parts.byteCount)
        unsafe pixels.withUnsafeBufferPointer { pixels in
            unsafe cut.normalised.withUnsafeBufferPointer { normalised in
                let bands = unsafe PatchBands(
                    kernels: kernels, cut, parts, scratch: scratch, pixels: pixels.baseAddress!,
                    normalised: normalised.baseAddress!, patches: patches.floats)
                let bandHeight = cut.patchSize * cut.mergeSize
                pool.run(
                    bands, count: cut.resizedHeight / bandHeight,
                    cost: LoopCost(.patches, units: bandHeight * cut.resizedWidth))
            }
        }
    }
}

/// The scratch of one image. Offsets in bytes. An axis that is not resized has no taps.
struct PatchScratch {
    /// Int32 `[outputs]` twice and int16 `[outputs, capacity]`.
    struct Taps {
        let starts: Int
        let counts: Int
        let weights: Int
    }

    let columns: Taps
    let rows: Taps
    /// `[threads, workerByteCount]`.
    let workers: Int
    let workerByteCount: Int
    let byteCount: Int
    /// Within a worker's part: the addresses of the rows of a blend, `[row capacity]`.
    let addresses = 0
    /// Within a worker's part: narrowed rows; row `y` of the image lies in slot `y % row capacity`.
    let ring: Int
    /// Within a worker's part: one row of the resized image.
    let line: Int

    init(_ cut: PatchCut, threadCount: Int) {
        var scratch = ScratchLayout()
        func addTaps(_ axis: ResamplingAxis) -> Taps {
            let outputs = axis.isIdentity ? 0 : axis.outputs
            return Taps(
                starts: scratch.add(outputs, of: Int32.self), counts: scratch.add(outputs, of: Int32.self),
                weights: scratch.add(outputs * axis.capacity, of: Int16.self))
        }
        columns = addTaps(cut.columns)
        rows = addTaps(cut.rows)
        workers = scratch.byteCount
        let lineByteCount = cut.resizedWidth * 3
        let rowCapacity = cut.rows.isIdentity ? 0 : cut.rows.capacity
        _ = scratch.add(rowCapacity, of: UInt.self)
        ring = scratch.add(cut.columns.isIdentity ? 0 : rowCapacity * lineByteCount, of: UInt8.self) - workers
        let isCopied = cut.rows.isIdentity && cut.columns.isIdentity
        line = scratch.add(isCopied ? 0 : lineByteCount, of: UInt8.self) - workers
        workerByteCount = scratch.byteCount - workers
        byteCount = workers + workerByteCount * threadCount
    }
}

/// One image on its way to patches. A band is the rows of one row of visual tokens: what several bands need
/// of the narrowed image, each makes for itself.
@safe private struct PatchBands: ParallelLoop {
    private let kernels: UnsafePointer<thimble_kernels>
    private let cut: PatchCut
    private let parts: PatchScratch
    private let scratch: UnsafeMutableRawPointer
    private let pixels: UnsafePointer<UInt8>
    private let normalised: UnsafePointer<Float>
    private let patches: UnsafeMutablePointer<Float>
    /// nil where the axis is not resized.
    private let columns: thimble_taps?
    private let rows: thimble_taps?

    /// The pointers are valid as long as the value is used; `scratch` for `parts.byteCount` bytes.
    init(
        kernels: UnsafePointer<thimble_kernels>, _ cut: PatchCut, _ parts: PatchScratch,
        scratch: UnsafeMutableRawPointer, pixels: UnsafePointer<UInt8>, normalised: UnsafePointer<Float>,
        patches: UnsafeMutablePointer<Float>
    ) {
        unsafe self.kernels = kernels
        self.cut = cut
        self.parts = parts
        unsafe self.scratch = scratch
        unsafe self.pixels = pixels
        unsafe self.normalised = normalised
        unsafe self.patches = patches
        unsafe columns = Self.taps(cut.columns, parts.columns, scratch)
        unsafe rows = Self.taps(cut.rows, parts.rows, scratch)
    }

    private static func taps(
        _ axis: ResamplingAxis, _ parts: PatchScratch.Taps, _ scratch: UnsafeMutableRawPointer
    ) -> thimble_taps? {
        if axis.isIdentity { return nil }
        func part<Element>(_ offset: Int, _ count: Int) -> UnsafeMutableBufferPointer<Element> {
            let start = unsafe (scratch + offset).bindMemory(to: Element.self, capacity: count)
            return unsafe UnsafeMutableBufferPointer(start: start, count: count)
        }
        let starts: UnsafeMutableBufferPointer<Int32> = unsafe part(parts.starts, axis.outputs)
        let counts: UnsafeMutableBufferPointer<Int32> = unsafe part(parts.counts, axis.outputs)
        let weights: UnsafeMutableBufferPointer<Int16> =
            unsafe part(parts.weights, axis.outputs * axis.capacity)
        let precision = unsafe axis.writeTaps(starts: starts, counts: counts, weights: weights)
        return unsafe thimble_taps(
            starts: starts.baseAddress, counts: counts.baseAddress, weights: weights.baseAddress,
            inputs: Int64(axis.inputs), outputs: Int64(axis.outputs), capacity: Int64(axis.capacity),
            precision: precision)
    }

    func run(_ bands: Range<Int>, worker: Int) {
        for band in bands { write(band, worker: worker) }
    }

    /// Writes the patches of a row of visual tokens.
    private func write(_ band: Int, worker: Int) {
        let own = unsafe scratch + parts.workers + worker * parts.workerByteCount
        let line = unsafe (own + parts.line).assumingMemoryBound(to: UInt8.self)
        let height = cut.patchSize * cut.mergeSize
        var narrowed = 0
        for y in band * height..<(band + 1) * height {
            if let rows = unsafe rows {
                unsafe narrow(through: y, of: rows, &narrowed, in: own)
                unsafe blend(y, of: rows, in: own, into: line)
                unsafe spread(line, y)
            } else if unsafe columns != nil {
                unsafe narrow(y, into: line)
                unsafe spread(line, y)
            } else {
                unsafe spread(sourceRow(y), y)
            }
            if (y + 1) % cut.patchSize == 0 { repeatFrames(patchRow: y / cut.patchSize) }
        }
    }

    private func sourceRow(_ y: Int) -> UnsafePointer<UInt8> { unsafe pixels + y * cut.width * 3 }

    private func narrow(_ y: Int, into row: UnsafeMutablePointer<UInt8>) {
        guard var taps = unsafe columns else { return }
        unsafe kernels.pointee.resample_row(&taps, sourceRow(y), row)
    }

    /// Puts into the ring what the blend of row `y` lacks; rows below `narrowed` are there or gone.
    private func narrow(
        through y: Int, of rows: thimble_taps, _ narrowed: inout Int, in own: UnsafeMutableRawPointer
    ) {
        let first = unsafe Int(rows.starts[y])
        let end = unsafe first + Int(rows.counts[y])
        let addresses = unsafe (own + parts.addresses).assumingMemoryBound(to: UnsafePointer<UInt8>?.self)
        for row in max(first, narrowed)..<max(end, narrowed) where unsafe columns != nil {
            unsafe narrow(row, into: slot(row, of: rows, in: own))
        }
        narrowed = max(end, narrowed)
        for row in first..<end {
            unsafe addresses[row - first] =
                unsafe columns == nil ? sourceRow(row) : UnsafePointer(slot(row, of: rows, in: own))
        }
    }

    private func slot(
        _ row: Int, of rows: thimble_taps, in own: UnsafeMutableRawPointer
    ) -> UnsafeMutablePointer<UInt8> {
        let index = unsafe row % Int(rows.capacity)
        return unsafe (own + parts.ring + index * cut.resizedWidth * 3).assumingMemoryBound(to: UInt8.self)
    }

    private func blend(
        _ y: Int, of rows: thimble_taps, in own: UnsafeMutableRawPointer,
        into line: UnsafeMutablePointer<UInt8>
    ) {
        let addresses = unsafe (own + parts.addresses).assumingMemoryBound(to: UnsafePointer<UInt8>?.self)
        unsafe kernels.pointee.blend_rows(
            addresses, rows.weights + y * Int(rows.capacity), Int64(rows.counts[y]), rows.precision,
            Int64(cut.resizedWidth * 3), line)
    }

    /// Spreads row `y` of the resized image over the first frames of the patches that it crosses.
    private func spread(_ line: UnsafePointer<UInt8>, _ y: Int) {
        let (patchRow, within) = y.quotientAndRemainder(dividingBy: cut.patchSize)
        let channel = cut.frameCount * cut.patchSize * cut.patchSize
        var pixel = unsafe line
        for column in 0..<cut.gridWidth {
            let patch = cut.patchIndex(row: patchRow, column: column) * cut.patchElementCount
            var target = unsafe patches + patch + within * cut.patchSize
            for _ in 0..<cut.patchSize {
                unsafe target[0] = normalised[Int(pixel[0])]
                unsafe target[channel] = normalised[256 + Int(pixel[1])]
                unsafe target[2 * channel] = normalised[512 + Int(pixel[2])]
                unsafe target += 1
                unsafe pixel += 3
            }
        }
    }

    /// Copies the first frame of a row of patches to the others.
    private func repeatFrames(patchRow: Int) {
        let plane = cut.patchSize * cut.patchSize
        for column in 0..<cut.gridWidth {
            let patch = cut.patchIndex(row: patchRow, column: column) * cut.patchElementCount
            for channel in 0..<3 {
                let first = unsafe patches + patch + channel * cut.frameCount * plane
                for frame in 1..<cut.frameCount {
                    unsafe (first + frame * plane).update(from: first, count: plane)
                }
            }
        }
    }
}
