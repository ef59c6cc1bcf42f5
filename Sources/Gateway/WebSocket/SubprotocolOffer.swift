/// The subprotocols that a client offers, and the choice among them.
///
/// Browsers fail the connection when they offered subprotocols and the response has none of them.
struct SubprotocolOffer: Equatable {
    private static let bearerPrefix = "bearer."

    /// In the client's order of preference.
    let entries: [String]

    /// - Parameter lines: the values of all `Sec-WebSocket-Protocol` headers.
    init(_ lines: [String]) {
        entries = lines.flatMap { $0.split(separator: ",").map { String($0.trimmed) } }
            .filter { !$0.isEmpty }
    }

    static func isBearer(_ entry: String) -> Bool { entry.lowercased().hasPrefix(bearerPrefix) }

    /// The offered tokens, without `bearer.`.
    var tokens: [String] {
        entries.filter(Self.isBearer).map { String($0.dropFirst(Self.bearerPrefix.count)) }
    }

    /// The subprotocol to answer with; nil: none.
    ///
    /// - The first one that the route speaks.
    /// - Otherwise, if the route lists none, a name offered next to a token: it is only there to satisfy the browser.
    /// - A token that is the only offer: it is echoed to the client that sent it, which is the only one to see it.
    func choice(of route: Route) -> String? {
        let names = entries.filter { !Self.isBearer($0) }
        guard !names.isEmpty else {
            return entries.count == 1 && RequestHeadParser.isToken(entries[0]) ? entries[0] : nil
        }
        if let spoken = names.first(where: route.speaks) { return spoken }
        guard route.subprotocols.isEmpty, names.count < entries.count else { return nil }
        return names.first { (try? Subprotocol($0)) != nil }
    }
}

extension Route {
    fileprivate func speaks(_ name: String) -> Bool {
        if subprotocols.contains(where: { $0.text == name }) { return true }
        switch clientProtocol {
        case .plain: return name == Subprotocol.inbox
        case .centrifuge: return name == Subprotocol.centrifugeJSON
        }
    }
}
