import Broker
import Logging
import NIOCore
import RedisClient

/// What the inbox of connections reports to its owner, on the backplane's loop.
protocol ConnectionInboxDelegate: AnyObject {
    /// Django, or `channel_send`, sent a message to one connection of this gateway.
    ///
    /// - Parameter json: the message as a JSON object, without the layer's entries.
    func inboxReceived(_ json: ByteBuffer, for connection: ConnectionID)
}

/// Reads what `channel_layer.send` puts on this gateway's own key, `asgispecific.GW!`: messages for single connections, by
/// their channel names.
///
/// At most once, as channels_redis has it: what is taken out and cannot be delivered is gone, counted.
///
/// Lives on the backplane's loop.
final class ConnectionInbox {
    /// Messages taken in one call.
    static let batch = 200

    private let functions: LayerFunctions
    private let gatewayID: String
    private let encryption: FernetKeys
    private let prefixLength: Int
    private let client: RedisClient
    private let metrics: LayerMetrics
    private let logger: Logger
    private var throttle = LogThrottle()
    private var isActive = false
    private var turn = CollectionTurn()
    /// At which end of a list the site pushes; nil: not heard yet.
    var push: ListPush?
    weak var delegate: (any ConnectionInboxDelegate)?

    init(
        _ configuration: LayerConfiguration, functions: LayerFunctions, client: RedisClient, metrics: LayerMetrics,
        logger: Logger
    ) {
        self.functions = functions
        gatewayID = configuration.gatewayID
        encryption = configuration.encryption
        prefixLength = configuration.inboxPrefixLength
        self.client = client
        self.metrics = metrics
        self.logger = logger
    }

    func resume() {
        isActive = true
        collect()
    }

    func pause() {
        isActive = false
        turn = CollectionTurn()
    }

    /// Asks whether anything is there, which is cheaper than taking it out: while Redis does not ring, and once a second.
    func check() {
        guard isActive, !turn.isUnderWay else { return }
        let inbox = functions.keys.gatewayInbox(gatewayID)
        client.submit(RedisCommand("EXISTS", inbox)).assumeIsolated().whenComplete { result in
            if case .success(let reply) = result, reply.int == 1 { self.collect() }
        }
    }

    /// Takes out what is there: when Redis rings.
    func collect() {
        guard isActive, turn.begin() else { return }
        client.call(functions.gatewayCollect(gatewayID, limit: Self.batch, push: push)) { result in
            let isDueAgain = self.turn.end()
            switch result {
            case .success(let messages):
                for message in messages { self.received(message) }
                if isDueAgain || !messages.isEmpty { self.collect() }
            case .failure(let error):
                if error.code != .server || RedisErrorMeaning.isTransient(error) { return }
                self.complain("the gateway's inbox cannot be read", "\(error)")
            }
        }
    }

    private func received(_ bytes: ByteBuffer) {
        reading {
            let body = try encryption.opened(LayerMessage.body(ofInboxMember: bytes, prefixLength: prefixLength))
            let (message, channels) = try LayerMessage.withoutChannels(body)
            let json = try WireMessage.decode(message).json
            for connection in channels.compactMap(connection) { delegate?.inboxReceived(json, for: connection) }
        }
    }

    /// Django's pub/sub layer publishes to a connection's channel name as it is; every gateway hears it.
    func received(_ bytes: ByteBuffer, on channel: String) {
        guard let connection = connection(channel) else { return }
        reading {
            delegate?.inboxReceived(try WireMessage.decode(encryption.opened(bytes)).json, for: connection)
        }
    }

    private func reading(_ work: () throws -> Void) {
        do {
            try work()
        } catch {
            metrics.malformedLayer.add()
            complain("dropped a message for a connection that cannot be read", "\(error)")
        }
    }

    /// `specific.GW!CONN` → the connection; nil: another gateway's, or none's.
    private func connection(_ channel: String) -> ConnectionID? {
        let name = "specific.\(gatewayID)!"
        return channel.hasPrefix(name) ? ConnectionID(String(channel.dropFirst(name.count))) : nil
    }

    private func complain(_ what: String, _ reason: String) {
        guard let held = throttle.pass() else { return }
        logger.warning(
            "\(what)",
            metadata: [
                "reason": "\(reason)", "inbox": "\(functions.keys.gatewayInbox(gatewayID))", "held_back": "\(held)",
            ])
    }
}

@available(*, unavailable) extension ConnectionInbox: Sendable {}
