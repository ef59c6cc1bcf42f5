import Broker
import Foundation
import TestSupport
import Testing

struct Base64Tests {
    static let all: [Base64] = [.standard, .url, .paddedURL]

    /// RFC 4648 section 10, and the last two characters of each alphabet.
    static let vectors: [(bytes: [UInt8], standard: String)] = [
        (Array("".utf8), ""), (Array("f".utf8), "Zg=="), (Array("fo".utf8), "Zm8="), (Array("foo".utf8), "Zm9v"),
        (Array("foob".utf8), "Zm9vYg=="), (Array("fooba".utf8), "Zm9vYmE="), (Array("foobar".utf8), "Zm9vYmFy"),
        ([0], "AA=="), ([0xfb, 0xff], "+/8="), ([0xff, 0xff, 0xff], "////"), ([0xfb, 0xef, 0xbe], "++++"),
    ]

    private func text(_ standard: String, as kind: Base64) -> String {
        let isPadded = kind != .url
        let text = isPadded ? standard : standard.replacing("=", with: "")
        return kind == .standard ? text : text.replacing("+", with: "-").replacing("/", with: "_")
    }

    @Test(arguments: all)
    func `Bytes have one text`(kind: Base64) {
        for (bytes, standard) in Self.vectors {
            let text = text(standard, as: kind)
            #expect(kind.encode(bytes) == text)
            #expect(kind.encode(bytes.lazy.map { $0 }) == text)
            #expect(kind.decode(text.utf8) == bytes)
        }
    }

    @Test(
        arguments: [
            (
                .standard,
                [
                    "A", "AA", "AAA", "AA=", "A===", "====", "=", "AA==AAAA", "AA=A", "AAAA====", "-_8=", "AB==",
                    "AAB=",
                    " AA==", "AA==\n", "AAA\n", "éé==",
                ]
            ),
            (.url, ["A", "AAAAA", "AA=", "AA==", "A+", "A/", "AB", "AAB", " AA", "AA\n", "é"]),
            (.paddedURL, ["A", "AA", "AAA", "AA=", "A===", "====", "+/8=", "AB==", "AAB=", "AA=A"]),
        ] as [(Base64, [String])])
    func `Any other text is none`(kind: Base64, texts: [String]) {
        for text in texts { #expect(kind.decode(text.utf8) == nil, "\(text)") }
    }

    @Test(arguments: all)
    func `Every length comes back, and is Foundation's text`(kind: Base64) {
        var generator = SeededGenerator(seed: 4648)
        for count in 0..<200 {
            let bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            let encoded = kind.encode(bytes)
            #expect(encoded == text(Data(bytes).base64EncodedString(), as: kind))
            #expect(kind.decode(encoded.utf8) == bytes)
        }
    }

    @Test(arguments: all)
    func `The alphabet has 64 characters, and padding is none of them`(kind: Base64) {
        let known = (UInt8.min ... .max).compactMap { character in kind.value(of: character).map { (character, $0) } }
        #expect(known.map(\.1).sorted() == Array(0..<64))
        #expect(kind.value(of: UInt8(ascii: "=")) == nil)
        for (character, value) in known { #expect(kind.encode([value << 2]).utf8.first == character) }
    }
}
