import Broker

/// When to ping one client so that its pongs prove what it has received, and what a pong proves.
///
/// A browser answers a WebSocket ping by itself and in order (RFC 6455 sections 5.5.2 and 5.5.3), so a pong proves everything that
/// was written before its ping. A value without I/O or a clock.
///
/// ```
///             batchEnded: something was written
///   quiet ───────────────────────────────────────▶ pinged, pausing ──pong──▶ pausing
///     ▲                                              │ pauseEnded              │ pauseEnded
///     │ pong: nothing was written since              ▼                         ▼
///     └────────────────────────────────────────── pinged               quiet, or pinged again
/// ```
///
/// One ping is out at a time, and the next one waits for the end of the pause that every ping begins. Messages written meanwhile
/// are proven by the next ping. Only the keep-alive's ping is sent in spite of both; it replaces the one that is out.
struct DeliveryProof {
    /// Milliseconds between two pings: a few pings a second, whatever the rate of messages.
    static let pauseMilliseconds: Int64 = 250

    typealias Positions = [GroupName: Position]

    /// A ping's payload: unknown to the client before it is sent.
    struct Token: Equatable {
        let salt: UInt64
        let number: UInt64
    }

    private struct Ping {
        let token: Token
        var proves: Positions
    }

    private let salt: UInt64
    private var number: UInt64 = 0
    private var ping: Ping?
    private var isPausing = false
    /// The last positions written since the last ping.
    private var written: Positions = [:]

    /// - Parameter salt: random, for each connection another.
    init(salt: UInt64) { self.salt = salt }

    // MARK: Events

    /// A message of the group was written, or queued. No action: call `batchEnded` after the last one of a batch.
    mutating func wrote(_ position: Position, in group: GroupName) { written[group] = position }

    /// The client has left the group: nothing of it is confirmed any more.
    mutating func left(_ group: GroupName) {
        written[group] = nil
        ping?.proves[group] = nil
    }

    /// - Returns: write a ping with this token behind the messages, and call `pauseEnded` after the pause; nil: not now.
    mutating func batchEnded() -> Token? { next() }

    /// - Returns: as `batchEnded`.
    mutating func pauseEnded() -> Token? {
        isPausing = false
        return next()
    }

    enum Pong: Equatable {
        /// Not the answer to the ping that is out.
        case ignored
        /// The client has everything up to these positions. With a token: as `batchEnded`.
        case proven(Positions, Token?)
    }

    mutating func pong(_ token: Token) -> Pong {
        guard let ping, ping.token == token else { return .ignored }
        self.ping = nil
        return .proven(ping.proves, next())
    }

    /// The keep-alive is about to ping. What is unproven is then proven by that ping, also if an earlier one was never answered: a
    /// client may answer only the last of several (section 5.5.3).
    ///
    /// - Returns: the payload; nil: there is nothing to prove. No pause begins.
    mutating func keepAliveIsDue() -> Token? {
        let unproven = (ping?.proves ?? [:]).merging(written) { _, later in later }
        return unproven.isEmpty ? nil : send(unproven)
    }

    // MARK: Decisions

    private mutating func next() -> Token? {
        guard ping == nil, !isPausing, !written.isEmpty else { return nil }
        isPausing = true
        return send(written)
    }

    private mutating func send(_ proves: Positions) -> Token {
        number += 1
        written = [:]
        let token = Token(salt: salt, number: number)
        ping = Ping(token: token, proves: proves)
        return token
    }
}
