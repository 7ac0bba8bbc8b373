//! What the decoder sees of images, and where it is kept.

public import Tensors

/// An image as the decoder sees it.
///
/// It says which image, not whether its features are there: that is for its store to say, which keeps them as
/// long as they are held and there is no need of their room.
public struct VisualFeatures {
    /// Which image this is to the model: images of one number have the same features. Equal in all
    /// conversations, whenever the features are computed and wherever they lie.
    public let image: UInt128
    /// Visual tokens along each side.
    public let grid: ImageGrid
    let store: VisualFeatureStore

    /// The features of that image, there or not. Precondition: images of one number have one grid.
    public init(of image: UInt128, grid: ImageGrid, in store: VisualFeatureStore) {
        self.image = image
        self.grid = grid
        self.store = store
    }

    /// `[grid.height * grid.width, hidden size]`, row by row: where they lie until the store makes room for
    /// others. Precondition: the store has them.
    public var values: Activation { store.values(of: self) }

    /// Lets go of them. Precondition: they are held.
    public func release() { store.release(self) }
}

/// Room for the visual tokens of images, shared by all conversations. Features whose image was not asked for
/// the longest make way for new ones, but for those that somebody holds.
///
/// Once it is made, it takes no memory for values, and none at all but for a record an image, for which there
/// is room beforehand. All belongs to one thread at a time.
public final class VisualFeatureStore {
    /// Float32 `[capacity, hidden size]`.
    private let memory: Activation
    private let backend: any Backend
    /// What lies in the memory, in the order of their rows.
    private var entries: [Entry] = []
    /// How often anything was asked for.
    private var time = 0
    /// Visual tokens that are kept.
    public private(set) var count = 0

    private struct Entry {
        let image: UInt128
        var rows: Range<Int>
        var holders: Int
        /// Whether the values may be wrong: nobody may hold them any more.
        var isDoubtful = false
        /// When it was last asked for.
        var lastUse: Int
    }

    /// The most visual tokens.
    public var capacity: Int { memory.rows }

    /// Room for `capacity` visual tokens of `columns` numbers. Memory costs only what is touched.
    ///
    /// Throws `backend` where it is refused. Precondition: `capacity` is positive.
    public init(columns: Int, capacity: Int, on backend: any Backend) throws(ModelError) {
        precondition(capacity > 0)
        do {
            memory = Activation(
                try backend.makeMemory(byteCount: capacity * columns * 4, label: "visual features"),
                rows: capacity, columns: columns)
        } catch { throw .backend(error) }
        self.backend = backend
        entries.reserveCapacity(min(capacity, 1024))
    }

    // MARK: What is there

    private func index(of features: VisualFeatures) -> Int? {
        entries.firstIndex { $0.image == features.image }
    }

    /// Whether the features are there.
    public func has(_ features: VisualFeatures) -> Bool { index(of: features) != nil }

    fileprivate func values(of features: VisualFeatures) -> Activation {
        guard let index = index(of: features) else {
            preconditionFailure("features that are still needed are held")
        }
        return memory.rows(entries[index].rows)
    }

    /// Holds the features, if they are there: they stay until they are released as often as they were held.
    /// False where they are not there.
    public func hold(_ features: VisualFeatures) -> Bool {
        guard let index = index(of: features) else { return false }
        precondition(entries[index].rows.count == features.grid.count)
        time += 1
        entries[index].lastUse = time
        entries[index].holders += 1
        return true
    }

    /// Lets go of features, which stay as long as their room is not needed. Precondition: they are held.
    public func release(_ features: VisualFeatures) {
        guard let index = index(of: features), entries[index].holders > 0 else {
            preconditionFailure("features are released by who holds them")
        }
        entries[index].holders -= 1
        if entries[index].isDoubtful && entries[index].holders == 0 { remove(at: index) }
    }

    // MARK: Room

    /// Whether the features are there, or can be once others have made way that nobody holds.
    public func hasRoom(for features: VisualFeatures) -> Bool {
        has(features) || features.grid.count <= capacity - heldCount
    }

    /// Whether the features of all images of `batch` can be there at once, and those of one more, if they are
    /// there or not.
    public func hasRoom(for batch: ImageBatch, and features: VisualFeatures? = nil) -> Bool {
        let more = features.map { isHeld($0) ? 0 : $0.grid.count } ?? 0
        return batch.tokenCount + more <= capacity - heldCount
    }

    private func isHeld(_ features: VisualFeatures) -> Bool {
        index(of: features).map { entries[$0].holders > 0 } ?? false
    }

    /// Visual tokens that somebody holds.
    var heldCount: Int { entries.reduce(0) { $0 + ($1.holders > 0 ? $1.rows.count : 0) } }

    /// Makes room for features that are not there, and holds them: their values are the caller's to fill.
    ///
    /// Precondition: there is room.
    public func add(_ features: VisualFeatures) -> Activation {
        precondition(!has(features) && hasRoom(for: features), "there is room for what is added")
        let size = features.grid.count
        while size > capacity - count { removeLeastRecent() }
        let place = gap(of: size) ?? closeGaps()
        time += 1
        let rows = place.row..<place.row + size
        let entry = Entry(image: features.image, rows: rows, holders: 1, lastUse: time)
        entries.insert(entry, at: place.index)
        count += size
        return memory.rows(entry.rows)
    }

    /// Forgets features that one caller holds, as when they could not be computed.
    public func remove(_ features: VisualFeatures) {
        guard let index = index(of: features), entries[index].holders == 1 else {
            preconditionFailure("features are removed by the only one who holds them")
        }
        remove(at: index)
    }

    /// Forgets everything, for a device that has failed may not have moved what it was asked to move; what is
    /// held, once it is released.
    public func removeAll() {
        for index in entries.indices.reversed() {
            if entries[index].holders > 0 { entries[index].isDoubtful = true } else { remove(at: index) }
        }
    }

    private func remove(at index: Int) { count -= entries.remove(at: index).rows.count }

    private func removeLeastRecent() {
        var oldest: Int?
        for (index, entry) in entries.enumerated() where entry.holders == 0 {
            if let other = oldest, entries[other].lastUse < entry.lastUse { continue }
            oldest = index
        }
        guard let oldest else { preconditionFailure("there is room beside what is held") }
        remove(at: oldest)
    }

    /// The first row of the first gap of at least `size` rows, and where an entry there has its place.
    private func gap(of size: Int) -> (row: Int, index: Int)? {
        var end = 0
        for (index, entry) in entries.enumerated() {
            if entry.rows.lowerBound - end >= size { return (end, index) }
            end = entry.rows.upperBound
        }
        return capacity - end >= size ? (end, entries.count) : nil
    }

    /// Moves all that is there together; the one gap then follows.
    private func closeGaps() -> (row: Int, index: Int) {
        var end = 0
        for index in entries.indices {
            move(entries[index].rows, to: end)
            entries[index].rows = end..<end + entries[index].rows.count
            end = entries[index].rows.upperBound
        }
        return (end, entries.count)
    }

    /// Moves rows to before where they are.
    private func move(_ rows: Range<Int>, to start: Int) {
        let distance = rows.lowerBound - start
        guard distance > 0 else { return }
        // What is copied at once does not overlap where it goes.
        for first in stride(from: rows.lowerBound, to: rows.upperBound, by: distance) {
            let run = first..<min(first + distance, rows.upperBound)
            backend.copy(
                memory.rows(run), to: memory.rows(run.lowerBound - distance..<run.upperBound - distance))
        }
    }
}
