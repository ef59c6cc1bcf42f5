import Foundation
import Gateway

extension Examination {
    /// Checks certificate, key and authorities of the client port, as a gateway would load them.
    static func clientTLS(_ settings: TLSSettings, now: Date = Date()) -> Finding {
        do throws(GatewayError) {
            let end = try settings.lastDay()
            let days = Int((end.timeIntervalSince(now) / 86_400).rounded(.down))
            let day = end.formatted(.iso8601.year().month().day())
            let detail = "\(settings.certificateFile) ends on \(day)"
            return switch days {
            case ..<0: Finding(check: "client tls", verdict: .wrong, detail: "\(detail): browsers refuse it")
            case ..<14: Finding(check: "client tls", verdict: .warning, detail: "\(detail): renew it")
            default: Finding(check: "client tls", verdict: .fine, detail: detail)
            }
        } catch {
            return Finding(check: "client tls", verdict: .wrong, detail: "\(error)")
        }
    }
}
