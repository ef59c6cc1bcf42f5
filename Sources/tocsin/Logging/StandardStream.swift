import Foundation

/// Standard output and standard error, written to without Foundation: its file handles end the process when a write fails, and
/// a full disk under the log, or a pipe that nobody reads any more, would take all clients of a gateway along.
enum StandardStream: CInt {
    case output = 1
    case error = 2

    /// - Returns: whether all of it was taken.
    @discardableResult
    func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Foundation.write(rawValue, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                // Somebody who shares the stream wants to be told instead of waiting.
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

/// One line to standard output, now: a pipe must not hold it back. Where nobody reads it any more, the command ends as others do.
func show(_ text: String) {
    guard !StandardStream.output.write(line: text), errno == EPIPE else { return }
    signal(SIGPIPE, SIG_DFL)
    raise(SIGPIPE)
}

/// One line to standard error: for the person, not for the pipe.
func note(_ text: String) { StandardStream.error.write(line: text) }
