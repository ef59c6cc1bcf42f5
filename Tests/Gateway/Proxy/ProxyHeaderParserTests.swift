import NIOCore
import Sockets
import TestSupport
import Testing

@testable import Gateway

struct ProxyHeaderParserTests {
    static let signature = ProxyBinaryHeader.signature

    static func binary(_ command: UInt8, _ family: UInt8, _ bytes: [UInt8], count: Int? = nil) -> [UInt8] {
        let count = count ?? bytes.count
        return signature + [command, family, UInt8(count >> 8), UInt8(count & 0xFF)] + bytes
    }

    static let ports: [UInt8] = [0x30, 0x39, 0x01, 0xBB]
    static let tcp4 = [192, 0, 2, 1, 192, 0, 2, 2] + ports
    static let tcp6: [UInt8] =
        [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1] + [UInt8](repeating: 0, count: 15) + [2]
        + ports

    static func address(_ host: String, _ port: Int = 12345) -> PeerAddress {
        PeerAddress(try! SocketAddress(ipAddress: host, port: port))!
    }

    static let good: [(bytes: [UInt8], source: PeerAddress?)] = [
        (Array("PROXY TCP4 192.0.2.1 192.0.2.2 12345 443\r\n".utf8), address("192.0.2.1")),
        (Array("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n".utf8), address("255.255.255.255", 65535)),
        (Array("PROXY TCP6 2001:db8::1 ::2 12345 443\r\n".utf8), address("2001:db8::1")),
        (Array("PROXY TCP6 ::ffff:192.0.2.1 ::2 12345 0\r\n".utf8), address("192.0.2.1")),
        (Array("PROXY UNKNOWN\r\n".utf8), nil), (Array("PROXY UNKNOWN what ever\r\n".utf8), nil),
        (Array(("PROXY UNKNOWN " + String(repeating: "f", count: 91) + "\r\n").utf8), nil),
        (binary(0x21, 0x11, tcp4), address("192.0.2.1")), (binary(0x21, 0x21, tcp6), address("2001:db8::1")),
        (binary(0x21, 0x11, tcp4 + [0x04, 0, 3, 1, 2, 3]), address("192.0.2.1")),
        (binary(0x21, 0x11, tcp4 + [0x04, 1, 0xF9] + [UInt8](repeating: 0, count: 505)), address("192.0.2.1")),
        (binary(0x21, 0x31, [UInt8](repeating: 0x61, count: 216)), nil), (binary(0x21, 0x00, []), nil),
        (binary(0x21, 0x00, [1, 2, 3]), nil), (binary(0x20, 0x00, []), nil), (binary(0x20, 0x11, tcp4), nil),
        (binary(0x20, 0x11, [1]), nil),
    ]

    @Test(arguments: good.indices)
    func `A header is read whole and byte by byte, and what follows is left`(index: Int) {
        let (bytes, source) = Self.good[index]
        for rest in [[], Array("GET / HTTP/1.1\r\n".utf8), Self.signature] {
            var whole = ProxyHeaderParser()
            #expect(
                whole.feed(ByteBuffer(bytes: bytes + rest))
                    == .header(source: source, rest: ByteBuffer(bytes: rest)))
        }
        var single = ProxyHeaderParser()
        for byte in bytes.dropLast() { #expect(single.feed(ByteBuffer(bytes: [byte])) == .needsMore) }
        #expect(
            single.feed(ByteBuffer(bytes: bytes.suffix(1))) == .header(source: source, rest: ByteBuffer()))
    }

    static let bad: [[UInt8]] =
        [
            "GET / HTTP/1.1\r\n", "PROXY\r\n", "PROXY  TCP4\r\n", "proxy TCP4", "PROXY \r\n", "PROXY TCP5 1 2 3 4\r\n",
            "PROXY TCP4\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 12345\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "PROXY TCP4 ::1 ::2 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n", "PROXY TCP4 192.0.2.1 x 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 0x2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
            "PROXY UNKNOWN " + String(repeating: "f", count: 92) + "\r\n", String(repeating: "P", count: 2),
            "PROXY UNKNOWN " + String(repeating: "f", count: 93), "\r\n\r\n\0\r\nQUIX",
        ].map { Array($0.utf8) } + [
            [0x16, 3, 1], binary(0x11, 0x11, tcp4), binary(0x22, 0x11, tcp4), binary(0x21, 0x12, tcp4),
            binary(0x21, 0x22, tcp6), binary(0x21, 0x32, [UInt8](repeating: 0, count: 216)), binary(0x21, 0x41, tcp4),
            binary(0x21, 0x11, [1, 2, 3]), binary(0x21, 0x21, tcp4), binary(0x21, 0x31, tcp6),
            binary(0x21, 0x11, [], count: 521), binary(0x20, 0x00, [], count: 65535),
            binary(0x21, 0x11, tcp4 + [0x04]), binary(0x21, 0x11, tcp4 + [0x04, 0, 4, 1, 2, 3]),
        ]

    @Test(arguments: bad.indices)
    func `What is no header is refused, whole and byte by byte`(index: Int) {
        var whole = ProxyHeaderParser()
        #expect(whole.feed(ByteBuffer(bytes: Self.bad[index])) == .malformed)
        var single = ProxyHeaderParser()
        var last = ProxyHeaderParser.Outcome.needsMore
        for byte in Self.bad[index] where last == .needsMore { last = single.feed(ByteBuffer(bytes: [byte])) }
        #expect(last == .malformed)
    }

    @Test(arguments: 0..<20)
    func `Nearly right headers: whole and byte by byte mean the same, within the bounds`(block: UInt64) {
        for seed in block * 1000..<(block + 1) * 1000 {
            var generator = SeededGenerator(seed: seed)
            var bytes = Self.good.randomElement(using: &generator)!.bytes
            for _ in 0..<Int.random(in: 1...3, using: &generator) where !bytes.isEmpty {
                let at = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                case 1: bytes[at] = UInt8.random(in: 0...255, using: &generator)
                case 2: bytes.remove(at: at)
                case 3: bytes.insert(bytes[at], at: at)
                default: bytes.removeSubrange(at...)
                }
            }
            var whole = ProxyHeaderParser(), single = ProxyHeaderParser()
            let outcome = whole.feed(ByteBuffer(bytes: bytes))
            var last = ProxyHeaderParser.Outcome.needsMore
            var taken = 0
            for byte in bytes where last == .needsMore {
                last = single.feed(ByteBuffer(bytes: [byte]))
                taken += 1
            }
            #expect(taken <= ProxyHeaderParser.maximumBinaryBytes, "seed \(seed)")
            switch (outcome, last) {
            case (.header(let source, let rest), .header(let same, let nothing)):
                #expect(source == same && nothing.readableBytes == 0, "seed \(seed)")
                #expect(taken + rest.readableBytes == bytes.count, "seed \(seed)")
            default: #expect(outcome == last, "seed \(seed)")
            }
        }
    }
}
