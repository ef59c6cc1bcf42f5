import Broker
import NIOCore

/// The plain protocol: messages as JSON and nothing else (docs/protocol.md).
///
/// Lives on its shard's loop; owned by its connection.
final class PlainDialect: ClientDialect {
    private let shard: Shard
    private let input: ClientInput
    private let session: Session
    private unowned let connection: any DialectConnection
    /// The groups at the time of the join.
    private let entries: [GroupEntry]
    /// nil once the session is open.
    private var joining: Joining?

    /// - Parameters:
    ///   - joining: has completed its joins.
    ///   - entries: the groups at the time of the join.
    init(
        _ input: ClientInput, shard: Shard, session: Session, connection: any DialectConnection, joining: Joining,
        entries: [GroupEntry]
    ) {
        self.input = input
        self.shard = shard
        self.session = session
        self.connection = connection
        self.joining = joining
        self.entries = entries
    }

    var keepAlive: KeepAlive { KeepAlive.pings(of: session.id, shard.settings.configuration) }

    var openingSeconds: Int? { nil }
    var isEstablished: Bool { true }

    func opened() {
        if let joining { session.open(joining.take(), at: entries.lazy.map { Session.Start($0) }) }
        joining = nil
        if input.forwards { input.connected(answer) }
    }

    // MARK: Input

    func received(_ text: ByteBuffer) {
        // A message that was not accepted: closing keeps the client from believing that it was.
        input.received(text, answer, fail: { self.connection.close($0) })
    }

    func received(binary: ByteBuffer) -> Bool {
        guard input.receive == .mirror else { return false }
        if connection.isWritable { connection.say(binary: binary) }
        return true
    }

    /// What the client is answered, or why a message was lost.
    private func answer(_ result: Result<ByteBuffer, ForwardError>) {
        switch result {
        case .success(let text): sayBack(text)
        case .failure(let error): sayBack(error.text)
        }
    }

    /// Sends an answer to the client. Skipped when the socket is full, so a client that does not read queues no answers.
    private func sayBack(_ text: ByteBuffer) { if connection.isWritable { connection.say(text) } }

    // MARK: Output

    func roomAgain() {}

    /// The plain protocol cannot report a gap: the connection is closed, and the client fetches what it needs before it
    /// reconnects. It keeps no cursor, so a continuity that only invalidates cursors does not concern it.
    func lost(_ group: GroupName, _ continuity: Continuity) {
        switch continuity {
        case .gap, .reset: connection.close(.resync(continuity))
        case .resumed, .historyChanged, .rolledBack, .renewed, .liveOnly: break
        }
    }

    func ended() { input.disconnected() }

    static func words(for reason: CloseReason) -> CloseWords? {
        switch reason {
        case .drain(let milliseconds):
            CloseWords(.serviceRestart, "the gateway restarts; reconnect in \(milliseconds) ms")
        case .revoked: CloseWords(.loginEnded, "ended by the operator")
        case .expired: CloseWords(.loginEnded, "login expired")
        case .slow: CloseWords(.slow, "too slow for too long")
        case .rateLimited: CloseWords(.rateLimited, "too many messages")
        case .dead, .stale: nil
        case .resync(let continuity): CloseWords(.resync, "messages may be missing: \(continuity)")
        case .badMessage: CloseWords(.policy, "a message must be a JSON object")
        case .messageRefused: CloseWords(.policy, "the message was refused")
        case .messageNotAccepted: CloseWords(.tryAgainLater, "the message was not accepted")
        case .binaryMessage: CloseWords(.unsupportedData, "only text is spoken here")
        case .violation(let code, let words): CloseWords(code, words)
        }
    }
}

@available(*, unavailable) extension PlainDialect: Sendable {}
