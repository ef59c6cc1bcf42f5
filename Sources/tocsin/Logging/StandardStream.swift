import Foundation

/// Standard output and standard error, written without Foundation: its file handles end the process when a write fails, so
/// a full disk under the log, or a pipe without a reader, would take down a gateway with all its clients.
enum StandardStream: CInt {
    case output = 1
    case error = 2

    /// - Returns: whether everything was written.
    @discardableResult
    func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Foundation.write(rawValue, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                // The stream is non-blocking because another process shares it: wait for room.
                var room = pollfd(fd: rawValue, events: Int16(POLLOUT), revents: 0)
                guard poll(&room, 1, 100) > 0 else { return false }
            } else if errno != EINTR {
                return false
            }
        }
        return true
    }

    @discardableResult
    func write(line: String) -> Bool {
        var line = line + "\n"
        return line.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }
}

/// Prints one line to standard output, unbuffered. If the pipe has no reader any more, ends by SIGPIPE as other commands do.
func show(_ text: String) {
    guard !StandardStream.output.write(line: text), errno == EPIPE else { return }
    signal(SIGPIPE, SIG_DFL)
    raise(SIGPIPE)
}

/// Prints one line to standard error: for the user, not for a pipe.
func note(_ text: String) { StandardStream.error.write(line: text) }
