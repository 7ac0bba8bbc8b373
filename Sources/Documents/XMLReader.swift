//! A part of a DOCX, element by element.

import CXML
import Glibc
import HostSystem

/// Reads XML that nobody vouches for: UTF-8 without a document type, so that there are no entities to unfold
/// and nothing outside of it to be looked at.
@safe final class XMLReader {
    enum Event: Equatable {
        /// An element begins; `local` is its name without a prefix. One without content ends at once.
        case start(_ local: String)
        case end(_ local: String)
        case text(String)
    }

    private let reader: xmlTextReaderPtr
    /// What libxml2 reads from.
    private let bytes: HostBuffer
    private let name: String
    /// Of an element without content: its end, which libxml2 does not tell.
    private var pendingEnd: String?
    /// Elements that are open.
    private(set) var depth = 0
    private let deadline: Moment
    private var eventCount = 0

    /// libxml2 makes its tables once, before any thread reads.
    private static let isReady: Bool = {
        xmlInitParser()
        return true
    }()

    /// - Parameters:
    ///   - name: of the part, for messages.
    ///   - deadline: until when there are events: whatever is slow, of the parser or of who takes them, ends.
    /// - Throws: `malformed`, `unsupported` for another encoding, `tooLarge`, `outOfMemory`.
    init(
        _ content: [UInt8], name: String, until deadline: Moment = .now + .seconds(60)
    ) throws(DocumentError) {
        _ = Self.isReady
        guard String(validating: content, as: UTF8.self) != nil else {
            throw DocumentError(.unsupported, "\(name) is not UTF-8 text, which XML in a DOCX is")
        }
        try XMLScan(content, name: name).check()
        bytes = try HostBuffer(byteCount: content.count, for: "a part of a document")
        unsafe bytes.bytes.copyBytes(from: content)
        let options =
            XML_PARSE_NONET.rawValue | XML_PARSE_NOERROR.rawValue | XML_PARSE_NOWARNING.rawValue
            | XML_PARSE_NOCDATA.rawValue
        let start = unsafe bytes.bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
        guard content.count <= Int(Int32.max),
            let opened = unsafe xmlReaderForMemory(start, Int32(content.count), nil, "UTF-8", Int32(options))
        else { throw DocumentError(.outOfMemory, "no memory to read \(name)") }
        unsafe reader = opened
        self.name = name
        self.deadline = deadline
    }

    deinit { unsafe xmlFreeTextReader(reader) }

    /// What comes next; nil at the end. Throws `malformed` and `tooLarge`.
    func next() throws(DocumentError) -> Event? {
        eventCount += 1
        guard eventCount % 16 != 0 || Moment.now < deadline else {
            throw DocumentError(
                .tooLarge,
                "to read \(name) takes more than the limit of \(DocumentLimits.maxDOCXSeconds) seconds")
        }
        if let local = pendingEnd {
            pendingEnd = nil
            depth -= 1
            return .end(local)
        }
        while true {
            let result = unsafe xmlTextReaderRead(reader)
            if result == 0 { return nil }
            guard result == 1 else {
                throw DocumentError(.malformed, "\(name) is damaged: it is not well-formed XML")
            }
            switch unsafe UInt32(xmlTextReaderNodeType(reader)) {
            case XML_READER_TYPE_ELEMENT.rawValue:
                let local = localName
                depth += 1
                guard depth <= DocumentLimits.maxXMLDepth else {
                    throw DocumentError(
                        .tooLarge,
                        "\(name) has elements more than \(DocumentLimits.maxXMLDepth) within one another")
                }
                if unsafe xmlTextReaderIsEmptyElement(reader) == 1 { pendingEnd = local }
                return .start(local)
            case XML_READER_TYPE_END_ELEMENT.rawValue:
                depth -= 1
                return .end(localName)
            case XML_READER_TYPE_TEXT.rawValue, XML_READER_TYPE_CDATA.rawValue,
                XML_READER_TYPE_SIGNIFICANT_WHITESPACE.rawValue, XML_READER_TYPE_WHITESPACE.rawValue:
                guard let value = unsafe xmlTextReaderConstValue(reader) else { continue }
                return .text(unsafe Self.string(value))
            case XML_READER_TYPE_ENTITY_REFERENCE.rawValue, XML_READER_TYPE_DOCUMENT_TYPE.rawValue:
                throw DocumentError(.malformed, "\(name) is damaged: it names an entity that it has not")
            default: continue
            }
        }
    }

    /// The value of an attribute of the element that just began, by its name without a prefix.
    func attribute(_ local: String) -> String? {
        defer { unsafe xmlTextReaderMoveToElement(reader) }
        var result = unsafe xmlTextReaderMoveToFirstAttribute(reader)
        while result == 1 {
            if localName == local {
                return unsafe xmlTextReaderConstValue(reader).map { unsafe Self.string($0) }
            }
            result = unsafe xmlTextReaderMoveToNextAttribute(reader)
        }
        return nil
    }

    /// Passes over the rest of the element that just began.
    func skip() throws(DocumentError) {
        let outside = depth - 1
        while depth > outside, try next() != nil {}
    }

    private var localName: String {
        unsafe xmlTextReaderConstLocalName(reader).map { unsafe Self.string($0) } ?? ""
    }

    private static func string(_ text: UnsafePointer<xmlChar>) -> String {
        unsafe String(decoding: UnsafeBufferPointer(start: text, count: strlen(text)), as: UTF8.self)
    }
}
