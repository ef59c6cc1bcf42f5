public import Logging
public import NIOCore

/// Receives a subscriber's messages and state changes, on the subscriber's event loop.
public protocol RedisSubscriberDelegate: AnyObject {
    /// One pub/sub message. The buffer may be kept.
    func subscriber(received payload: ByteBuffer, on channel: String)
    /// All messages of one read have been passed on: the moment to forward what was collected.
    func subscriberReadComplete()
    /// A connection is established, and every wanted channel is confirmed on it.
    func subscriberIsLive()
    /// The connection was lost: until `subscriberIsLive`, messages may be missed.
    func subscriberLost(_ reason: RedisError)
    /// Redis refused a channel; its subscribers have been told.
    func subscriberRefused(_ reason: RedisError)
}

extension RedisSubscriberDelegate {
    public func subscriberRefused(_ reason: RedisError) {}
}

/// Subscribes to channels of one Redis over a dedicated connection that reconnects by itself.
///
/// After a loss all wanted channels are subscribed again, 512 per command. If Redis refuses a channel, its subscription
/// fails; the refusal of a channel that was confirmed before, or is permanent, ends the connection. One pattern can be
/// subscribed beside them; its refusal is reported once and costs nothing else. Lives on its event loop.
public final class RedisSubscriber {
    public let eventLoop: any EventLoop
    let link: RedisLink
    private var subscriptions: SubscriptionSet<EventLoopPromise<Void>>
    private var sendIsDue = false
    /// Requests sent before the pending PING: an error reply belongs to the oldest of them all.
    private var requestsBeforePing = 0
    private var isLive = false
    private let pairs: ChannelPairs?
    private let pattern: String?
    /// PSUBSCRIBE was sent on this connection, before anything else, and is not answered.
    private var patternIsPending = false
    private var patternWasRefused = false
    private let logger: Logger
    public weak var delegate: (any RedisSubscriberDelegate)?

    /// - Parameters:
    ///   - permanent: channels that are subscribed on each connection before it counts as live.
    ///   - pairs: channels that bring a second one with them.
    ///   - pattern: subscribed on each connection if the user may (`&PATTERN` in its rights, literally).
    public init(
        _ configuration: RedisConfiguration, permanent: [String] = [], pairs: ChannelPairs? = nil,
        pattern: String? = nil, on eventLoop: any EventLoop, logger: Logger
    ) {
        eventLoop.preconditionInEventLoop()
        self.pairs = pairs
        self.pattern = pattern
        self.logger = logger
        self.eventLoop = eventLoop
        subscriptions = SubscriptionSet(permanent: permanent)
        link = RedisLink(configuration, eventLoop: eventLoop, logger: logger)
        // In subscribe mode a PING is answered by a push, which completes the oldest (and only) waiting command.
        link.probe = { [unowned self] connection in
            guard connection.waiting == 0 else { return }
            requestsBeforePing = subscriptions.underWay
            connection.send(RedisCommand("PING")) { _ in }
        }
        link.onUp = { [unowned self] connection in up(connection) }
        link.onDown = { [unowned self] reason in down(reason) }
    }

    public func start() { link.start() }

    public func stop() {
        link.stop()
        for waiter in subscriptions.linkDown() { waiter.fail(RedisError(.stopped, "the subscriber was stopped")) }
    }

    /// Closes the connection and dials again; for a connection that seems alive but delivers nothing.
    public func reconnect(_ reason: RedisError) { link.connection?.close(reason) }

    /// Releases capacity that is no longer needed, if there is much of it.
    public func releaseSlack() { subscriptions.releaseSlack() }

    /// Number of channels wanted now.
    public var channelCount: Int { subscriptions.entries.count }

    /// Subscribes. The future succeeds when Redis has confirmed, so that nothing published afterwards is missed.
    ///
    /// - Throws (in the future): `RedisError` `.unavailable`, immediately, when there is no connection.
    public func subscribe(_ channel: String) -> EventLoopFuture<Void> {
        eventLoop.assertInEventLoop()
        let promise = eventLoop.makePromise(of: Void.self)
        switch subscriptions.subscribe(channel, waiter: promise) {
        case .wait: requestsChanged()
        case .alreadySubscribed: promise.succeed()
        case .unavailable: promise.fail(RedisError(.unavailable, "no connection to Redis for subscriptions"))
        }
        return promise.futureResult
    }

    /// Whether the subscriber is live and Redis has confirmed the channel.
    public func isSubscribed(_ channel: String) -> Bool { isLive && subscriptions.isConfirmed(channel) }

    public func unsubscribe(_ channel: String) {
        eventLoop.assertInEventLoop()
        for waiter in subscriptions.unsubscribe(channel) {
            waiter.fail(RedisError(.stopped, "unsubscribed before Redis confirmed"))
        }
        requestsChanged()
        checkLive()
    }

