/// The name of a subprotocol that a route's clients may speak (RFC 6455 section 1.9). Case-sensitive.
public struct Subprotocol: Sendable, Hashable {
    public let text: String

    /// Reserved for the gateway's own subprotocols.
    static let ownPrefix = "tocsin."
    /// Messages with positions, read states and commands on inboxes; spoken on every route of plain clients.
    static let inbox = "tocsin.v1"
    /// Offered by SDKs of the centrifuge protocol, if anything. Only the JSON form is supported.
    static let centrifugeJSON = "centrifuge-json"
    static let centrifugeBinary = "centrifuge-protobuf"

    /// - Throws: `TemplateError` when no client could offer the name, or when it is reserved.
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
