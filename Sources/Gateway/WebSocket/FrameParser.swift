import Broker
import NIOCore

/// Parses a client's bytes into messages and control frames, and rejects what RFC 6455 forbids.
///
/// A value without I/O. A frame is checked on its first bytes (mask, reserved bits, opcode, announced length), so that
/// nothing is buffered for a frame that will be rejected; text is validated as it arrives. Holds at most one message of
/// `maximumMessageBytes` and 13 bytes of a header.
struct FrameParser {
    enum Event: Equatable {
        case text(ByteBuffer)
        case binary(ByteBuffer)
        /// A message with a compressed payload (RFC 7692): its contents are unchecked, including UTF-8.
        case compressed(ByteBuffer, isText: Bool)
        case ping(ByteBuffer)
        case pong(ByteBuffer)
        /// code: nil when the peer sent none.
        case close(code: UInt16?)
        /// The connection must be closed with this code; nothing more will be parsed.
        case violation(CloseCode, String)
    }

    let maximumMessageBytes: Int
    /// Maximum frames of one message, including empty ones, of which a flood would otherwise go unnoticed.
    let maximumFragments: Int
    /// Whether permessage-deflate was negotiated: a message's first frame may have RSV1 set (RFC 7692 section 6).
    let allowsCompression: Bool

    private var input = ByteBuffer()
    private var frame: Frame?
    private var message: Message?
    private var control = ByteBuffer()
    private var hasFailed = false

    private struct Frame {
        var opcode: Opcode
        var isFinal: Bool
        var remaining: Int
        var mask: UInt32
        /// Number of payload bytes unmasked so far, modulo 4.
        var phase: Int
    }

    private struct Message {
        var isText: Bool
        var isCompressed: Bool
        var fragments: Int
        var payload = ByteBuffer()
        var utf8 = UTF8Validator()
    }

    private enum Opcode: UInt8 {
        case continuation = 0x0, text = 0x1, binary = 0x2, close = 0x8, ping = 0x9, pong = 0xA
        var isControl: Bool { rawValue >= 0x8 }
        var beginsMessage: Bool { self == .text || self == .binary }
    }

    init(maximumMessageBytes: Int, maximumFragments: Int = 64, allowsCompression: Bool = false) {
        self.maximumMessageBytes = maximumMessageBytes
        self.maximumFragments = maximumFragments
        self.allowsCompression = allowsCompression
    }

    init(_ configuration: GatewayConfiguration, allowsCompression: Bool = false) {
        self.init(
            maximumMessageBytes: configuration.maximumMessageBytes, maximumFragments: configuration.maximumFragments,
            allowsCompression: allowsCompression)
    }

    /// Adds bytes; `next()` then returns the events they complete.
    mutating func feed(_ bytes: ByteBuffer) {
        guard !hasFailed else { return }
        if input.readableBytes == 0 {
            input = bytes
        } else {
            input.writeImmutableBuffer(bytes)
        }
    }

    /// The next event; nil when more bytes are needed.
    mutating func next() -> Event? {
        while !hasFailed {
            if frame == nil {
                switch readHeader() {
                case .needsMore:
                    compact()
                    return nil
                case .violation(let code, let reason): return fail(code, reason)
                case .frame(let frame): self.frame = frame
                }
            }
            if let failure = readPayload() { return failure }
            guard let frame, frame.remaining == 0 else {
                compact()
                return nil
            }
            self.frame = nil
            if let event = finish(frame) { return event }
        }
        return nil
    }

    private mutating func fail(_ code: CloseCode, _ reason: String) -> Event {
        hasFailed = true
        input = ByteBuffer()
        message = nil
        return .violation(code, reason)
    }

    /// Copies left-over bytes, so that they do not keep a whole receive buffer alive.
    private mutating func compact() {
        input = input.readableBytes == 0 ? ByteBuffer() : ByteBuffer(bytes: input.readableBytesView)
    }

    // MARK: Header

    private enum Header {
        case needsMore
        case frame(Frame)
        case violation(CloseCode, String)
    }

