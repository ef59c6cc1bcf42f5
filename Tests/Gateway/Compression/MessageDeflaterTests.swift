import Broker
import NIOCore
import TestSupport
import Testing

@testable import Gateway

/// Compression: what is sent inflates to the original, and is identical for all clients.
struct MessageDeflaterTests {
    private func configuration(
        threshold: Int = 0, level: Int = 6, windowBits: Int = 15
    ) -> CompressionConfiguration {
        var configuration = CompressionConfiguration()
        configuration.isEnabled = true
        configuration.threshold = threshold
        configuration.level = level
        configuration.windowBits = windowBits
        return configuration
    }

    /// Words and noise: parts that compress well, and parts that do not.
    private static func message(_ generator: inout SeededGenerator, count: Int) -> [UInt8] {
        let words = ["tocsin", "rings", "for", "every", "client", "at", "once", "ë€𝄞"]
        var message: [UInt8] = []
        while message.count < count {
            if Int.random(in: 0..<10, using: &generator) == 0 {
                message += (0..<8).map { _ in UInt8.random(in: 0...255, using: &generator) }
            } else {
                message += Array(words.randomElement(using: &generator)!.utf8)
            }
        }
        return Array(message.prefix(count))
    }

    /// The payload of a server's frame, which must have RSV1 set and be a complete text message.
    private func payload(_ frame: ByteBuffer) -> ByteBuffer {
        #expect(frame.getInteger(at: 0, as: UInt8.self) == 0xC1)
        let short = Int(frame.getInteger(at: 1, as: UInt8.self)!)
        let header = short == 127 ? 10 : short == 126 ? 4 : 2
        let payload = frame.getSlice(at: header, length: frame.readableBytes - header)!
        let length =
            short == 127
            ? Int(frame.getInteger(at: 2, as: UInt64.self)!)
            : short == 126 ? Int(frame.getInteger(at: 2, as: UInt16.self)!) : short
        #expect(length == payload.readableBytes)
        return payload
    }

    @Test(arguments: [1, 6, 9], [9, 10, 15])
    func `What was compressed inflates to what it was, at every level and window`(level: Int, bits: Int) throws {
        let deflater = MessageDeflater(configuration(level: level, windowBits: bits))
        let inflater = MessageInflater(maximumMessageBytes: 1 << 20)
        var generator = SeededGenerator(seed: UInt64(level * 100 + bits))
        for count in [50, 125, 126, 127, 1000, 65_535, 65_536, 300_000] {
            let message =
                count < 200
                ? (0..<count).map { Array("tocsin rings ".utf8)[$0 % 13] } : Self.message(&generator, count: count)
            let frame = try #require(deflater.frame(text: ByteBuffer(bytes: message), window: .full), "\(count)")
            #expect(frame.readableBytes < count)
            #expect(inflater.message(payload(frame), isText: false) == .binary(ByteBuffer(bytes: message)))
        }
    }

    @Test func `A message does not depend on the ones before it`() throws {
        let used = MessageDeflater(configuration())
        var generator = SeededGenerator(seed: 1)
        let messages = (0..<20).map { ByteBuffer(bytes: Self.message(&generator, count: 100 + $0 * 50)) }
        for message in messages { _ = used.frame(text: message, window: .full) }
        for message in messages.reversed() {
            let fresh = MessageDeflater(configuration()).frame(text: message, window: .full)
            #expect(used.frame(text: message, window: .full) == fresh)
        }
        #expect(used.frame(text: messages[0], window: .full) == used.frame(text: messages[0], window: .full))
    }

    @Test func `A frame keeps its bytes when the next message is compressed`() throws {
        let deflater = MessageDeflater(configuration())
        let first = try #require(deflater.frame(text: ByteBuffer(repeating: 0x61, count: 500), window: .full))
        let copy = Array(first.readableBytesView)
        _ = deflater.frame(text: ByteBuffer(repeating: 0x62, count: 5000), window: .full)
        #expect(Array(first.readableBytesView) == copy)
    }

    /// No inflater with a window of 512 bytes may meet a distance that reaches too far back.
    @Test func `The small window is small, and the full one is not`() throws {
        var generator = SeededGenerator(seed: 3)
        let noise = (0..<2000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let message = ByteBuffer(bytes: noise + noise)
        let deflater = MessageDeflater(configuration())
        #expect(try #require(deflater.frame(text: message, window: .full)).readableBytes < 2200)
        // A repetition after 2,000 bytes is invisible in a window of 512.
        #expect(deflater.frame(text: message, window: .small) == nil)
        let near = ByteBuffer(bytes: Array(noise.prefix(200)) + Array(noise.prefix(200)))
        #expect(deflater.frame(text: near, window: .small) != nil)
    }

    @Test func `What is short, or does not get shorter, is not compressed`() {
        let text = ByteBuffer(repeating: 0x61, count: 100)
        #expect(MessageDeflater(configuration(threshold: 101)).frame(text: text, window: .full) == nil)
        #expect(MessageDeflater(configuration(threshold: 100)).frame(text: text, window: .full) != nil)
        let deflater = MessageDeflater(configuration())
        for text in ["", "a", "Hello", "qwertzuiop"] {
            #expect(deflater.frame(text: ByteBuffer(string: text), window: .full) == nil, "\(text)")
        }
        var generator = SeededGenerator(seed: 2)
        let noise = ByteBuffer(bytes: (0..<5000).map { _ in UInt8.random(in: 0...255, using: &generator) })
        #expect(deflater.frame(text: noise, window: .full) == nil)
    }

    // MARK: Encodings

    private let publication = Publication(
        group: try! GroupName("g"), position: nil,
        json: ByteBuffer(string: #"{"a":""# + String(repeating: "x", count: 2000) + #""}"#))

    @Test(arguments: [WireForm.plain, .centrifuge])
    func `A publication is compressed once for each window`(form: WireForm) throws {
        let deflater = MessageDeflater(configuration(threshold: 1024))
        let inflater = MessageInflater(maximumMessageBytes: 1 << 20)
        var encodings = Encodings(publication)
        let frame = encodings.bytes(for: form, window: .full, by: deflater)
        let text = form == .plain ? publication.json : CentrifugeReply.push(publication)
        #expect(inflater.message(payload(frame), isText: true) == .text(text))
        #expect(encodings.bytes(for: form) == FrameWriter.text(text), "others get it as it is")
        #expect(
            inflater.message(payload(encodings.bytes(for: form, window: .small, by: deflater)), isText: true)
                == .text(text))
        // The same storage, not only equal bytes.
        let again = encodings.bytes(for: form, window: .full, by: deflater)
        #expect(
            again.withUnsafeReadableBytes { $0.baseAddress } == frame.withUnsafeReadableBytes { $0.baseAddress })
    }

    @Test func `A short publication, and an event, are the same for those who can inflate`() {
        let deflater = MessageDeflater(configuration(threshold: 1 << 20))
        var encodings = Encodings(publication)
        for form in [WireForm.plain, .centrifuge, .eventStream] {
            #expect(encodings.bytes(for: form, window: .full, by: deflater) == encodings.bytes(for: form))
        }
    }
}
