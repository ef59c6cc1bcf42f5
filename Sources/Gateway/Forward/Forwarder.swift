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
    /// Sends a text to the client; nil once the connection has ended.
    private var answer: ((ByteBuffer) -> Void)?

    /// - Parameter answer: sends a text to the client.
    init(
        _ policy: ForwardPolicy, _ message: ForwardedMessage, shard: Shard, answer: @escaping (ByteBuffer) -> Void
    ) {
        self.policy = policy
        self.message = message
        self.shard = shard
        self.answer = answer
        queue = ForwardQueue(waitsForRoom: policy.waitsForRoom)
    }

    func connected() { if policy.tellsConnections { put(message.connected()) } }

    func received(_ text: ByteBuffer) { put(message.received(text)) }

    func disconnected() {
        answer = nil
        if policy.tellsConnections { put(message.disconnected()) }
    }

    private func put(_ message: ByteBuffer) { if let action = queue.put(message) { perform([action]) } }

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
                answer?(error.text)
            }
        }
    }

    private func send(_ message: ByteBuffer) {
        switch policy.destination {
        case .channel(let channel):
            shard.state.backplane.channelSend(message, to: channel).hop(to: shard.eventLoop).assumeIsolated()
                .whenComplete { result in
                    switch result {
                    case .success:
                        self.shard.state.metrics.forwarded.add()
                        self.perform(self.queue.accepted())
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
            if let text { answer?(text) }
            perform(queue.accepted())
        case .failure(let error): perform(queue.failed(error))
        }
    }
}

@available(*, unavailable) extension Forwarder: Sendable {}
