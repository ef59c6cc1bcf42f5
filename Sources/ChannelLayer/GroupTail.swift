public import Broker
public import Logging
public import NIOCore
public import RedisClient

/// Follows one group's live messages, as a gateway receives them.
public final class GroupTail: RedisSubscriberDelegate {
    private let group: GroupName
    private let subscriber: RedisSubscriber
    private let encryption: FernetKeys
    private let onMessage: (Publication) -> Void
    private let onMalformed: (String) -> Void
    private let onLive: () -> Void

    /// Create on the event loop, which also runs all callbacks.
    public init(
        _ configuration: RedisConfiguration, keys: LayerKeys, group: GroupName, encryption: FernetKeys = FernetKeys(),
        on eventLoop: any EventLoop, logger: Logger, onLive: @escaping () -> Void,
        onMalformed: @escaping (String) -> Void,
        onMessage: @escaping (Publication) -> Void
    ) {
        self.group = group
        self.encryption = encryption
        subscriber = RedisSubscriber(
            configuration, permanent: [keys.liveChannel(group)], pairs: keys.channelPairs, on: eventLoop, logger: logger
        )
        self.onMessage = onMessage
        self.onMalformed = onMalformed
        self.onLive = onLive
        subscriber.delegate = self
        subscriber.start()
    }

    public func subscriber(received payload: ByteBuffer, on channel: String) {
        do {
            let message = try WireMessage.decode(encryption.opened(payload))
            let stamp = message.stamp.flatMap { Stamp($0) }
            if let stamp, stamp.isCopy { return }
            onMessage(Publication(group: group, position: stamp?.position, json: message.json))
        } catch {
            onMalformed("\(error)")
        }
    }

    public func subscriberReadComplete() {}

    public func subscriberIsLive() { onLive() }

    public func subscriberLost(_ reason: RedisError) {}
}

@available(*, unavailable) extension GroupTail: Sendable {}
