import Broker

/// What the channel layer counts.
struct LayerMetrics: Sendable {
    let received: Counter
    let receivedBytes: Counter
    let malformedLive: Counter
    let malformedLayer: Counter
    let relayed: Counter
    let sent: Counter
    let redisUp: Gauge
    let losses: Counter

    init(_ metrics: Metrics) {
        received = metrics.counter("tocsin_messages_received_total", help: "Messages that Redis pub/sub brought.")
        receivedBytes = metrics.counter("tocsin_message_bytes_received_total", help: "Their payload bytes.")
        let malformed = "Messages that are no JSON object and no msgpack map, by where they came in."
        malformedLive = metrics.counter("tocsin_messages_malformed_total", #"entrance="publish""#, help: malformed)
        malformedLayer = metrics.counter("tocsin_messages_malformed_total", #"entrance="core_layer""#, help: malformed)
        relayed = metrics.counter("tocsin_relay_messages_total", help: "Core-layer messages that this gateway relayed.")
        sent = metrics.counter(
            "tocsin_group_sends_total", help: "Messages that this gateway sent to groups for its clients.")
        redisUp = metrics.gauge("tocsin_redis_up", help: "1 while Redis can be reached for commands and subscriptions.")
        losses = metrics.counter("tocsin_redis_losses_total", help: "Times that a connection to Redis was lost.")
    }
}
