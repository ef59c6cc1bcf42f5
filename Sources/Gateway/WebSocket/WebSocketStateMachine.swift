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
    private enum State { case open, closing, closed }
    private enum Probe { case none, awaiting }
    private var state = State.open
    private var probe = Probe.none

    var isOpen: Bool { state == .open }

    /// Any byte from the peer proves that it lives.
    mutating func bytesArrived() { probe = .none }

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
    mutating func closeArrived() -> CloseAction {
        defer { state = .closed }
        return switch state {
        case .open: .sendCloseAndEnd
        case .closing: .end
        case .closed: .ignore
        }
    }

    /// We want to end: drain, policy, a slow reader.
    mutating func close() -> CloseAction {
        guard state == .open else { return .ignore }
        state = .closing
        return .sendClose
    }

    /// The peer broke the protocol: told why, not waited for (section 7.1.7).
    mutating func violation() -> CloseAction {
        defer { state = .closed }
        return switch state {
        case .open: .sendCloseAndEnd
        case .closing: .end
        case .closed: .ignore
        }
    }

    enum PingAction: Equatable { case sendPing, end, ignore }

    /// It is time to see whether the peer lives: a ping, or the end when the last one brought nothing.
    mutating func probeIsDue() -> PingAction {
        switch (state, probe) {
        case (.open, .none):
            probe = .awaiting
            return .sendPing
        case (.open, .awaiting), (.closing, _):
            state = .closed
            return .end
        case (.closed, _): return .ignore
        }
    }

    mutating func transportEnded() { state = .closed }
}
