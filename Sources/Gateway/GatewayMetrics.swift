import Broker

/// The gateway's counters and gauges.
struct GatewayMetrics: Sendable {
    let connections: Gauge
    let opened: Counter
    let closed: Counter
    let delivered: Counter
    let received: Counter
    let fellBehind: Counter
    let dropped: Counter
    let dead: Counter
    let slow: Counter
    let violations: Counter
    let tooFast: Counter
    let revoked: Counter
    let expired: Counter
    let joinsTooFast: Counter
    let joinsTooMany: Counter
    let forwarded: Counter
    let forwardsFailed: Counter
    private let refusals: [RefusalReason: Counter]

    init(_ metrics: Metrics) {
        connections = metrics.gauge("tocsin_connections", help: "Clients that are connected now.")
        opened = metrics.counter("tocsin_connections_opened_total", help: "Clients connected.")
        closed = metrics.counter("tocsin_connections_closed_total", help: "Clients disconnected.")
        delivered = metrics.counter("tocsin_deliveries_total", help: "Messages written to sockets.")
        received = metrics.counter("tocsin_client_messages_total", help: "Messages that clients sent.")
        fellBehind = metrics.counter(
            "tocsin_sessions_behind_total",
            help: "Times that a client read too slowly and was fed from the log instead.")
        dropped = metrics.counter(
            "tocsin_deliveries_dropped_total", help: "Messages without history that a slow client did not get.")
        let cut = "Connections that the gateway ended, by reason."
        dead = metrics.counter("tocsin_connections_cut_total", #"reason="dead""#, help: cut)
        slow = metrics.counter("tocsin_connections_cut_total", #"reason="slow""#, help: cut)
        violations = metrics.counter("tocsin_connections_cut_total", #"reason="protocol""#, help: cut)
        revoked = metrics.counter("tocsin_connections_cut_total", #"reason="revoked""#, help: cut)
        expired = metrics.counter("tocsin_connections_cut_total", #"reason="expired""#, help: cut)
        tooFast = metrics.counter("tocsin_connections_cut_total", #"reason="rate""#, help: cut)
        let joins = "Subscriptions of clients that were refused, by reason."
        joinsTooFast = metrics.counter("tocsin_joins_refused_total", #"reason="rate""#, help: joins)
        joinsTooMany = metrics.counter("tocsin_joins_refused_total", #"reason="full""#, help: joins)
        forwarded = metrics.counter(
            "tocsin_forwards_total", help: "Messages of clients that a worker's channel or the site took.")
        forwardsFailed = metrics.counter(
            "tocsin_forwards_failed_total", help: "Messages of clients that they did not take; the client was told.")
        refusals = Dictionary(
            uniqueKeysWithValues: RefusalReason.allCases.map { reason in
                (
                    reason,
                    metrics.counter(
                        "tocsin_handshakes_refused_total", #"reason="\#(reason.rawValue)""#,
                        help: "Handshakes refused, by reason.")
                )
            })
    }

    func refused(_ reason: RefusalReason) { refusals[reason]?.add() }
}
