import Broker
import Logging
import NIOCore
import RedisClient

/// Whether what is published comes to us: a message to ourselves, every two seconds, through pub/sub.
///
/// A subscriber on a frozen or demoted primary, or on a replica that was cut off, hears nothing on a connection that
/// answers every PING. Two probes that were published and not heard end the subscription's connection, which dials
/// again. Lives on the backplane's loop.
final class SubscriptionProbe {
    static let interval = TimeAmount.seconds(2)

    private let channel: String
    private let client: RedisClient
    private let subscriber: RedisSubscriber
    private let logger: Logger
    private var timer: RepeatedTask?
    /// Published and not heard, one after the other.
    private var unheard = 0
    private var isActive = false

    init(keys: LayerKeys, holder: LeaseHolder, client: RedisClient, subscriber: RedisSubscriber, logger: Logger) {
        channel = keys.probeChannel(holder.gateway, process: holder.process)
        self.client = client
        self.subscriber = subscriber
        self.logger = logger
    }

    func start() {
        let bound = NIOLoopBound(self, eventLoop: client.eventLoop)
        timer = client.eventLoop.scheduleRepeatedTask(initialDelay: Self.interval, delay: Self.interval) { _ in
            bound.value.probe()
        }
    }

    func stop() { timer?.cancel() }

    /// The subscription is established.
    func resume() {
        unheard = 0
        subscriber.subscribe(channel).assumeIsolated().whenSuccess { self.isActive = true }
    }

    func pause() { isActive = false }

    /// The message to ourselves has come.
    func heard() { unheard = 0 }

    private func probe() {
        guard isActive, client.isUp else { return }
        if unheard >= 2 {
            unheard = 0
            isActive = false
            logger.warning("the subscription does not receive its own probe: reconnecting it")
            return subscriber.reconnect(RedisError(.timeout, "the subscription did not receive its own probe"))
        }
        client.submit(RedisCommand("PUBLISH", channel, "1")).assumeIsolated().whenComplete { result in
            switch result {
            case .success: self.unheard += self.isActive ? 1 : 0
            case .failure: break  // not published, so there is nothing to hear; the command link has its own deadline
            }
        }
    }
}

@available(*, unavailable) extension SubscriptionProbe: Sendable {}
