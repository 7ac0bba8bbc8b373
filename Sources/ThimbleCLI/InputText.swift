//! Text that comes in through a file or standard input.

import Glibc
import Thimble

/// Reads whole texts, within a limit.
enum InputText {
    /// The most bytes a text may have.
    private static let limit = 64 << 20

    static var isTerminal: Bool { isatty(STDIN_FILENO) == 1 }

    /// Everything on standard input.
    static func readStandardInput() throws(Failure) -> String {
        try text(of: STDIN_FILENO, name: "standard input")
    }

    /// The text of a file.
    static func read(path: String) throws(Failure) -> String {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw Failure(.inputMissing, "\(path): cannot be opened: \(systemMessage(errno))")
        }
        defer { close(descriptor) }
        return try text(of: descriptor, name: path)
    }

    private static func text(of descriptor: Int32, name: String) throws(Failure) -> String {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe Glibc.read(descriptor, &chunk, chunk.count)
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw Failure(.inputOutput, "\(name): cannot be read: \(systemMessage(errno))")
            }
            bytes += chunk[..<count]
            guard bytes.count <= limit else {
                throw Failure(.badData, "\(name): more than \(limit.asBytes) of text; give less")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Failure(.badData, "\(name): not UTF-8 text; convert it with iconv -t UTF-8")
        }
        return text
    }
}
