import Broker
import Logging
import NIOCore
import RedisClient

/// Checks whether published messages arrive, by publishing a message to this gateway every two seconds.
///
/// A subscriber on a frozen or demoted primary, or on a replica that was cut off, receives nothing on a connection that
/// answers every PING. Two consecutive probes that were published but not received end the subscriber's connection, which
/// dials again. Lives on the backplane's loop.
final class SubscriptionProbe {
    static let interval = TimeAmount.seconds(2)

    private let channel: String
    private let client: RedisClient
    private let subscriber: RedisSubscriber
    private let logger: Logger
    private var timer: RepeatedTask?
    /// Number of consecutive probes published but not received.
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

    /// Call when the subscription is established.
    func resume() {
        unheard = 0
        subscriber.subscribe(channel).assumeIsolated().whenSuccess { self.isActive = true }
    }

    func pause() { isActive = false }

    /// Call when a probe has arrived.
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
            case .failure: break  // not published, so none will arrive; the command link has its own deadline
            }
        }
    }
}

@available(*, unavailable) extension SubscriptionProbe: Sendable {}
