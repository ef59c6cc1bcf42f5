import Broker
import NIOCore

@testable import ChannelLayer

/// Messages that publishers put into Redis.
extension FuzzTargets {
    /// A message in msgpack or JSON. If it is accepted, it is one line of JSON, it decodes to the same after re-encoding as msgpack,
    /// and what the relay passes into a log can be read from there.
    @Sendable static func msgpack(_ input: [UInt8]) {
        let bytes = ByteBuffer(bytes: input)
        let decoded: DecodedMessage
        do throws(MessageError) {
            decoded = try WireMessage.decode(bytes)
        } catch {
            precondition((0...input.count).contains(error.offset))
            precondition(WireMessage.stamp(ofUnreadable: bytes).map { $0.readableBytes < input.count } ?? true)
            precondition((try? LayerMessage.withoutChannels(bytes)) == nil, "the relay lets pass what nobody reads")
            return
        }
        check(isOneLine: decoded.json)
        guard let object = try? JSONText.object(decoded.json) else { preconditionFailure("it is no JSON") }
        precondition(object.text == decoded.json, "it holds the broker's own entries")
        relay(bytes, as: decoded)
        guard input[0] >= 0x80 else { return }
        precondition(decoded.json.readableBytes <= input.count * 24 + 2, "it grows too much")
        for isWide in [false, true] {
            let written = MessagePackWriter(decoded.json, isWide: isWide).bytes
            precondition((try? MessagePack.jsonObject(written))?.json == decoded.json, "it is not what it was")
        }
        // Its lengths determine where it ends.
        precondition((try? WireMessage.decode(ByteBuffer(bytes: input.dropLast()))) == nil, "a part of it is a whole")
        precondition((try? WireMessage.decode(ByteBuffer(bytes: input + [0xC0]))) == nil, "something may follow it")
    }

    private static func relay(_ bytes: ByteBuffer, as decoded: DecodedMessage) {
        var member = ByteBuffer(repeating: 0xC1, count: 12)
        member.writeImmutableBuffer(bytes)
        guard let body = try? LayerMessage.body(ofInboxMember: member), body == bytes else {
            preconditionFailure("the relay does not see it")
        }
        let message: ByteBuffer
        do throws(MessageError) {
            message = try LayerMessage.withoutChannels(body).message
        } catch {
            precondition(error.reason == .channels, "the relay does not let it pass")
            return
        }
        guard let read = try? WireMessage.decode(message), let bare = try? LayerMessage.withoutChannels(message) else {
            preconditionFailure("what the relay lets pass is not read")
        }
        precondition(read.json == decoded.json && read.stamp == nil && bare.channels.isEmpty && bare.message == message)
        // JSON's NaN becomes null.
        precondition(message.readableBytes <= bytes.readableBytes * 4 / 3, "it grew on its way")
    }
}
