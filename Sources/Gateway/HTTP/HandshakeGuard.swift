import Broker
import NIOHTTP1

/// Checks whether a request may become a client (RFC 6455 section 4.2.1). Pure functions of the request head.
enum HandshakeGuard {
    /// The value to hash into Sec-WebSocket-Accept.
    struct Upgrade: Equatable {
        var key: String
    }

    static let maximumHeaders = 64

    /// Checks that apply to any request, before its path is looked up.
    static func checkRequest(_ head: RequestHead) throws(Refusal) {
        guard head.fieldCount <= maximumHeaders else {
            throw Refusal(
                status: .requestHeaderFieldsTooLarge, message: "the request has more than \(maximumHeaders) headers",
                reason: .headers)
        }
        guard head.isHTTP11 else { throw .bad("speak HTTP/1.1") }
        guard let host = head.only("host"), !host.isEmpty else { throw .bad("exactly one Host header is needed") }
        guard head.isPath else { throw .bad("the request target must be a path") }
        // A body on a GET is a means of request smuggling past proxies.
        guard !head.has("transfer-encoding") else { throw .bad("the request must not have a body") }
        if head.has("content-length"), !head.isCommand, head.only("content-length") != "0" {
            throw .bad("the request must not have a body")
        }
        guard head.isGET || head.isCommand || CrossOrigin.isPreflight(head) else {
            throw Refusal(
                status: .methodNotAllowed, message: "only GET is answered here", headers: [("Allow", "GET")],
                reason: .method)
        }
    }

    static func checkUpgrade(_ head: RequestHead) throws(Refusal) -> Upgrade {
        guard head.has("upgrade", token: "websocket"), head.has("connection", token: "upgrade") else {
            throw Refusal(
                status: .upgradeRequired,
                message: "this endpoint wants a WebSocket upgrade, or Accept: text/event-stream",
                headers: [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")], reason: .notWebSocket)
        }
        guard head.only("sec-websocket-version") == "13" else {
            throw Refusal(
                status: .upgradeRequired, message: "WebSocket version 13 is spoken here",
                headers: [("Sec-WebSocket-Version", "13")], reason: .version)
        }
        guard let key = head.only("sec-websocket-key"), isKey(key) else {
            throw .bad("exactly one Sec-WebSocket-Key of 16 bytes in base64 is needed")
        }
        return Upgrade(key: key)
    }

    /// 16 bytes in base64: 22 characters, the last of which carries 2 bits, and `==` (RFC 4648 section 4). What the bits after
    /// the last byte are is not asked: the text is hashed as it is, and the bytes are nobody's.
    private static func isKey(_ key: String) -> Bool {
        guard key.utf8.count == 24, key.utf8.suffix(2).elementsEqual("==".utf8) else { return false }
        return key.utf8.prefix(22).allSatisfy { Base64.standard.value(of: $0) != nil }
    }
}
