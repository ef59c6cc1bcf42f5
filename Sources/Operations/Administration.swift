public import Broker

/// What the admin port asks of the fleet; implemented on Redis by the program. Called from any thread.
public protocol Administration: Sendable {
    /// Ends connections on all gateways.
    ///
    /// - Returns: how many gateways were told, and how many live.
    /// - Throws: `BackplaneError`.
    func end(_ selection: ConnectionSelection) async throws(BackplaneError) -> Heard
}

/// Who heard a word that was said to all gateways.
public struct Heard: Sendable, Equatable {
    /// Gateways that were told.
    public var gateways: Int
    /// Gateways that live; those that were not told have no connection to Redis now.
    public var living: Int

    public init(gateways: Int, living: Int) {
        self.gateways = gateways
        self.living = living
    }
}
