import Broker
import Crypto
import NIOCore

/// Responses to accepted handshakes: 101, 200 for an event stream, and 204 for a stream that must not be reopened.
enum SwitchingAnswer {
    /// - Parameters:
    ///   - deflate: the negotiated compression; nil: none.
    ///   - subprotocol: one that the client offered; nil: none.
    static func webSocket(
        key: String, deflate: DeflateAgreement? = nil, subprotocol: String? = nil
    ) -> ByteBuffer {
        var answer = ByteBufferAllocator().buffer(capacity: 160)
        answer.writeStaticString(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
        answer.writeString(accept(key))
        if let deflate { answer.writeString("\r\nSec-WebSocket-Extensions: \(deflate.response)") }
        if let subprotocol { answer.writeString("\r\nSec-WebSocket-Protocol: \(subprotocol)") }
        answer.writeStaticString("\r\n\r\n")
        return answer
    }

    /// RFC 6455 section 4.2.2, item 5.4.
    static func accept(_ key: String) -> String {
        var hash = Insecure.SHA1()
        var key = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        key.withUTF8 { hash.update(bufferPointer: UnsafeRawBufferPointer($0)) }
        return hash.finalize().withUnsafeBytes { Base64.standard.encode($0.bindMemory(to: UInt8.self).span) }
    }

    /// Without a length: the stream ends with the connection. The headers keep caches and nginx from holding events back.
    ///
    /// - Parameter page: the Origin of the page that may read the events; nil: none.
    static func eventStream(page: String?) -> ByteBuffer {
        var text = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
        text += "Cache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\n"
        return ByteBuffer(string: text + common(page))
    }

    /// 204, the only response after which an EventSource does not reconnect (WHATWG HTML, "Server-sent events"); for clients
    /// that were told to stay away.
    static func endOfStream(page: String?) -> ByteBuffer {
        ByteBuffer(string: "HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\n" + common(page))
    }

    private static func common(_ page: String?) -> String {
        var text = "Connection: close\r\n"
        for (name, value) in CrossOrigin.fields(for: page) { text += "\(name): \(value)\r\n" }
        return text + "\r\n"
    }
}
