//! A look at XML before a parser sees it: what would make the parser slow, or open other files.

/// Goes through well-formed XML once, tag by tag. What is not well-formed is the parser's to refuse.
struct XMLScan {
    private let bytes: [UInt8]
    private let name: String

    /// - Parameter name: of the part, for messages.
    init(_ bytes: [UInt8], name: String) {
        self.bytes = bytes
        self.name = name
    }

    /// - Throws: `malformed` for a document type, which may declare entities; `tooLarge` for more attributes
    ///   in a tag, or more bytes without one, than the limits allow.
    func check() throws(DocumentError) {
        var index = 0
        while let open = bytes[index...].firstIndex(of: UInt8(ascii: "<")) {
            try check(stretch: open - index)
            let end: Int
            if starts(with: "<!--", at: open) {
                end = self.end(of: "-->", from: open + 4)
            } else if starts(with: "<![CDATA[", at: open) {
                end = self.end(of: "]]>", from: open + 9)
            } else if starts(with: "<?", at: open) {
                end = self.end(of: "?>", from: open + 2)
            } else if starts(with: "<!", at: open) {
                throw DocumentError(
                    .malformed, "\(name) declares a document type, which XML in a DOCX must not")
            } else {
                end = try endOfTag(from: open + 1)
            }
            try check(stretch: end - open)
            index = end
        }
        try check(stretch: bytes.count - index)
    }

    private func check(stretch: Int) throws(DocumentError) {
        guard stretch <= DocumentLimits.maxXMLStretch else {
            throw DocumentError(
                .tooLarge,
                "\(name) has \(stretch) bytes in one piece; the limit is \(DocumentLimits.maxXMLStretch)")
        }
    }

    /// Where a tag ends; quotes may hold anything but `<`.
    private func endOfTag(from start: Int) throws(DocumentError) -> Int {
        var quote: UInt8?
        var attributes = 0
        for index in start..<bytes.count {
            let byte = bytes[index]
            if let open = quote {
                if byte == open { quote = nil }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
                attributes += 1
                guard attributes <= DocumentLimits.maxXMLAttributes else {
                    throw DocumentError(
                        .tooLarge,
                        "\(name) has an element of more than \(DocumentLimits.maxXMLAttributes) attributes")
                }
            } else if byte == UInt8(ascii: ">") {
                return index + 1
            }
        }
        return bytes.count
    }

    private func starts(with mark: String, at index: Int) -> Bool {
        bytes[index...].starts(with: mark.utf8)
    }

    private func end(of mark: String, from start: Int) -> Int {
        let mark = Array(mark.utf8)
        var index = start
        while index + mark.count <= bytes.count {
            if bytes[index] == mark[0], bytes[index..<index + mark.count].elementsEqual(mark) {
                return index + mark.count
            }
            index += 1
        }
        return bytes.count
    }
}
