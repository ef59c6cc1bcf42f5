import Broker

extension MessagePackReader {
    /// Reads one value inside the outermost map.
    mutating func value(_ bytes: Span<UInt8>, into sink: inout some MessagePackSink) throws(MessageError) {
        var open = OpenContainers()
        values: while true {
            let start = self.at
            if let container = try self.scalarOrContainer(bytes, into: &sink) {
                // The outermost map is a level that `open` does not contain.
                guard open.depth + 1 < MessagePack.maximumNesting else {
                    throw MessageError(offset: start, reason: .nesting)
                }
                sink.structure(UInt8(ascii: container.isMap ? "{" : "["))
                if container.remaining > 0 {
                    open.push(container)
                    if container.isMap { try self.key(bytes, into: &sink) }
                    continue values
                }
                sink.structure(UInt8(ascii: container.isMap ? "}" : "]"))
            }
            // A value has ended, and containers around it may end here too.
            while open.depth > 0 {
                open.innermost.remaining -= 1
                let isMap = open.innermost.isMap
                if open.innermost.remaining > 0 {
                    sink.structure(UInt8(ascii: ","))
                    if isMap { try self.key(bytes, into: &sink) }
                    continue values
                }
                sink.structure(UInt8(ascii: isMap ? "}" : "]"))
                open.pop()
            }
            return
        }
    }

    /// Reads a map key and passes it on, followed by a colon.
    mutating func key(_ bytes: Span<UInt8>, into sink: inout some MessagePackSink) throws(MessageError) {
        let key = try self.key(bytes)
        Self.write(key, bytes, into: &sink)
    }

    /// Passes on a map key as a JSON string (in Base64 for a bin that is not UTF-8), followed by a colon.
    static func write(_ key: Key, _ bytes: Span<UInt8>, into sink: inout some MessagePackSink) {
        if key.isText {
            _ = sink.string(bytes, key.range)
        } else {
            sink.binary(bytes, key.range)
        }
        sink.structure(UInt8(ascii: ":"))
    }

    /// Reads a scalar; or only the header of a map or array, which is returned.
    private mutating func scalarOrContainer(
        _ bytes: Span<UInt8>,
        into sink: inout some MessagePackSink
    ) throws(MessageError) -> OpenContainers.Container? {
        if let text = try self.string(bytes) {
            if let bad = sink.string(bytes, text) { throw MessageError(offset: bad, reason: .badUTF8) }
            return nil
        }
        if let count = try self.arrayHeader(bytes) {
            return OpenContainers.Container(remaining: count, isMap: false)
        }
        if let count = try self.mapHeader(bytes) {
            return OpenContainers.Container(remaining: count, isMap: true)
        }
        let start = self.at
        let tag = try self.byte(bytes)
        switch tag {
        case 0x00...0x7F: sink.integer(UInt64(tag), isNegative: false)
        case 0xE0...0xFF: sink.integer(0x100 - UInt64(tag), isNegative: true)
        case 0xC0: sink.null()
        case 0xC2, 0xC3: sink.bool(tag == 0xC3)
        case 0xC4...0xC6: sink.binary(bytes, try self.run(self.bigEndian(bytes, width: 1 << Int(tag - 0xC4))))
        case 0xCA:
            let bits = UInt32(truncatingIfNeeded: try self.bigEndian(bytes, width: 4))
            sink.double(Double(Float(bitPattern: bits)))
        case 0xCB: sink.double(Double(bitPattern: try self.bigEndian(bytes, width: 8)))
        case 0xCC...0xCF: sink.integer(try self.bigEndian(bytes, width: 1 << Int(tag - 0xCC)), isNegative: false)
        case 0xD0...0xD3: try self.signed(bytes, width: 1 << Int(tag - 0xD0), into: &sink)
        case 0xC1: throw MessageError(offset: start, reason: .unusedByte)
        default: throw MessageError(offset: start, reason: .ext)
        }
        return nil
    }

    /// Reads a two's complement number of 1, 2, 4 or 8 bytes.
    private mutating func signed(
        _ bytes: Span<UInt8>,
        width: Int,
        into sink: inout some MessagePackSink
    ) throws(MessageError) {
        let unused = UInt64(64 - width * 8)
        let bits = try self.bigEndian(bytes, width: width)
        // Shift to the top of 64 bits and back: the second shift extends the sign.
        let value = Int64(bitPattern: bits << unused) >> Int64(unused)
        sink.integer(value.magnitude, isNegative: value < 0)
    }
}
