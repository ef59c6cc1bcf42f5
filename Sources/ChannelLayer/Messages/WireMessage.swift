import Broker
import NIOCore

/// A message as it left Redis, ready for the clients.
public struct DecodedMessage: Sendable, Equatable {
    /// The message as one JSON object on one line, without the broker's and the layer's entries.
    public var json: ByteBuffer
    /// The position that the broker put in front of the message, as it stands there; `nil` when it put none.
    public var stamp: ByteBuffer?
    /// The channel names that a Django layer sent the message to; empty when it named none.
    public var channels: [String]

    public init(json: ByteBuffer, stamp: ByteBuffer? = nil, channels: [String] = []) {
        self.json = json
        self.stamp = stamp
        self.channels = channels
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
    /// - Throws: ``MessageError``, with an offset into the readable bytes.
    public static func decode(_ bytes: ByteBuffer) throws(MessageError) -> DecodedMessage {
        switch Format(bytes.readableBytesUInt8Span) {
        case .messagePack:
            return try MessagePack.jsonObject(bytes)
        case .json:
            let object = try self.jsonObject(bytes, form: .oneLine)
            let channels = try ChannelNames.read(bytes.readableBytesUInt8Span, object.channels)
            return DecodedMessage(json: object.text, stamp: object.stamp, channels: channels)
        case nil:
            throw MessageError(offset: 0, reason: .notAMap)
        }
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
