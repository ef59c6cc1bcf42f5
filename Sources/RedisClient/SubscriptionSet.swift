import Sockets
import NIOCore

/// Which channels a subscriber wants, and which of them Redis has confirmed on the current connection.
///
/// A value without I/O; its effects are the requests of `takeRequests` and the waiters that each event returns. Requests are
/// answered in order, so a channel is subscribed when it is wanted and nothing about it is outstanding; changing one's mind
/// while a request is in flight needs no further state.
///
/// ```
///   want ──▶ SUBSCRIBE outstanding ──confirm──▶ subscribed ──unwant──▶ UNSUBSCRIBE outstanding ──▶ gone
///                  │  ▲   link lost: waiters fail, the wanted stay wanted; link up: all of them again
///                  ▼ refused: of several channels each is asked for alone; alone: its waiters fail
/// ```
struct SubscriptionSet<Waiter> {
    struct Entry {
        var wanted = true
        /// Confirmed since it was wanted: there are users that rely on it, so it outlives the loss of the connection.
        var isRelied = false
        /// Number of requests that are queued or sent, but not yet confirmed.
        var outstanding = 0
        var waiters: [Waiter] = []
    }

    struct Request: Equatable {
        var subscribe: Bool
        var channels: [String]
        /// Refused as part of a batch: it is sent alone, so that other channels are not refused with it.
        var isAlone = false
    }

    /// Maximum channels in one SUBSCRIBE or UNSUBSCRIBE.
    static var batch: Int { 512 }

    private(set) var entries: [String: Entry] = [:]
    private var queue: [Request] = []
    /// Requests sent but not fully answered; `answered` counts the answered channels of the first one.
    private var sent = CircularBuffer<Request>()
    private var answered = 0
    private var isUp = false
    /// Number of wanted channels not confirmed since the link came up.
    private(set) var unconfirmed = 0

    /// - Parameter permanent: channels that are always wanted, from the first link on.
    init(permanent: [String] = []) {
        for channel in permanent { entries[channel] = Entry(isRelied: true) }
    }

    /// Number of requests sent but not fully answered.
    var underWay: Int { sent.count }

    enum SubscribeAction { case wait, alreadySubscribed, unavailable }

    mutating func subscribe(_ channel: String, waiter: Waiter) -> SubscribeAction {
        guard isUp else { return .unavailable }
        var entry = entries.removeValue(forKey: channel) ?? Entry(wanted: false)
        defer { entries[channel] = entry }
        if entry.wanted && entry.outstanding == 0 { return .alreadySubscribed }
        if !entry.wanted {
            entry.wanted = true
            entry.outstanding += 1
            unconfirmed += 1
            enqueue(channel, subscribe: true)
        }
        entry.waiters.append(waiter)
        return .wait
    }

    mutating func releaseSlack() { entries.releaseSlack() }

    func isConfirmed(_ channel: String) -> Bool {
        guard let entry = entries[channel] else { return false }
        return entry.wanted && entry.outstanding == 0
    }

    /// Returns the waiters of a subscription that is no longer wanted; the caller must fail them.
    mutating func unsubscribe(_ channel: String) -> [Waiter] {
        // An unwanted entry stays while replies for it are outstanding.
        guard entries[channel]?.wanted == true, var entry = entries.removeValue(forKey: channel) else { return [] }
        let waiters = entry.waiters
        if entry.outstanding > 0 { unconfirmed -= 1 }
        guard isUp else { return waiters }
        entry.wanted = false
        entry.isRelied = false
        entry.waiters = []
        entry.outstanding += 1
        entries[channel] = entry
        enqueue(channel, subscribe: false)
        return waiters
    }

    /// Call for a `subscribe` or `unsubscribe` reply. Returns the waiters whose subscription is now confirmed.
    mutating func confirmed(_ channel: String) -> [Waiter] {
        if let first = sent.first {
            answered += 1
            if answered == first.channels.count { answerEnds() }
        }
        guard var entry = entries.removeValue(forKey: channel) else { return [] }
        entry.outstanding = max(entry.outstanding - 1, 0)
        if entry.outstanding > 0 {
            entries[channel] = entry
            return []
        }
        guard entry.wanted else { return [] }
        unconfirmed -= 1
        entry.isRelied = true
        let waiters = entry.waiters
        entry.waiters = []
        entries[channel] = entry
        return waiters
    }

    enum RefusalAction {
        /// No waiter fails yet: the channels will be requested one by one.
        case askAlone
        /// The channel was refused; its waiters must be told.
        case fail(String, [Waiter])
        /// The channel was confirmed before, or is permanent: without it the link is useless.
        case giveUp(String)
        /// The error does not belong to a request of this set.
        case notOurs
    }

    /// Call when Redis answered the oldest request with an error: none of its channels was processed.
    mutating func refused() -> RefusalAction {
        guard let request = sent.first else { return .notOurs }
        answerEnds()
        var action = RefusalAction.askAlone
        for channel in request.channels {
            guard var entry = entries.removeValue(forKey: channel) else { continue }
            entry.outstanding = max(entry.outstanding - 1, 0)
            if entry.outstanding > 0 {
                // The reply to a later request decides.
                entries[channel] = entry
            } else if request.subscribe, entry.wanted {
                if request.channels.count > 1 {
                    entry.outstanding = 1
                    entries[channel] = entry
                    queue.append(Request(subscribe: true, channels: [channel], isAlone: true))
                } else if entry.isRelied {
                    entries[channel] = entry
                    action = .giveUp(channel)
                } else {
                    unconfirmed -= 1
                    action = .fail(channel, entry.waiters)
                }
            }
        }
        return action
    }

    private mutating func answerEnds() {
        sent.removeFirst()
        answered = 0
    }

    /// Call when a new connection is established: every wanted channel is subscribed again.
    mutating func linkUp() {
        isUp = true
        queue = []
        forgetSent()
        unconfirmed = entries.count
        for channel in entries.keys {
            entries[channel]!.outstanding = 1
            enqueue(channel, subscribe: true)
        }
    }

    /// Call when the connection was lost. The outage may be long, so pending subscribers fail now; channels that were
    /// confirmed stay wanted and are re-subscribed on reconnect.
    mutating func linkDown() -> [Waiter] {
        isUp = false
        queue = []
        forgetSent()
        unconfirmed = 0
        var waiters: [Waiter] = []
        for (channel, entry) in entries {
            waiters += entry.waiters
            entries[channel] = entry.isRelied ? Entry(isRelied: true) : nil
        }
        return waiters
    }

    /// The requests to send now, in order, with at most `batch` channels each.
    mutating func takeRequests() -> [Request] {
        defer { queue = [] }
        sent.append(contentsOf: queue)
        return queue
    }

    private mutating func forgetSent() {
        sent.removeAll()
        answered = 0
    }

    private mutating func enqueue(_ channel: String, subscribe: Bool) {
        if let last = queue.indices.last, queue[last].subscribe == subscribe, !queue[last].isAlone,
            queue[last].channels.count < Self.batch
        {
            queue[last].channels.append(channel)
        } else {
            queue.append(Request(subscribe: subscribe, channels: [channel]))
        }
    }
}
