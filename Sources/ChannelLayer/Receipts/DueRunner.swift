import Broker
import Logging
import NIOCore
import RedisClient

/// Has Redis do what is due: scheduled sends, and escalations of what nobody has seen in time. Each entry is taken out in the
/// step that does it, so every gateway may ask.
///
/// Lives on the backplane's loop.
final class DueRunner {
    private let functions: LayerFunctions
    private let client: RedisClient
    private let metrics: LayerMetrics
    private let logger: Logger
    private var turn = DueTurn()
    private var throttle = LogThrottle()
    /// The living gateways, as of the last lease renewal.
    var living: [String] = []
    private let gatewayID: String
    /// Called when messages were escalated: there is work for those who deliver escalations.
    var onEscalation: (() -> Void)?

    init(
        gatewayID: String, functions: LayerFunctions, client: RedisClient, metrics: LayerMetrics, logger: Logger
    ) {
        self.gatewayID = gatewayID
        self.functions = functions
        self.client = client
        self.metrics = metrics
        self.logger = logger
    }

    func resume() { perform(turn.resume()) }
    func pause() { turn.pause() }
    /// Call once a second.
    func tick() { perform(turn.tick()) }

    private func perform(_ action: DueTurn.Action?) {
        switch action {
        case nil: break
        case .check:
            client.submit(RedisCommand("EXISTS", functions.keys.due)).assumeIsolated().whenSuccess { reply in
                self.perform(self.turn.checked(anythingWaits: reply.int == 1))
            }
        case .run: run()
        case .startTimer(let milliseconds): wait(milliseconds) { $0.timerFired() }
        case .startPause(let milliseconds): wait(milliseconds) { $0.pauseEnded() }
        }
    }

    private func wait(_ milliseconds: Int, _ event: @escaping (inout DueTurn) -> DueTurn.Action?) {
        client.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(Int64(milliseconds))) {
            self.perform(event(&self.turn))
        }
    }

    private func run() {
        client.call(functions.dueRun(limit: DueTurn.limit)) { result in
            switch result {
            case .success(let answer):
                self.metrics.scheduledSent.add(answer.sent)
                self.metrics.escalated.add(answer.escalated)
                if answer.escalated > 0 { self.onEscalation?() }
                let isFirst = Rendezvous.rank(of: self.gatewayID, for: "due", among: self.living) == 0
                self.perform(self.turn.ran(done: answer.done, wait: answer.wait, isFirst: isFirst))
            case .failure(let error):
                self.turn.failed()
                if error.code == .server, !RedisErrorMeaning.isTransient(error), let held = self.throttle.pass() {
                    self.logger.warning(
                        "what is due cannot be done: scheduled sends and escalations wait",
                        metadata: ["error": "\(error)", "held_back": "\(held)"])
                }
            }
        }
    }
}

@available(*, unavailable) extension DueRunner: Sendable {}
