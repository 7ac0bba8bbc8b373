//! Where pages go that memory has no room for, and what can go wrong there.

/// Where pages of keys and values go that memory has no room for.
public struct SpillSettings: Sendable, Equatable {
    /// The folder, made where it is missing.
    public var folder: String
    /// The most bytes of pages that one engine keeps there at a time; nil for as many as the disk takes.
    public var byteLimit: Int?
    /// The most bytes that all processes together write there within 24 hours; nil for no limit.
    public var writtenADay: Int?

    public init(folder: String, byteLimit: Int? = nil, writtenADay: Int? = nil) {
        self.folder = folder
        self.byteLimit = byteLimit
        self.writtenADay = writtenADay
    }
}

/// What can go wrong with pages on disk.
public enum SpillFault: Error, Sendable, Equatable {
    /// The folder takes no file.
    case cannotCreate(String)
    /// A call of the system failed.
    case system(String)
    /// What was read is not what was written.
    case damaged
    /// As much was written within 24 hours as is allowed, bytes.
    case writtenADay(limit: Int)
    /// As many bytes of pages lie in the file as are allowed.
    case size(limit: Int)

    /// What happened, as a part of a sentence.
    public var detail: String {
        switch self {
        case .cannotCreate(let detail), .system(let detail): detail
        case .damaged: "what was read is not what was written"
        case .writtenADay(let limit): "the \(limit) bytes that may be written there in a day are written"
        case .size(let limit): "the \(limit) bytes that may lie there at a time are taken"
        }
    }
}
