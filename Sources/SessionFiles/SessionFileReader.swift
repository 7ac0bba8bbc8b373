//! Reads a session's file, of which nothing is believed before it is checked.

internal import CXXHash
import Glibc
internal import ModelFile

/// A session's file, open: its head and its index are checked, and its size is what they say.
public final class SessionFileReader {
    public let path: String
    public let head: SessionHead
    let file: InputFile
    private let images: [SavedImage]
    /// Where each image begins.
    private let imageOffsets: [Int]
    private let pageChecksums: [UInt64]

    /// Throws `missing`, `notASession`, `unsupportedVersion`, `damaged`, `limit` and `system`.
    public init(path: String) throws(SessionFileError) {
        self.path = path
        let file = try Self.faults(of: path) { () throws(InputFault) in try InputFile(path: path) }
        let head = try SessionHead(
            Self.bytes(of: file, 0, min(SessionHead.byteCount, file.byteCount), path), of: path)
        guard head.fileByteCount == file.byteCount else {
            throw SessionFileError(
                .damaged, file: path, "\(file.byteCount) bytes, and its head says \(head.fileByteCount)")
        }
        let index = try Self.bytes(of: file, head.indexOffset, head.indexByteCount, path)
        guard checksum(index[...]) == head.indexChecksum else {
            throw SessionFileError(.damaged, file: path, "the index does not match its checksum")
        }
        var images: [SavedImage] = []
        var offsets: [Int] = []
        var (end, pixels, inputs) = (head.imagesOffset, 0, 0)
        for number in 0..<head.imageCount {
            let isPlaced = number < head.placedImageCount
            guard let image = SavedImage(index, at: number * SavedImage.byteCount, isPlaced: isPlaced) else {
                throw SessionFileError(.limit, file: path, "image \(number) has more bytes than are read")
            }
            // Each is below 2^32.
            let (area, overflows) = image.width.multipliedReportingOverflow(by: image.height)
            pixels = overflows ? .max : min(area, SessionLimits.maximumPixelCount + 1) + pixels
            guard pixels <= SessionLimits.maximumPixelCount else {
                throw SessionFileError(
                    .limit, file: path,
                    "images of more than \(SessionLimits.maximumPixelCount) pixels together")
            }
            if let place = image.place {
                guard place.start >= inputs, place.rows > 0, place.columns > 0,
                    place.columns <= (head.inputCount - place.start) / place.rows
                else {
                    throw SessionFileError(.damaged, file: path, "image \(number) has no place in the inputs")
                }
                inputs = place.start + place.rows * place.columns
            }
            guard image.pngByteCount <= head.inputsOffset - end else {
                throw SessionFileError(.damaged, file: path, "its images do not fit in it")
            }
            offsets.append(end)
            images.append(image)
            end += image.pngByteCount
        }
        guard end == head.inputsOffset else {
            throw SessionFileError(.damaged, file: path, "there is something between its images and inputs")
        }
        pageChecksums = (0..<head.pageCount).map {
            index.littleEndian(at: head.imageCount * SavedImage.byteCount + 8 * $0)
        }
        self.file = file
        self.head = head
        self.images = images
        imageOffsets = offsets
    }

    // MARK: Parts

    /// Throws `damaged`, `outOfMemory`, `system`, as all here do.
    public func conversation() throws(SessionFileError) -> SavedConversation {
        let bytes = try bytes(
            SessionHead.byteCount, head.conversationByteCount, head.conversationChecksum, "the conversation")
        guard let conversation = SavedConversation(bytes, messageCount: head.messageCount),
            conversation.imageCount == head.imageCount
        else { throw SessionFileError(.damaged, file: path, "its conversation cannot be read") }
        return conversation
    }

    /// The PNG file of an image. Precondition: there is that image.
    public func png(_ index: Int) throws(SessionFileError) -> [UInt8] {
        let image = images[index]
        return try bytes(imageOffsets[index], image.pngByteCount, image.pngChecksum, "image \(index)")
    }

    /// The checksum of an image's PNG file. Precondition: there is that image.
    public func pngChecksum(of index: Int) -> UInt64 { images[index].pngChecksum }

    /// The size that an image is said to have. Precondition: there is that image.
    public func size(of index: Int) -> (width: Int, height: Int) {
        (images[index].width, images[index].height)
    }

    /// Where an image stands among the inputs; nil where it does not. Precondition: there is that image.
    public func place(of index: Int) -> ImagePlace? { images[index].place }

    /// The inputs, whatever they say.
    public func inputs() throws(SessionFileError) -> [Int32] {
        let bytes = try bytes(head.inputsOffset, 4 * head.inputCount, head.inputsChecksum, "the inputs")
        return (0..<head.inputCount).map { Int32(bitPattern: bytes.littleEndian(at: 4 * $0)) }
    }

    /// Fills `buffer` with a page. Precondition: there is that page, and `buffer` has its size.
    public func readPage(
        _ index: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(SessionFileError) {
        precondition(index < pageChecksums.count && buffer.count == head.pageByteCount)
        let offset = head.pagesOffset + index * head.pageByteCount
        try Self.faults(of: path) { () throws(InputFault) in
            unsafe try file.read(at: offset, into: buffer)
        }
        guard unsafe thimble_xxh3_64(buffer.baseAddress, buffer.count) == pageChecksums[index] else {
            throw SessionFileError(.damaged, file: path, "page \(index) does not match its checksum")
        }
    }

    /// Throws `damaged` where somebody has written to the file since it was opened.
    public func checkUnchanged() throws(SessionFileError) {
        if try Self.faults(of: path, { () throws(InputFault) in try file.hasChanged() }) {
            throw SessionFileError(.damaged, file: path, "it was changed while it was open")
        }
    }

    private func bytes(
        _ offset: Int, _ count: Int, _ sum: UInt64, _ name: String
    ) throws(SessionFileError) -> [UInt8] {
        let bytes = try Self.bytes(of: file, offset, count, path)
        guard checksum(bytes[...]) == sum else {
            throw SessionFileError(.damaged, file: path, "\(name) does not match its checksum")
        }
        return bytes
    }

    // MARK: Faults

    private static func bytes(
        of file: InputFile, _ offset: Int, _ count: Int, _ path: String
    ) throws(SessionFileError) -> [UInt8] {
        try faults(of: path) { () throws(InputFault) in try file.bytes(at: offset, count: count) }
    }

    static func faults<Result>(
        of path: String, _ body: () throws(InputFault) -> Result
    ) throws(SessionFileError) -> Result {
        do { return try body() } catch {
            let code: SessionFileError.Code =
                switch error {
                case .system(_, let code) where code == ENOENT || code == ENOTDIR: .missing
                case .system: .system
                case .notARegularFile: .notASession
                case .ended: .damaged
                case .outOfMemory: .outOfMemory
                }
            throw SessionFileError(code, file: path, systemError: error.systemError, error.detail)
        }
    }
}
