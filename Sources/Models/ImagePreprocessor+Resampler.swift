//! Bicubic resampling with antialiasing, in the reference's fixed point for bytes.

extension ImagePreprocessor {
    /// The taps of one axis: each output position is a weighted sum of consecutive input positions.
    struct ResamplingTaps {
        /// For each output position, the first input position.
        let starts: [Int]
        /// For each output position, how many input positions; at least 1.
        let counts: [Int]
        /// `[outputs, capacity]`; weights scaled by `1 << precision`, fitting in 16 bits.
        let weights: [Int32]
        /// The largest count.
        let capacity: Int
        /// Fractional bits of the weights.
        let precision: Int32

        /// Derives the taps that resize `input` positions to `output` positions, both at least 1.
        init(from input: Int, to output: Int) {
            let scale = Double(input) / Double(output)
            // Shrinking widens the filter so that it covers all of the input; growing leaves it as it is.
            let stretch = max(scale, 1)
            let support = 2 * stretch
            var starts: [Int] = []
            var rows: [[Double]] = []
            for position in 0..<output {
                let centre = scale * (Double(position) + 0.5)
                let start = max(Int(centre - support + 0.5), 0)
                let end = min(Int(centre + support + 0.5), input)
                let row = (start..<end).map { Self.cubic((Double($0) - centre + 0.5) / stretch) }
                let sum = row.reduce(0, +)
                starts.append(start)
                rows.append(row.map { $0 / sum })
            }
            // As many fractional bits as the largest weight leaves in a signed 16-bit integer.
            let largest = rows.joined().max() ?? 1
            var precision: Int32 = 0
            while precision < 22, 0.5 + largest * Double(1 << (precision + 1)) < Double(1 << 15) {
                precision += 1
            }
            let one = Double(1 << precision)
            let capacity = rows.map(\.count).max() ?? 1
            self.starts = starts
            self.counts = rows.map(\.count)
            self.capacity = capacity
            self.precision = precision
            self.weights = rows.flatMap { row in
                row.map { Int32(($0 * one).rounded(.toNearestOrAwayFromZero)) }
                    + Array(repeating: 0, count: capacity - row.count)
            }
        }

        /// Keys' cubic convolution kernel with a = -1/2 (Keys 1981), which is 0 beyond 2.
        private static func cubic(_ distance: Double) -> Double {
            let a = -0.5
            let x = distance.magnitude
            if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
            if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
            return 0
        }
    }
}

extension ImagePreprocessor {
    /// Resizes RGB images of one size to another, a row at a time: only rows under the vertical filter are
    /// held.
    struct Resampler {
        private let source: PixelSize
        private let target: PixelSize
        private let horizontal: ResamplingTaps
        private let vertical: ResamplingTaps

        /// Prepares for images of extent `source`; all four sides are at least 1.
        init(from source: PixelSize, to target: PixelSize) {
            self.source = source
            self.target = target
            horizontal = ResamplingTaps(from: source.width, to: target.width)
            vertical = ResamplingTaps(from: source.height, to: target.height)
        }

        /// Bytes that `forEachRow` holds, the taps included.
        var scratchByteCount: Int {
            let tapCount = horizontal.weights.count + vertical.weights.count
            let positionCount = target.width + target.height
            return target.width * 3 * (vertical.capacity + MemoryLayout<Int32>.size + 1)
                + tapCount * MemoryLayout<Int32>.size + positionCount * 2 * MemoryLayout<Int>.size
        }

        /// Calls `body` with each row of the resized image, from the top: its number and its
        /// `target.width x 3` bytes.
        ///
        /// Both passes round to bytes, the horizontal one first, as the reference does.
        func forEachRow(
            of pixels: UnsafeBufferPointer<UInt8>, _ body: (Int, UnsafeBufferPointer<UInt8>) -> Void
        ) {
            let rowSize = target.width * 3
            // Row y of the narrowed image lies in slot y modulo the capacity.
            let ring = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: vertical.capacity * rowSize)
            let sums = UnsafeMutableBufferPointer<Int32>.allocate(capacity: rowSize)
            let row = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: rowSize)
            defer {
                unsafe ring.deallocate()
                unsafe sums.deallocate()
                unsafe row.deallocate()
            }
            var next = 0
            for y in 0..<target.height {
                let end = vertical.starts[y] + vertical.counts[y]
                while next < end {
                    let sourceRow = next * source.width * 3..<(next + 1) * source.width * 3
                    let slot = next % vertical.capacity * rowSize
                    unsafe narrow(pixels.extracting(sourceRow), into: ring.extracting(slot..<slot + rowSize))
                    next += 1
                }
                unsafe blend(ring, at: y, sums: sums, into: row)
                unsafe body(y, UnsafeBufferPointer(row))
            }
        }

        /// The horizontal pass over one row.
        private func narrow(
            _ input: UnsafeBufferPointer<UInt8>, into output: UnsafeMutableBufferPointer<UInt8>
        ) {
            let half = Int32(1) << (horizontal.precision - 1)
            unsafe horizontal.weights.withUnsafeBufferPointer { weights in
                for x in 0..<target.width {
                    let first = horizontal.starts[x] * 3
                    let row = x * horizontal.capacity
                    var (red, green, blue) = (half, half, half)
                    for tap in 0..<horizontal.counts[x] {
                        let weight = unsafe weights[row + tap]
                        red &+= unsafe weight &* Int32(input[first + tap * 3])
                        green &+= unsafe weight &* Int32(input[first + tap * 3 + 1])
                        blue &+= unsafe weight &* Int32(input[first + tap * 3 + 2])
                    }
                    unsafe output[x * 3] = Self.byte(red &>> horizontal.precision)
                    unsafe output[x * 3 + 1] = Self.byte(green &>> horizontal.precision)
                    unsafe output[x * 3 + 2] = Self.byte(blue &>> horizontal.precision)
                }
            }
        }

        /// The vertical pass for output row `y`, over the rows that the ring holds.
        private func blend(
            _ ring: UnsafeMutableBufferPointer<UInt8>, at y: Int, sums: UnsafeMutableBufferPointer<Int32>,
            into output: UnsafeMutableBufferPointer<UInt8>
        ) {
            unsafe sums.update(repeating: 1 << (vertical.precision - 1))
            for tap in 0..<vertical.counts[y] {
                let weight = vertical.weights[y * vertical.capacity + tap]
                let slot = (vertical.starts[y] + tap) % vertical.capacity * output.count
                let row = ring.extracting(slot..<slot + output.count)
                for index in 0..<output.count {
                    unsafe sums[index] &+= weight &* Int32(row[index])
                }
            }
            for index in 0..<output.count {
                unsafe output[index] = Self.byte(sums[index] &>> vertical.precision)
            }
        }

        private static func byte(_ value: Int32) -> UInt8 {
            UInt8(truncatingIfNeeded: min(max(value, 0), 255))
        }
    }
}
