import NIOCore
import Sockets

extension TrustedNetworks {
    /// The client's address, if these networks are trusted to report it.
    ///
    /// Each proxy appends the address of its own peer, so the list is read from the end for as long as the writer of the entry
    /// is trusted: the result is the rightmost untrusted address. Anything left of it can be forged.
    ///
    /// - Parameters:
    ///   - nearest: the other end of the connection.
    ///   - forwardedFor: the values of X-Forwarded-For, in order.
    func client(nearest: PeerAddress, forwardedFor: [String]) -> PeerAddress {
        var client = nearest
        guard !isEmpty else { return client }
        for entry in forwardedFor.joined(separator: ",").split(separator: ",", omittingEmptySubsequences: false)
            .reversed()
        {
            guard contains(client.socketAddress), let next = Self.address(entry) else { break }
            client = next
        }
        return client
    }

    /// Parses an entry. Some proxies write address and port: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
    private static func address(_ entry: Substring) -> PeerAddress? {
        var text = entry.drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        if text.first == "[" {
            text = text.dropFirst().prefix { $0 != "]" }
        } else if text.contains("."), let colon = text.firstIndex(of: ":"), text.lastIndex(of: ":") == colon {
            text = text[..<colon]
        }
        return (try? SocketAddress(ipAddress: String(text), port: 0)).flatMap { PeerAddress($0) }
    }
}