    private mutating func readHeader() -> Header {
        let start = input.readerIndex
        guard let first: UInt8 = input.getInteger(at: start), let second: UInt8 = input.getInteger(at: start + 1) else {
            return .needsMore
        }
        guard let opcode = Opcode(rawValue: first & 0x0F) else { return .violation(.protocolError, "unknown opcode") }
        let isCompressed = first & 0x40 != 0
        guard first & 0x30 == 0, !isCompressed || (allowsCompression && opcode.beginsMessage) else {
            return .violation(.protocolError, "reserved bits are set")
        }
        guard second & 0x80 != 0 else { return .violation(.protocolError, "the frame is not masked") }
        let isFinal = first & 0x80 != 0
        let short = Int(second & 0x7F)
        if opcode.isControl {
            guard isFinal else { return .violation(.protocolError, "a control frame is fragmented") }
            guard short <= 125 else { return .violation(.protocolError, "a control frame is too long") }
        } else if opcode == .continuation {
            guard message != nil else { return .violation(.protocolError, "a continuation continues nothing") }
        } else {
            guard message == nil else { return .violation(.protocolError, "the message before is not finished") }
        }
        var length = UInt64(short), headerBytes = 2
        if short == 126 {
            guard let long: UInt16 = input.getInteger(at: start + 2) else { return .needsMore }
            guard long > 125 else { return .violation(.protocolError, "the length is not in its shortest form") }
            (length, headerBytes) = (UInt64(long), 4)
        } else if short == 127 {
            guard let long: UInt64 = input.getInteger(at: start + 2) else { return .needsMore }
            guard long > 0xFFFF else { return .violation(.protocolError, "the length is not in its shortest form") }
            guard long >> 63 == 0 else { return .violation(.tooBig, "the length has its highest bit set") }
            (length, headerBytes) = (long, 10)
        }
        if !opcode.isControl {
            let soFar = UInt64(message?.payload.readableBytes ?? 0)
            guard soFar + length <= UInt64(maximumMessageBytes) else {
                return .violation(.tooBig, "a message has more than \(maximumMessageBytes) bytes")
            }
            guard (message?.fragments ?? 0) < maximumFragments else {
                return .violation(.tooBig, "a message has more than \(maximumFragments) fragments")
            }
        }
        guard let mask: UInt32 = input.getInteger(at: start + headerBytes) else { return .needsMore }
        input.moveReaderIndex(forwardBy: headerBytes + 4)
        switch opcode {
        case .text, .binary: message = Message(isText: opcode == .text, isCompressed: isCompressed, fragments: 1)
        case .continuation: message!.fragments += 1
        default: break
        }
        return .frame(Frame(opcode: opcode, isFinal: isFinal, remaining: Int(length), mask: mask, phase: 0))
    }

    // MARK: Payload

    private mutating func readPayload() -> Event? {
        let count = min(frame!.remaining, input.readableBytes)
        guard count > 0, var bytes = input.readSlice(length: count) else { return nil }
        unmask(&bytes)
        if frame!.opcode.isControl {
            control.writeImmutableBuffer(bytes)
            return nil
        }
        if message!.isText, !message!.isCompressed {
            let isValid = bytes.withUnsafeReadableBytes { message!.utf8.consume($0) }
            guard isValid else { return fail(.invalidData, "the text is not UTF-8") }
        }
        if message!.payload.readableBytes == 0 && frame!.remaining == 0 && frame!.isFinal {
            message!.payload = bytes  // whole in one read: no copy; otherwise copied, to release the read buffer
        } else {
            message!.payload.writeImmutableBuffer(bytes)
        }
        return nil
    }

    private mutating func unmask(_ bytes: inout ByteBuffer) {
        let mask = frame!.mask.bigEndian
        let key = withUnsafeBytes(of: mask) { ($0[0], $0[1], $0[2], $0[3]) }
        var phase = frame!.phase
        bytes.withUnsafeMutableReadableBytes { bytes in
            for index in bytes.indices {
                switch phase & 3 {
                case 0: bytes[index] ^= key.0
                case 1: bytes[index] ^= key.1
                case 2: bytes[index] ^= key.2
                default: bytes[index] ^= key.3
                }
                phase += 1
            }
        }
        frame!.phase = phase & 3
        frame!.remaining -= bytes.readableBytes
    }

    private mutating func finish(_ frame: Frame) -> Event? {
        switch frame.opcode {
        case .text, .binary, .continuation:
            guard frame.isFinal, let message else { return nil }
            self.message = nil
            if message.isCompressed { return .compressed(message.payload, isText: message.isText) }
            guard message.isText else { return .binary(message.payload) }
            guard message.utf8.isAtBoundary else { return fail(.invalidData, "the text ends inside a character") }
            return .text(message.payload)
        case .ping: return .ping(takeControl())
        case .pong: return .pong(takeControl())
        case .close: return closeEvent(takeControl())
        }
    }

    private mutating func takeControl() -> ByteBuffer {
        defer { control = ByteBuffer() }
        return control
    }

    private mutating func closeEvent(_ payload: ByteBuffer) -> Event {
        guard payload.readableBytes > 0 else { return .close(code: nil) }
        guard let code: UInt16 = payload.getInteger(at: payload.readerIndex) else {
            return fail(.protocolError, "a close frame has one byte")
        }
        guard CloseCode.mayBeReceived(code) else { return fail(.protocolError, "a close code that may not be sent") }
        var utf8 = UTF8Validator()
        let isValid = payload.withUnsafeReadableBytes {
            utf8.consume(UnsafeRawBufferPointer(rebasing: $0.dropFirst(2)))
        }
        guard isValid, utf8.isAtBoundary else { return fail(.invalidData, "the close reason is not UTF-8") }
        return .close(code: code)
    }
}
