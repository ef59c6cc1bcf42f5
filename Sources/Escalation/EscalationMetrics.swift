import Broker

/// One target's counters.
struct EscalationMetrics: Sendable {
    private let sent: Counter
    private let failed: Counter
    private let dead: Counter
    private let gone: Counter
    let inFlight: Gauge

    /// Called once for each target: a series exists once.
    ///
    /// - Parameter target: its name in the configuration.
    init(_ metrics: Metrics, target: String) {
        let label = "target=\"\(Self.escaped(target))\""
        sent = metrics.counter("tocsin_escalations_sent_total", label, help: "Escalations that their target took.")
        failed = metrics.counter(
            "tocsin_escalations_failed_total", label, help: "Tries that failed; the escalation is tried again.")
        dead = metrics.counter("tocsin_escalations_dead_total", label, help: "Escalations that were given up.")
        gone = metrics.counter(
            "tocsin_escalations_gone_total", label, help: "Escalations whose push subscription does not exist any more."
        )
        inFlight = metrics.gauge(
            "tocsin_escalations_in_flight", label, help: "Requests to the target on their way now.")
    }

    func count(_ result: EscalationResult) {
        switch result {
        case .done: sent.add()
        case .gone: gone.add()
        case .retry: failed.add()
        case .dead: dead.add()
        }
    }

    /// As a label's value is written in Prometheus' text format.
    static func escaped(_ text: String) -> String {
        text.reduce(into: "") { output, character in
            switch character {
            case "\\", "\"": output += "\\\(character)"
            case "\n": output += "\\n"
            default: output.append(character)
            }
        }
    }
}
