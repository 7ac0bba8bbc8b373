//! How a document reaches the model.

/// What the model is shown of a document.
public enum ReadingMode: String, Sendable, CaseIterable {
    /// Pages as the document itself has them: a PDF's, or an image.
    case page
    /// The document's text, set anew on pages as Glyph does.
    case glyph
    /// The document's text, as text.
    case text
}
