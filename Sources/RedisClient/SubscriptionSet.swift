import Sockets
import NIOCore

/// Which channels a subscriber wants, and which of them Redis has confirmed on the connection of now.
///
/// A value without I/O; the effects are the requests of `takeRequests` and the waiters that each event returns.
/// Requests are answered in order, so a channel is subscribed when it is wanted and nothing about it is outstanding:
/// a change of mind while a request is under way needs no further state.
///
/// ```
///   want ──▶ SUBSCRIBE outstanding ──confirm──▶ subscribed ──unwant──▶ UNSUBSCRIBE outstanding ──▶ gone
///                  │  ▲   link lost: waiters fail, the wanted stay wanted; link up: all of them again
///                  ▼ refused: of several channels each is asked for alone; alone: its waiters fail
/// ```
struct SubscriptionSet<Waiter> {
    struct Entry {
        var wanted = true
        /// Confirmed since it was wanted: somebody relies on it, so it outlives the loss of the connection.
        var isRelied = false
        /// Requests that are queued or sent and not yet confirmed.
        var outstanding = 0
        var waiters: [Waiter] = []
    }

    struct Request: Equatable {
        var subscribe: Bool
        var channels: [String]
        /// Refused in company: it goes alone, so that the others are not refused with it.
        var isAlone = false
    }

    /// Channels in one SUBSCRIBE or UNSUBSCRIBE.
    static var batch: Int { 512 }

    private(set) var entries: [String: Entry] = [:]
    private var queue: [Request] = []
    /// What was sent and is not answered; of the first, how many channels are.
    private var sent = CircularBuffer<Request>()
    private var answered = 0
    private var isUp = false
    /// Wanted channels whose confirmation is missing since the link came up.
    private(set) var unconfirmed = 0

    /// - Parameter permanent: wanted from the first link on, whoever else wants what.
    init(permanent: [String] = []) {
        for channel in permanent { entries[channel] = Entry(isRelied: true) }
    }

    /// Requests that were sent and are not wholly answered.
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

    /// The waiters of a subscription that is no longer wanted come back, to be failed.
    mutating func unsubscribe(_ channel: String) -> [Waiter] {
        // An entry that is not wanted stays: its outstanding replies are still to come.
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

    /// A `subscribe` or `unsubscribe` reply for the channel. The waiters that come back have their subscription.
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
        /// Nobody is told yet: the channels are asked for one by one.
        case askAlone
        /// The channel cannot be had, and who waited for it is to be told.
        case fail(String, [Waiter])
        /// The channel stood before, or is permanent: without it the link is of no use.
        case giveUp(String)
        /// Somebody else's error.
        case notOurs
    }

    /// Redis answered the oldest request with an error: none of its channels was looked at.
    mutating func refused() -> RefusalAction {
        guard let request = sent.first else { return .notOurs }
        answerEnds()
        var action = RefusalAction.askAlone
        for channel in request.channels {
            guard var entry = entries.removeValue(forKey: channel) else { continue }
            entry.outstanding = max(entry.outstanding - 1, 0)
            if entry.outstanding > 0 {
                // A later request says what becomes of it.
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

    /// A new connection is established: every wanted channel is subscribed again.
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

    /// The connection is gone. The outage may be long, so pending subscribers fail now; channels that were confirmed stay wanted and are re-subscribed on reconnect.
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

    /// What is to be sent now, in order, at most `batch` channels a request.
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
