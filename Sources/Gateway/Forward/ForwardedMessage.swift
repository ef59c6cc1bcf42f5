import Broker
import NIOCore
import Sockets

/// Writes what a worker, or the site, is told of one connection: JSON objects that differ in their `type` and their text.
struct ForwardedMessage {
    /// The connection's channel name, where answers go.
    let channel: String
    let user: String?
    let groups: [GroupName]
    /// Of the connection's URL, without the query.
    let path: String
    let client: PeerAddress

    /// A text of the client: handler `websocket_receive` of a consumer.
    func received(_ text: ByteBuffer) -> ByteBuffer {
        message("websocket.receive") { json in
            json.key("text")
            json.raw { JSONText.appendString(text.readableBytesView, to: &$0) }
        }
    }

    /// The connection is established: `websocket_connect`.
    func connected() -> ByteBuffer { message("websocket.connect") }

    /// The connection has ended: `websocket_disconnect`.
    func disconnected() -> ByteBuffer { message("websocket.disconnect") }

    /// A centrifuge client's rpc: the method that it names, and its data as they are.
    func called(_ method: String, _ data: ByteBuffer?) -> ByteBuffer {
        message("rpc") { json in
            json.string("method", method)
            json.key("data")
            json.raw(data)
        }
    }

    private func message(_ type: String, _ content: (inout JSONWriter) -> Void = { _ in }) -> ByteBuffer {
        JSONWriter.object { json in
            json.string("type", type)
            content(&json)
            json.string("reply_channel", channel)
            json.string("user", user)
            json.array("groups") { json in
                for group in groups { json.string(group.text) }
            }
            json.string("path", path)
            json.string("client", client.socketAddress?.ipAddress)
        }
    }
}
