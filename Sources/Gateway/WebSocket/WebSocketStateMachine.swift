import Broker

/// The life cycle of a WebSocket after the upgrade (RFC 6455 section 7): open, closing, closed; and its keep-alive.
///
/// A value without I/O or a clock; each event returns the action to take.
///
/// ```
///   open ──close(code)──▶ closing (our close frame is out) ──peer's close, or no answer──▶ closed
///     │ peer's close: echoed                                                              ▲
///     │ violation: our close frame, then no more reading ─────────────────────────────────┤
///     └ ping unanswered ─────────────────────────────────────────────────────────────────┘
/// ```
struct WebSocketStateMachine {
    /// ending: close frames were exchanged, and the transport is about to end.
    private enum State { case open, closing, ending, closed }
    /// quiet: no ping is out. awaiting: a ping is out. answered: bytes arrived after it.
    private enum Probe { case quiet, awaiting, answered }
    private var state = State.open
    private var probe = Probe.quiet

    var isOpen: Bool { state == .open }

    /// Call for any bytes received: they prove that the peer is alive.
    mutating func bytesArrived() { if probe == .awaiting { probe = .answered } }

    enum FrameAction: Equatable { case handle, ignore }

    /// A data frame or ping. Nothing is answered once our close frame is out (section 5.5.1).
    func frameArrived() -> FrameAction { state == .open ? .handle : .ignore }

    enum CloseAction: Equatable {
        /// Send a close frame and wait for the peer's.
        case sendClose
        /// Send a close frame, then end the connection.
        case sendCloseAndEnd
        case end
        case ignore
    }

    /// The peer's close frame arrived.
    mutating func closeArrived() -> CloseAction { lastFrame() }

    /// The gateway wants to end the connection: drain, policy, a slow reader.
    mutating func close() -> CloseAction {
        guard state == .open else { return .ignore }
        state = .closing
        return .sendClose
    }

    /// The peer broke the protocol: send it the reason, without waiting for an answer (section 7.1.7).
    mutating func violation() -> CloseAction { lastFrame() }

    /// Nothing that the peer sends after this counts.
    private mutating func lastFrame() -> CloseAction {
        switch state {
        case .open:
            state = .ending
            return .sendCloseAndEnd
        case .closing:
            state = .closed
            return .end
        case .ending, .closed: return .ignore
        }
    }

    enum PingAction: Equatable {
        /// Send a ping, and call `probeIsDue` again when the answer is due.
        case sendPing
        /// The last ping was answered: wait until the next one is due.
        case wait
        case end
        case ignore
    }

    /// Call when a check is due. Sends a ping; or ends the connection if the last ping brought nothing, or if the peer has not
    /// completed a close.
    mutating func probeIsDue() -> PingAction {
        switch (state, probe) {
        case (.open, .quiet):
            probe = .awaiting
            return .sendPing
        case (.open, .answered):
            probe = .quiet
            return .wait
        case (.open, .awaiting), (.closing, _), (.ending, _):
            state = .closed
            return .end
        case (.closed, _): return .ignore
        }
    }

    mutating func transportEnded() { state = .closed }
}
