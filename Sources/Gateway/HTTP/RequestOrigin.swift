import NIOHTTP1

/// A request's Origin, checked against `allowed_hosts`.
enum RequestOrigin: Equatable {
    /// Not from a browser, or from a page's EventSource to its own host, which sends no Origin.
    ///
    /// - mayConnect: `allowed_hosts` permits a missing Origin.
    case absent(mayConnect: Bool)
    /// The value of the header.
    case allowed(String)
    case refused

    init(_ head: RequestHead, _ hosts: AllowedHosts) {
        let host = head.first("host") ?? ""
        guard head.has("origin") else {
            self = .absent(mayConnect: hosts.allows(origin: nil, host: host))
            return
        }
        // With several Origins, a proxy in front may have checked a different one.
        guard let origin = head.only("origin"), hosts.allows(origin: origin, host: host) else {
            self = .refused
            return
        }
        self = .allowed(origin)
    }

    /// The Origin of the page that may read the response; nil: none.
    var page: String? { if case .allowed(let origin) = self { origin } else { nil } }

    /// Whether the request may proceed. An event stream changes nothing, so it may come without an Origin: a page of another
    /// site would send one, and the browser would keep it from reading the stream.
    func admits(_ transport: RequestedTransport) -> Bool {
        switch self {
        case .allowed: return true
        case .refused: return false
        case .absent(let mayConnect):
            if case .eventStream = transport { return true }
            return mayConnect
        }
    }

    static let refusal = Refusal(status: .forbidden, message: "this Origin may not connect", reason: .origin)
}
