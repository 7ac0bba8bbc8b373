//! Holds the backend's composed operations, prologue and epilogue by name, against naive formulas in Double.

import CKernels
import Foundation
import Tensors
import TestSupport
import Testing
@testable import CPUBackend

extension Bench {
    fileprivate init(threadCount: Int = 2) throws { try self.init(CPUBackend(threadCount: threadCount)) }
}

private func product(_ x: [Float], _ w: [Float], rows: Int, columns: Int) -> [Double] {
    let tokens = x.count / columns
    return (0..<tokens * rows).map { index in
        let (token, row) = (index / rows, index % rows)
        return (0..<columns).reduce(0.0) {
            $0 + Double(x[token * columns + $1]) * Double(w[row * columns + $1])
        }
    }
}

private func rmsNorm(_ x: [Float], _ weight: [Float], _ epsilon: Double) -> [Float] {
    let columns = weight.count
    return x.indices.map { index in
        let row = x[index / columns * columns..<(index / columns + 1) * columns]
        let mean = row.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(columns)
        return Float(Double(x[index]) * Double(weight[index % columns]) / (mean + epsilon).squareRoot())
    }
}

private func expectEqual(_ actual: [Float], _ expected: [Double], tolerance: Double = 2e-5) {
    #expect(actual.count == expected.count)
    let worst = zip(actual, expected).map { abs(Double($0) - $1) / max(1, abs($1)) }.max() ?? 0
    #expect(worst < tolerance)
}

@Test(arguments: [(1, 24, 40), (5, 33, 37), (600, 18, 32)])
func aPlainProjectionStoresWithItsBias(tokens: Int, rows: Int, columns: Int) throws {
    var bench = try Bench()
    let (x, xs) = try bench.random(tokens, columns)
    let (w, ws) = try bench.matrix(rows, columns)
    let (bias, bs) = try bench.vector(rows)
    let (y, _) = try bench.random(tokens, rows)
    bench.backend.project(.plain(x), w, .store(y, bias: bias))
    let expected = product(xs, ws, rows: rows, columns: columns).enumerated().map {
        $1 + Double(bs[$0 % rows])
    }
    expectEqual(try bench.values(y), expected)
}

@Test func theResidualPrologueJoinsKeepsAndNormalises() throws {
    var bench = try Bench()
    let (tokens, rows, columns) = (3, 20, 48)
    let (x, xs) = try bench.random(tokens, columns)
    let (delta, ds) = try bench.random(tokens, columns)
    let ((deltaWeight, dw), (weight, nw)) = (try bench.vector(columns), try bench.vector(columns))
    let (w, ws) = try bench.matrix(rows, columns)
    let (sum, _) = try bench.random(tokens, columns)
    let (y, ys) = try bench.random(tokens, rows)
    bench.backend.project(
        .residual(x, adding: delta, deltaWeight: deltaWeight, weight: weight, epsilon: 1e-5, into: sum), w,
        .add(y))
    let joined = zip(xs, rmsNorm(ds, dw, 1e-5)).map { $0 + $1 }
    expectEqual(try bench.values(sum), joined.map { Double($0) })
    expectEqual(try bench.values(x), xs.map { Double($0) })
    let expected = product(rmsNorm(joined, nw, 1e-5), ws, rows: rows, columns: columns)
    expectEqual(try bench.values(y), zip(ys, expected).map { Double($0) + $1 })
}

@Test func theSwigluEpilogueTakesAlternatingRows() throws {
    var bench = try Bench()
    let (tokens, rows, columns) = (4, 22, 32)
    let (x, xs) = try bench.random(tokens, columns)
    let (w, ws) = try bench.matrix(rows, columns)
    let (y, _) = try bench.random(tokens, rows / 2)
    bench.backend.project(.plain(x), w, .swiglu(y))
    let product = product(xs, ws, rows: rows, columns: columns)
    let expected = (0..<tokens * rows / 2).map { index in
        let (gate, up) = (product[2 * index], product[2 * index + 1])
        return gate / (1 + exp(-gate)) * up
    }
    expectEqual(try bench.values(y), expected)
}

