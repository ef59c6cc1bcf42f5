public import Broker
public import NIOCore

/// Where the messages of a route's clients go (`receive: forward:CHANNEL`, `receive: { post: URL }`).
public struct ForwardPolicy: Sendable, Equatable {
    public enum Destination: Sendable, Equatable {
        /// A general channel of the layer, which `manage.py runworker CHANNEL` reads.
        case channel(ChannelName)
        /// The site, over HTTP.
        case site(Site)
    }

    public struct Site: Sendable, Equatable {
        public var url: String
        /// How long the site may take. Default 3 s.
        public var timeout: TimeAmount = .seconds(3)
        /// Sent as the `Authorization` header, so that the site knows who asks. Default: none.
        public var authorization: String?

        public init(url: String) { self.url = url }
    }

    public var destination: Destination
    /// Whether the connection's beginning and end are forwarded too. Default: no.
    public var tellsConnections = false
    /// Whether a full channel is waited for, up to a minute a message; otherwise the client is told. Default: no.
    public var waitsForRoom = false

    public init(_ destination: Destination) { self.destination = destination }
}
