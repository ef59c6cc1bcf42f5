import Broker
import Logging

/// Counts and logs, at most once a minute, what others did to the gateways' keys in a shared Redis.
///
/// Lives on the backplane's loop.
final class NeighbourLog {
    private let metrics: LayerMetrics
    private let logger: Logger
    private var foreign = LogThrottle()
    private var vanished = LogThrottle()
    private var misfits: Set<String> = []
    private var known: Set<LayerSurvey.Stranger> = []

    init(metrics: LayerMetrics, logger: Logger) {
        self.metrics = metrics
        self.logger = logger
    }

    /// Keys of a wrong type that a function had to skip.
    func foreign(_ keys: [String]) {
        metrics.foreignKeys.add(keys.count)
        guard let held = foreign.pass() else { return }
        logger.error(
            "keys in Redis have another type than ours: what belongs to them is left until they are deleted or mended",
            metadata: [
                "keys": "\(keys.prefix(10).joined(separator: " "))", "count": "\(keys.count)", "held_back": "\(held)",
            ])
    }

    /// The site's layer is configured otherwise than this gateway. Each difference is logged once.
    func misfit(_ words: String) {
        if misfits.insert(words).inserted { logger.warning("\(words)") }
    }

    /// Layers of Django that no gateway reads. Each is logged once.
    func strangers(_ strangers: [LayerSurvey.Stranger], beside keys: LayerKeys) {
        for stranger in strangers where known.insert(stranger).inserted {
            logger.warning("\(stranger.words(beside: keys)). What Django sends there reaches no gateway")
        }
    }

    /// Fleet members that were missing before a routine refresh: Django's sends to those groups reached no gateway.
    func vanished(_ count: Int, expiry: Int) {
        metrics.membersVanished.add(count)
        guard let held = vanished.pass() else { return }
        logger.warning(
            "the fleet's member was removed from groups before its refresh: is the group_expiry of Django's channel layer shorter than redis.group_expiry? Set both alike",
            metadata: ["groups": "\(count)", "redis.group_expiry": "\(expiry)", "held_back": "\(held)"])
    }
}

@available(*, unavailable) extension NeighbourLog: Sendable {}
