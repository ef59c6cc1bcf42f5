import Broker
import Logging
import NIOCore
import RedisClient

/// Writes proofs of delivery to Redis, as `ConfirmationBatch` decides.
///
/// Lives on the backplane's loop.
final class ReceiptWriter {
    private let functions: LayerFunctions
    private let client: RedisClient
    private let metrics: LayerMetrics
    private let logger: Logger
    private var batch = ConfirmationBatch()
    private var throttle = LogThrottle()

    init(functions: LayerFunctions, client: RedisClient, metrics: LayerMetrics, logger: Logger) {
        self.functions = functions
        self.client = client
        self.metrics = metrics
        self.logger = logger
    }

    func confirm(_ confirmation: Confirmation) { perform(batch.add(confirmation)) }

    private func perform(_ action: ConfirmationBatch.Action?) {
        switch action {
        case nil: break
        case .startTimer(let milliseconds):
            client.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(Int64(milliseconds))) {
                self.perform(self.batch.timerFired())
            }
        case .send(let confirmations):
            client.call(functions.markDelivered(confirmations)) { result in
                self.perform(self.batch.sent(self.outcome(result, of: confirmations.count)))
            }
        }
    }

    private func outcome(_ result: Result<Int, RedisError>, of count: Int) -> ConfirmationBatch.Outcome {
        switch result {
        case .success(let moved):
            metrics.confirmed.add(moved)
            return .taken
        case .failure(let error):
            if error.code != .server || RedisErrorMeaning.isTransient(error) { return .unavailable }
            if let held = throttle.pass() {
                logger.warning(
                    "Redis does not take what clients confirmed",
                    metadata: ["error": "\(error)", "confirmations": "\(count)", "held_back": "\(held)"])
            }
            return .refused
        }
    }
}

@available(*, unavailable) extension ReceiptWriter: Sendable {}
