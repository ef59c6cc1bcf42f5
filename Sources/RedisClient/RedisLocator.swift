public import NIOCore

/// Finds the server to dial: asked before every dial, so that a primary that has moved is found. Called from any event loop.
public protocol RedisLocator: Sendable {
    /// The address of the server that takes writes now.
    ///
    /// - Returns: a future on `eventLoop`. It fails with `RedisError`, which names what was asked, when nobody knows.
    func locate(on eventLoop: any EventLoop) -> EventLoopFuture<RedisAddress>

    /// A located server was dialled, and is what it should be.
    func verified(_ address: RedisAddress, on eventLoop: any EventLoop)

    /// A located server could not be used.
    func disproved(_ address: RedisAddress, _ error: RedisError, on eventLoop: any EventLoop)

    /// Calls `moved` on the loop with the new address whenever connections to any other are out of date.
    ///
    /// - Returns: ends that.
    func observe(
        on eventLoop: any EventLoop, _ moved: @escaping @Sendable (RedisAddress) -> Void
    ) -> @Sendable () -> Void
}

extension RedisLocator {
    public func verified(_ address: RedisAddress, on eventLoop: any EventLoop) {}
    public func disproved(_ address: RedisAddress, _ error: RedisError, on eventLoop: any EventLoop) {}
    public func observe(
        on eventLoop: any EventLoop, _ moved: @escaping @Sendable (RedisAddress) -> Void
    ) -> @Sendable () -> Void { {} }
}

/// A Redis that stays where it is, or whose name leads to where it is.
struct FixedLocator: RedisLocator {
    let address: RedisAddress

    func locate(on eventLoop: any EventLoop) -> EventLoopFuture<RedisAddress> {
        eventLoop.makeSucceededFuture(address)
    }
}

/// The same server, another database of it.
public struct DatabaseLocator: RedisLocator {
    private let locator: any RedisLocator
    private let database: Int

    public init(_ locator: any RedisLocator, database: Int) {
        self.locator = locator
        self.database = database
    }

    public func locate(on eventLoop: any EventLoop) -> EventLoopFuture<RedisAddress> {
        locator.locate(on: eventLoop).map { address in
            var address = address
            address.database = database
            return address
        }
    }
}

/// Finds nobody: for a service without a locator of its own, which is its owner's mistake.
struct NoLocator: RedisLocator {
    func locate(on eventLoop: any EventLoop) -> EventLoopFuture<RedisAddress> {
        eventLoop.makeFailedFuture(RedisError(.badAddress, "nobody can be asked for the primary"))
    }
}
