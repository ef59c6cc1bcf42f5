import Crypto
import Foundation
import NIOCore

/// The answers after which a connection is no longer HTTP.
enum SwitchingAnswer {
    /// - Parameter deflate: what was agreed on; nil: no compression.
    static func webSocket(key: String, deflate: DeflateAgreement? = nil) -> ByteBuffer {
        let extensions = deflate.map { "Sec-WebSocket-Extensions: \($0.response)\r\n" } ?? ""
        return ByteBuffer(
            string: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Accept: \(accept(key))\r\n\(extensions)\r\n")
    }

    /// RFC 6455 section 4.2.2, number 5.4.
    static func accept(_ key: String) -> String {
        let digest = Insecure.SHA1.hash(data: Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        return Data(digest).base64EncodedString()
    }

    /// Without a length: the stream ends with the connection. The headers keep caches and nginx from holding events back,
    /// and let a page of an allowed Origin read them (WHATWG Fetch, CORS protocol).
    static func eventStream(origin: String?) -> ByteBuffer {
        var text = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
        text +=
            "Cache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\nConnection: close\r\nVary: Origin\r\n"
        if let origin, origin.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) {
            text += "Access-Control-Allow-Origin: \(origin)\r\nAccess-Control-Allow-Credentials: true\r\n"
        }
        return ByteBuffer(string: text + "\r\n")
    }
}
