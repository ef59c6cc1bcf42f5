import NIOHTTP1

/// An HTTP answer that refuses a request, for a person with curl as much as for a program.
struct Refusal: Error, Sendable, Equatable {
    var status: HTTPResponseStatus
    /// One line of text: what is wrong and what to do.
    var message: String
    var headers: [(String, String)] = []
    /// The label of the metric: a fixed word.
    var reason: String

    static func == (one: Refusal, other: Refusal) -> Bool { one.status == other.status && one.message == other.message }
}

/// Checks what NIO's HTTP parser lets through and RFC 6455 section 4.2.1 does not: pure, on the request's head.
enum HandshakeGuard {
    /// The value to hash into Sec-WebSocket-Accept.
    struct Upgrade: Equatable {
        var key: String
    }

    static let maximumHeaders = 64

    /// What any request must be, before its path is looked at.
    static func checkRequest(_ head: HTTPRequestHead) throws(Refusal) {
        guard head.headers.count <= maximumHeaders else {
            throw Refusal(
                status: .requestHeaderFieldsTooLarge, message: "the request has more than \(maximumHeaders) headers",
                reason: "headers")
        }
        guard head.version == .http1_1 else { throw bad("speak HTTP/1.1") }
        guard head.headers["host"].count == 1, !head.headers["host"][0].isEmpty else {
            throw bad("exactly one Host header is needed")
        }
        guard head.uri.hasPrefix("/") else { throw bad("the request target must be a path") }
        // A body on a GET, framed in whatever way, is how requests are smuggled past proxies.
        guard !head.headers.contains(name: "transfer-encoding") else { throw bad("a body is not wanted here") }
        if head.headers.contains(name: "content-length"), head.headers["content-length"] != ["0"] {
            throw bad("a body is not wanted here")
        }
        guard head.method == .GET else {
            throw Refusal(
                status: .methodNotAllowed, message: "only GET is answered here", headers: [("Allow", "GET")],
                reason: "method")
        }
    }

    static func checkUpgrade(_ head: HTTPRequestHead) throws(Refusal) -> Upgrade {
        let upgrades = head.headers[canonicalForm: "upgrade"]
        let connection = head.headers[canonicalForm: "connection"]
        guard upgrades.contains(where: { $0.lowercased() == "websocket" }),
            connection.contains(where: { $0.lowercased() == "upgrade" })
        else {
            throw Refusal(
                status: .upgradeRequired, message: "this address speaks WebSocket",
                headers: [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")], reason: "not_websocket")
        }
        guard head.headers["sec-websocket-version"] == ["13"] else {
            throw Refusal(
                status: .upgradeRequired, message: "WebSocket version 13 is spoken here",
                headers: [("Sec-WebSocket-Version", "13")], reason: "version")
        }
        let keys = head.headers["sec-websocket-key"]
        guard keys.count == 1, isKey(keys[0]) else {
            throw bad("exactly one Sec-WebSocket-Key of 16 bytes in base64 is needed")
        }
        return Upgrade(key: keys[0])
    }

    static func bad(_ message: String) -> Refusal {
        Refusal(status: .badRequest, message: message, reason: "malformed")
    }

    /// 16 bytes in base64: 22 characters, the last of which carries 2 bits, and `==` (RFC 4648 section 4).
    private static func isKey(_ key: String) -> Bool {
        let bytes = Array(key.utf8)
        guard bytes.count == 24, bytes[22] == UInt8(ascii: "="), bytes[23] == UInt8(ascii: "=") else { return false }
        return bytes[..<22].allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
                true
            default: false
            }
        }
    }
}
