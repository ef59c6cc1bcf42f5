/// What a gateway does with text that a client sends.
public enum ReceivePolicy: Sendable, Equatable {
    case ignore
    /// Answers with the text as a JSON string, as `json.dumps(text)` in a Django consumer does.
    case echo
    /// Returns the message unchanged, binary ones too: for conformance suites, and for testing a network path to the gateway.
    case mirror
    /// Sends the message to the route's groups.
    case groupSend
    /// Passes the text to a worker of Django, or to the site.
    case forward(ForwardPolicy)
}

/// The protocol that the clients of a route speak.
public enum ClientProtocol: Sendable, Equatable {
    /// Messages as JSON, and nothing else. The same path also serves server-sent events.
    case plain
    /// The JSON protocol of the centrifuge SDKs.
    case centrifuge
}

/// One entry of `routes:`.
public struct Route: Sendable {
    public var path: PathTemplate
    public var groups: [GroupTemplate]
    /// Names of `auth:` entries, tried in order. Empty: clients are not authenticated.
    public var authentication: [String]
    public var receive: ReceivePolicy
    public var clientProtocol: ClientProtocol
    /// Patterns of the groups that a centrifuge client may subscribe to.
    public var mayJoin: [GroupTemplate]
    /// Patterns of the groups that a centrifuge client may publish to, besides those it may join with `receive: group_send`.
    public var mayPublish: [GroupTemplate]
    /// Patterns of the groups whose presence and history a centrifuge client may read. nil: those it may join.
    public var maySee: [GroupTemplate]?
    /// The subprotocols that clients may offer; of a client's offers the first that is listed here is chosen.
    public var subprotocols: [Subprotocol]

    /// - Throws: `TemplateError` when a group uses a value that the route does not have.
    public init(
        path: PathTemplate, groups: [GroupTemplate], authentication: [String] = [], receive: ReceivePolicy = .ignore,
        clientProtocol: ClientProtocol = .plain, mayJoin: [GroupTemplate] = [],
        mayPublish: [GroupTemplate] = [], maySee: [GroupTemplate]? = nil, subprotocols: [Subprotocol] = []
    ) throws(TemplateError) {
        let known = Set(path.parameters + (authentication.isEmpty ? [] : ["user"]))
        for group in groups + mayJoin + mayPublish + (maySee ?? []) {
            for variable in group.variables.sorted() where !known.contains(variable) {
                let isClaim = variable.hasPrefix("claims.") && variable != "claims."
                if isClaim, !authentication.isEmpty { continue }
                throw TemplateError(
                    variable == "user" || isClaim
                        ? "the group \"\(group.text)\" of \(path.text) needs a login: set auth:"
                        : "the group \"\(group.text)\" of \(path.text) uses {\(variable)}, which the path does not have"
                )
            }
        }
        self.path = path
        self.groups = groups
        self.authentication = authentication
        self.receive = receive
        self.clientProtocol = clientProtocol
        self.mayJoin = mayJoin
        self.mayPublish = mayPublish
        self.maySee = maySee
        self.subprotocols = subprotocols
    }
}

/// The routes in configuration order; the first whose path matches is used.
struct Router: Sendable {
    let routes: [Route]

    func match(_ path: String) -> (index: Int, values: [String: String])? {
        for (index, route) in routes.enumerated() {
            if let values = route.path.match(path) { return (index, values) }
        }
        return nil
    }
}
