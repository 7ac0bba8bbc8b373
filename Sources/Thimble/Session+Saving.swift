//! A session on its way to a file.

internal import Documents
internal import Glibc
internal import Models
public import SessionFiles
internal import Tensors

extension Session {
    /// Saves the conversation with its images and with what the model has computed of it, in the place of
    /// what was saved there before. Whatever happens meanwhile, the file is then the one or the other, whole;
    /// its owner alone can read it. Returns its bytes.
    ///
    /// Throws `io` where the disk does not take it, `cannotCreate` where no file can be made there or another
    /// process makes one, and `contextFull` where keys and values on disk find no room to come back to.
    @discardableResult
    public func save(to path: String) throws(ThimbleError) -> Int {
        let claim: SessionClaim
        do { claim = try SessionClaim(path: path) } catch { throw ThimbleError(error) }
        return try save(to: claim)
    }

    /// The same, where the right to write the file is held already. A file of more than `byteLimit` bytes is
    /// refused, by `io`, and so is one with which all that is saved in its folder would write more than
    /// `writtenADay` bytes within 24 hours.
    @discardableResult
    public func save(
        to claim: consuming SessionClaim, byteLimit: Int? = nil, writtenADay: Int? = nil
    ) throws(ThimbleError) -> Int {
        let (pool, sequence, path) = (engine.pool, self.sequence, claim.path)
        let images = messages.flatMap(\.images)
        let (tokens, places) = placedInputs(images)
        let ledger = engine.ledger
        let (held, staging) = try translating(engine.path) { () throws(ModelError) in
            (try sequence.savedCount(), try pool.staging(path: path, account: ledger))
        }
        let positions = min(held, tokens.count)
        let head = SessionHead(
            form: pool.type.savedForm, model: engine.savedIdentity, savedAt: UInt64(max(0, time(nil))),
            pageTokens: pool.pageTokens, positionCount: positions, pageByteCount: pool.pageByteCount)
        var writer: SessionFileWriter
        do {
            writer = try SessionFileWriter(
                claim, head, savedConversation, byteLimit: byteLimit, writtenADay: writtenADay)
        } catch { throw ThimbleError(error) }
        let earlier = saved.isEmpty ? nil : try? SessionFileReader(path: path)
        var pictures = SavedPictures()
        for (index, image) in images.enumerated() {
            let known = saved.png(index, of: image, in: earlier)
            let png: [UInt8]
            if let known { png = known } else { png = try encodePNG(image) }
            pictures.append(image, checksum: SessionFileWriter.pngChecksum(png))
            let place = index < places.count ? places[index] : nil
            do {
                try writer.appendImage(png: png, width: image.width, height: image.height, place: place)
            } catch { throw ThimbleError(error) }
        }
        do { try writer.appendInputs(tokens) } catch { throw ThimbleError(error) }
        for index in 0..<pool.pageCount(holding: positions) {
            try translating(engine.path) { () throws(ModelError) in
                try sequence.readPage(index, ofFirst: positions, into: staging)
            }
            do { unsafe try writer.appendPage(UnsafeRawBufferPointer(staging.bytes)) } catch {
                throw ThimbleError(error)
            }
        }
        do {
            let byteCount = try writer.commit()
            saved = pictures
            return byteCount
        } catch { throw ThimbleError(error) }
    }

    /// The inputs up to the first image that is not, in the same order, the conversation's, as after
    /// `complete(raw:)`; and where the images before that stand.
    private func placedInputs(_ images: [RGBImage]) -> (tokens: [Int32], places: [ImagePlace]) {
        var places: [ImagePlace] = []
        for (index, span) in inputs.images.enumerated() {
            guard index < images.count, index < seen.count,
                seen[index].features.image == span.features.image, seen[index].image == images[index]
            else { return (Array(inputs.tokens[..<span.start]), places) }
            let grid = span.features.grid
            places.append(ImagePlace(start: span.start, rows: grid.height, columns: grid.width))
        }
        return (inputs.tokens, places)
    }

    private var savedConversation: SavedConversation {
        SavedConversation(
            modelName: engine.description.name,
            messages: messages.map { message in
                let role: SavedConversation.Role =
                    switch message.role {
                    case .system: .system
                    case .user: .user
                    case .assistant: .assistant
                    }
                return SavedConversation.Message(
                    role,
                    message.items.map {
                        switch $0 {
                        case .text(let text): .text(text)
                        case .image: .image
                        }
                    })
            })
    }
}

/// Images as they lie in a saved session's file, so that the next save need not encode them again.
struct SavedPictures {
    private var pictures: [(image: RGBImage, checksum: UInt64)] = []

    var isEmpty: Bool { pictures.isEmpty }

    mutating func append(_ image: RGBImage, checksum: UInt64) { pictures.append((image, checksum)) }

    /// The PNG file of image `index`, where that is `image` and `reader` still has what was written; nil
    /// where it has not.
    func png(_ index: Int, of image: RGBImage, in reader: SessionFileReader?) -> [UInt8]? {
        guard let reader, index < pictures.count, index < reader.head.imageCount,
            pictures[index].image == image, pictures[index].checksum == reader.pngChecksum(of: index)
        else { return nil }
        return try? reader.png(index)
    }
}

extension KVType {
    /// The number that stands for it in a saved session.
    var savedForm: UInt32 {
        switch self {
        case .f16: 0
        case .int8: 1
        // 2 was a form of 4-bit codes.
        case .int5: 3
        }
    }
}

extension Engine {
    /// What tells this model from all others in a saved session.
    ///
    /// Settings and devices are no part of it: what they compute of one model differs by roundings, and where
    /// an image takes other tokens, that is seen.
    var savedIdentity: UInt128 { SessionHead.identity(of: file.identity) }
}
