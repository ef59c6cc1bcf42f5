import NIOCore

/// Messages as channels_redis 4 writes them to an inbox: twelve random bytes, then a msgpack map.
enum InboxMember {
    /// The inbox of the fleet's member of a group: the CRC-32 of the name, modulo 16 (redis/README.md, "Keys").
    static func number(_ group: String) -> Int {
        var crc: UInt32 = .max
        for byte in group.utf8 {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        return Int(~crc & 15)
    }

    static func channel(_ group: String) -> String { "specific.tocsin-0\(String(number(group), radix: 16))!\(group)" }
    static func key(_ group: String) -> String { "asgispecific.tocsin-0\(String(number(group), radix: 16))!" }

    /// `{"type": "receive", "n": number, "__asgi_channel__": [channels]}`.
    static func message(_ number: Int, channels: [String]) -> ByteBuffer {
        var map = ByteBuffer(bytes: (0..<12).map { _ in UInt8.random(in: 0...255) })
        map.writeBytes([0x83])
        write("type", &map)
        write("receive", &map)
        write("n", &map)
        map.writeBytes([0xCD])
        map.writeInteger(UInt16(number))
        write("__asgi_channel__", &map)
        map.writeBytes([0x90 | UInt8(channels.count)])
        for channel in channels { write(channel, &map) }
        return map
    }

    static func message(_ number: Int, to group: String) -> ByteBuffer { message(number, channels: [channel(group)]) }

    private static func write(_ text: String, _ buffer: inout ByteBuffer) {
        buffer.writeBytes([0xD9, UInt8(text.utf8.count)])
        buffer.writeString(text)
    }
}
