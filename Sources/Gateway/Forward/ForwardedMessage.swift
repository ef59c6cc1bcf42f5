import Broker
import NIOCore
import Sockets

/// Writes what a worker, or the site, is told of one connection: JSON objects that differ in their `type` and their text.
struct ForwardedMessage {
    /// `,"reply_channel":…}`: the same for all messages of the connection.
    private let origin: ByteBuffer

    /// - Parameters:
    ///   - channel: the connection's channel name, where answers go.
    ///   - path: of the connection's URL, without the query.
    init(channel: String, user: String?, groups: [GroupName], path: String, client: PeerAddress) {
        var text = ByteBuffer(string: #","reply_channel":"#)
        JSONText.appendString(channel.utf8, to: &text)
        text.writeString(#","user":"#)
        if let user { JSONText.appendString(user.utf8, to: &text) } else { text.writeString("null") }
        text.writeString(#","groups":["#)
        for (index, group) in groups.enumerated() {
            text.writeString(index == 0 ? "\"\(group)\"" : ",\"\(group)\"")
        }
        text.writeString(#"],"path":"#)
        JSONText.appendString(path.utf8, to: &text)
        text.writeString(#","client":"#)
        if let address = client.socketAddress?.ipAddress {
            JSONText.appendString(address.utf8, to: &text)
        } else {
            text.writeString("null")
        }
        text.writeString("}")
        origin = text
    }

    /// A text of the client: handler `websocket_receive` of a consumer.
    func received(_ text: ByteBuffer) -> ByteBuffer {
        var message = ByteBuffer(string: #"{"type":"websocket.receive","text":"#)
        JSONText.appendString(text.readableBytesView, to: &message)
        message.writeImmutableBuffer(origin)
        return message
    }

    /// The connection is established: `websocket_connect`.
    func connected() -> ByteBuffer { event("websocket.connect") }

    /// The connection has ended: `websocket_disconnect`.
    func disconnected() -> ByteBuffer { event("websocket.disconnect") }

    private func event(_ type: StaticString) -> ByteBuffer {
        var message = ByteBuffer(string: #"{"type":"\#(type)""#)
        message.writeImmutableBuffer(origin)
        return message
    }
}
