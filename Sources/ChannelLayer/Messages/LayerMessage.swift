import Broker
public import NIOCore

/// Prepares messages of a layer's inbox for a group's log, without changing their format.
public enum LayerMessage {
    /// Removes the random prefix of an inbox member. The core layer of channels_redis 3 and later adds it because a sorted set
    /// cannot hold a member twice.
    ///
    /// - Parameters:
    ///   - member: a member of the inbox.
    ///   - prefixLength: length of the prefix in bytes, the layer's `random_prefix_length`.
    /// - Returns: the message, a slice of `member`.
    /// - Throws: ``MessageError`` with `truncated` when the member is shorter than the prefix.
    public static func body(
        ofInboxMember member: ByteBuffer,
        prefixLength: Int = 12
    ) throws(MessageError) -> ByteBuffer {
        let length = max(prefixLength, 0)
        guard length <= member.readableBytes else {
            throw MessageError(offset: member.readableBytes, reason: .truncated)
        }
        var body = member
        body.moveReaderIndex(forwardBy: length)
        return body.slice()
    }

    /// Removes the entries `__asgi_channel__` and `__tocsin__`. The rest stays byte for byte as the sender wrote it, except that
    /// a msgpack map's header gets its new count in the shortest form, and JSON becomes one line that every reader accepts
    /// (``JSONText/Form/oneLine``): the functions in Redis refuse the `NaN` that Python writes.
    ///
    /// Validation is as strict as that of ``WireMessage/decode(_:)``: whatever passes here can be decoded there, and is
    /// accepted by `group_send`.
    ///
    /// - Parameter bytes: a msgpack map or a JSON object, without the random prefix.
    /// - Returns: the message, a slice of `bytes` if nothing was removed, and the names of its channels.
    /// - Throws: ``MessageError``, with an offset into the readable bytes.
    public static func withoutChannels(
        _ bytes: ByteBuffer
    ) throws(MessageError) -> (message: ByteBuffer, channels: [String]) {
        let span = bytes.readableBytesUInt8Span
        switch WireMessage.Format(span) {
        case .messagePack:
            return try self.cut(bytes, span)
        case .json:
            let object = try WireMessage.jsonObject(bytes, form: .oneLine)
            return (object.text, try ChannelNames.read(span, object.channels))
        case nil:
            throw MessageError(offset: 0, reason: .notAMap)
        }
    }

    private static func cut(
        _ bytes: ByteBuffer,
        _ span: Span<UInt8>
    ) throws(MessageError) -> (message: ByteBuffer, channels: [String]) {
        var reader = MessagePackReader(end: span.count)
        let count = try reader.outermostMap(span)
        let headerLength = reader.at
        var splice = ByteSplice()
        var reserved = ReservedValues()
        var sink = CheckingSink()
        var kept = count
        for index in 0..<count {
            let start = reader.at
            let key = try reader.key(span)
            if try reserved.take(key, isFirst: index == 0, from: &reader, span) {
                splice.replace(start..<reader.at, of: span)
                kept -= 1
            } else {
                try reader.value(span, into: &sink)
            }
        }
        try reader.finish()
        var message = splice.finish(at: span.count, of: bytes)
        if kept < count {
            self.setMapHeader(of: &message, count: kept, oldLength: headerLength)
        }
        return (message, try reserved.channelNames(span))
    }

    /// Overwrites a map header. The new count is smaller, so its shortest form fits into the old header; surplus bytes are
    /// dropped at the front.
    private static func setMapHeader(of message: inout ByteBuffer, count: Int, oldLength: Int) {
        let start = message.readerIndex
        if count <= 0x0F {
            message.setInteger(0x80 | UInt8(count), at: start + oldLength - 1)
            message.moveReaderIndex(forwardBy: oldLength - 1)
        } else if let count = UInt16(exactly: count) {
            message.setInteger(count, at: start + oldLength - 2)
            message.setInteger(UInt8(0xDE), at: start + oldLength - 3)
            message.moveReaderIndex(forwardBy: oldLength - 3)
        } else {
            message.setInteger(UInt32(count), at: start + oldLength - 4)
            message.setInteger(UInt8(0xDF), at: start + oldLength - 5)
            message.moveReaderIndex(forwardBy: oldLength - 5)
        }
    }
}
