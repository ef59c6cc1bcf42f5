import NIOCore
import Sockets

/// A version 1 line without its line end: `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443` (section 2.1).
struct ProxyTextHeader {
    /// nil: `UNKNOWN`.
    let source: PeerAddress?

    static let beginning = Array("PROXY ".utf8)

    init?(_ line: ByteBufferView) {
        guard let text = String(validating: line, as: UTF8.self) else { return nil }
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        switch words.dropFirst().first {
        case "UNKNOWN":
            // Whatever follows must be ignored.
            source = nil
        case "TCP4", "TCP6":
            guard words.count == 6, let from = Self.address(words[2], words[4], isIPv6: words[1] == "TCP6"),
                Self.address(words[3], words[5], isIPv6: words[1] == "TCP6") != nil
            else { return nil }
            source = from
        default: return nil
        }
    }

    private static func address(_ host: Substring, _ port: Substring, isIPv6: Bool) -> PeerAddress? {
        // Plain decimal: no sign, no leading zeros.
        guard let number = UInt16(port), String(number) == port,
            let address = try? SocketAddress(ipAddress: String(host), port: Int(number))
        else { return nil }
        switch address {
        case .v4 where !isIPv6, .v6 where isIPv6: return PeerAddress(address)
        default: return nil
        }
    }
}
