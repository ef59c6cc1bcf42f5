/// Whether a gateway on several Redis servers is ready: while more than half of them serve.
///
/// A value without I/O. Groups of a server that is away are refused meanwhile; sending clients elsewhere would not help them, as
/// other gateways have the same servers.
struct ShardReadiness {
    /// What `/readyz` says.
    struct Verdict: Equatable, Sendable {
        /// Why the gateway is not ready. Empty: it is.
        var reasons: [String] = []
        /// What does not work although it is.
        var remarks: [String] = []
    }

    private let names: [String]
    private var reasons: [[String]]

    /// - Parameter names: what the servers are called, in their order.
    init(names: [String]) {
        self.names = names
        reasons = names.map { _ in ["Redis is not reachable"] }
    }

    /// - Parameter reasons: why this server cannot be used; empty: it can.
    mutating func set(_ reasons: [String], of shard: Int) -> Verdict {
        self.reasons[shard] = reasons
        guard names.count > 1 else { return Verdict(reasons: reasons) }
        let away = names.indices.filter { !self.reasons[$0].isEmpty }
        let lines = away.map { "\(names[$0]): \(self.reasons[$0].joined(separator: ", "))" }
        return (names.count - away.count) * 2 > names.count ? Verdict(remarks: lines) : Verdict(reasons: lines)
    }
}
