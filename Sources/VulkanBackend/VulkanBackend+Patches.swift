//! Images to patches: resized along each axis, normalised and cut.

internal import CShaders
public import Tensors
internal import VulkanCompute

extension VulkanBackend {
    public func cutPatches(_ pixels: Span<UInt8>, _ cut: PatchCut, into patches: Activation) {
        precondition(pixels.count == cut.width * cut.height * 3, "the pixels fill the image")
        precondition(patches.rows == cut.patchCount && patches.columns == cut.patchElementCount)
        let parts = ImageMemory.Parts(cut)
        let memory: ImageMemory
        do { memory = try imageMemory(of: parts) } catch { return keep(error) }
        var precisions: (columns: Int32, rows: Int32) = (0, 0)
        guard let host = unsafe memory.host.mapped else { preconditionFailure("the host sees host memory") }
        unsafe pixels.withUnsafeBytes {
            unsafe UnsafeMutableRawBufferPointer(rebasing: host[parts.pixels...]).copyMemory(from: $0)
        }
        unsafe cut.normalised.withUnsafeBytes { unsafe host.copyMemory(from: $0) }
        unsafe precisions.columns = parts.columns.write(cut.columns, to: host)
        unsafe precisions.rows = parts.rows.write(cut.rows, to: host)
        stream.copy(from: memory.host, at: 0, to: memory.device, at: 0, byteCount: parts.hostByteCount)
        // The device brings the image while the host goes on, and the next one waits for this alone.
        do { image?.submission = try stream.submit() } catch { return keep(error) }

        let base = memory.device.address
        var image = base + UInt64(parts.pixels)
        if !cut.columns.isIdentity {
            resample(
                image, parts.columns, cut.columns, precisions.columns, lines: cut.height, step: 3,
                into: base + UInt64(parts.narrowed), base)
            image = base + UInt64(parts.narrowed)
        }
        if !cut.rows.isIdentity {
            resample(
                image, parts.rows, cut.rows, precisions.rows, lines: 1, step: 3 * cut.resizedWidth,
                into: base + UInt64(parts.resized), base)
            image = base + UInt64(parts.resized)
        }
        let parameters = thimble_cut_patches(
            pixels: image, normalised: base, y: patches.address, width: UInt32(cut.resizedWidth),
            height: UInt32(cut.resizedHeight), patch_size: UInt32(cut.patchSize),
            merge_size: UInt32(cut.mergeSize), frame_count: UInt32(cut.frameCount))
        dispatch("cut_patches", workgroup: Self.rowThreads, parameters, groups: (cut.patchCount, 1, 1))
    }

    private func resample(
        _ image: UInt64, _ taps: ImageMemory.Taps, _ axis: ResamplingAxis, _ precision: Int32, lines: Int,
        step: Int, into y: UInt64, _ base: UInt64
    ) {
        let parameters = thimble_resample(
            x: image, starts: base + UInt64(taps.starts), counts: base + UInt64(taps.counts),
            weights: base + UInt64(taps.weights), y: y, lines: UInt32(lines), inputs: UInt32(axis.inputs),
            outputs: UInt32(axis.outputs), step: UInt32(step), capacity: UInt32(axis.capacity),
            fraction_bits: UInt32(precision))
        let threads = Self.rowThreads
        dispatch(
            "resample", workgroup: threads, parameters,
            groups: (min((axis.outputs * step + threads - 1) / threads, 65535), min(lines, 65535), 1))
    }

    /// Room for an image: what the last one had, if it is enough.
    private func imageMemory(of parts: ImageMemory.Parts) throws(VulkanError) -> ImageMemory {
        // The last image's copy may still be under way.
        if let image { try stream.wait(for: image.submission) }
        if let image, image.host.byteCount >= parts.hostByteCount, image.device.byteCount >= parts.byteCount {
            return image
        }
        image = nil
        let made = ImageMemory(
            host: try DeviceBuffer(device, byteCount: parts.hostByteCount, kind: .host),
            device: try DeviceBuffer(device, byteCount: parts.byteCount))
        image = made
        return made
    }
}

/// Where an image is while it is resized: it comes in any size, so that no plan holds it.
struct ImageMemory {
    let host: DeviceBuffer
    let device: DeviceBuffer
    /// What copies the last one from the host to the device.
    var submission: UInt64 = 0

    /// Int32 `[outputs]` twice and int16 `[outputs, capacity]`. Offsets in bytes.
    struct Taps {
        let starts: Int
        let counts: Int
        let weights: Int

        /// Writes the tables of an axis that is resized; returns the weights' fractional bits.
        func write(_ axis: ResamplingAxis, to memory: UnsafeMutableRawBufferPointer) -> Int32 {
            if axis.isIdentity { return 0 }
            func part<Element>(_ offset: Int, _ count: Int) -> UnsafeMutableBufferPointer<Element> {
                let start = unsafe (memory.baseAddress! + offset).bindMemory(
                    to: Element.self, capacity: count)
                return unsafe UnsafeMutableBufferPointer(start: start, count: count)
            }
            return unsafe axis.writeTaps(
                starts: part(starts, axis.outputs), counts: part(counts, axis.outputs),
                weights: part(weights, axis.outputs * axis.capacity))
        }
    }

    /// Offsets in bytes: what the host writes first, the pixels last of it; then what the device does.
    struct Parts {
        let columns: Taps
        let rows: Taps
        let pixels: Int
        let hostByteCount: Int
        /// `[height, resized width, 3]`
        let narrowed: Int
        /// `[resized height, resized width, 3]`
        let resized: Int
        let byteCount: Int

        init(_ cut: PatchCut) {
            // Float32 [3, 256] of what bytes become are first.
            var end = 3 * 256 * 4
            func add(_ byteCount: Int) -> Int {
                defer { end += (byteCount + 63) / 64 * 64 }
                return end
            }
            func addTaps(_ axis: ResamplingAxis) -> Taps {
                let outputs = axis.isIdentity ? 0 : axis.outputs
                return Taps(
                    starts: add(outputs * 4), counts: add(outputs * 4),
                    weights: add(outputs * axis.capacity * 2))
            }
            columns = addTaps(cut.columns)
            rows = addTaps(cut.rows)
            pixels = add(cut.width * cut.height * 3)
            hostByteCount = end
            narrowed = add(cut.columns.isIdentity ? 0 : cut.height * cut.resizedWidth * 3)
            resized = add(cut.rows.isIdentity ? 0 : cut.resizedHeight * cut.resizedWidth * 3)
            byteCount = end
        }
    }
}
