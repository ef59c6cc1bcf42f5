import Foundation
import NIOCore

/// Encodes compact JSON as msgpack, to feed the decoder its own output. Assumes valid JSON.
struct MessagePackWriter {
    private let text: [UInt8]
    private var at = 0
    private(set) var bytes = ByteBuffer()

    /// - Parameter isWide: use the longest form of each length and number.
    init(_ text: ByteBuffer, isWide: Bool) {
        self.text = Array(text.readableBytesView)
        self.isWide = isWide
        value()
    }

    private let isWide: Bool

    private mutating func value() {
        switch text[at] {
        case UInt8(ascii: "{"): container(short: 0x80, long: 0xDE, isMap: true)
        case UInt8(ascii: "["): container(short: 0x90, long: 0xDC, isMap: false)
        case UInt8(ascii: "\""): string()
        case UInt8(ascii: "t"): literal(0xC3, 4)
        case UInt8(ascii: "f"): literal(0xC2, 5)
        case UInt8(ascii: "n"): literal(0xC0, 4)
        default: number()
        }
    }

    private mutating func literal(_ tag: UInt8, _ length: Int) {
        bytes.writeInteger(tag)
        at += length
    }

    /// Writes the contents first, because the number of entries is known only at the end.
    private mutating func container(short: UInt8, long: UInt8, isMap: Bool) {
        let outer = bytes
        bytes = ByteBuffer()
        var count = 0
        at += 1
        while text[at] != UInt8(ascii: isMap ? "}" : "]") {
            if text[at] == UInt8(ascii: ",") { at += 1 }
            if isMap {
                string()
                at += 1
            }
            value()
            count += 1
        }
        at += 1
        let entries = bytes
        bytes = outer
        if count < 16, !isWide {
            bytes.writeInteger(short | UInt8(count))
        } else {
            bytes.writeInteger(long + 1, as: UInt8.self)
        }
        if count >= 16 || isWide { bytes.writeInteger(UInt32(count)) }
        bytes.writeImmutableBuffer(entries)
    }

    private mutating func string() {
        let start = at
        at += 1
        while text[at] != UInt8(ascii: "\"") { at += text[at] == UInt8(ascii: "\\") ? 2 : 1 }
        at += 1
        let content = try! JSONDecoder().decode(String.self, from: Data(text[start..<at])).utf8
        if content.count < 32, !isWide {
            bytes.writeInteger(0xA0 | UInt8(content.count))
        } else {
            bytes.writeInteger(0xDB as UInt8)
            bytes.writeInteger(UInt32(content.count))
        }
        bytes.writeBytes(content)
    }

    private mutating func number() {
        let digits = text[at...].prefix { !",]}".utf8.contains($0) }
        at = digits.endIndex
        let text = String(decoding: digits, as: UTF8.self)
        if text.contains(".") || text.contains("e") {
            bytes.writeInteger(0xCB as UInt8)
            bytes.writeInteger(Double(text)!.bitPattern)
        } else if let number = Int64(text) {
            if (0...127).contains(number), !isWide {
                bytes.writeInteger(UInt8(number))
            } else {
                bytes.writeInteger(0xD3 as UInt8)
                bytes.writeInteger(number)
            }
        } else {
            bytes.writeInteger(0xCF as UInt8)
            bytes.writeInteger(UInt64(text)!)
        }
    }
}
