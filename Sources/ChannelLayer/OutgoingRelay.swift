import Broker
import Logging
import NIOCore
import RedisClient

/// Encrypts what functions in Redis have for the consumers of an encrypted Django layer, and has it sent: `tocsin:outgoing` →
/// channels. Only where `redis.encryption_keys` are set.
///
/// Like the relay: the first gateway in the rendezvous order collects when Redis rings, the others a little later, all once a
/// second; a commit succeeds only for the oldest entry. So each copy is sent exactly once and in order.
///
/// Lives on the backplane's loop.
final class OutgoingRelay {
    static let batch = 200
    private static let work = "outgoing"

    private let functions: LayerFunctions
    private let gatewayID: String
    private let encryption: FernetKeys
    private let client: RedisClient
    private let logger: Logger
    private var throttle = LogThrottle()
    private var isActive = false
    private var turn = CollectionTurn()
    private var isScheduled = false
    /// The living gateways, as of the last lease renewal.
    var living: [String] = []

    init(_ configuration: LayerConfiguration, functions: LayerFunctions, client: RedisClient, logger: Logger) {
        self.functions = functions
        gatewayID = configuration.gatewayID
        encryption = configuration.encryption
        self.client = client
        self.logger = logger
    }

    func resume() {
        isActive = !encryption.isEmpty
        collect()
    }

    func pause() {
        isActive = false
        turn = CollectionTurn()
    }

    /// Something waits to be encrypted.
    func ring() {
        guard isActive else { return }
        let delay = Rendezvous.delay(of: gatewayID, for: Self.work, among: living, perRank: Relay.patience)
        if delay == .zero { return collect() }
        guard !isScheduled else { return }
        isScheduled = true
        client.eventLoop.assumeIsolated().scheduleTask(in: delay) {
            self.isScheduled = false
            self.collect()
        }
    }

    func collect() {
        guard isActive, turn.begin() else { return }
        client.call(functions.outgoingCollect(limit: Self.batch)) { result in
            switch result {
            case .success(let waiting): self.commit(waiting)
            case .failure(let error): self.finish(more: false, after: error)
            }
        }
    }

    private func commit(_ waiting: [StagedMessage]) {
        guard !waiting.isEmpty else { return finish(more: false) }
        var left = waiting.count, isBehind = waiting.count == Self.batch
        var failure: RedisError?
        for message in waiting {
            client.call(functions.outgoingCommit(message.id, encryption.sealed(message.bytes))) { result in
                switch result {
                case .success(let answer): if answer == .notItsTurn { isBehind = true }
                case .failure(let error): failure = error
                }
                left -= 1
                // After a failure the next ring or the backstop tries again.
                if left == 0 { self.finish(more: failure == nil && isBehind, after: failure) }
            }
        }
    }

    private func finish(more: Bool, after error: RedisError? = nil) {
        let isDueAgain = turn.end()
        if let error, error.code == .server, !RedisErrorMeaning.isTransient(error), let held = throttle.pass() {
            logger.warning(
                "messages for Django's consumers wait unencrypted",
                metadata: ["error": "\(error)", "held_back": "\(held)"])
        }
        if more || isDueAgain { collect() }
    }
}

@available(*, unavailable) extension OutgoingRelay: Sendable {}
