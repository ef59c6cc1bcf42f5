import Broker
import NIOCore
import TestSupport
import Testing

@testable import Gateway

/// The client side of a WebSocket.
struct Browser {
    /// A frame from the server: must be final and unmasked.
    struct Frame: Equatable, Sendable {
        var opcode: UInt8
        /// Inflated.
        var payload: [UInt8]
        /// It had RSV1 set.
        var isCompressed = false
        var text: String { String(decoding: payload, as: UTF8.self) }
        var closeCode: UInt16? {
            opcode == 8 && payload.count >= 2 ? UInt16(payload[0]) << 8 | UInt16(payload[1]) : nil
        }
        var closeReason: String { String(decoding: payload.dropFirst(2), as: UTF8.self) }
    }

    let raw: RawClient

    /// The head of the handshake's response.
    func head() async throws -> HTTPText {
        let text = try await raw.take("the answer's head") { bytes -> (String, Int)? in
            guard
                let end = bytes.indices.dropLast(3).first(where: { bytes[$0...].starts(with: Array("\r\n\r\n".utf8)) })
            else {
                return nil
            }
            return (String(decoding: bytes[..<end], as: UTF8.self), end + 4 - bytes.startIndex)
        }
        return try HTTPText(text)
    }

    func send(_ frames: FrameMaker...) async throws { try await raw.send(frames.flatMap(\.bytes)) }

    /// The next frame, of any kind.
    func frame() async throws -> Frame { try await raw.take("a frame", Self.parse) }

    @Sendable private static func parse(_ bytes: ArraySlice<UInt8>) -> (Frame, Int)? {
        let first = bytes.startIndex
        guard bytes.count >= 2 else { return nil }
        #expect(
            bytes[first] & 0xB0 == 0x80 && bytes[first + 1] & 0x80 == 0, "a server's frames are final and not masked")
        var length = Int(bytes[first + 1]), start = 2
        let extended = length == 126 ? 2 : length == 127 ? 8 : 0
        guard bytes.count >= 2 + extended else { return nil }
        if extended > 0 {
            length = bytes[first + 2..<first + 2 + extended].reduce(0) { $0 << 8 | Int($1) }
            start += extended
        }
        guard bytes.count >= start + length else { return nil }
        let payload = Array(bytes[first + start..<first + start + length])
        let opcode = bytes[first] & 0x0F
        guard bytes[first] & 0x40 != 0 else { return (Frame(opcode: opcode, payload: payload), start + length) }
        let message = MessageInflater(maximumMessageBytes: 1 << 20).message(
            ByteBuffer(bytes: payload), isText: opcode == 1)
        guard case .text(let text) = message else {
            Issue.record("a compressed frame that cannot be read: \(message)")
            return nil
        }
        return (Frame(opcode: opcode, payload: Array(text.readableBytesView), isCompressed: true), start + length)
    }

    /// The next text message; pings on the way are answered.
    func text() async throws -> String {
        while true {
            let frame = try await frame()
            switch frame.opcode {
            case 1: return frame.text
            case 9: try await send(FrameMaker(opcode: 0xA, payload: frame.payload))
            default:
                Issue.record("a text was waited for, and \(frame) came")
                return ""
            }
        }
    }

    /// The code of the server's close frame, which must be the last; frames before it are skipped.
    func closeCode() async throws -> UInt16? {
        while true {
            let frame = try await frame()
            if frame.opcode == 8 { return frame.closeCode }
        }
    }

    /// Checks that nothing has been sent to this client: the answer to a ping comes next.
    func expectNothing() async throws {
        try await send(.ping("anything?"))
        #expect(try await frame() == Frame(opcode: 0xA, payload: Array("anything?".utf8)))
    }

    func waitForEnd() async throws { try await waitUntil("the end of the connection") { raw.isEnded } }
    func close() async { await raw.close() }
}
