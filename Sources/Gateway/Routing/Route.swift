/// What a gateway does with the text that a client sends.
public enum ReceivePolicy: Sendable, Equatable {
    case ignore
    /// Answers with the text as a JSON string, as `json.dumps(text)` in a Django consumer does.
    case echo
    /// Sends it to the route's groups.
    case groupSend
}

/// One entry of `routes:`.
public struct Route: Sendable {
    public var path: PathTemplate
    public var groups: [GroupTemplate]
    /// Names of `auth:` entries, tried in order. Empty: nobody is asked who they are.
    public var authentication: [String]
    public var receive: ReceivePolicy

    /// - Throws: `TemplateError` when a group uses a value that the route does not have.
    public init(
        path: PathTemplate, groups: [GroupTemplate], authentication: [String] = [], receive: ReceivePolicy = .ignore
    ) throws(TemplateError) {
        let known = Set(path.parameters + (authentication.isEmpty ? [] : ["user"]))
        for group in groups {
            for variable in group.variables.sorted() where !known.contains(variable) {
                throw TemplateError(
                    variable == "user"
                        ? "the group \"\(group.text)\" of \(path.text) needs a login: set auth:"
                        : "the group \"\(group.text)\" of \(path.text) uses {\(variable)}, which the path does not have"
                )
            }
        }
        self.path = path
        self.groups = groups
        self.authentication = authentication
        self.receive = receive
    }
}

/// The routes in the order of the configuration: the first whose path matches counts.
struct Router: Sendable {
    let routes: [Route]

    func match(_ path: Substring) -> (index: Int, values: [String: String])? {
        for (index, route) in routes.enumerated() {
            if let values = route.path.match(path) { return (index, values) }
        }
        return nil
    }
}
