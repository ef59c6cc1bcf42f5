/// A Redis Cluster's slot of a key or a name, 0 to 16383.
///
/// Source: Redis Cluster specification, "Key distribution model", "Hash tags" and Appendix A (CRC-16 of XMODEM).
public enum HashSlot {
    public static let count = 16_384

    /// With a hash tag only that counts: what is between the first `{` and the next `}`, unless that is nothing. A group's name
    /// contains no brace, so `asgi:group:{G}` and all other keys with the tag `{G}` have the slot of the name `G`.
    public static func of(_ key: String) -> Int {
        let bytes = key.utf8
        guard let open = bytes.firstIndex(of: UInt8(ascii: "{")) else { return slot(bytes) }
        let start = bytes.index(after: open)
        guard let close = bytes[start...].firstIndex(of: UInt8(ascii: "}")), close > start else { return slot(bytes) }
        return slot(bytes[start..<close])
    }

    private static func slot(_ bytes: some Sequence<UInt8>) -> Int {
        var crc: UInt16 = 0
        for byte in bytes {
            crc ^= UInt16(byte) << 8
            for _ in 0..<8 { crc = crc & 0x8000 == 0 ? crc << 1 : crc << 1 ^ 0x1021 }
        }
        return Int(crc) % count
    }
}