@Test func attentionInputsRotateAndFillPages() throws {
    var bench = try Bench()
    let (tokens, heads, kvHeads, headSize, columns, start) = (21, 2, 1, 8, 32, 13)
    let rows = (heads + 2 * kvHeads) * headSize
    let (x, xs) = try bench.random(tokens, columns)
    let (w, ws) = try bench.matrix(rows, columns)
    let angles = bench.generator.floats(tokens * 2)
    let rotary = Rotary(
        cosines: try bench.activation(angles.map { cos($0) }, tokens, 2),
        sines: try bench.activation(angles.map { sin($0) }, tokens, 2), pairing: .interleaved)
    let pageBytes = PagedKV.pageByteCount(type: .f16, kvHeads: kvHeads, headSize: headSize, pageTokens: 16)
    let kv = PagedKV(
        memory: try bench.backend.makeMemory(byteCount: 5 * pageBytes, label: "test"), offset: 0, type: .f16,
        kvHeads: kvHeads, headSize: headSize, pageTokens: 16, blockTable: [4, 1, 3])
    let (queries, _) = try bench.random(tokens, heads * headSize)
    bench.backend.project(
        .plain(x), w, .attentionInputs(queries: queries, bias: nil, rotary: rotary, kv: kv, start: start))

    let plain = product(xs, ws, rows: rows, columns: columns)
    func rotated(token: Int, head: Int, dimension: Int) -> Double {
        let base = token * rows + head * headSize
        let pair = dimension / 2
        guard pair < 2 else { return plain[base + dimension] }
        let angle = Double(angles[token * 2 + pair])
        let (even, odd) = (plain[base + 2 * pair], plain[base + 2 * pair + 1])
        return dimension % 2 == 0
            ? even * cos(angle) - odd * sin(angle) : odd * cos(angle) + even * sin(angle)
    }
    expectEqual(
        try bench.values(queries),
        (0..<tokens * heads * headSize).map {
            rotated(
                token: $0 / (heads * headSize), head: $0 / headSize % heads, dimension: $0 % headSize)
        })
    unsafe bench.backend.fill(kv.memory, 0..<kv.memory.byteCount) { bytes in
        let halves = unsafe bytes.assumingMemoryBound(to: Float16.self)
        for token in 0..<tokens {
            let position = start + token
            let page = Int([4, 1, 3][position / 16])
            for dimension in 0..<headSize {
                let slot = page * pageBytes / 2 + position % 16 * headSize + dimension
                let key = Double(unsafe halves[slot])
                let value = Double(unsafe halves[slot + 16 * headSize])
                #expect(abs(key - rotated(token: token, head: heads, dimension: dimension)) < 4e-3)
                #expect(abs(value - plain[token * rows + (heads + 1) * headSize + dimension]) < 4e-3)
            }
        }
    }
}

/// Queries over the keys and values of their own tokens, stored as `type`; the projection is the same each
/// time.
private func selfAttention(_ type: KVType, headSize: Int) throws -> [Float] {
    var bench = try Bench()
    let (tokens, heads, kvHeads, columns, start) = (37, 4, 2, 32, 13)
    let rows = (heads + 2 * kvHeads) * headSize
    let (x, _) = try bench.random(tokens, columns)
    let (w, _) = try bench.matrix(rows, columns)
    let (cosines, _) = try bench.random(tokens, headSize / 2)
    let (sines, _) = try bench.random(tokens, headSize / 2)
    let rotary = Rotary(cosines: cosines, sines: sines, pairing: .halves)
    let (queries, _) = try bench.random(tokens, heads * headSize)
    let (y, _) = try bench.random(tokens, heads * headSize)
    let pageBytes = PagedKV.pageByteCount(type: type, kvHeads: kvHeads, headSize: headSize, pageTokens: 16)
    let kv = PagedKV(
        memory: try bench.makeMemory(byteCount: 64 + 5 * pageBytes), offset: 64, type: type, kvHeads: kvHeads,
        headSize: headSize, pageTokens: 16, blockTable: [4, 1, 3, 2])
    bench.backend.project(
        .plain(x), w, .attentionInputs(queries: queries, bias: nil, rotary: rotary, kv: kv, start: start))
    bench.backend.attention(
        queries: queries, kv: kv, start: start, length: start + tokens, isCausal: true, scale: 0.02, into: y)
    #expect(try bench.guardsAreWhole())
    return try bench.values(y)
}

