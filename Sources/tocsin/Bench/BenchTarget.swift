import Foundation

/// Where `tocsin bench` connects, and its handshake request.
struct BenchTarget: Sendable {
    var isTLS: Bool
    var host: String
    var port: Int
    /// Including the query.
    var path: String
    var origin: String
    /// Additional header lines: `Cookie: …`.
    var headers: [String] = []

    /// - Throws: `CommandFailure`, which shows what a valid address looks like.
    init(_ text: String) throws {
        guard let url = URLComponents(string: text), let host = url.host, !host.isEmpty,
            let scheme = url.scheme, scheme == "ws" || scheme == "wss"
        else {
            throw CommandFailure("\"\(text)\" is not a WebSocket address; one looks like ws://127.0.0.1:8080/ws/bench")
        }
        isTLS = scheme == "wss"
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        port = url.port ?? (isTLS ? 443 : 80)
        path =
            (url.percentEncodedPath.isEmpty ? "/" : url.percentEncodedPath)
            + (url.percentEncodedQuery.map { "?" + $0 } ?? "")
        origin = ""
        origin = (isTLS ? "https://" : "http://") + authority
    }

    /// The group, for a route such as `/ws/{group}`.
    var lastSegment: String? {
        path.split(separator: "?").first?.split(separator: "/").last.map(String.init)
    }

    var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isTLS ? 443 : 80) ? name : "\(name):\(port)"
    }

    /// Uses the RFC's sample key, whose answer is known (RFC 6455, 1.3); servers do not care.
    var request: String {
        let lines =
            [
                "GET \(path) HTTP/1.1", "Host: \(authority)", "Origin: \(origin)", "Upgrade: websocket",
                "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
            ] + headers
        return lines.joined(separator: "\r\n") + "\r\n\r\n"
    }

    /// Explains a refused handshake, from its status line.
    func refusal(_ statusLine: String) -> CommandFailure {
        let words = statusLine.split(separator: " ", maxSplits: 1)
        guard statusLine.hasPrefix("HTTP/1."), words.count == 2 else {
            return CommandFailure("what answers at \(authority) does not speak HTTP: is it the gateway's bind address?")
        }
        let remedy =
            switch words[1].prefix(3) {
            case "101": "the answer to the key is wrong: what stands there is no WebSocket server"
            case "403":
                "the origin \(origin) is not allowed (gateway.allowed_hosts; --origin), or the route wants a login"
                    + " (--header \"Cookie: …\")"
            case "404": "the gateway has no route for \(path)"
            case "503": "it is full, drains, or cannot reach Redis or the login: see /readyz on its admin port"
            default: "is there a gateway's route at this address?"
            }
        return CommandFailure("the handshake was refused with \(words[1]): \(remedy)")
    }
}
