import NIOCore
import RedisClient

/// The state of the two links to Redis: what they can be used for, why not, and what to do about it.
///
/// A value without I/O. A command connection is usable when functions, policies and doorbell are set up (it is prepared),
/// and while Redis accepts writes.
///
/// ```
///   away ──up──▶ preparing ──prepared──▶ serving ──refused──▶ refused: a write is retried every second
///    ▲             │ ▲  ▲                 │   ▲                  │
///    │     not     ▼ │  └─functionsMissing┘   └─────written──────┘
///   down  prepared unusable: prepared again after half a second
/// ```
struct LinkHealth {
    enum Commands: Equatable {
        case away
        case preparing
        case unusable
        case serving
        case refused
        case stopped
    }

    enum Event: Equatable {
        /// The command link was established, was lost, or could not be established.
        case up
        case down(RedisError)
        case missed(RedisError)
        /// The result of `prepare`.
        case prepared
        case notPrepared(RedisError)
        case functionsMissing
        /// Redis refused a write that it should accept, or accepted one.
        case refused(RedisError)
        case written
        case retryIsDue(Int)
        /// The subscription link: all channels are subscribed, or it was lost.
        case live
        case lost(RedisError)
        case stop
    }

    enum Action: Equatable {
        case prepare(isFirst: Bool)
        /// Start everything: memberships, relay, lease.
        case serve
        /// The connection was lost: send nothing.
        case pause
        /// Redis is reachable but refuses writes: fail joins with this reason; keep renewing the lease.
        case hold(String)
        case proceed
        /// Try a write: renew the lease.
        case renew
        /// Send `retryIsDue` with this number after the given time.
        case retry(Int, after: TimeAmount)
        /// Commands now go to another server, so subscriptions must move there too.
        case resubscribe
        /// Log a problem, or that all problems are over.
        case complain(RedisError)
        case relieved
    }

    private(set) var commands = Commands.away
    /// Why commands cannot be used now.
    private var trouble: RedisError?
    private(set) var isLive = false
    private var subscriptionTrouble: RedisError?
    /// Whether the gateway may have a lease and memberships in Redis, because it was prepared once.
    private(set) var wasPrepared = false
    /// Whether a preparation is in progress. Only one at a time, even if its link was lost and re-established meanwhile.
    private var isPreparing = false
    /// Incremented each time the command link comes up: work begun on an earlier link does not count for a later one.
    private var generation = 0
    private var preparedGeneration = 0
    /// The number of the last requested retry; earlier ones are ignored.
    private var retry = 0
    private var hasMoved = false

    private static let trialPause = TimeAmount.seconds(1)
    private static let preparationPause = TimeAmount.milliseconds(500)

    /// Whether commands are answered, even if writes are refused.
    var canRead: Bool { commands == .serving || commands == .refused }

    /// Why the gateway is not ready to accept and deliver. Empty: it is.
    var reasons: [String] {
        var reasons: [String] = []
        switch commands {
        case .serving: break
        case .preparing where trouble == nil: reasons.append("Redis is being prepared")
        case .away, .preparing, .unusable, .refused, .stopped:
            reasons.append(trouble.map(RedisErrorMeaning.words) ?? "Redis is not reachable")
        }
        if !isLive {
            let error = subscriptionTrouble
            let words =
                error?.code == .server
                ? "Redis refuses subscriptions: \(error!.message)" : "Redis is not reachable"
            if !reasons.contains(words) { reasons.append(words) }
        }
        return reasons
    }

    mutating func handle(_ event: Event) -> [Action] {
        if commands == .stopped { return [] }
        switch event {
        case .up: return up()
        case .down(let error): return down(error)
        case .missed(let error): return missed(error)
        case .prepared: return prepared()
        case .notPrepared(let error): return notPrepared(error)
        case .functionsMissing: return functionsMissing()
        case .refused(let error): return refused(error)
        case .written: return written()
        case .retryIsDue(let number): return number == retry ? retryIsDue() : []
        case .live:
            isLive = true
            subscriptionTrouble = nil
        case .lost(let error):
            isLive = false
            subscriptionTrouble = error
        case .stop: commands = .stopped
        }
        return []
    }

    // MARK: The connection

    private mutating func up() -> [Action] {
        generation += 1
        commands = .preparing
        return isPreparing ? [] : [prepare()]
    }

    private mutating func down(_ error: RedisError) -> [Action] {
        guard commands != .away else { return missed(error) }
        commands = .away
        _ = missed(error)
        return [.pause]
    }

    private mutating func missed(_ error: RedisError) -> [Action] {
        guard commands == .away else { return [] }
        trouble = error
        if error.isOfReplica { hasMoved = true }
        return []
    }

    // MARK: Preparation

    private mutating func prepare() -> Action {
        isPreparing = true
        preparedGeneration = generation
        return .prepare(isFirst: !wasPrepared)
    }

    private mutating func prepared() -> [Action] {
        isPreparing = false
        guard commands == .preparing else { return [] }
        // The link was lost and re-established meanwhile, perhaps to another Redis.
        guard preparedGeneration == generation else { return [prepare()] }
        commands = .serving
        trouble = nil
        wasPrepared = true
        defer { hasMoved = false }
        return [.serve, .relieved] + (hasMoved ? [.resubscribe] : [])
    }

    private mutating func notPrepared(_ error: RedisError) -> [Action] {
        isPreparing = false
        guard commands == .preparing else { return [] }
        guard preparedGeneration == generation else { return [prepare()] }
        commands = .unusable
        trouble = error
        // A replica's answer has ended the connection, which is reported separately. Full memory prevents preparation, but the
        // lease must still be renewed, so that other gateways consider this one alive.
        return (error.isOfReplica ? [] : [.complain(error)]) + (wasPrepared ? [.renew] : [])
            + [again(after: Self.preparationPause)]
    }

    private mutating func functionsMissing() -> [Action] {
        guard canRead else { return [] }
        commands = .preparing
        return [.hold("Redis has lost the function library")] + (isPreparing ? [] : [prepare()])
    }

    // MARK: Writes

    private mutating func refused(_ error: RedisError) -> [Action] {
        switch commands {
        case .serving:
            commands = .refused
            trouble = error
            return [.hold(RedisErrorMeaning.words(error)), .complain(error), again(after: Self.trialPause)]
        case .refused:
            trouble = error
            return [.complain(error)]
        case .away, .preparing, .unusable, .stopped: return []
        }
    }

    private mutating func written() -> [Action] {
        guard commands == .refused else { return [] }
        commands = .serving
        trouble = nil
        return [.proceed, .relieved]
    }

    private mutating func again(after pause: TimeAmount) -> Action {
        retry += 1
        return .retry(retry, after: pause)
    }

    private mutating func retryIsDue() -> [Action] {
        switch commands {
        case .unusable:
            commands = .preparing
            return [prepare()]
        case .refused: return [.renew, again(after: Self.trialPause)]
        case .away, .preparing, .serving, .stopped: return []
        }
    }
}