/// What is stored is what is read, in pages of each type: answers differ by the codes' error and no more.
@Test(arguments: [8, 20, 64, 72, 128])
func keysAndValuesOfEveryTypeAnswerAlike(headSize: Int) throws {
    let exact = try selfAttention(.f16, headSize: headSize)
    func error(_ type: KVType) throws -> Float {
        let difference = zip(try selfAttention(type, headSize: headSize), exact).map { $0 - $1 }
        func length(_ x: [Float]) -> Float { x.reduce(0) { $0 + $1 * $1 }.squareRoot() }
        return length(difference) / length(exact)
    }
    let (int8, int5) = (try error(.int8), try error(.int5))
    #expect(int8 > 1e-4 && int8 < 0.01)
    #expect(int5 > 1e-3 && int5 < 0.06)
}

@Test(arguments: KVType.allCases)
func theKernelsAgreeOnTheSizesOfHeads(type: KVType) {
    for size in 1...Int(THIMBLE_MAX_HEAD_SIZE) {
        #expect(type.codeByteCount(headSize: size) == thimble_kv_code_bytes(type.ofKernels, Int64(size)))
    }
    #expect(Int64(type.scaleByteCount) == thimble_kv_scale_bytes(type.ofKernels))
}

/// A grid of 2 x 4 patches, 2 x 2 of which follow each other.
private let smallGrid = PatchCut(
    width: 4, height: 2, resizedWidth: 4, resizedHeight: 2, patchSize: 1, mergeSize: 2, frameCount: 1,
    normalised: [Float](repeating: 0, count: 3 * 256))
/// Where its patches are, in their order.
private let smallGridPlaces = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3)]

@Test func gatheredRowsAddUp() throws {
    var bench = try Bench()
    let (table, ts) = try bench.vector(12 * 6)
    let (y, ys) = try bench.random(8, 6)
    // Of the two rows, then of the four columns.
    let indices: [Int32] = [0, 8, 4, 4, 0, 3, 2, 1, 3, 3, 1, 0]
    let weights: [Float] = [1, 2, -1, 0.5, 0, 3, 1, 1, -2, 0.25, 0.5, 4]
    let memory = try bench.backend.makeMemory(byteCount: 96, label: "test")
    unsafe bench.backend.fill(memory, 48..<96) { bytes in
        unsafe indices.withUnsafeBytes { unsafe bytes.copyMemory(from: $0) }
    }
    let gather = WeightedGather(indicesOffset: 48, weights: Activation(memory, rows: 6, columns: 2))
    bench.backend.write(weights, to: gather.weights)
    bench.backend.addGathered(gather, over: smallGrid, table: table, to: y)
    let expected = (0..<48).map { index in
        let (row, column) = smallGridPlaces[index / 6]
        var sum = Double(ys[index])
        for i in [2 * row, 2 * row + 1] {
            for j in [4 + 2 * column, 5 + 2 * column] {
                let value = ts[Int(indices[i] + indices[j]) * 6 + index % 6]
                sum += Double(weights[i]) * Double(weights[j]) * Double(value)
            }
        }
        return sum
    }
    expectEqual(try bench.values(y), expected)
}

@Test func rowsAndColumnsSpreadOverTheirPatches() throws {
    var bench = try Bench()
    let (sides, numbers) = try bench.random(6, 3)
    let (y, _) = try bench.random(8, 6)
    bench.backend.spread(sides, over: smallGrid, into: y)
    var expected: [Float] = []
    for (row, column) in smallGridPlaces {
        for side in [row, 2 + column] { expected += numbers[side * 3..<side * 3 + 3] }
    }
    #expect(try bench.values(y) == expected)
    #expect(try bench.guardsAreWhole())
}

