/// Recognises environment variables that container platforms set: Kubernetes for each service of a pod's namespace
/// (`enableServiceLinks`), Docker for linked containers. A service named `tocsin-redis` causes
/// `TOCSIN_REDIS_PORT=tcp://10.0.0.7:6379`, which looks like one of Tocsin's settings but is not.
///
/// | Kubernetes | `_SERVICE_HOST`, `_SERVICE_PORT`, `_SERVICE_PORT_NAME` |
/// | both | `_PORT` with an address, `_PORT_6379_TCP`, and with the suffixes `_PROTO`, `_PORT`, `_ADDR`, `_START`, `_END` |
/// | Docker | `_NAME` with two names in a path, and if that exists, `_ENV_…` |
enum ServiceLinks {
    /// Whether the variable is one of them. `gateway.port` is not a key, so `TOCSIN_GATEWAY_PORT=8080` is a user's mistake: where
    /// the name alone is ambiguous, the value decides.
    static func contain(_ name: String, _ environment: [String: String]) -> Bool {
        if name.hasSuffix("_SERVICE_HOST") || name.hasSuffix("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
            return true
        }
        if name.wholeMatch(of: /.+_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR|START|END))?/) != nil { return true }
        if name.hasSuffix("_PORT") { return isAddress(environment[name] ?? "") }
        if name.hasSuffix("_NAME") { return isLink(environment[name] ?? "") }
        guard let inner = name.firstRange(of: "_ENV_") else { return false }
        return isLink(environment[name[..<inner.lowerBound] + "_NAME"] ?? "")
    }

    /// `tcp://10.0.0.7:6379`
    private static func isAddress(_ value: String) -> Bool {
        ["tcp://", "udp://", "sctp://"].contains(where: value.hasPrefix)
    }

    /// `/web/redis`: the container, and its name for the linked one.
    private static func isLink(_ value: String) -> Bool { value.wholeMatch(of: /\/[^\/]+\/[^\/]+/) != nil }
}
