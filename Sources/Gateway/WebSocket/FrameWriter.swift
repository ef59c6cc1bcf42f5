import Broker
import NIOCore

/// Encodes a server's frames: final and unmasked, so that all clients get the same bytes (RFC 6455 section 5).
enum FrameWriter {
    static func text(_ payload: ByteBuffer) -> ByteBuffer { frame(0x1, payload) }
    /// A text message with a compressed payload: RSV1 is set (RFC 7692 section 6.1).
    static func compressedText(_ payload: ByteBuffer) -> ByteBuffer { frame(0x41, payload) }
    static func binary(_ payload: ByteBuffer) -> ByteBuffer { frame(0x2, payload) }
    static func ping(_ payload: ByteBuffer = ByteBuffer()) -> ByteBuffer { frame(0x9, payload) }
    static func pong(_ payload: ByteBuffer) -> ByteBuffer { frame(0xA, payload) }

    /// - Parameter reason: truncated to the 123 bytes available in a control frame.
    static func close(_ code: UInt16?, reason: String = "") -> ByteBuffer {
        var payload = ByteBuffer()
        if let code {
            payload.writeInteger(code)
            var short = reason
            while short.utf8.count > 123 { short.removeLast() }
            payload.writeString(short)
        }
        return frame(0x8, payload)
    }

    private static func frame(_ opcode: UInt8, _ payload: ByteBuffer) -> ByteBuffer {
        let length = payload.readableBytes
        var frame = ByteBufferAllocator().buffer(capacity: length + 10)
        frame.writeInteger(0x80 | opcode)
        switch length {
        case ...125: frame.writeInteger(UInt8(length))
        case ...0xFFFF:
            frame.writeInteger(UInt8(126))
            frame.writeInteger(UInt16(length))
        default:
            frame.writeInteger(UInt8(127))
            frame.writeInteger(UInt64(length))
        }
        frame.writeImmutableBuffer(payload)
        return frame
    }
}
