public import Broker
public import Logging
public import NIOCore
public import RedisClient

/// Follows one group's live messages, as a gateway hears them.
public final class GroupTail: RedisSubscriberDelegate {
    private let group: GroupName
    private let channel: String
    private let subscriber: RedisSubscriber
    private let onMessage: (Publication) -> Void
    private let onMalformed: (String) -> Void
    private let onLive: () -> Void

    /// Made on the event loop, where all its callbacks come.
    public init(
        _ configuration: RedisConfiguration, keys: LayerKeys, group: GroupName, on eventLoop: any EventLoop,
        logger: Logger, onLive: @escaping () -> Void, onMalformed: @escaping (String) -> Void,
        onMessage: @escaping (Publication) -> Void
    ) {
        self.group = group
        channel = keys.liveChannel(group)
        subscriber = RedisSubscriber(configuration, on: eventLoop, logger: logger)
        self.onMessage = onMessage
        self.onMalformed = onMalformed
        self.onLive = onLive
        subscriber.delegate = self
        subscriber.start()
    }

    public func subscriber(received payload: ByteBuffer, on channel: String) {
        do {
            let message = try WireMessage.decode(payload)
            let position = message.stamp.flatMap { Position(String(buffer: $0)) }
            onMessage(Publication(group: group, position: position, json: message.json))
        } catch {
            onMalformed("\(error)")
        }
    }

    public func subscriberReadComplete() {}

    public func subscriberIsLive() {
        subscriber.subscribe(channel).assumeIsolated().whenSuccess { self.onLive() }
    }

    public func subscriberLost(_ reason: RedisError) {}
}

@available(*, unavailable) extension GroupTail: Sendable {}
