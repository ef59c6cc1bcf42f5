public import NIOCore

/// A message on its way to the connections of a group: decoded once, the same bytes for all.
public struct Publication: Sendable {
    public let group: GroupName
    /// nil for a bare `PUBLISH`: live only, no position.
    public let position: Position?
    /// One JSON object on one line, without the broker's own entries.
    public let json: ByteBuffer
    /// Whether it can be read again later: it has a position, in a group that keeps history.
    public let isLogged: Bool

    public init(group: GroupName, position: Position?, json: ByteBuffer, isLogged: Bool = true) {
        self.group = group
        self.position = position
        self.json = json
        self.isLogged = isLogged && position != nil
    }

    /// The same message without a position: shown at once, whatever the client has seen.
    public var unpositioned: Publication { Publication(group: group, position: nil, json: json) }

    /// The same text, but for white space.
    public func says(theSameAs other: Publication) -> Bool {
        func isText(_ byte: UInt8) -> Bool { byte != 0x20 && byte != 0x09 && byte != 0x0A && byte != 0x0D }
        return json.readableBytesView.lazy.filter(isText).elementsEqual(
            other.json.readableBytesView.lazy.filter(isText))
    }
}

/// What the sender of an accepted message learns.
public struct Receipt: Sendable, Equatable {
    public let position: Position
    /// Subscribers that Redis told: gateways that serve the group.
    public let gateways: Int

    public init(position: Position, gateways: Int) {
        self.position = position
        self.gateways = gateways
    }
}
