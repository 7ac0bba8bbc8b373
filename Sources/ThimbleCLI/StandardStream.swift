//! Standard output and standard error, written with write(2): nothing is buffered, nothing is lost unseen.

import Glibc
import Thimble

/// A stream that the program was started with.
struct StandardStream {
    /// Answers and results, nothing else.
    static let output = StandardStream(descriptor: STDOUT_FILENO)
    /// Errors, progress and figures.
    static let error = StandardStream(descriptor: STDERR_FILENO)

    private let descriptor: Int32

    var isTerminal: Bool { isatty(descriptor) == 1 }

    /// Writes all of `text`.
    func write(_ text: String) throws(Failure) {
        var bytes = Array((isTerminal ? text.withoutTerminalControls : text).utf8)[...]
        while !bytes.isEmpty {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if count >= 0 {
                bytes.removeFirst(count)
            } else {
                try recover(from: errno)
            }
        }
    }

    /// Writes a line to the person who watches; that nobody may be watching is no error.
    static func note(_ line: String) { try? error.write(line.onOneLine + "\n") }

    /// Writes lines, as the above does.
    static func note(_ lines: [String]) { for line in lines { note(line) } }

    /// Returns where the write is worth trying again.
    private func recover(from code: Int32) throws(Failure) {
        switch code {
        case EINTR: return
        case EAGAIN:
            // The other side made the pipe non-blocking: wait until it takes more.
            var state = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            _ = unsafe poll(&state, 1, -1)
        case EPIPE: throw Failure(.brokenPipe)
        default: throw Failure(.inputOutput, "standard output: cannot write: \(systemMessage(code))")
        }
    }
}

/// The system's words for an error number.
func systemMessage(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }

extension String {
    /// The text without control characters except line feed, carriage return and tab: what a model says must
    /// not drive the terminal.
    var withoutTerminalControls: String {
        func isControl(_ scalar: Unicode.Scalar) -> Bool {
            scalar.properties.generalCategory == .control && scalar != "\n" && scalar != "\t"
                && scalar != "\r"
        }
        guard unicodeScalars.contains(where: isControl) else { return self }
        var kept = UnicodeScalarView()
        for scalar in unicodeScalars { kept.append(isControl(scalar) ? "\u{FFFD}" : scalar) }
        return String(kept)
    }

    /// The text with control characters, line ends included, as spaces.
    var onOneLine: String {
        var line = UnicodeScalarView()
        for scalar in unicodeScalars {
            line.append(scalar.properties.generalCategory == .control ? " " : scalar)
        }
        return String(line)
    }
}
