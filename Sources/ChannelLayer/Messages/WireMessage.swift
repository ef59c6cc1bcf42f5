import Broker
public import NIOCore

/// A message from Redis, decoded for clients.
public struct DecodedMessage: Sendable, Equatable {
    /// The message as one JSON object on one line, without the broker's and the layer's entries.
    public var json: ByteBuffer
    /// The stamp that the broker put at the front, undecoded; `nil` when there is none.
    public var stamp: ByteBuffer?

    public init(json: ByteBuffer, stamp: ByteBuffer? = nil) {
        self.json = json
        self.stamp = stamp
    }
}

/// A message in either of two formats: the msgpack map of channels_redis, or a JSON object (channels_redis with
/// `serializer_format="json"`, redis-cli, any other language).
public enum WireMessage {
    /// Recognised by the first byte: no msgpack map begins with a byte that JSON may begin with.
    enum Format {
        case messagePack
        case json

        /// The format of the message; `nil` when it is neither.
        init?(_ bytes: Span<UInt8>) {
            guard !bytes.isEmpty else { return nil }
            switch bytes[0] {
            case 0x80...0x8F, 0xDE, 0xDF: self = .messagePack
            case UInt8(ascii: "{"), 0x20, 0x09, 0x0A, 0x0D: self = .json
            default: return nil
            }
        }
    }

    /// Decodes a message of a pub/sub channel, a log or an inbox (without the random prefix).
    ///
    /// Refuses what `group_send` refuses, with the same exceptions (Tests/Messages/corpus.txt). The channels that a Django layer
    /// sent the message to are not checked here: a malformed value there does not prevent delivery.
    ///
    /// - Throws: ``MessageError``, with an offset into the readable bytes.
    public static func decode(_ bytes: ByteBuffer) throws(MessageError) -> DecodedMessage {
        switch Format(bytes.readableBytesUInt8Span) {
        case .messagePack:
            return try MessagePack.jsonObject(bytes)
        case .json:
            let object = try self.jsonObject(bytes, form: .oneLine)
            return DecodedMessage(json: object.text, stamp: object.stamp)
        case nil:
            throw MessageError(offset: 0, reason: .notAMap)
        }
    }

    /// The stamp of an unreadable message: it is the first entry, so the error comes after it.
    static func stamp(ofUnreadable bytes: ByteBuffer) -> ByteBuffer? {
        let span = bytes.readableBytesUInt8Span
        let range: Range<Int>? =
            switch Format(span) {
            case .messagePack: try? MessagePack.stamp(span)
            case .json: self.stamp(inJSON: bytes.readableBytesView)
            case nil: nil
            }
        return range.flatMap { bytes.getSlice(at: bytes.readerIndex + $0.lowerBound, length: $0.count) }
    }

    /// Finds a stamp as `group_send` writes it, right after the first brace.
    private static func stamp(inJSON bytes: ByteBufferView) -> Range<Int>? {
        let head = "{\"__tocsin__\":\"".utf8
        guard let brace = bytes.firstIndex(of: UInt8(ascii: "{")), bytes[brace...].starts(with: head),
            let end = bytes[(brace + head.count)...].firstIndex(of: UInt8(ascii: "\""))
        else { return nil }
        return brace + head.count - bytes.startIndex..<end - bytes.startIndex
    }

    /// `JSONText.object` with its errors converted to this module's.
    static func jsonObject(_ bytes: ByteBuffer, form: JSONText.Form) throws(MessageError) -> JSONObject {
        do throws(JSONError) {
            return try JSONText.object(bytes, form: form)
        } catch {
            // White space followed by anything else may be any format, but is not a message.
            throw error.reason == .notAnObject
                ? MessageError(offset: error.offset, reason: .notAMap)
                : MessageError(error)
        }
    }
}
