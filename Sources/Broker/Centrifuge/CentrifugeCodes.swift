/// Errors of the centrifuge client protocol: the reply to a command that failed. Codes and messages are Centrifugo's.
public struct CentrifugeError: Error, Equatable, Sendable {
    public let code: Int
    public let message: String
    /// Whether the same command may succeed later.
    public var isTemporary = false

    public static let `internal` = CentrifugeError(code: 100, message: "internal server error", isTemporary: true)
    public static let permissionDenied = CentrifugeError(code: 103, message: "permission denied")
    public static let methodNotFound = CentrifugeError(code: 104, message: "method not found")
    public static let alreadySubscribed = CentrifugeError(code: 105, message: "already subscribed")
    public static let limitExceeded = CentrifugeError(code: 106, message: "limit exceeded")
    public static let badRequest = CentrifugeError(code: 107, message: "bad request")
    public static let notAvailable = CentrifugeError(code: 108, message: "not available")
    public static let tokenExpired = CentrifugeError(code: 109, message: "token expired")
    public static let tooManyRequests = CentrifugeError(code: 111, message: "too many requests", isTemporary: true)
    public static let unrecoverablePosition = CentrifugeError(code: 112, message: "unrecoverable position")
}

/// Why the server ends a centrifuge connection: close code and reason of the WebSocket. 3000–3499: the SDK reconnects;
/// 3500–3999: it does not.
public struct CentrifugeDisconnect: Equatable, Sendable {
    public let code: UInt16
    public let reason: String

    public static let shutdown = CentrifugeDisconnect(code: 3001, reason: "shutdown")
    public static let expired = CentrifugeDisconnect(code: 3005, reason: "connection expired")
    public static let slow = CentrifugeDisconnect(code: 3008, reason: "slow")
    public static let insufficientState = CentrifugeDisconnect(code: 3010, reason: "insufficient state")
    public static let noPong = CentrifugeDisconnect(code: 3012, reason: "no pong")
    public static let invalidToken = CentrifugeDisconnect(code: 3500, reason: "invalid token")
    public static let connectionLimit = CentrifugeDisconnect(code: 3504, reason: "connection limit")
    public static let permissionDenied = CentrifugeDisconnect(code: 3507, reason: "permission denied")
    public static let tooManyRequests = CentrifugeDisconnect(code: 3013, reason: "too many requests")
    public static let badRequest = CentrifugeDisconnect(code: 3501, reason: "bad request")
    public static let stale = CentrifugeDisconnect(code: 3502, reason: "stale")
    public static let forced = CentrifugeDisconnect(code: 3503, reason: "force disconnect")
}
