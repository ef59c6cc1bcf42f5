import Logging
import NIOCore
import Synchronization

/// Subscribes to `+switch-master` at one Sentinel, and at the next one when that is lost.
///
/// Whenever it is subscribed anew it has the primary checked, as a failover may have been announced meanwhile. A thread-safe
/// handle; its subscriber lives on one event loop.
final class SentinelWatch: Sendable {
    /// Each dial goes to the next Sentinel.
    private final class Rotation: RedisLocator {
        private let addresses: [RedisAddress]
        private let dials = Atomic(0)

        init(_ addresses: [RedisAddress]) { self.addresses = addresses }

        /// The Sentinel that was dialled last.
        var current: Int { max(dials.load(ordering: .relaxed) - 1, 0) % addresses.count }

        func locate(on eventLoop: any EventLoop) -> EventLoopFuture<RedisAddress> {
            let count = dials.wrappingAdd(1, ordering: .relaxed).newValue
            return eventLoop.makeSucceededFuture(addresses[(count - 1) % addresses.count])
        }
    }

    private final class Delegate: RedisSubscriberDelegate {
        let masterName: String
        let rotation: Rotation
        let eventLoop: any EventLoop
        weak var locator: SentinelLocator?
        var subscriber: RedisSubscriber?

        init(_ masterName: String, _ rotation: Rotation, on eventLoop: any EventLoop) {
            self.masterName = masterName
            self.rotation = rotation
            self.eventLoop = eventLoop
        }

        func subscriber(received payload: ByteBuffer, on channel: String) {
            guard let (from, to) = SentinelWatch.announcement(payload, of: masterName) else { return }
            locator?.switched(from: from, to: to, by: rotation.current, on: eventLoop)
        }

        func subscriberReadComplete() {}
        func subscriberIsLive() { locator?.check(on: eventLoop) }
        func subscriberLost(_ reason: RedisError) {}
    }

    private static let channel = "+switch-master"
    private let eventLoop: any EventLoop
    private let settings: RedisConfiguration
    private let logger: Logger
    private let rotation: Rotation
    private let masterName: String
    private let delegate: NIOLoopBoundBox<Delegate?>

    init(
        _ service: SentinelService, _ sentinels: [RedisConfiguration], on eventLoop: any EventLoop, logger: Logger
    ) {
        self.eventLoop = eventLoop
        self.logger = logger
        masterName = service.masterName
        rotation = Rotation(service.sentinels.indices.map(service.sentinelAddress))
        var settings = sentinels[0]
        settings.locator = rotation
        settings.host = .sentinel(service)
        self.settings = settings
        delegate = .makeEmptyBox(valueType: Delegate.self, eventLoop: eventLoop)
    }

    func start(_ locator: SentinelLocator) {
        eventLoop.execute { [self] in
            let delegate = Delegate(masterName, rotation, on: eventLoop)
            delegate.locator = locator
            let subscriber = RedisSubscriber(settings, permanent: [Self.channel], on: eventLoop, logger: logger)
            subscriber.delegate = delegate
            delegate.subscriber = subscriber
            self.delegate.value = delegate
            subscriber.start()
        }
    }

    func stop() {
        eventLoop.execute { [self] in
            delegate.value?.subscriber?.stop()
            delegate.value = nil
        }
    }

    /// `NAME OLD-HOST OLD-PORT NEW-HOST NEW-PORT` (redis.io, "High availability with Redis Sentinel").
    ///
    /// - Returns: nil: it is about another master, or is something else.
    static func announcement(_ payload: ByteBuffer, of masterName: String) -> (from: RedisEndpoint, to: RedisEndpoint)?
    {
        let words = String(buffer: payload).split(separator: " ").map(String.init)
        guard words.count == 5, words[0] == masterName, let oldPort = Int(words[2]), let newPort = Int(words[4]),
            let from = RedisEndpoint(host: words[1], port: oldPort),
            let to = RedisEndpoint(host: words[3], port: newPort)
        else { return nil }
        return (from, to)
    }
}
