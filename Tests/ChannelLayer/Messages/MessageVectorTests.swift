import Broker
import ChannelLayer
import NIOCore
import Testing

/// Captured channels_redis messages: complete, in pieces and damaged.
struct MessageVectorTests {
    @Test(arguments: messageVectors)
    func `A message that Python wrote becomes the JSON that Python would write`(vector: MessageVector) throws {
        let body = try LayerMessage.body(ofInboxMember: vector.bytes, prefixLength: vector.prefixLength)
        let message = try WireMessage.decode(body)
        #expect(String(buffer: message.json) == vector.json)
        #expect(message.stamp == nil)
    }

    @Test(arguments: messageVectors)
    func `A message without its channels differs in nothing else`(vector: MessageVector) throws {
        let (message, channels) = try LayerMessage.withoutChannels(vector.body)
        #expect(channels == vector.channels)
        let decoded = try WireMessage.decode(message)
        #expect(String(buffer: decoded.json) == vector.json)
        #expect(try LayerMessage.withoutChannels(message).channels.isEmpty)
        let text = String(buffer: vector.body)
        if text.hasPrefix("{"), text.contains("NaN") || text.contains("Infinity") {
            // JSON has no such numbers: the message becomes the one that every reader gets.
            #expect(String(buffer: message) == vector.json)
        } else if channels.isEmpty {
            #expect(message == vector.body)
        } else {
            // The layer puts its entry last, and no message here has sixteen entries, so the header is one byte.
            let isJSON = vector.body.getInteger(at: vector.body.readerIndex) == UInt8(ascii: "{")
            let kept = message.readableBytesView.dropFirst().dropLast(isJSON ? 1 : 0)
            #expect(vector.body.readableBytesView.dropFirst().starts(with: kept))
        }
    }

    @Test(arguments: messageVectors)
    func `A message that was cut short anywhere is refused`(vector: MessageVector) {
        let body = vector.body
        for length in 0..<body.readableBytes {
            let cut = body.getSlice(at: body.readerIndex, length: length)!
            let accepted = (try? WireMessage.decode(cut)) != nil || (try? LayerMessage.withoutChannels(cut)) != nil
            #expect(!accepted, "\(length)")
        }
    }

    @Test(arguments: messageVectors)
    func `A message with a byte too many is refused`(vector: MessageVector) {
        var body = vector.body
        body.writeInteger(UInt8(0))
        #expect(throws: MessageError.self) { try WireMessage.decode(body) }
        #expect(throws: MessageError.self) { try LayerMessage.withoutChannels(body) }
    }

    @Test
    func `Damaged messages are refused or become valid JSON, and both readers agree`() throws {
        var random = SeededGenerator(seed: 42)
        var accepted = 0
        for _ in 0..<20_000 {
            let vector = messageVectors.randomElement(using: &random)!
            let bytes = damaged(Array(vector.body.readableBytesView), using: &random)
            guard let message = try? WireMessage.decode(ByteBuffer(bytes: bytes)) else {
                try #require((try? LayerMessage.withoutChannels(ByteBuffer(bytes: bytes))) == nil)
                continue
            }
            accepted += 1
            try #require(try JSONText.object(message.json) == JSONObject(text: message.json))
            let stripped: ByteBuffer
            do throws(MessageError) {
                stripped = try LayerMessage.withoutChannels(ByteBuffer(bytes: bytes)).message
            } catch {
                // Only its channels may be unclear.
                try #require(error.reason == .channels)
                continue
            }
            try #require(try WireMessage.decode(stripped) == DecodedMessage(json: message.json))
        }
        #expect(accepted > 1000)
    }

    /// Changes, repeats, inserts or removes a few bytes.
    private func damaged(_ bytes: [UInt8], using random: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes[index] = UInt8.random(in: .min ... .max, using: &random)
            case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2: bytes.remove(at: index)
            case 3: bytes.insert(UInt8.random(in: .min ... .max, using: &random), at: index)
            default: bytes.insert(contentsOf: bytes[index...].prefix(9), at: index)
            }
        }
        return bytes
    }
}
