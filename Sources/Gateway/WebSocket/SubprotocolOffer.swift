/// The subprotocols that a client offers, and which of them it is answered.
///
/// Browsers give a connection up when something was offered and nothing of it is chosen, or anything else.
struct SubprotocolOffer: Equatable {
    private static let bearerPrefix = "bearer."

    /// In the client's order.
    let entries: [String]

    /// - Parameter lines: the values of all `Sec-WebSocket-Protocol` headers.
    init(_ lines: [String]) {
        entries = lines.flatMap { $0.split(separator: ",").map { String($0.trimmed) } }
            .filter { !$0.isEmpty }
    }

    static func isBearer(_ entry: String) -> Bool { entry.lowercased().hasPrefix(bearerPrefix) }

    /// The tokens among them, without `bearer.`.
    var tokens: [String] {
        entries.filter(Self.isBearer).map { String($0.dropFirst(Self.bearerPrefix.count)) }
    }

    /// What is answered; nil: nothing.
    ///
    /// - The first that the route speaks.
    /// - Else a name beside a token, where the route lists none: it is there for the browser's sake.
    /// - A token that is all there is: it goes back to who sent it, and nobody else sees the answer.
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
        return clientProtocol == .centrifuge && name == Subprotocol.centrifugeJSON
    }
}
