//! The system's libraries that kinds of documents are read with.

internal import Glibc

/// A library that is looked for when a document needs it: an installed program starts without it
/// (`Scripts/late-libraries.c`), and says what is missing. The system keeps it free of known faults.
public enum DocumentLibrary: String, Sendable, CaseIterable {
    case zip = "libzip.so.4"
    case xml = "libxml2.so.2"
    case markdown = "libmd4c.so.0"

    /// The Debian package that has it.
    public var package: String {
        switch self {
        case .zip: "libzip4"
        case .xml: "libxml2"
        case .markdown: "libmd4c0"
        }
    }

    /// Whether it is here. One that was found stays loaded.
    public var isHere: Bool { unsafe dlopen(rawValue, RTLD_LAZY | RTLD_LOCAL) != nil }

    /// - Throws: `unsupported`, naming the first of `libraries` that is missing and its package.
    static func require(_ libraries: DocumentLibrary..., for kind: String) throws(DocumentError) {
        guard let missing = libraries.first(where: { !$0.isHere }) else { return }
        throw DocumentError(
            .unsupported,
            "\(kind) is read with \(missing.rawValue), which is missing; apt-get install \(missing.package)")
    }
}
