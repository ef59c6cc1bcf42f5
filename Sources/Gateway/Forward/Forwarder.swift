import Broker
import NIOCore

/// Carries one connection's messages to a general channel of the layer, or to the site.
///
/// Lives on the shard's loop. It outlives the connection until its last message is sent.
final class Forwarder {
    private static let pause = TimeAmount.seconds(1)

    private let shard: Shard
    private let policy: ForwardPolicy
    private let message: ForwardedMessage
    private var queue: ForwardQueue
    /// Those of the queue's messages, in their order.
    private var completions = CircularBuffer<Completion>()
    private var isOver = false

    /// What became of a message: the text that answers it, if there is one. Not called once the connection has ended.
    typealias Completion = (Result<ByteBuffer?, ForwardError>) -> Void

    init(_ policy: ForwardPolicy, _ message: ForwardedMessage, shard: Shard) {
        self.policy = policy
        self.message = message
        self.shard = shard
        queue = ForwardQueue(waitsForRoom: policy.waitsForRoom)
    }

    func connected(_ done: @escaping Completion) { if policy.tellsConnections { put(message.connected(), done) } }

    func received(_ text: ByteBuffer, _ done: @escaping Completion) { put(message.received(text), done) }

    /// - Parameter data: JSON; nil: there is none.
    func called(_ method: String, _ data: ByteBuffer?, _ done: @escaping Completion) {
        put(message.called(method, data), done)
    }

    func disconnected() {
        if policy.tellsConnections { put(message.disconnected()) { _ in } }
        isOver = true
    }

    private func put(_ message: ByteBuffer, _ done: @escaping Completion) {
        let action = queue.put(message)
        if case .report(let error) = action {
            shard.state.metrics.forwardsFailed.add()
            return complete(done, .failure(error))
        }
        completions.append(done)
        if let action { perform([action]) }
    }

    private func complete(_ done: Completion?, _ result: Result<ByteBuffer?, ForwardError>) {
        if !isOver { done?(result) }
    }

    private func perform(_ actions: [ForwardQueue.Action]) {
        for action in actions {
            switch action {
            case .send(let message): send(message)
            case .pause:
                shard.eventLoop.assumeIsolated().scheduleTask(in: Self.pause) {
                    self.perform(self.queue.pauseEnded())
                }
            case .report(let error):
                shard.state.metrics.forwardsFailed.add()
                complete(completions.popFirst(), .failure(error))
            }
        }
    }

    private func send(_ message: ByteBuffer) {
        switch policy.destination {
        case .channel(let channel):
            shard.state.backplane.channelSend(message, to: channel).hop(to: shard.eventLoop).assumeIsolated()
                .whenComplete { result in
                    switch result {
                    case .success: self.answered(.success(nil))
                    case .failure(let error): self.failed(error as? BackplaneError)
                    }
                }
        case .site(let site):
            guard let client = shard.settings.siteClient else { return perform(queue.failed(.siteFailed)) }
            let bound = NIOLoopBound(self, eventLoop: shard.eventLoop)
            let eventLoop = shard.eventLoop
            Task {
                let result = await SiteRequest.post(message, to: site, by: client)
                eventLoop.execute { bound.value.answered(result) }
            }
        }
    }

    private func failed(_ error: BackplaneError?) {
        switch error?.code {
        case .full: perform(queue.full())
        case .refused: perform(queue.failed(.refused))
        case .unavailable, nil: perform(queue.failed(.unavailable))
        }
    }

    private func answered(_ result: Result<ByteBuffer?, ForwardError>) {
        switch result {
        case .success(let text):
            shard.state.metrics.forwarded.add()
            complete(completions.popFirst(), .success(text))
            perform(queue.accepted())
        case .failure(let error): perform(queue.failed(error))
        }
    }
}

@available(*, unavailable) extension Forwarder: Sendable {}
