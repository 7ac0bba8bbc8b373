//! A session on its way back from a file.

internal import Documents
internal import Models
internal import SessionFiles
internal import Tensors

extension Engine {
    /// The session that was saved to `path`, which goes on where it was: nothing is computed anew, and no
    /// image is looked at again.
    ///
    /// What a file holds is not shared with other sessions, for who wrote it may have written anything: it
    /// makes answers of this session wrong at worst.
    ///
    /// Throws `inputMissing` where there is no file, `corrupt` where it is damaged, `unsupported` where it is
    /// of another model or form of keys and values, `contextFull` where the context is too short for it, and
    /// `outOfMemory`.
    public func restoreSession(from path: String) throws(ThimbleError) -> Session {
        let reader: SessionFileReader
        do { reader = try SessionFileReader(path: path) } catch { throw ThimbleError(error) }
        try check(reader.head, path)
        let conversation: SavedConversation
        do { conversation = try reader.conversation() } catch { throw ThimbleError(error) }
        let images = try restoreImages(reader)
        let seen = try restorePlaces(reader, images)
        let inputs = try restoreInputs(reader, seen)
        let sequence = try restoreSequence(reader)
        do { try reader.checkUnchanged() } catch { throw ThimbleError(error) }
        SessionFolder.touch(path)
        return Session(
            engine: self, messages: Message.restored(conversation, images), inputs: inputs, seen: seen,
            sequence: sequence)
    }

    /// Whether the session is of this model, and fits.
    private func check(_ head: SessionHead, _ path: String) throws(ThimbleError) {
        guard head.model == savedIdentity else {
            throw ThimbleError(
                .unsupported, "\(path): saved with another model than \(self.path); give it that one")
        }
        guard head.form != 2 else {
            throw ThimbleError(
                .unsupported,
                "\(path): its keys and values are stored as int4, which int5 has taken the place of")
        }
        guard let form = KVType.allCases.first(where: { $0.savedForm == head.form }) else {
            throw ThimbleError(.corrupt, "\(path): keys and values of form \(head.form), which is not known")
        }
        guard form == kvType else {
            throw ThimbleError(
                .unsupported,
                "\(path): its keys and values are stored as \(form.rawValue), and here as "
                    + "\(kvType.rawValue); give --kv \(form.rawValue)")
        }
        guard head.pageTokens == pool.pageTokens, head.pageByteCount == pool.pageByteCount else {
            throw ThimbleError(
                .unsupported,
                "\(path): its pages have \(head.pageTokens) tokens and \(head.pageByteCount) bytes, and here "
                    + "\(pool.pageTokens) and \(pool.pageByteCount); give kv.page-tokens what it was")
        }
        guard head.inputCount <= contextLength else {
            throw ThimbleError(
                .contextFull,
                "\(path): the session has \(head.inputCount) tokens and the context holds \(contextLength); "
                    + "raise --context")
        }
    }

    private func restoreImages(_ reader: SessionFileReader) throws(ThimbleError) -> [RGBImage] {
        var images: [RGBImage] = []
        for index in 0..<reader.head.imageCount {
            let png: [UInt8]
            do { png = try reader.png(index) } catch { throw ThimbleError(error) }
            let (width, height) = reader.size(of: index)
            let limits = ImageLimits(maxWidth: width, maxHeight: height, maxPixels: width * height)
            let image: RGBImage
            do { image = try RGBImage(decoding: png, limits: limits) } catch {
                throw ThimbleError(
                    error.kind == .outOfMemory ? .outOfMemory : .corrupt,
                    "\(reader.path): image \(index): \(error.message)")
            }
            guard image.width == width, image.height == height else {
                throw ThimbleError(.corrupt, "\(reader.path): image \(index) is of another size than is said")
            }
            images.append(image)
        }
        return images
    }

    /// The images that stand among the inputs, which take as many tokens there as they take here.
    private func restorePlaces(
        _ reader: SessionFileReader, _ images: [RGBImage]
    ) throws(ThimbleError) -> [Session.SeenImage] {
        var seen: [Session.SeenImage] = []
        for index in 0..<reader.head.placedImageCount {
            let features = try features(of: images[index])
            guard let place = reader.place(of: index), features.grid.height == place.rows,
                features.grid.width == place.columns
            else {
                throw ThimbleError(
                    .unsupported,
                    "\(reader.path): image \(index) took other tokens than it takes here; give "
                        + "--image-tokens what it was")
            }
            seen.append(Session.SeenImage(image: images[index], features: features))
        }
        return seen
    }

    private func restoreInputs(
        _ reader: SessionFileReader, _ seen: [Session.SeenImage]
    ) throws(ThimbleError) -> InputSequence {
        let tokens: [Int32]
        do { tokens = try reader.inputs() } catch { throw ThimbleError(error) }
        let vocabularySize = file.configuration.text.vocabularySize
        guard tokens.allSatisfy({ $0 >= 0 && $0 < vocabularySize }) else {
            throw ThimbleError(.corrupt, "\(reader.path): an input is no token of the model")
        }
        var inputs = InputSequence()
        inputs.reserve(contextLength)
        for (index, image) in seen.enumerated() {
            guard let start = reader.place(of: index)?.start else { continue }
            let end = start + image.features.grid.count
            guard let imageToken, tokens[start..<end].allSatisfy({ $0 == imageToken }) else {
                throw ThimbleError(.corrupt, "\(reader.path): image \(index) stands where others do")
            }
            for token in tokens[inputs.count..<start] { inputs.append(token) }
            inputs.append(image.features, token: imageToken)
        }
        for token in tokens[inputs.count...] { inputs.append(token) }
        return inputs
    }

    private func restoreSequence(_ reader: SessionFileReader) throws(ThimbleError) -> KVSequence {
        let (pool, ledger) = (self.pool, self.ledger)
        let sequence = KVSequence(pool: pool, capacity: contextLength)
        try translating(path) { () throws(ModelError) in
            let staging = try pool.staging(path: reader.path, account: ledger)
            try unsafe sequence.restore(reader.head.positionCount, through: staging) {
                (index, page) throws(ModelError) in
                do throws(SessionFileError) { unsafe try reader.readPage(index, into: page) } catch {
                    throw ModelError.session(error)
                }
            }
        }
        return sequence
    }
}

extension Message {
    /// Precondition: there are as many images as places for them.
    fileprivate static func restored(
        _ conversation: SavedConversation, _ images: [RGBImage]
    ) -> [Message] {
        var next = images.makeIterator()
        return conversation.messages.map { message in
            let role: Role =
                switch message.role {
                case .system: .system
                case .user: .user
                case .assistant: .assistant
                }
            return Message(
                role,
                message.items.map { item in
                    switch item {
                    case .text(let text): return .text(text)
                    case .image:
                        guard let image = next.next() else { preconditionFailure("images were counted") }
                        return .image(image)
                    }
                })
        }
    }
}