    private func up(_ connection: RedisConnection) {
        connection.onPush = { [unowned self] view in push(view) }
        connection.onReadComplete = { [unowned self] in delegate?.subscriberReadComplete() }
        patternIsPending = pattern != nil
        if let pattern { connection.write(RedisCommand("PSUBSCRIBE", pattern)) }
        subscriptions.linkUp()
        requestsChanged()
        checkLive()
    }

    private func down(_ reason: RedisError) {
        isLive = false
        for waiter in subscriptions.linkDown() {
            waiter.fail(RedisError(.unavailable, "Redis was lost before the subscription stood: \(reason.message)"))
        }
        delegate?.subscriberLost(reason)
    }

    /// Schedules sending. While requests are in flight, further ones wait and share the next commands, so that a storm of
    /// joins needs few of them.
    private func requestsChanged() {
        guard !sendIsDue, subscriptions.underWay == 0 else { return }
        sendIsDue = true
        eventLoop.assumeIsolated().execute { [self] in
            sendIsDue = false
            guard let connection = link.connection, subscriptions.underWay == 0 else { return }
            for request in subscriptions.takeRequests() {
                var command = RedisCommand(request.subscribe ? "SUBSCRIBE" : "UNSUBSCRIBE")
                for channel in request.channels {
                    command.append(channel)
                    if let second = pairs?.second(of: channel) { command.append(second) }
                }
                connection.write(command)
            }
        }
    }

    private func checkLive() {
        guard subscriptions.unconfirmed == 0, link.connection != nil else { return }
        // Only a confirmed channel shows that the connection is usable.
        if !subscriptions.entries.isEmpty { link.confirm() }
        guard !isLive else { return }
        isLive = true
        delegate?.subscriberIsLive()
    }

    /// Handles `[message, channel, payload]`, `[pmessage, pattern, channel, payload]`, `[subscribe, channel, count]` (and
    /// `unsubscribe`, `psubscribe`), `[pong, ""]`, or an error.
    private func push(_ view: borrowing RedisReplyView) -> Bool {
        guard view[0].kind == .array, view.count >= 3 else {
            guard view[0].kind == .error else { return false }
            return patternIsPending ? refusedPattern(view.text(view[0])) : refused(view.text(view[0]))
        }
        let kind = view.withBytes(of: view[1]) { $0.first }
        switch (kind, view.count) {
        case (UInt8(ascii: "m"), 4):
            let payload = view.withBytes(of: view[3]) { ByteBuffer(bytes: $0) }
            delegate?.subscriber(received: payload, on: view.text(view[2]))
            return true
        case (UInt8(ascii: "p"), 5):
            let payload = view.withBytes(of: view[4]) { ByteBuffer(bytes: $0) }
            delegate?.subscriber(received: payload, on: view.text(view[3]))
            return true
        case (UInt8(ascii: "p"), 4):
            patternIsPending = false
            return true
        case (UInt8(ascii: "s"), 4), (UInt8(ascii: "u"), 4):
            let before = subscriptions.underWay
            let channel = view.text(view[2])
            if pairs?.isSecond(channel) == true { return true }
            for waiter in subscriptions.confirmed(channel) { waiter.succeed() }
            requestsBeforePing = max(0, requestsBeforePing - (before - subscriptions.underWay))
            checkLive()
            if subscriptions.underWay == 0 { requestsChanged() }
            return true
        default:
            return false  // a pong: the reply to the probe
        }
    }

    private func refusedPattern(_ text: String) -> Bool {
        patternIsPending = false
        if !patternWasRefused {
            patternWasRefused = true
            logger.notice("Redis refuses the pattern \(pattern ?? "")", metadata: ["error": "\(text)"])
        }
        return true
    }

    /// - Returns: false when the error answers the probe, or belongs to no request of this subscriber.
    private func refused(_ text: String) -> Bool {
        guard let connection = link.connection else { return false }
        if connection.waiting > 0, requestsBeforePing == 0 { return false }
        switch subscriptions.refused() {
        case .notOurs: return false
        case .askAlone: break
        case .fail(let channel, let waiters):
            let reason = RedisError(.server, "\(text) (SUBSCRIBE \(channel))")
            for waiter in waiters { waiter.fail(reason) }
            delegate?.subscriberRefused(reason)
            checkLive()
        case .giveUp(let channel): connection.close(RedisError(.server, "\(text) (SUBSCRIBE \(channel))"))
        }
        requestsBeforePing = max(0, requestsBeforePing - 1)
        requestsChanged()
        return true
    }
}

@available(*, unavailable) extension RedisSubscriber: Sendable {}
