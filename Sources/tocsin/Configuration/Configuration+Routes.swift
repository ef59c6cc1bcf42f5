import Broker
import Gateway
import NIOCore
import Yams

extension ReceivePolicy {
    /// Whether a centrifuge client can have it: its rpc calls go to the site.
    fileprivate var suitsCentrifuge: Bool {
        switch self {
        case .ignore, .groupSend: true
        case .forward(let policy):
            if case .site = policy.destination { !policy.tellsConnections } else { false }
        case .echo, .mirror: false
        }
    }
}

/// The entries of `routes:`.
extension Configuration {
    static func route(
        _ reader: ConfigurationReader, _ logins: [String: Authentication]
    ) throws(ConfigurationError) -> Route {
        guard let path = try reader.text("path") else { throw reader.bad("path", "is missing") }
        var names = try reader.texts("auth") ?? []
        if names == ["none"] { names = [] }
        for name in names where logins[name] == nil {
            let known = logins.keys.sorted().joined(separator: ", ")
            throw reader.bad(
                "auth", "names \"\(name)\", which auth: does not have (it has: \(known.isEmpty ? "nothing" : known))")
        }
        let receive = try receive(reader)
        let speaks = try reader.text("protocol") ?? "plain"
        guard let clientProtocol = ["plain": ClientProtocol.plain, "centrifuge": .centrifuge][speaks] else {
            throw reader.bad("protocol", "must be plain or centrifuge, not \"\(speaks)\"")
        }
        let groups = try reader.texts("groups") ?? []
        let mayJoin = try reader.texts("may_join") ?? [], mayPublish = try reader.texts("may_publish") ?? []
        let maySee = try reader.texts("may_see"), subprotocols = try subprotocols(reader)
        if clientProtocol == .plain {
            guard !groups.isEmpty else { throw reader.bad("groups", "is missing: the groups that a connection joins") }
            guard mayJoin.isEmpty else {
                throw reader.bad("may_join", "is for protocol: centrifuge; a plain client joins groups:")
            }
            guard mayPublish.isEmpty else {
                throw reader.bad("may_publish", "is for protocol: centrifuge; a plain client has receive: group_send")
            }
            guard maySee == nil else { throw reader.bad("may_see", "is for protocol: centrifuge") }
        } else if !receive.suitsCentrifuge {
            throw reader.bad(
                "receive",
                "must be ignore, group_send or { post: URL }, without connections, with protocol: centrifuge")
        }
        try reader.finish()
        do throws(TemplateError) {
            var templates: [GroupTemplate] = []
            for group in groups { templates.append(try GroupTemplate(group)) }
            return try Route(
                path: PathTemplate(path), groups: templates, authentication: names, receive: receive,
                clientProtocol: clientProtocol, mayJoin: try patterns(mayJoin), mayPublish: try patterns(mayPublish),
                maySee: maySee == nil ? nil : try patterns(maySee!), subprotocols: subprotocols)
        } catch {
            throw reader.bad("path", ": \(error)")
        }
    }

    private static func subprotocols(_ reader: ConfigurationReader) throws(ConfigurationError) -> [Subprotocol] {
        let texts = try reader.texts("subprotocols") ?? []
        do throws(TemplateError) {
            var names: [Subprotocol] = []
            for name in texts { names.append(try Subprotocol(name)) }
            return names
        } catch {
            throw reader.bad("subprotocols", error.description)
        }
    }

    private static func patterns(_ texts: [String]) throws(TemplateError) -> [GroupTemplate] {
        var patterns: [GroupTemplate] = []
        for text in texts { patterns.append(try GroupTemplate(text, isPattern: true)) }
        return patterns
    }

    /// `receive:` is a word, `forward:CHANNEL`, or a mapping with `forward` or `post` and their options.
    private static func receive(_ reader: ConfigurationReader) throws(ConfigurationError) -> ReceivePolicy {
        if reader.node("receive")?.mapping != nil { return .forward(try forward(reader.section("receive"))) }
        switch try reader.text("receive") ?? "ignore" {
        case "ignore": return .ignore
        case "echo": return .echo
        case "mirror": return .mirror
        case "group_send": return .groupSend
        case let text where text.hasPrefix("forward:"):
            return .forward(ForwardPolicy(.channel(try channel(String(text.dropFirst(8)), reader, "receive"))))
        case let other:
            throw reader.bad(
                "receive",
                "must be ignore, echo, mirror, group_send, forward:CHANNEL or { post: URL }, not \"\(other)\"")
        }
    }

    private static func forward(_ reader: ConfigurationReader) throws(ConfigurationError) -> ForwardPolicy {
        var policy: ForwardPolicy
        switch (try reader.text("forward"), try reader.text("post")) {
        case (let name?, nil):
            policy = ForwardPolicy(.channel(try channel(name, reader, "forward")))
            switch try reader.text("when_full") ?? "tell" {
            case "tell": break
            case "wait": policy.waitsForRoom = true
            case let other: throw reader.bad("when_full", "must be tell or wait, not \"\(other)\"")
            }
        case (nil, let url?):
            guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
                throw reader.bad("post", "must be a URL that begins with http:// or https://, not \"\(url)\"")
            }
            var site = ForwardPolicy.Site(url: url)
            site.authorization = try reader.text("authorization")
            if let timeout = try reader.duration("timeout") {
                guard timeout > 0 else { throw reader.bad("timeout", "must be greater than zero") }
                site.timeout = .milliseconds(Int64(timeout))
            }
            policy = ForwardPolicy(.site(site))
        default: throw reader.bad("forward", "or post has to be there, and not both")
        }
        if let flag = try reader.flag("connections") { policy.tellsConnections = flag }
        try reader.finish()
        return policy
    }

    private static func channel(
        _ text: String, _ reader: ConfigurationReader, _ key: String
    ) throws(ConfigurationError) -> ChannelName {
        do throws(ChannelNameError) {
            let name = try ChannelName(text)
            guard !name.isSpecific else { throw ChannelNameError() }
            return name
        } catch {
            throw reader.bad(key, "must name a channel that a worker reads: \(error)")
        }
    }
}
