import Broker
public import NIOCore

/// A message as it left Redis, ready for the clients.
public struct DecodedMessage: Sendable, Equatable {
    /// The message as one JSON object on one line, without the broker's and the layer's entries.
    public var json: ByteBuffer
    /// The stamp that the broker put in front of the message, as it is written; `nil` when there is none.
    public var stamp: ByteBuffer?

    public init(json: ByteBuffer, stamp: ByteBuffer? = nil) {
        self.json = json
        self.stamp = stamp
    }
}

/// A message in whichever of the two formats its sender chose: the msgpack map of channels_redis, or a JSON object
/// (channels_redis with `serializer_format="json"`, redis-cli, any other language).
public enum WireMessage {
    /// The two formats. The first byte tells them apart: no msgpack map begins with a byte that JSON may begin with.
    enum Format {
        case messagePack
        case json

        /// The format of the message; `nil` when it can be neither.
        init?(_ bytes: Span<UInt8>) {
            guard !bytes.isEmpty else { return nil }
            switch bytes[0] {
            case 0x80...0x8F, 0xDE, 0xDF: self = .messagePack
            case UInt8(ascii: "{"), 0x20, 0x09, 0x0A, 0x0D: self = .json
            default: return nil
            }
        }
    }

    /// Reads a message from a pub/sub channel, a log or an inbox (without the random prefix).
    ///
    /// What this refuses `group_send` refuses, with the same exceptions for both (Tests/Messages/corpus.txt). Whom a Django
    /// layer sent the message to is not asked here: a strange answer would be no reason not to show it.
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

    /// The stamp of a message that cannot be read: it is the first entry, and what is wrong comes after it.
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

    /// As `group_send` writes it after the first brace.
    private static func stamp(inJSON bytes: ByteBufferView) -> Range<Int>? {
        let head = "{\"__tocsin__\":\"".utf8
        guard let brace = bytes.firstIndex(of: UInt8(ascii: "{")), bytes[brace...].starts(with: head),
            let end = bytes[(brace + head.count)...].firstIndex(of: UInt8(ascii: "\""))
        else { return nil }
        return brace + head.count - bytes.startIndex..<end - bytes.startIndex
    }

    /// `JSONText.object` with the errors of this module.
    static func jsonObject(_ bytes: ByteBuffer, form: JSONText.Form) throws(MessageError) -> JSONObject {
        do throws(JSONError) {
            return try JSONText.object(bytes, form: form)
        } catch {
            // White space and then something else may be any format, but no message.
            throw error.reason == .notAnObject
                ? MessageError(offset: error.offset, reason: .notAMap)
                : MessageError(error)
        }
    }
}
