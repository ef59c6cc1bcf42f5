import Broker
import NIOCore

/// One connection's messages on their way to a worker or to the site: one at a time, in order.
///
/// A value without I/O; events return what is to be done.
///
/// ```
///   idle ──put──▶ sending ──accepted──▶ idle, or sending the next
///                 │    ▲  failed: report, then the next
///                 ▼    │
///               pausing (the channel was full, and the route waits)
/// ```
struct ForwardQueue {
    enum State: Equatable {
        case idle
        case sending(ByteBuffer, attempts: Int)
        /// The channel had no room for the message.
        case pausing(ByteBuffer, attempts: Int)
    }

    enum Action: Equatable {
        case send(ByteBuffer)
        /// Call `pauseEnded` after a moment.
        case pause
        /// Tell the client that one of its messages is gone.
        case report(ForwardError)
    }

    /// Messages that may wait behind the one being sent, and their bytes.
    static let maximumWaiting = 64
    static let maximumWaitingBytes = 1 << 20
    /// How often a message is tried again when its channel is full, a second apart: as long as the layer would keep it.
    static let maximumAttempts = 60

    /// Whether a full channel is waited for, or reported at once.
    let waitsForRoom: Bool
    private(set) var state = State.idle
    private var waiting = CircularBuffer<ByteBuffer>()
    private var waitingBytes = 0

    init(waitsForRoom: Bool) { self.waitsForRoom = waitsForRoom }

    var isIdle: Bool { state == .idle }

    /// The client, or its connection, has a message.
    mutating func put(_ message: ByteBuffer) -> Action? {
        if case .idle = state {
            state = .sending(message, attempts: 1)
            return .send(message)
        }
        guard waiting.count < Self.maximumWaiting, waitingBytes + message.readableBytes <= Self.maximumWaitingBytes
        else { return .report(.overloaded) }
        waiting.append(message)
        waitingBytes += message.readableBytes
        return nil
    }

    mutating func accepted() -> [Action] {
        guard case .sending = state else { return [] }
        return next()
    }

    /// The channel holds as many messages as the layer allows.
    mutating func full() -> [Action] {
        guard case .sending(let message, let attempts) = state else { return [] }
        guard waitsForRoom, attempts < Self.maximumAttempts else { return [.report(.channelFull)] + next() }
        state = .pausing(message, attempts: attempts)
        return [.pause]
    }

    mutating func failed(_ error: ForwardError) -> [Action] {
        guard case .sending = state else { return [] }
        return [.report(error)] + next()
    }

    mutating func pauseEnded() -> [Action] {
        guard case .pausing(let message, let attempts) = state else { return [] }
        state = .sending(message, attempts: attempts + 1)
        return [.send(message)]
    }

    private mutating func next() -> [Action] {
        guard let message = waiting.popFirst() else {
            state = .idle
            return []
        }
        waitingBytes -= message.readableBytes
        state = .sending(message, attempts: 1)
        return [.send(message)]
    }
}

/// Why a client's message did not reach the worker or the site. The client is sent it as `{"error":{"code":…,"message":…}}`.
enum ForwardError: String, Error, Equatable {
    /// More messages wait than a connection may have waiting.
    case overloaded
    case channelFull = "channel_full"
    /// Redis cannot be reached.
    case unavailable
    /// Redis refused the message.
    case refused
    /// The site did not answer in time, or not with 200 or 204.
    case siteFailed = "site_failed"
    /// The site's answer is too long, or is not text.
    case badAnswer = "bad_answer"

    var message: String {
        switch self {
        case .overloaded: "too many of your messages wait; send slower"
        case .channelFull: "nobody reads these messages now, or too slowly"
        case .unavailable: "the message was not accepted; try again"
        case .refused: "the message was refused"
        case .siteFailed: "the site did not answer"
        case .badAnswer: "the site's answer cannot be shown"
        }
    }

    /// The text that a plain client is sent.
    var text: ByteBuffer {
        JSONWriter.object { json in
            json.object("error") { json in
                json.string("code", rawValue)
                json.string("message", message)
            }
        }
    }
}
