//! The three programs of poppler-utils, and what their failures mean.

/// Poppler is under the GPL, so it is never linked; its programs stand where Debian puts them, and no other
/// place is looked at: whoever sets a search path does not choose what reads a document.
enum PopplerProgram: String {
    case pdfinfo, pdftotext, pdftoppm

    /// Runs it on `input` and returns what it wrote. `what` says in messages what it was to do.
    func run(
        _ arguments: [String], on input: borrowing SealedFile, _ limits: DocumentLimits, outputLimit: Int,
        to what: String
    ) throws(DocumentError) -> SandboxedProgram.Outcome {
        do throws(SandboxedProgram.Fault) {
            return try SandboxedProgram(path: "/usr/bin/\(rawValue)", seconds: limits.programSeconds).run(
                arguments, input: input, outputLimit: outputLimit)
        } catch {
            throw describe(error, what, limits)
        }
    }

    func describe(
        _ fault: SandboxedProgram.Fault, _ what: String, _ limits: DocumentLimits
    ) -> DocumentError {
        switch fault {
        case .missing:
            DocumentError(
                .unsupported,
                "PDFs are read by /usr/bin/\(rawValue), which is missing; install poppler-utils "
                    + "(apt-get install poppler-utils)")
        case .cannotStart(let number):
            DocumentError(.unreadable, "\(rawValue) cannot be started to \(what): error \(number)")
        case .tooSlow:
            // The processor's seconds end it first, unless others keep it waiting.
            DocumentError(
                .tooLarge,
                "to \(what) takes longer than the limit, which is "
                    + counted(min(limits.programSeconds, DocumentLimits.maxProgramCPUSeconds), "second"))
        case .tooMuchMemory:
            DocumentError(
                .tooLarge, "to \(what) takes more than \(DocumentLimits.maxProgramBytes >> 20) MiB of memory")
        case .tooMuchOutput:
            DocumentError(.tooLarge, "to \(what) gives more than was to be expected")
        case .ended(let signal):
            DocumentError(
                .malformed,
                "\(rawValue), which was to \(what), was ended by signal \(signal): the PDF is damaged")
        }
    }
}
