import Broker
import Foundation

/// The results of a bench, for people and for programs.
struct BenchReport {
    var url: String
    var group: String
    var clients: Int
    var connectSeconds: Double
    /// From the first message to the last delivery.
    var seconds: Double
    var outcome: BenchPublisher.Outcome
    var counts: BenchCounts

    var expected: Int { outcome.sent * clients }
    var lost: Int { max(0, expected - counts.delivered) }
    var isComplete: Bool { lost == 0 && counts.duplicates == 0 && outcome.refused == 0 && counts.closed == 0 }

    private var connectRate: Double { Double(clients) / max(connectSeconds, 1e-9) }
    private var deliveryRate: Double { Double(counts.delivered) / max(seconds, 1e-9) }

    var text: String {
        let lost = expected > 0 ? String(format: "  %.3f %%", 100 * Double(lost) / Double(expected)) : ""
        var lines = [
            "clients      \(clients), connected at \(Int(connectRate))/s",
            "sent         \(outcome.sent)" + (outcome.refused > 0 ? ", refused \(outcome.refused)" : ""),
            "delivered    \(counts.delivered) of \(expected), \(Int(deliveryRate))/s",
            "lost         \(self.lost)" + (self.lost > 0 ? lost : ""),
            "duplicates   \(counts.duplicates)",
            "latency      p50 \(milliseconds(0.5)) ms, p99 \(milliseconds(0.99)) ms, max \(milliseconds(1)) ms",
        ]
        if counts.closed > 0 { lines.append("closed       \(counts.closed) connections ended meanwhile") }
        if let error = outcome.firstError { lines.append("refused      the first: \(error)") }
        return lines.joined(separator: "\n")
    }

    var json: String {
        JSONWriter.line { json in
            json.string("url", url)
            json.string("group", group)
            json.number("clients", clients)
            json.raw("connect_seconds", rounded(connectSeconds))
            json.number("connects_per_second", Int(connectRate))
            json.number("sent", outcome.sent)
            json.number("refused", outcome.refused)
            json.number("expected", expected)
            json.number("delivered", counts.delivered)
            json.number("lost", lost)
            json.number("duplicates", counts.duplicates)
            json.number("closed", counts.closed)
            json.number("deliveries_per_second", Int(deliveryRate))
            json.object("latency_ms") { json in
                json.raw("p50", milliseconds(0.5))
                json.raw("p99", milliseconds(0.99))
                json.raw("max", milliseconds(1))
            }
        }
    }

    private func milliseconds(_ share: Double) -> String {
        rounded(Double(share == 1 ? counts.latency.maximum : counts.latency.quantile(share)) / 1e6)
    }

    private func rounded(_ value: Double) -> String { String(format: "%.3f", value) }
}
