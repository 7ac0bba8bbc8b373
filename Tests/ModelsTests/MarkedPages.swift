//! Sequences whose pages are marked with what they should hold, so that a test can tell whether they do.

import CPUBackend
import TestSupport
import Tensors
import Testing

@testable import Models

/// A sequence, its inputs, and what stands in its pages: for each position a mark that all inputs up to there
/// decide, as they decide keys and values.
final class MarkedSequence {
    let sequence: KVSequence
    private(set) var inputs = InputSequence()
    private var marks: [UInt32] = []

    init(pool: KVPool, capacity: Int) { sequence = KVSequence(pool: pool, capacity: capacity) }

    private init(fork other: MarkedSequence) {
        sequence = other.sequence.fork()
        inputs = other.inputs
        marks = other.marks
    }

    func fork() -> MarkedSequence { MarkedSequence(fork: self) }

    /// Makes `next` the inputs, and computes what is not known of them. Returns how many positions were
    /// known.
    @discardableResult
    func run(_ next: InputSequence) throws -> Int {
        let common = min(inputs.commonPrefixLength(with: next), sequence.length)
        inputs = next
        marks = Self.marks(of: next)
        let known = try sequence.prepare(next, keeping: common)
        try compute()
        return known
    }

    /// Adds tokens, and computes them one by one.
    func add(_ tokens: [Int32]) throws {
        for token in tokens {
            inputs.append(token)
            marks = Self.marks(of: inputs)
            try compute()
        }
    }

    private func compute() throws {
        try sequence.wake()
        let start = sequence.length
        try sequence.reserve(inputs.count - start)
        defer { sequence.releaseReserve() }
        for position in start..<inputs.count {
            for (layer, (plane, bytes)) in places(of: position).enumerated() {
                unsafe plane.backend.fill(plane.memory, bytes) {
                    unsafe $0.copyBytes(from: mark(position, layer, bytes.count))
                }
            }
        }
        sequence.commit(inputs.count - start)
        sequence.confirm()
        sequence.share(as: inputs)
    }

    /// Whether every position that the sequence holds is marked as it should be.
    func isIntact() throws -> Bool {
        try sequence.wake()
        for position in 0..<sequence.length {
            for (layer, (plane, bytes)) in places(of: position).enumerated() {
                var found: [UInt8] = []
                try unsafe plane.backend.read(plane.memory, [bytes]) {
                    unsafe found.append(contentsOf: $0)
                }
                if found != mark(position, layer, bytes.count) { return false }
            }
        }
        return true
    }

    /// The share of a page's bytes that is given to a position, in each layer.
    private func places(of position: Int) -> [(KVPlane, Range<Int>)] {
        let size = sequence.pool.pageTokens
        return sequence.pool.planes.flatMap { plane in
            sequence.pool.runs(of: sequence.blockTable[position / size], in: plane).map { run in
                let share = run.count / size
                let start = run.lowerBound + position % size * share
                return (plane, start..<start + share)
            }
        }
    }

    private func mark(_ position: Int, _ layer: Int, _ count: Int) -> [UInt8] {
        let mark = marks[position] &+ UInt32(layer) &* 77
        return (0..<count).map { UInt8(truncatingIfNeeded: mark >> (8 * ($0 % 4))) }
    }

    private static func marks(of inputs: InputSequence) -> [UInt32] {
        var mark: UInt32 = 1
        return inputs.tokens.indices.map { index in
            mark = (mark &+ UInt32(bitPattern: inputs.tokens[index])) &* 2_654_435_761
            for image in inputs.images(in: index..<index + 1) {
                mark = (mark &+ UInt32(truncatingIfNeeded: image.key)) &* 2_246_822_519
            }
            mark ^= mark >> 15
            return mark
        }
    }
}

/// Text as inputs.
func inputs(_ tokens: some Sequence<Int32>) -> InputSequence {
    var inputs = InputSequence()
    for token in tokens { inputs.append(token) }
    return inputs
}

/// Conversations of one pool that begin, go on, go back, fork and end by chance, out of few tokens, so that
/// they often have the same ones.
struct RandomConversations {
    let pool: KVPool
    let capacity: Int
    private var random: SeededGenerator
    private let document: [Int32]
    private(set) var members: [MarkedSequence] = []
    /// How often a sequence found something that others had computed, and how often there was no room.
    private(set) var (found, refused) = (0, 0)

    init(pool: KVPool, capacity: Int, seed: UInt64) {
        self.pool = pool
        self.capacity = capacity
        random = SeededGenerator(seed: seed)
        document = textTokens(capacity, seed: Int(seed))
    }

    private mutating func tokens(_ most: Int) -> [Int32] {
        (0..<random.integer(in: 1...most)).map { _ in Int32(random.integer(below: 2)) }
    }

    /// Does one thing, and looks at one sequence.
    mutating func step() throws {
        do {
            let choice = random.integer(below: 10)
            if members.count < 2 || (choice < 2 && members.count < 12) {
                try begin()
            } else {
                let member = random.element(of: members)
                switch choice {
                case 2: members.removeAll { $0 === member }
                case 3...4: members.append(member.fork())
                case 5...6: try goBack(member)
                default: try goOn(member)
                }
            }
        } catch let error as ModelError {
            guard case .poolFull(let shortage) = error else { throw error }
            #expect(shortage.needed > shortage.free)
            refused += 1
        }
        if !members.isEmpty {
            do { #expect(try random.element(of: members).isIntact()) } catch ModelError.poolFull {
                refused += 1
            }
        }
    }

    private mutating func begin() throws {
        let member = MarkedSequence(pool: pool, capacity: capacity)
        let start = document.prefix(random.integer(below: capacity / 2))
        members.append(member)
        if try member.run(inputs(start + tokens(capacity / 4))) > 0 { found += 1 }
    }

    private mutating func goOn(_ member: MarkedSequence) throws {
        let room = capacity - member.inputs.count
        if room > 0 { try member.add(tokens(min(room, 9))) }
    }

    private mutating func goBack(_ member: MarkedSequence) throws {
        guard member.inputs.count > 1 else { return }
        let kept = member.inputs.tokens.prefix(random.integer(below: member.inputs.count))
        let common = min(kept.count, member.sequence.length)
        let known = try member.run(inputs(kept + tokens(min(capacity - kept.count, 12))))
        if known > common { found += 1 }
    }

    /// Ends all conversations.
    mutating func end() { members = [] }
}
