public import NIOCore

/// A message on its way to the connections of a group: decoded once, with the same bytes for all of them.
public struct Publication: Sendable {
    public let group: GroupName
    /// nil for a plain `PUBLISH`, which is live only.
    public let position: Position?
    /// One JSON object on one line, without the broker's own entries.
    public let json: ByteBuffer
    /// Whether it can be read again later: it has a position, and its group keeps history.
    public let isLogged: Bool

    public init(group: GroupName, position: Position?, json: ByteBuffer, isLogged: Bool = true) {
        self.group = group
        self.position = position
        self.json = json
        self.isLogged = isLogged && position != nil
    }

    /// The same message without a position: delivered immediately, whatever the client has seen.
    public var unpositioned: Publication { Publication(group: group, position: nil, json: json) }

    /// Whether both messages have the same text, ignoring white space.
    public func says(theSameAs other: Publication) -> Bool {
        func isText(_ byte: UInt8) -> Bool { byte != 0x20 && byte != 0x09 && byte != 0x0A && byte != 0x0D }
        return json.readableBytesView.lazy.filter(isText).elementsEqual(
            other.json.readableBytesView.lazy.filter(isText))
    }
}

/// What the sender of an accepted message gets back.
public struct Receipt: Sendable, Equatable {
    public let position: Position
    /// Number of Redis subscribers that received it: gateways that serve the group.
    public let gateways: Int
    /// Consumers of Django in the group, that Daphne holds; nil: there were none.
    public let consumers: Consumers?

    public struct Consumers: Sendable, Equatable {
        /// Consumers of the core layer, and processes of the pub/sub layer, that were sent the message.
        public let told: Int
        /// Those that were not: the message is none for consumers, or their channel was full.
        public let skipped: Int

        public init(told: Int, skipped: Int) {
            self.told = told
            self.skipped = skipped
        }
    }

    /// Writes `"position":"…","gateways":2`, and where consumers of Django are in the group
    /// `"consumers":{"told":1,"skipped":0}`.
    public func write(to json: inout JSONWriter) {
        json.string("position", position.description)
        json.number("gateways", gateways)
        guard let consumers else { return }
        json.object("consumers") { json in
            json.number("told", consumers.told)
            json.number("skipped", consumers.skipped)
        }
    }

    public init(position: Position, gateways: Int, consumers: Consumers? = nil) {
        self.position = position
        self.gateways = gateways
        self.consumers = consumers
    }
}
