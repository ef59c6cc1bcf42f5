import Broker
import NIOCore
import Testing

@testable import Gateway

/// The events that a parser produces.
struct Events: Equatable {
    var all: [FrameParser.Event] = []

    /// - Parameter piece: how many bytes are fed at a time.
    init(
        _ bytes: [UInt8], piece: Int = .max, maximumMessageBytes: Int = 65_536, maximumFragments: Int = 64,
        allowsCompression: Bool = false
    ) {
        var parser = FrameParser(
            maximumMessageBytes: maximumMessageBytes, maximumFragments: maximumFragments,
            allowsCompression: allowsCompression)
        var rest = ByteBuffer(bytes: bytes)
        while let next = rest.readSlice(length: min(piece, rest.readableBytes)), next.readableBytes > 0 {
            parser.feed(next)
            while let event = parser.next() { all.append(event) }
        }
    }

    init(_ frames: [FrameMaker], piece: Int = .max) { self.init(frames.flatMap(\.bytes), piece: piece) }

    /// `text Hello`, `close 1000`, `violation 1002`…
    var words: [String] {
        all.map { event in
            switch event {
            case .text(let text): "text \(String(buffer: text))"
            case .binary(let bytes): "binary \(Array(bytes.readableBytesView))"
            case .compressed(let bytes, let isText):
                "compressed \(isText ? "text" : "binary") \(Array(bytes.readableBytesView))"
            case .ping(let payload): "ping \(String(buffer: payload))"
            case .pong(let payload): "pong \(String(buffer: payload))"
            case .close(let code): "close \(code.map(String.init) ?? "without a code")"
            case .violation(let code, _): "violation \(code.rawValue)"
            }
        }
    }
}

struct FrameParserTests {
    /// RFC 6455 section 5.7.
    @Test func `The examples of the RFC are read`() {
        let hello: [UInt8] = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
        #expect(Events(hello).words == ["text Hello"])
        #expect(FrameMaker.text("Hello").bytes == hello)
        let fragments = FrameMaker.text("Hel", isFinal: false).bytes + FrameMaker.more("lo", isFinal: true).bytes
        #expect(Array(fragments.prefix(2)) == [0x01, 0x83])
        #expect(Events(fragments).words == ["text Hello"])
        let pong: [UInt8] = [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
        #expect(Events(pong).words == ["pong Hello"])
        #expect(
            Array(FrameMaker.binary([UInt8](repeating: 7, count: 256)).bytes.prefix(4)) == [0x82, 0xFE, 0x01, 0x00])
        let large = FrameMaker.binary([UInt8](repeating: 7, count: 65536)).bytes
        #expect(Array(large.prefix(10)) == [0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0])
    }

    @Test(arguments: [0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536])
    func `Every length of a message is read, in every form of the length`(count: Int) {
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        for piece in [Int.max, 4096, 1021] {
            let events = Events(FrameMaker.binary(payload).bytes, piece: piece)
            #expect(events.all == [.binary(ByteBuffer(bytes: payload))])
        }
    }

    @Test(arguments: [Int.max, 1, 2, 3, 5, 7])
    func `However the bytes come, the events are the same`(piece: Int) {
        let frames: [FrameMaker] = [
            .text("ëΩ𝄞 one"), .text("", isFinal: true), .text("tw", isFinal: false), .ping("in between"), .more(""),
            .pong("x"),
            .more("o", isFinal: true), .binary([0, 255]), .ping(String(repeating: "p", count: 125)),
            .close(4999, Array("bye".utf8)),
        ]
        #expect(
            Events(frames, piece: piece).words == [
                "text ëΩ𝄞 one", "text ", "ping in between", "pong x", "text two", "binary [0, 255]",
                "ping " + String(repeating: "p", count: 125), "close 4999",
            ])
    }

    @Test func `Every mask is taken off, also one of zeros`() {
        for mask in [[0, 0, 0, 0], [255, 255, 255, 255], [1, 2, 3, 4], [0x80, 0, 0, 1]] as [[UInt8]] {
            var frame = FrameMaker.text("The quick brown fox")
            frame.mask = mask
            for piece in [Int.max, 1, 3] {
                #expect(Events([frame], piece: piece).words == ["text The quick brown fox"])
            }
        }
    }

    @Test func `A character may be split between fragments, and a control frame may come in its middle`() {
        for text in ["ë", "Ω", "€", "𝄞"] {
            let bytes = Array(text.utf8)
            for cut in 0...bytes.count {
                let frames = [
                    FrameMaker(opcode: 1, payload: Array(bytes[..<cut]), isFinal: false), .ping("€"),
                    FrameMaker(opcode: 0, payload: Array(bytes[cut...])),
                ]
                #expect(Events(frames).words == ["ping €", "text \(text)"])
                #expect(Events(frames, piece: 1).words == ["ping €", "text \(text)"])
            }
        }
    }

    @Test(
        arguments: [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
            as [UInt16])
    func `A close with a code that may be sent is read, with and without a reason`(code: UInt16) {
        #expect(Events([.close(code)]).words == ["close \(code)"])
        #expect(Events([.close(code, Array("ë bye".utf8))], piece: 1).words == ["close \(code)"])
        #expect(Events([.close(code, Array(repeating: 0x61, count: 123))]).words == ["close \(code)"])
    }

    @Test func `A close without a code is one`() {
        #expect(Events([.close(nil)]).words == ["close without a code"])
    }

    @Test func `Sixty-four fragments are a message, and one more is refused`() {
        func fragments(_ count: Int) -> [FrameMaker] {
            (0..<count).map { index in
                index == 0 ? .text("x", isFinal: count == 1) : .more("x", isFinal: index == count - 1)
            }
        }
        #expect(Events(fragments(64)).words == ["text " + String(repeating: "x", count: 64)])
        #expect(Events(fragments(65)).words == ["violation 1009"])
    }

    @Test func `Messages after a fragmented one count their own fragments and bytes`() {
        let one =
            [FrameMaker.text("a", isFinal: false)] + (0..<62).map { _ in .more("b") } + [.more("c", isFinal: true)]
        #expect(Events(one + one + one).all.count == 3)
    }

    @Test func `Half a frame is waited for`() {
        let bytes = FrameMaker.text("Hello").bytes
        for count in 0..<bytes.count { #expect(Events(Array(bytes.prefix(count))).all.isEmpty) }
    }
}
