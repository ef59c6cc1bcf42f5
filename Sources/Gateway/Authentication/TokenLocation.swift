import NIOHTTP1

/// Where in a handshake a token is looked for. The first place that has one counts:
///
/// 1. `Authorization: Bearer TOKEN` (RFC 6750 section 2.1)
/// 2. `Sec-WebSocket-Protocol: bearer.TOKEN`, perhaps among others: a page's WebSocket can send no other header of its own
/// 3. `?token=TOKEN`: proxies write addresses into their logs, so this can be switched off
/// 4. a cookie
///
/// What somebody put there on purpose goes before the cookie that a browser always sends.
public struct TokenLocation: Sendable {
    /// The parameter of the query. nil: none is looked at.
    public var query: String? = "token"
    /// The cookie's name. nil: none is looked at.
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

    /// Other schemes (a proxy's `Basic`) are not for us.
    private func bearers(_ headers: HTTPHeaders) -> [String] {
        headers["authorization"].compactMap { value in
            let parts = value.split(separator: " ", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
            return String(parts[1].trimmed)
        }
    }

    private func queries(_ uri: String) -> [String] {
        guard let query, let mark = uri.firstIndex(of: "?") else { return [] }
        return uri[uri.index(after: mark)...].split(separator: "&").compactMap { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0] == query else { return nil }
            return PercentDecoding.decode(parts[1]) ?? ""
        }
    }
}
