import NIOCore

/// Compresses the messages of one event loop: each message once per window, shared by all clients with that window.
/// Used only on its loop.
final class MessageDeflater {
    private let configuration: CompressionConfiguration
    private var streams: [DeflateWindow: DeflateStream] = [:]
    private var scratch = ByteBuffer()

    /// Capacity in bytes that the scratch buffer may keep between messages.
    private static let keptBytes = 256 << 10

    init(_ configuration: CompressionConfiguration) { self.configuration = configuration }

    /// The text as a compressed frame. nil when it should be sent uncompressed: it is short, or compression does not help.
    func frame(text: ByteBuffer, window: DeflateWindow) -> ByteBuffer? {
        guard text.readableBytes >= configuration.threshold, let payload = compress(text, window) else { return nil }
        return FrameWriter.compressedText(payload)
    }

    /// The payload of a compressed message (RFC 7692 section 7.2.1), a slice of the scratch buffer; nil: not shorter.
    private func compress(_ text: ByteBuffer, _ window: DeflateWindow) -> ByteBuffer? {
        scratch.clear()
        if scratch.capacity > Self.keptBytes { scratch = ByteBuffer() }
        stream(window).compress(text, into: &scratch)
        // The trailing 00 00 FF FF of the empty stored block is omitted.
        let length = scratch.readableBytes - 4
        return length < text.readableBytes ? scratch.getSlice(at: scratch.readerIndex, length: length) : nil
    }

    private func stream(_ window: DeflateWindow) -> DeflateStream {
        if let stream = streams[window] { return stream }
        let stream = DeflateStream(level: configuration.level, windowBits: window.bits(configuration))
        streams[window] = stream
        return stream
    }
}

@available(*, unavailable) extension MessageDeflater: Sendable {}
