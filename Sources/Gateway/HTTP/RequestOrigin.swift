import NIOHTTP1

/// Which page, if a page it is, a request comes from: its Origin, held against `allowed_hosts`.
enum RequestOrigin: Equatable {
    /// No browser, or a page's own EventSource, which sends none to its own host.
    ///
    /// - mayConnect: `allowed_hosts` does without.
    case absent(mayConnect: Bool)
    /// The header's value.
    case allowed(String)
    case refused

    init(_ head: RequestHead, _ hosts: AllowedHosts) {
        let host = head.first("host") ?? ""
        guard head.has("origin") else {
            self = .absent(mayConnect: hosts.allows(origin: nil, host: host))
            return
        }
        // Of several, a proxy in front may have checked another one than we would.
        guard let origin = head.only("origin"), hosts.allows(origin: origin, host: host) else {
            self = .refused
            return
        }
        self = .allowed(origin)
    }

    /// The Origin whose page may read the answer, whatever it is; nil: none.
    var page: String? { if case .allowed(let origin) = self { origin } else { nil } }

    /// A stream, which changes nothing, may come without an Origin: another site's page, which would have one, is kept from
    /// reading by the browser.
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
