//! Lines that a person types at a terminal.

import Glibc
import Thimble

/// Reads standard input line by line; the terminal does the editing.
struct TerminalInput {
    enum Line {
        case text(String)
        /// Ctrl-C.
        case interrupted
        /// Ctrl-D, or the terminal went away.
        case end
    }

    private var pending: [UInt8] = []

    /// Shows `prompt` and reads a line. Call it where interrupts are awaited.
    mutating func readLine(prompt: String) throws(Failure) -> Line {
        try StandardStream.output.write(prompt)
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: pending[..<end], as: UTF8.self)
                pending.removeFirst(end + 1)
                return .text(line)
            }
            if Interrupt.isPending {
                pending = []
                return .interrupted
            }
            let count = unsafe read(STDIN_FILENO, &chunk, chunk.count)
            if count > 0 {
                pending += chunk[..<count]
            } else if count == 0 || errno != EINTR {
                return .end
            }
        }
    }
}
