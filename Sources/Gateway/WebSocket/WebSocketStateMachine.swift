import Broker

/// The life of a WebSocket after the upgrade (RFC 6455 section 7): open, closing, closed; and whether the peer lives.
///
/// A value without I/O or clock; each event answers what to do.
///
/// ```
///   open ──close(code)──▶ closing (our close frame is out) ──peer's close, or no answer──▶ closed
///     │ peer's close: echoed                                                              ▲
///     │ violation: our close frame, then no more reading ─────────────────────────────────┤
///     └ ping unanswered ─────────────────────────────────────────────────────────────────┘
/// ```
struct WebSocketStateMachine {
    /// ending: the close frames are exchanged, and the transport is to end.
    private enum State { case open, closing, ending, closed }
    /// quiet: nothing was asked. awaiting: a ping is out. answered: it brought a byte.
    private enum Probe { case quiet, awaiting, answered }
    private var state = State.open
    private var probe = Probe.quiet

    var isOpen: Bool { state == .open }

    /// Any byte from the peer proves that it lives.
    mutating func bytesArrived() { if probe == .awaiting { probe = .answered } }

    enum FrameAction: Equatable { case handle, ignore }

    /// A data frame or ping. After our close frame nothing is answered (section 5.5.1).
    func frameArrived() -> FrameAction { state == .open ? .handle : .ignore }

    enum CloseAction: Equatable {
        /// Send a close frame and wait for the peer's.
        case sendClose
        /// Send a close frame, then end the connection.
        case sendCloseAndEnd
        case end
        case ignore
    }

    /// The peer's close frame.
    mutating func closeArrived() -> CloseAction { lastFrame() }

    /// We want to end: drain, policy, a slow reader.
    mutating func close() -> CloseAction {
        guard state == .open else { return .ignore }
        state = .closing
        return .sendClose
    }

    /// The peer broke the protocol: told why, not waited for (section 7.1.7).
    mutating func violation() -> CloseAction { lastFrame() }

    /// Nothing the peer sends after this counts.
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
        /// And ask again when the answer ought to be there.
        case sendPing
        /// It was answered: until the next one.
        case wait
        case end
        case ignore
    }

    /// It is time to see whether the peer lives: a ping, or the end when the last one brought nothing, or when the peer
    /// has not ended a connection that is over.
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
