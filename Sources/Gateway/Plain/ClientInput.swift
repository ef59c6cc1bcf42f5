import Broker
import NIOCore

/// What becomes of a text that a client of a route sends, by the route's `receive`: the same in `plain` and `tocsin.v1`.
///
/// Used on its shard's loop only, by its connection's dialect.
struct ClientInput {
    let receive: ReceivePolicy
    private let shard: Shard
    private let session: Session
    /// nil: the route forwards nothing.
    private let forwarder: Forwarder?

    /// What the client is answered.
    typealias Answer = (Result<ByteBuffer, ForwardError>) -> Void

    /// - Parameter origin: what a worker is told of the client, where the route forwards.
    init(_ receive: ReceivePolicy, origin: ForwardedMessage?, shard: Shard, session: Session) {
        self.receive = receive
        self.shard = shard
        self.session = session
        if case .forward(let policy) = receive, let origin {
            forwarder = Forwarder(policy, origin, shard: shard)
        } else {
            forwarder = nil
        }
    }

    /// Whether `connected` has anybody to tell.
    var forwards: Bool { forwarder != nil }

    func connected(_ answer: @escaping Answer) { forwarder?.connected(Self.spoken(answer)) }

    /// - Parameters:
    ///   - answer: called for each answer, and when a message that was to be forwarded is lost.
    ///   - fail: called when a message for the route's groups was not accepted.
    func received(_ text: ByteBuffer, _ answer: @escaping Answer, fail: @escaping (CloseReason) -> Void) {
        switch receive {
        case .ignore: break
        case .echo:
            var json = ByteBuffer()
            JSONText.appendPythonString(text.readableBytesView, to: &json)
            answer(.success(json))
        case .mirror: answer(.success(text))
        case .groupSend:
            guard let message = ClientMessage.message(from: text) else { return fail(.badMessage) }
            for group in session.groups { send(message, to: group, fail) }
        case .forward: forwarder?.received(text, Self.spoken(answer))
        }
    }

    func disconnected() { forwarder?.disconnected() }

    /// A message that was taken without an answer is not acknowledged.
    private static func spoken(_ answer: @escaping Answer) -> Forwarder.Completion {
        { result in
            switch result {
            case .success(let text): if let text { answer(.success(text)) }
            case .failure(let error): answer(.failure(error))
            }
        }
    }

    private func send(_ message: ByteBuffer, to group: GroupName, _ fail: @escaping (CloseReason) -> Void) {
        let sent = shard.state.backplane.groupSend(message, to: group).hop(to: shard.eventLoop)
        sent.assumeIsolated().whenFailure { error in
            let isFinal = (error as? BackplaneError)?.code == .refused
            fail(isFinal ? .messageRefused : .messageNotAccepted)
        }
    }
}

@available(*, unavailable) extension ClientInput: Sendable {}
