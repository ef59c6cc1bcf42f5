import NIOCore

/// Random valid and nearly valid messages in both formats, reproducible by seed.
struct MessageForge {
    private var random: SeededGenerator
    private let seeds: [[UInt8]]

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        seeds =
            CorpusMessage.all.map { Array($0.bytes.readableBytesView) }.filter { (1...400).contains($0.count) }
            + messageVectors.map { Array($0.body.readableBytesView) }
    }

    mutating func next() -> ByteBuffer {
        var bytes: [UInt8]
        switch pick(4) {
        case 0: bytes = msgpackMap(depth: 0)
        case 1: bytes = Array(jsonObject(depth: 0).utf8)
        default: bytes = seeds.randomElement(using: &random)!
        }
        // Half of them are left intact.
        for _ in 0..<max(pick(6) - 2, 0) where !bytes.isEmpty { damage(&bytes) }
        return ByteBuffer(bytes: bytes)
    }

    private mutating func pick(_ count: Int) -> Int { Int.random(in: 0..<count, using: &random) }

    private mutating func damage(_ bytes: inout [UInt8]) {
        let at = pick(bytes.count)
        switch pick(6) {
        case 0: bytes[at] = UInt8.random(in: .min ... .max, using: &random)
        case 1: bytes[at] ^= 1 << UInt8(pick(8))
        case 2: bytes.remove(at: at)
        case 3: bytes.insert(UInt8.random(in: .min ... .max, using: &random), at: at)
        case 4: bytes.insert(contentsOf: bytes[at...].prefix(9), at: at)
        default: bytes.insert(contentsOf: Self.pieces[pick(Self.pieces.count)], at: at)
        }
    }

    private static let pieces: [[UInt8]] =
        [
            "\\ud83d", "\\uDE00", "\\\\", "\\u0000", "NaN", "01", ".", "1e", "\"", "é", "😀", "\u{2028}", "\n", "//",
            ",",
            "{}", "[", "]",
        ].map { Array($0.utf8) } + [
            [0xED, 0xA0, 0x80], [0xC3], [0xF4, 0x90, 0x80, 0x80], [0xC0, 0x80], [0x00], [0xD4, 5, 0], [0xC7, 0, 5],
            [0xA1, 0xFF], [0xC4, 1, 0xFF], [0x81], [0x91], [0xDE, 0, 1], [0xDC, 0, 1], [0xC1],
            [0xD6, 0xFF, 0, 0, 0, 1],
        ]

    private static let texts = [
        "", "a", "type", "receive", "__tocsin__", "__asgi_channel__", "é", "好😀", "\0\n\"\\",
        String(repeating: "x", count: 40), String(repeating: "ü", count: 200), "\u{FFFD}\u{FFFE}",
    ]

    // MARK: msgpack

    private mutating func msgpackMap(depth: Int) -> [UInt8] {
        let count = pick(5)
        var bytes: [UInt8] = pick(8) == 0 ? [0xDE, 0, UInt8(count)] : [0x80 + UInt8(count)]
        for _ in 0..<count {
            // Occasionally a value of any type is the key.
            bytes += pick(40) == 0 ? msgpackValue(depth: depth + 1) : msgpackText()
            bytes += msgpackValue(depth: depth + 1)
        }
        return bytes
    }

    private mutating func msgpackText() -> [UInt8] {
        var text = Array(Self.texts[pick(Self.texts.count)].utf8)
        if pick(60) == 0 { text.append(UInt8(0x80 + pick(0x80))) }
        let length = UInt8(text.count & 0xFF), high = UInt8(text.count >> 8)
        switch pick(text.count < 32 ? 5 : 3) {
        case 0: return [0xDA, high, length] + text
        case 1: return [0xDB, 0, 0, high, length] + text
        case 2: return [0xC5, high, length] + text
        default: return [0xA0 + length] + text
        }
    }

    private mutating func msgpackValue(depth: Int) -> [UInt8] {
        switch pick(depth < 4 ? 12 : 9) {
        case 0: return [UInt8(pick(0x80))]
        case 1: return [0xE0 + UInt8(pick(0x20))]
        case 2: return [[0xC0, 0xC2, 0xC3][pick(3)]]
        case 3: return [0xCB] + noise(8)
        case 4: return [0xCA] + noise(4)
        case 5: return [0xCC + UInt8(pick(4))] + noise(8)
        case 6: return pick(30) == 0 ? [0xD4 + UInt8(pick(5))] + noise(17) : [0xD3] + noise(8)
        case 7: return [0xC4, 3] + noise(3)
        case 8: return msgpackText()
        case 9: return msgpackMap(depth: depth)
        default:
            let count = pick(4)
            return (0..<count).reduce([0x90 + UInt8(count)]) { bytes, _ in bytes + msgpackValue(depth: depth + 1) }
        }
    }

    private mutating func noise(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    }

    // MARK: JSON

    private static let jsonTexts = [
        #""""#, #""a""#, #""type""#, #""__tocsin__""#, #""__asgi_channel__""#, #""é 好 😀""#, #""\ud83d""#,
        #""\ude00\ud83d""#,
        #""\ud83d\ude00""#, #""\\ud83d""#, #""\u0000""#, #""\"\\\/\b\f\n\r\t""#, #""3.5. -.5 01 NaN""#,
    ]
    private static let jsonNumbers = [
        "0", "-0", "1", "-1", "0.5", "1e5", "2.5E-3", "1e999", "9007199254740993", "18446744073709551616", "0e0",
        "-0.0e-0",
        "01", "1.", ".5", "+1", "-", "NaN", "Infinity", "-Infinity", "nan", "0x10", "1e", "true", "false", "null",
        "nul",
    ]
    private static let spaces = ["", "", "", " ", "\n", "\t\r\n "]

    private mutating func space() -> String { Self.spaces[pick(Self.spaces.count)] }

    private mutating func jsonObject(depth: Int) -> String {
        let entries = (0..<pick(4)).map { _ in
            let key = Self.jsonTexts[pick(Self.jsonTexts.count)]
            return "\(space())\(key)\(space()):\(space())\(jsonValue(depth: depth + 1))\(space())"
        }
        return "\(space()){\(entries.joined(separator: ","))\(space())}\(space())"
    }

    private mutating func jsonValue(depth: Int) -> String {
        switch pick(depth < 4 ? 6 : 4) {
        case 0, 1: return Self.jsonTexts[pick(Self.jsonTexts.count)]
        // The first twelve of the numbers are valid.
        case 2, 3: return Self.jsonNumbers[pick(20) == 0 ? pick(Self.jsonNumbers.count) : pick(12)]
        case 4: return jsonObject(depth: depth)
        default: return "[\((0..<pick(4)).map { _ in jsonValue(depth: depth + 1) }.joined(separator: ","))]"
        }
    }
}
