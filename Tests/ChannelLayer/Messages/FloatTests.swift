import ChannelLayer
import NIOCore
import Testing

/// msgpack floats as JSON: the numbers that Python's `json.dumps` writes, though not always in its spelling.
struct FloatTests {
    private func text(_ message: ByteBuffer) throws -> Substring {
        String(buffer: try MessagePack.jsonObject(message).json).dropFirst(5).dropLast()
    }

    /// The same number, spelled so that it cannot be taken for an integer; `null` for what JSON cannot represent.
    private func expect(_ text: Substring, isPythons other: Substring) {
        guard other != "null" else { return #expect(text == "null") }
        #expect(Double(text)?.bitPattern == Double(other)?.bitPattern && Double(other) != nil, "\(text) \(other)")
        #expect(text.contains(".") || text.contains("e"))
        #expect(text.first != "." && text.last != ".", "RFC 8259, section 6")
    }

    /// - Parameter rows: the float's bits in hex, and Python's spelling.
    private func expectPythons<Bits: FixedWidthInteger>(
        _ rows: String, count: Int, type: String, _: Bits.Type
    ) throws {
        let rows = rows.split(separator: "\n").map { $0.split(separator: " ") }
        #expect(rows.count > count)
        for row in rows {
            var message = hex("81 a1 76 \(type)")
            message.writeInteger(try #require(Bits(row[0], radix: 16)))
            expect(try text(message), isPythons: row[1])
        }
    }

    @Test
    func `A float 64 is the number that Python writes`() throws {
        try expectPythons(doubleTexts, count: 600, type: "cb", UInt64.self)
    }

    @Test
    func `A float 32 is widened, and is the number that Python writes`() throws {
        try expectPythons(singleTexts, count: 50, type: "ca", UInt32.self)
    }

    @Test
    func `Any text reads back as the same number and cannot be taken for an integer`() throws {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<5000 {
            let value = Double(bitPattern: random.next())
            guard value.isFinite else { continue }
            var message = hex("81 a1 76 cb")
            message.writeInteger(value.bitPattern)
            let json = String(buffer: try MessagePack.jsonObject(message).json)
            let text = json.dropFirst(5).dropLast()
            #expect(Double(text)?.bitPattern == value.bitPattern)
            #expect(text.contains(".") || text.contains("e"))
        }
    }
}
