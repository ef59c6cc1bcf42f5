import Broker

/// The channel layer's counters and gauges.
struct LayerMetrics: Sendable {
    let received: Counter
    let receivedBytes: Counter
    let malformedLive: Counter
    let malformedLayer: Counter
    let relayed: Counter
    let direct: Counter
    let sent: Counter
    let confirmed: Counter
    let scheduledSent: Counter
    let escalated: Counter
    let duplicates: Counter
    let gaps: Counter
    let filled: Counter
    let lost: Counter
    let missed: Counter
    let foreignKeys: Counter
    let membersVanished: Counter
    let disputed: Counter
    private(set) var doorbellHeard: Gauge
    private(set) var redisUp: Gauge
    let losses: Counter

    /// - Parameter labels: of what each Redis server has for itself.
    init(_ metrics: Metrics, _ labels: String = "") {
        received = metrics.counter("tocsin_messages_received_total", help: "Messages that Redis pub/sub brought.")
        receivedBytes = metrics.counter("tocsin_message_bytes_received_total", help: "Their payload bytes.")
        let malformed = "Messages that are neither a JSON object nor a msgpack map, by where they came in."
        malformedLive = metrics.counter("tocsin_messages_malformed_total", #"entrance="publish""#, help: malformed)
        malformedLayer = metrics.counter("tocsin_messages_malformed_total", #"entrance="core_layer""#, help: malformed)
        relayed = metrics.counter("tocsin_relay_messages_total", help: "Core-layer messages that this gateway relayed.")
        direct = metrics.counter(
            "tocsin_direct_messages_total", help: "Messages for one connection that came to this gateway's inbox.")
        sent = metrics.counter(
            "tocsin_group_sends_total", help: "Messages that this gateway sent to groups for its clients.")
        confirmed = metrics.counter(
            "tocsin_deliveries_confirmed_total", help: "Times that a user's cursor of what is delivered moved.")
        scheduledSent = metrics.counter(
            "tocsin_scheduled_sends_total", help: "Scheduled messages that were sent when this gateway asked.")
        escalated = metrics.counter(
            "tocsin_escalations_total", help: "Escalations, by message and user, that were due when this gateway asked."
        )
        duplicates = metrics.counter("tocsin_messages_duplicate_total", help: "Messages that pub/sub brought twice.")
        gaps = metrics.counter("tocsin_gaps_noticed_total", help: "Times that a message did not follow the one before.")
        filled = metrics.counter("tocsin_messages_filled_total", help: "Messages read from the log instead of pub/sub.")
        lost = metrics.counter(
            "tocsin_continuity_lost_total", help: "Times that a group's members had to be told of lost continuity.")
        missed = metrics.counter(
            "tocsin_messages_missed_total", help: "Messages of groups without history that nobody can get any more.")
        foreignKeys = metrics.counter(
            "tocsin_foreign_keys_total", help: "Times that a key of a wrong type under one of our names was in the way."
        )
        membersVanished = metrics.counter(
            "tocsin_members_vanished_total",
            help: "Groups whose fleet's member somebody had taken out before a refresh.")
        disputed = metrics.counter(
            "tocsin_positions_disputed_total", help: "Messages that came under a position that another one had already."
        )
        (doorbellHeard, redisUp) = Self.gauges(metrics, labels)
        losses = metrics.counter("tocsin_redis_losses_total", help: "Times that a connection to Redis was lost.")
    }

    /// For several Redis servers: they count together, and each has its own gauges. One has no labels.
    static func ofShards(_ count: Int, _ metrics: Metrics) -> [LayerMetrics] {
        guard count > 1 else { return [LayerMetrics(metrics)] }
        let first = LayerMetrics(metrics, #"shard="0""#)
        return (0..<count).map { index in
            guard index > 0 else { return first }
            var other = first
            (other.doorbellHeard, other.redisUp) = gauges(metrics, #"shard="\#(index)""#)
            return other
        }
    }

    private static func gauges(_ metrics: Metrics, _ labels: String) -> (doorbellHeard: Gauge, redisUp: Gauge) {
        (
            metrics.gauge(
                "tocsin_doorbell_heard", labels,
                help: "1 while Redis rings for the core layer's inboxes; 0 while they are polled."),
            metrics.gauge(
                "tocsin_redis_up", labels,
                help: "1 while Redis answers, takes writes, and lets this gateway subscribe.")
        )
    }
}
