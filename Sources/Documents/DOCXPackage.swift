//! The parts of a DOCX and how they point to each other.

import HostSystem
import TextSearch

/// An archive with a document in it: parts are found by the relations that others state, never by a name that
/// is outside of the archive.
struct DOCXPackage {
    /// What a part points to.
    struct Relation {
        /// The last step of the relation's type: `styles`, `footnotes`.
        var kind: Substring
        /// The part's name in the archive; nil for what is outside of it, which is not looked at.
        var target: String?
    }

    let archive: ZipArchive
    /// Until when its parts may be read.
    private let deadline: Moment
    /// The name of the main part, such as `word/document.xml`.
    let main: String

    /// Opens a DOCX.
    /// - Throws: `unsupported` for archives that hold something else, by name, and what `ZipArchive` throws.
    init(_ bytes: [UInt8]) throws(DocumentError) {
        archive = try ZipArchive(bytes)
        deadline = .now + .seconds(DocumentLimits.maxDOCXSeconds)
        let relations = try Self.relations(of: "", in: archive, until: deadline)
        guard let relation = relations.values.first(where: { $0.kind == "officeDocument" }) else {
            throw DocumentError(.unsupported, try Self.description(of: archive))
        }
        guard let target = relation.target, archive.names.contains(target) else {
            throw DocumentError(.malformed, "the DOCX is damaged: its document is not in it")
        }
        guard !target.hasPrefix("xl/") && !target.hasPrefix("ppt/") else {
            throw DocumentError(.unsupported, try Self.description(of: archive))
        }
        main = target
    }

    /// The relations of a part, by their ids.
    func relations(of part: String) throws(DocumentError) -> [String: Relation] {
        try Self.relations(of: part, in: archive, until: deadline)
    }

    /// A reader of a part; nil where it is not there.
    func reader(of part: String) throws(DocumentError) -> XMLReader? {
        guard let content = try archive.contents(of: part) else { return nil }
        return try XMLReader(content, name: part, until: deadline)
    }

    private static func relations(
        of part: String, in archive: ZipArchive, until deadline: Moment
    ) throws(DocumentError) -> [String: Relation] {
        let folder = part.contains("/") ? part.split(separator: "/").dropLast() : []
        let name = (folder + ["_rels", "\(part.split(separator: "/").last ?? "").rels"]).joined(
            separator: "/")
        guard let content = try archive.contents(of: name) else { return [:] }
        let reader = try XMLReader(content, name: name, until: deadline)
        var relations: [String: Relation] = [:]
        while let event = try reader.next() {
            guard event == .start("Relationship"), let id = reader.attribute("Id"),
                let type = reader.attribute("Type"), let target = reader.attribute("Target")
            else { continue }
            let isOutside = reader.attribute("TargetMode") == "External"
            relations[id] = Relation(
                kind: type.split(separator: "/").last ?? "",
                target: isOutside ? nil : resolve(target, from: folder))
        }
        return relations
    }

    /// The name in the archive that a target means; nil where it leads out of it.
    static func resolve(_ target: String, from folder: [Substring]) -> String? {
        var steps = target.hasPrefix("/") ? [] : folder
        for step in target.split(separator: "/") {
            if step == ".." {
                guard steps.popLast() != nil else { return nil }
            } else if step != "." {
                steps.append(step)
            }
        }
        return steps.joined(separator: "/")
    }

    /// What an archive is that is no DOCX.
    private static func description(of archive: ZipArchive) throws(DocumentError) -> String {
        let names = archive.names
        let kind: String
        if names.contains("mimetype") {
            let type = String(decoding: try archive.contents(of: "mimetype") ?? [], as: UTF8.self)
            kind =
                type.holds("epub")
                ? "an EPUB" : type.holds("opendocument") ? "an OpenDocument file" : "an archive"
        } else if names.contains("xl/workbook.xml") {
            kind = "an Excel workbook"
        } else if names.contains("ppt/presentation.xml") {
            kind = "a PowerPoint presentation"
        } else {
            kind = "a ZIP archive without a document"
        }
        return "it is \(kind), which is not read: save it as PDF or DOCX"
    }
}
