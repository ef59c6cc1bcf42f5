import NIOHTTP1

/// Why a handshake was refused: the label of `tocsin_handshakes_refused_total` (docs/operations.md).
enum RefusalReason: String, CaseIterable, Sendable {
    case malformed, method
    case notFound = "not_found"
    case notWebSocket = "not_websocket"
    case version, origin, login
    case loginUnavailable = "login_unavailable"
    case groupName = "group_name"
    case groups, headers, timeout, full
    case addressFull = "address_full"
    case userFull = "user_full"
    case rate, descriptors, draining, redis, ended, tls
    case proxyHeader = "proxy_header"
}

/// An HTTP response that refuses a request, readable for a person with curl as well as for a program.
struct Refusal: Error, Sendable, Equatable {
    var status: HTTPResponseStatus
    /// One line of text: what is wrong, and what to do about it.
    var message: String
    var headers: [(String, String)] = []
    var reason: RefusalReason

    static func == (one: Refusal, other: Refusal) -> Bool { one.status == other.status && one.message == other.message }

    /// 400: the request breaks HTTP or RFC 6455.
    static func bad(_ message: String) -> Refusal {
        Refusal(status: .badRequest, message: message, reason: .malformed)
    }

    /// 503: the same request may succeed after `seconds`.
    static func later(_ message: String, _ reason: RefusalReason, seconds: Int) -> Refusal {
        Refusal(
            status: .serviceUnavailable, message: message, headers: [("Retry-After", String(seconds))], reason: reason)
    }
}
