/// The name of a subprotocol that a route's clients speak (RFC 6455 section 1.9). Names are compared with their case.
public struct Subprotocol: Sendable, Hashable {
    public let text: String

    /// The gateway's own.
    static let ownPrefix = "tocsin."
    /// What the SDKs of the centrifuge protocol offer, if anything: the JSON form is spoken here, the other is not.
    static let centrifugeJSON = "centrifuge-json"
    static let centrifugeBinary = "centrifuge-protobuf"

    /// - Throws: `TemplateError` when no client could offer the name, or when it means something else already.
    public init(_ text: String) throws(TemplateError) {
        guard RequestHeadParser.isToken(text) else {
            throw TemplateError(
                "names \"\(text)\", which no client can offer: use ASCII letters, digits and any of !#$%&'*+-.^_`|~")
        }
        guard !SubprotocolOffer.isBearer(text) else {
            // It may be a token, so it is not repeated.
            throw TemplateError("names something that begins with \"bearer.\": that is how a client brings its token")
        }
        guard !text.lowercased().hasPrefix(Self.ownPrefix) else {
            throw TemplateError("names \"\(text)\": names that begin with \"\(Self.ownPrefix)\" are the gateway's own")
        }
        guard text != Self.centrifugeBinary else {
            throw TemplateError("names \"\(text)\", which is not spoken here: let the SDK use JSON")
        }
        self.text = text
    }
}

/// The subprotocols that a client offers, and which of them it is answered.
///
/// Browsers give a connection up when something was offered and nothing of it is chosen, or anything else.
struct SubprotocolOffer: Equatable {
    private static let bearerPrefix = "bearer."

    /// In the client's order.
    let entries: [String]

    /// - Parameter lines: the values of all `Sec-WebSocket-Protocol` headers.
    init(_ lines: [String]) {
        entries = lines.flatMap { $0.split(separator: ",").map { String(RequestCookies.trimmed($0)) } }
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
