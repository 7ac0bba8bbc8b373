//! Writes a session's file part by part, in the order in which the parts lie.

internal import CXXHash
internal import ModelFile

/// A session's file as it is written: the conversation, each image, the inputs, each page.
public struct SessionFileWriter: ~Copyable {
    private let claim: SessionClaim
    private var head: SessionHead
    private var images: [SavedImage] = []
    private var pageChecksums: [UInt64] = []
    private var pixelCount = 0
    /// The most bytes that the file may have.
    private let byteLimit: Int
    /// Counts what is written to the folder in a day; nil where nobody asks.
    private var governor: WriteGovernor?

    /// Begins the file with its conversation. All files of the folder together may have `writtenADay` bytes
    /// written to them within 24 hours. Throws `outOfSpace` where the file would have more than is read, and
    /// `cannotCreate` where what is written cannot be counted.
    ///
    /// Precondition: tokens of a page and positions are within the limits.
    public init(
        _ claim: consuming SessionClaim, _ head: SessionHead, _ conversation: SavedConversation,
        byteLimit: Int? = nil, writtenADay: Int? = nil
    ) throws(SessionFileError) {
        self.claim = claim
        self.head = head
        self.byteLimit = byteLimit ?? .max
        governor = nil
        let bytes = conversation.encoded
        let path = self.claim.path
        for (count, most, name) in [
            (conversation.messages.count, SessionLimits.maximumMessageCount, "messages"),
            (conversation.itemCount, SessionLimits.maximumItemCount, "texts and images"),
            (conversation.imageCount, SessionLimits.maximumImageCount, "images"),
            (bytes.count, SessionLimits.maximumConversationByteCount, "bytes of text"),
            (
                conversation.modelName.utf8.count, SessionLimits.maximumModelNameByteCount,
                "bytes of the model's name"
            ),
            (head.pageByteCount, SessionLimits.maximumPageByteCount, "bytes of a page"),
        ] where count > most {
            throw Self.excess(count, name, most, path)
        }
        governor = try Self.governor(of: path, writtenADay)
        // What the head says of other parts is of another file.
        (self.head.placedImageCount, self.head.imagesByteCount, self.head.inputCount) = (0, 0, 0)
        self.head.messageCount = conversation.messages.count
        self.head.imageCount = conversation.imageCount
        self.head.conversationByteCount = bytes.count
        self.head.conversationChecksum = checksum(bytes[...])
        try self.claim.write(bytes, at: SessionHead.byteCount)
    }

    /// What tells a PNG file from others in a session's index.
    public static func pngChecksum(_ bytes: [UInt8]) -> UInt64 { checksum(bytes[...]) }

    private static func governor(
        of path: String, _ limit: Int?
    ) throws(SessionFileError) -> WriteGovernor? {
        guard let limit else { return nil }
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        do { return try WriteGovernor(folder: folder.isEmpty ? "/" : folder, limit: limit) } catch {
            throw SessionFileError(.cannotCreate, file: path, error.detail)
        }
    }

    private static func excess(
        _ count: Int, _ name: String, _ most: Int, _ path: String
    ) -> SessionFileError {
        SessionFileError(
            .outOfSpace, file: path, "a session of \(count) \(name) cannot be saved: \(most) at most")
    }

    /// Adds the next image. Throws `outOfSpace` where a file would have more than is read.
    ///
    /// Precondition: those that have a place come first; inputs and pages have yet to come.
    public mutating func appendImage(
        png: [UInt8], width: Int, height: Int, place: ImagePlace?
    ) throws(SessionFileError) {
        precondition(images.count < head.imageCount && head.inputCount == 0)
        precondition(place == nil || head.placedImageCount == images.count)
        pixelCount += width * height
        for (count, most, name) in [
            (png.count, SessionLimits.maximumImageByteCount, "bytes of an image"),
            (pixelCount, SessionLimits.maximumPixelCount, "pixels"),
        ] where count > most {
            throw Self.excess(count, name, most, claim.path)
        }
        try claim.write(png, at: head.inputsOffset)
        head.imagesByteCount += png.count
        if place != nil { head.placedImageCount += 1 }
        images.append(
            SavedImage(
                pngByteCount: png.count, pngChecksum: checksum(png[...]), width: width, height: height,
                place: place))
    }

    /// Adds the inputs; how long the file becomes is known then. Throws `outOfSpace` where it may not have as
    /// much, and `writtenADay` where as much may not be written now.
    ///
    /// Precondition: all images came; there are as many inputs as positions at least, and no more than are
    /// read.
    public mutating func appendInputs(_ tokens: [Int32]) throws(SessionFileError) {
        precondition(images.count == head.imageCount && tokens.count >= head.positionCount)
        precondition(tokens.count <= SessionLimits.maximumInputCount)
        head.inputCount = tokens.count
        guard head.fileByteCount <= byteLimit else {
            throw SessionFileError(
                .outOfSpace, file: claim.path,
                "the session has \(head.fileByteCount) bytes, and all together may have \(byteLimit)")
        }
        do { try governor?.allow(head.fileByteCount) } catch {
            throw SessionFileError(
                { if case .writtenADay = error { .writtenADay } else { .system } }(), file: claim.path,
                error.detail)
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(4 * tokens.count)
        for token in tokens { bytes.append(littleEndian: UInt32(bitPattern: token)) }
        head.inputsChecksum = checksum(bytes[...])
        try claim.write(bytes, at: head.inputsOffset)
    }

    /// Adds the next page. Precondition: the inputs came; `bytes` are a page.
    public mutating func appendPage(_ bytes: UnsafeRawBufferPointer) throws(SessionFileError) {
        precondition(pageChecksums.count < head.pageCount && bytes.count == head.pageByteCount)
        unsafe try claim.write(bytes, at: head.pagesOffset + pageChecksums.count * head.pageByteCount)
        pageChecksums.append(unsafe thimble_xxh3_64(bytes.baseAddress, bytes.count))
    }

    /// Ends the file, makes it durable, and puts it in the session's place. Returns its bytes.
    ///
    /// Precondition: all pages came.
    public consuming func commit() throws(SessionFileError) -> Int {
        precondition(pageChecksums.count == head.pageCount && images.count == head.imageCount)
        var index: [UInt8] = []
        for image in images { index += image.encoded }
        for sum in pageChecksums { index.append(littleEndian: sum) }
        head.indexChecksum = checksum(index[...])
        try claim.write(index, at: head.indexOffset)
        // The head comes last: without it, there is no session.
        try claim.write(head.encoded, at: 0)
        let byteCount = head.fileByteCount
        try claim.commit()
        return byteCount
    }
}
