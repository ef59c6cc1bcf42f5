public import NIOCore

/// Finds the server to dial: asked before every dial, so that a primary that has moved is found.
public protocol RedisLocator: Sendable {
    /// The address of the server that takes writes now.
    ///
    /// - Returns: a future on `eventLoop`. It fails with `RedisError`, which names what was asked, when nobody knows.
    func locate(on eventLoop: any EventLoop) -> EventLoopFuture<RedisAddress>
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
