/// When a client of a draining gateway should reconnect: a random delay each, to spread the load.
enum DrainDelay {
    /// Milliseconds, spread over a tenth of the drain's time, at least half a second and at most five.
    static func random(_ configuration: GatewayConfiguration) -> Int {
        Int.random(in: 0...min(max(configuration.drainSeconds * 100, 500), 5000))
    }
}
