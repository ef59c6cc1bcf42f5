import NIOCore
import TestSupport

@testable import RedisClient

/// Random replies, as values and as the bytes that Redis would send for them.
struct ReplyMaker {
    var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func reply(depth: Int = 0) -> RedisValue {
        switch Int.random(in: 0..<(depth < 6 ? 9 : 7), using: &generator) {
        case 0: .null
        case 1: .integer(Int64.random(in: .min ... .max, using: &generator))
        case 2: .integer(Int64.random(in: -9...9, using: &generator))
        case 3: .status(text())
        case 4: .error("ERR " + text())
        case 5, 6: .string(bytes())
        default: .array((0..<Int.random(in: 0...4, using: &generator)).map { _ in reply(depth: depth + 1) })
        }
    }

    private mutating func text() -> String {
        let letters = "abc XYZ:*$+-'"
        return String(
            (0..<Int.random(in: 0...12, using: &generator)).map { _ in letters.randomElement(using: &generator)! })
    }

    private mutating func bytes() -> ByteBuffer {
        let count = [0, 1, 2, 16, 300].randomElement(using: &generator)!
        return ByteBuffer(bytes: (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    /// Changes a few bytes: flips, cuts, repeats, misplaced protocol characters.
    mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
            let at = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1: bytes.remove(at: at)
            case 2: bytes.insert(Array("*$:+-\r\n019_,#%~>".utf8).randomElement(using: &generator)!, at: at)
            case 3: bytes[at] = UInt8.random(in: 0...255, using: &generator)
            case 4: bytes.removeSubrange(at...)
            default: bytes.insert(contentsOf: bytes[at..<min(at + 8, bytes.count)], at: at)
            }
        }
        return bytes
    }

    static func wire(_ value: RedisValue) -> [UInt8] {
        switch value {
        case .null: Array("$-1\r\n".utf8)
        case .integer(let number): Array(":\(number)\r\n".utf8)
        case .status(let text): Array("+\(text)\r\n".utf8)
        case .error(let text): Array("-\(text)\r\n".utf8)
        case .string(let bytes):
            Array("$\(bytes.readableBytes)\r\n".utf8) + bytes.readableBytesView + Array("\r\n".utf8)
        case .array(let values): Array("*\(values.count)\r\n".utf8) + values.flatMap(wire)
        }
    }
}

/// The replies that a reader parsed, up to the end or an error.
struct Parsed: Equatable {
    var replies: [RedisValue] = []
    var failed = false

    /// - Parameter piece: how many bytes are fed at a time.
    init(_ bytes: [UInt8], piece: Int = .max, maximumBytes: Int = 1 << 20) {
        let reader = RedisReplyReader(maximumBytes: maximumBytes)
        var rest = bytes[...]
        do {
            while !rest.isEmpty {
                try reader.feed(ByteBuffer(bytes: rest.prefix(piece)))
                rest = rest.dropFirst(piece)
                while let value = try reader.next({ RedisValue($0) }) { replies.append(value) }
            }
        } catch {
            failed = true
        }
    }

    init(_ text: String, piece: Int = .max) { self.init(Array(text.utf8), piece: piece) }
}
