import Broker
import NIOCore

/// Decompresses the messages of one event loop.
///
/// A message is inflated only when complete: its fragments are collected compressed, up to the usual message limit, so one
/// stream serves all clients. Inflating stops at the first byte over the limit, so a message that is small on the wire and
/// large in memory costs no more than one that is large on the wire. Used only on its loop.
final class MessageInflater {
    /// Maximum bytes of a message after inflation.
    let maximumMessageBytes: Int
    private let stream = InflateStream()

    init(maximumMessageBytes: Int) { self.maximumMessageBytes = maximumMessageBytes }

    /// Inflates the payload of a `FrameParser.Event.compressed`.
    ///
    /// - Returns: `.text` or `.binary`, or a `.violation`: 1009 for more than `maximumMessageBytes`, 1007 when the data is
    ///   corrupt, or is text but not UTF-8.
    func message(_ payload: ByteBuffer, isText: Bool) -> FrameParser.Event {
        // For an empty message a sender should send 00 (RFC 7692 section 7.2.3.6); some send no bytes.
        guard payload.readableBytes > 0 else { return isText ? .text(payload) : .binary(payload) }
        let message: ByteBuffer
        do throws(InflateStream.Failure) {
            message = try stream.decompress(payload, maximumBytes: maximumMessageBytes)
        } catch {
            switch error {
            case .tooBig: return .violation(.tooBig, "a message has more than \(maximumMessageBytes) bytes")
            case .corrupt: return .violation(.invalidData, "the message cannot be decompressed")
            case .truncated: return .violation(.invalidData, "the compressed message has no end")
            }
        }
        guard isText else { return .binary(message) }
        var utf8 = UTF8Validator()
        guard message.withUnsafeReadableBytes({ utf8.consume($0) }), utf8.isAtBoundary else {
            return .violation(.invalidData, "the text is not UTF-8")
        }
        return .text(message)
    }
}

@available(*, unavailable) extension MessageInflater: Sendable {}
