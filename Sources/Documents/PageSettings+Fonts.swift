//! Whether the fonts that pages are drawn with are here, asked before a page is drawn.

extension PageSettings {
    /// A font that the settings name, and why it cannot be had; nil where it can.
    public struct NamedFont: Sendable, Equatable {
        public var name: String
        public var fault: String?

        public init(name: String, fault: String? = nil) {
            self.name = name
            self.fault = fault
        }
    }

    /// The fonts that these settings name, the first one first, then the fallbacks.
    public var namedFonts: [NamedFont] {
        ([fontPath] + fontFallback).map { name in
            do throws(DocumentError) {
                _ = try FontFile.locate(name)
                return NamedFont(name: name)
            } catch { return NamedFont(name: name, fault: error.message) }
        }
    }
}
