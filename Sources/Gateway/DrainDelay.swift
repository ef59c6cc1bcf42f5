/// When a client of a draining gateway should come back: each is told its own time, so that they come one by one.
enum DrainDelay {
    /// Milliseconds, spread over a tenth of the drain's time, at least half a second and at most five.
    static func random(_ configuration: GatewayConfiguration) -> Int {
        Int.random(in: 0...min(max(configuration.drainSeconds * 100, 500), 5000))
    }
}
