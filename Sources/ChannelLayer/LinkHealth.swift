import NIOCore
import RedisClient

/// What the two links to Redis are good for, why not, and what is to be done about it.
///
/// A value without I/O. A connection for commands is of use when the functions, the policies and the doorbell are there
/// (it is prepared), and while Redis takes our writes.
///
/// ```
///   away ──up──▶ preparing ──prepared──▶ serving ──refused──▶ refused: a write is tried every second
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
        /// The command link is established, is lost, or could not be made.
        case up
        case down(RedisError)
        case missed(RedisError)
        /// What `prepare` came to.
        case prepared
        case notPrepared(RedisError)
        case functionsMissing
        /// Redis refused a write that it ought to take, or took one.
        case refused(RedisError)
        case written
        case retryIsDue(Int)
        /// The subscription link: all is subscribed, or it is lost.
        case live
        case lost(RedisError)
        case stop
    }

    enum Action: Equatable {
        case prepare(isFirst: Bool)
        /// Everything may begin: memberships, relay, lease.
        case serve
        /// The connection is gone: nothing is sent.
        case pause
        /// Redis is there and takes no writes: who wants to join is told so; the lease goes on trying.
        case hold(String)
        case proceed
        /// Writes something of ours: the lease.
        case renew
        /// `retryIsDue` with the number after so long.
        case retry(Int, after: TimeAmount)
        /// Commands go to another server now, where subscriptions belong too.
        case resubscribe
        /// For the log: a trouble, and the end of all.
        case complain(RedisError)
        case relieved
    }

    private(set) var commands = Commands.away
    /// Why commands are of no use now.
    private var trouble: RedisError?
    private(set) var isLive = false
    private var subscriptionTrouble: RedisError?
    /// Once prepared, the gateway may have a lease and memberships in Redis.
    private(set) var wasPrepared = false
    /// A preparation is under way; one at a time, also when its link was lost meanwhile and another one is established.
    private var isPreparing = false
    /// Counts the times that the command link came up: what was begun on an earlier one does not count on a later one.
    private var generation = 0
    private var preparedGeneration = 0
    /// Only the last retry that was asked for counts.
    private var retry = 0
    private var hasMoved = false

    private static let trialPause = TimeAmount.seconds(1)
    private static let preparationPause = TimeAmount.milliseconds(500)

    /// Commands are answered, writes or not.
    var canRead: Bool { commands == .serving || commands == .refused }

    /// Empty: ready to accept and to deliver.
    var reasons: [String] {
        var reasons: [String] = []
        switch commands {
        case .serving: break
        case .preparing where trouble == nil: reasons.append("Redis is being prepared")
        case .away, .preparing, .unusable, .refused, .stopped:
            reasons.append(trouble.map(RedisTrouble.words) ?? "Redis is not reachable")
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
        // The link was lost and came back meanwhile: it may be another Redis.
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
        // A replica's answer has ended the connection, which says so itself. Full memory keeps us from preparing, not from
        // staying alive in the eyes of the others.
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
            return [.hold(RedisTrouble.words(error)), .complain(error), again(after: Self.trialPause)]
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
