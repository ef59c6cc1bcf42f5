/// A WebSocket close code: from RFC 6455 section 7.4 where one fits; 4400–4499 "do not reconnect unchanged", 4500–4999
/// "reconnect later". Documented in docs/protocol.md; a test compares the two.
public struct CloseCode: RawRepresentable, Hashable, Sendable, CaseIterable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let normal = CloseCode(rawValue: 1000)
    public static let goingAway = CloseCode(rawValue: 1001)
    public static let protocolError = CloseCode(rawValue: 1002)
    public static let unsupportedData = CloseCode(rawValue: 1003)
    public static let invalidData = CloseCode(rawValue: 1007)
    public static let policy = CloseCode(rawValue: 1008)
    public static let tooBig = CloseCode(rawValue: 1009)
    public static let internalError = CloseCode(rawValue: 1011)
    public static let serviceRestart = CloseCode(rawValue: 1012)
    public static let tryAgainLater = CloseCode(rawValue: 1013)
    public static let loginEnded = CloseCode(rawValue: 4401)
    public static let rateLimited = CloseCode(rawValue: 4429)
    public static let slow = CloseCode(rawValue: 4508)
    public static let resync = CloseCode(rawValue: 4510)

    public static let allCases: [CloseCode] = [
        .normal, .goingAway, .protocolError, .unsupportedData, .invalidData, .policy, .tooBig, .internalError,
        .serviceRestart, .tryAgainLater, .loginEnded, .rateLimited, .slow, .resync,
    ]

    /// Whether a peer may send this code in a close frame (RFC 6455 sections 7.4.1 and 7.4.2, IANA's registry).
    public static func mayBeReceived(_ code: UInt16) -> Bool {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}
