import Broker
import NIOHTTP1

/// Where in a handshake to look for a token. The first place that has one is used:
///
/// 1. `Authorization: Bearer TOKEN` (RFC 6750 section 2.1)
/// 2. `Sec-WebSocket-Protocol: bearer.TOKEN`, possibly among others: the only header a page's WebSocket can set
/// 3. `?token=TOKEN`; can be turned off, because proxies write URLs to their logs
/// 4. a cookie
///
/// A token that was sent deliberately comes before a cookie, which the browser always sends.
public struct TokenLocation: Sendable {
    /// Name of the query parameter. nil: the query is not searched.
    public var query: String? = "token"
    /// Name of the cookie. nil: cookies are not searched.
    public var cookie: String?

    public init() {}

    /// - Throws: `LoginFailure.refused` when there is no token, or more than one in one place.
    func token(_ request: LoginRequest) throws(LoginFailure) -> String {
        let places = [
            ("Authorization headers", bearers(request.headers)),
            ("bearer subprotocols", SubprotocolOffer(request.headers["sec-websocket-protocol"]).tokens),
            ("tokens in the query", queries(request.uri)),
            ("", cookie.flatMap { RequestCookies.value($0, in: request.headers) }.map { [$0] } ?? []),
        ]
        for (name, tokens) in places where !tokens.isEmpty {
            guard tokens.count == 1 else { throw .refused("there are several \(name)") }
            return tokens[0]
        }
        throw .refused("there is no token")
    }

    /// Bearer tokens of the Authorization headers. Other schemes, such as a proxy's `Basic`, are ignored.
    private func bearers(_ headers: HTTPHeaders) -> [String] {
        headers["authorization"].compactMap { value in
            let parts = value.split(separator: " ", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
            return String(parts[1].trimmed)
        }
    }

    private func queries(_ uri: String) -> [String] {
        guard let query else { return [] }
        return QueryString(target: uri).parameters.filter { $0.hasValue && $0.name == query }
            .map { $0.decodedValue ?? "" }
    }
}