/// Tiles and rows are computed each by itself, so that sharing them out changes no bit.
@Test(arguments: [WeightFormat.f32, .f16, .q8(group: 32), .q4(group: 64)], [1, 3, 70])
func theNumbersDoNotDependOnTheThreads(format: WeightFormat, tokens: Int) throws {
    func run(threadCount: Int) throws -> [[Float]] {
        var bench = try Bench(threadCount: threadCount)
        let (headSize, heads, kvHeads, columns) = (32, 4, 2, 192)
        let rows = (heads + 2 * kvHeads) * headSize
        let (x, _) = try bench.random(tokens, columns)
        let (norm, _) = try bench.vector(columns)
        let (bias, _) = try bench.vector(rows)
        let w = try bench.matrix(rows, columns, format)
        let (queries, _) = try bench.random(tokens, heads * headSize)
        let (mlp, _) = try bench.random(tokens, rows / 2)
        let (stored, _) = try bench.random(tokens, rows)
        let (cosines, _) = try bench.random(tokens, headSize / 2)
        let (sines, _) = try bench.random(tokens, headSize / 2)
        let (delta, _) = try bench.random(tokens, columns)
        let (sum, _) = try bench.random(tokens, columns)
        let pageBytes = PagedKV.pageByteCount(
            type: .f16, kvHeads: kvHeads, headSize: headSize, pageTokens: 16)
        let kv = PagedKV(
            memory: try bench.backend.makeMemory(byteCount: 5 * pageBytes, label: "test"), offset: 0,
            type: .f16, kvHeads: kvHeads, headSize: headSize, pageTokens: 16, blockTable: [4, 1, 3, 0, 2])
        // Again and again, so that loops are cut by what they were measured to cost.
        for _ in 0..<20 {
            bench.backend.project(
                .rmsNorm(x, weight: norm, epsilon: 1e-5), w,
                .attentionInputs(
                    queries: queries, bias: bias,
                    rotary: Rotary(cosines: cosines, sines: sines, pairing: .halves), kv: kv, start: 0))
            bench.backend.project(.plain(x), w, .swiglu(mlp))
            bench.backend.project(.plain(x), w, .store(stored, bias: bias))
            // What is expected need not be what comes.
            bench.backend.expect(w)
            bench.backend.project(
                .residual(
                    x, adding: delta, deltaWeight: norm, weight: norm, epsilon: 1e-5, into: sum), w,
                .add(stored))
        }
        #expect(try bench.guardsAreWhole())
        let pages = try bench.halves(of: kv.memory).map { Float($0) }
        return try [queries, mlp, stored, sum].map { try bench.values($0) } + [pages]
    }
    let expected = try run(threadCount: 1)
    #expect(expected.allSatisfy { $0.allSatisfy(\.isFinite) })
    for threadCount in [2, 3, 16] { #expect(try run(threadCount: threadCount) == expected) }
}

/// A product may go where its input is: then no thread may come late to it.
@Test(arguments: [WeightFormat.f32, .q4(group: 32)], [1, 2])
func aProductMayTakeThePlaceOfItsInput(format: WeightFormat, tokens: Int) throws {
    func run(inPlace: Bool) throws -> [[Float]] {
        var bench = try Bench(threadCount: 5)
        let columns = 256
        let (norm, _) = try bench.vector(columns)
        let w = try bench.matrix(columns, columns, format)
        let (delta, _) = try bench.random(tokens, columns)
        let (sum, _) = try bench.random(tokens, columns)
        let (other, _) = try bench.random(tokens, columns)
        let (another, _) = try bench.random(tokens, columns)
        var results: [[Float]] = []
        for _ in 0..<10 {
            let (x, _) = try bench.random(tokens, columns)
            let y = inPlace ? x : other
            bench.backend.project(.rmsNorm(x, weight: norm, epsilon: 1e-5), w, .store(y, bias: nil))
            results.append(try bench.values(y))
            let target = inPlace ? delta : another
            bench.backend.project(
                .residual(y, adding: delta, deltaWeight: norm, weight: norm, epsilon: 1e-5, into: sum), w,
                .store(target, bias: nil))
            results.append(try bench.values(target))
            // An activation as it is may be read from where it lies, unless it is quantised.
            if format.type.isQuantized {
                bench.backend.project(.plain(y), w, .store(inPlace ? y : other, bias: nil))
                results.append(try bench.values(y))
            }
            if !inPlace { bench.backend.copy(another, to: delta) }
        }
        return results
    }
    #expect(try run(inPlace: true) == run(inPlace: false))
}
